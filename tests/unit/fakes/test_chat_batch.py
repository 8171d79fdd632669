"""Batches behave as OpenAI's do, seen through the real SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch

from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_batch import Course
from tests.fakes.translit import forward
from tests.unit.fakes.test_chat import order, post, sdk

URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"


def request(name: str, text: str, **more: Any) -> dict[str, Any]:
    """A line of an input file: one row to translate."""
    body = {"model": "m", "messages": order([{"id": 1, "t": [text]}])}
    return {"custom_id": name, "method": "POST", "url": URL, "body": body, **more}


def jsonl(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


FIVE = [request(f"r{i}", f"tea {'abcde'[i]}") for i in range(5)]


def upload(chat: ChatServer, data: bytes, name: str = "in.jsonl") -> str:
    return sdk(chat).files.create(file=(name, data), purpose="batch").id


def made(chat: ChatServer, lines: Sequence[dict[str, Any]] = FIVE, **more: Any) -> Batch:
    """A batch of the lines, just made."""
    batch: Batch = sdk(chat).batches.create(
        input_file_id=upload(chat, jsonl(*lines)),
        endpoint=URL,
        completion_window="24h",
        **more,
    )
    return batch


def polled(chat: ChatServer, batch: Batch) -> tuple[Batch, list[str]]:
    """The batch at its end, and every status that a poll saw on the way."""
    seen: list[str] = []
    while not seen or seen[-1] not in ("completed", "failed", "expired", "cancelled"):
        batch = sdk(chat).batches.retrieve(batch.id)
        seen.append(batch.status)
    return batch, seen


def lines_of(chat: ChatServer, file: str | None) -> list[dict[str, Any]]:
    """The lines of an output or error file."""
    if file is None:
        return []
    data = sdk(chat).files.content(file).content
    return [json.loads(line) for line in data.splitlines()]


def content(line: dict[str, Any]) -> Any:
    """The rows in a reply."""
    said = line["response"]["body"]["choices"][0]["message"]["content"]
    return json.loads(said)["rows"]


def counts(batch: Batch) -> tuple[int, int, int]:
    found = batch.request_counts
    assert found
    return found.total, found.completed, found.failed


def test_a_batch_is_answered_like_live_requests(chat: ChatServer) -> None:
    """Each line gets its reply by custom_id, in another order than they were sent in."""
    batch = made(chat, metadata={"tag": "x"})
    assert (batch.status, batch.metadata) == ("validating", {"tag": "x"})
    batch, seen = polled(chat, batch)
    assert seen == ["in_progress", "finalizing", "completed"]
    assert (counts(batch), batch.error_file_id) == ((5, 5, 0), None)
    lines = lines_of(chat, batch.output_file_id)
    assert [line["custom_id"] for line in lines] == ["r4", "r3", "r2", "r1", "r0"]
    assert content(lines[-1]) == [{"id": 1, "t": [forward("tea a")]}]
    for line in lines:
        assert line["error"] is None and line["response"]["status_code"] == 200
        assert line["response"]["body"]["usage"]["completion_tokens"] > 0


def test_the_async_client_is_served_too(chat: ChatServer) -> None:
    """Upload, creation, listing, polling and download through AsyncOpenAI."""

    async def work() -> bytes:
        async with AsyncOpenAI(base_url=chat.url, api_key="k", max_retries=0) as client:
            file = await client.files.create(file=("a.jsonl", jsonl(*FIVE)), purpose="batch")
            await client.batches.create(
                input_file_id=file.id, endpoint=URL, completion_window="24h"
            )
            (batch,) = [batch async for batch in client.batches.list()]
            while batch.status != "completed":
                batch = await client.batches.retrieve(batch.id)
            assert batch.output_file_id
            return (await client.files.content(batch.output_file_id)).content

    assert len(asyncio.run(work()).splitlines()) == 5


def test_files_can_be_read_back_and_deleted(chat: ChatServer) -> None:
    """What was uploaded comes back byte for byte; a deleted file is a 404."""
    files = sdk(chat).files
    name = upload(chat, jsonl(*FIVE))
    told = files.retrieve(name)
    assert (told.purpose, told.filename, told.bytes) == ("batch", "in.jsonl", len(jsonl(*FIVE)))
    assert files.content(name).content == jsonl(*FIVE)
    assert files.delete(name).deleted
    for call in (files.retrieve, files.content, files.delete):
        with pytest.raises(openai.NotFoundError):
            call(name)


def test_batches_are_listed_page_by_page(chat: ChatServer) -> None:
    """Newest first; the SDK follows `after` to the end."""
    names = [made(chat, FIVE[:1]).id for _ in range(5)]
    pages = sdk(chat).batches.list(limit=2)
    assert [batch.id for batch in pages.data] == names[:2:-1] and pages.has_more
    assert [batch.id for batch in pages] == names[::-1]
    assert [b.id for b in sdk(chat).batches.list(after=names[1], limit=100)] == names[:1]


def test_faults_of_single_requests(chat: ChatServer) -> None:
    """A 429, a 500 and a broken connection stand in the error file; a bad body in the output."""
    chat.script(Fault.rate_limit, Fault.server_error, Fault.drop, Fault.truncated, None)
    batch, seen = polled(chat, made(chat))
    assert (seen[-1], counts(batch)) == ("completed", (5, 2, 3))
    good = {line["custom_id"]: line for line in lines_of(chat, batch.output_file_id)}
    bad = {line["custom_id"]: line for line in lines_of(chat, batch.error_file_id)}
    assert good["r3"]["response"]["body"]["choices"][0]["finish_reason"] == "length"
    assert content(good["r4"]) == [{"id": 1, "t": [forward("tea e")]}]
    assert [bad[f"r{i}"]["response"]["status_code"] for i in range(2)] == [429, 500]
    assert "Rate limit" in bad["r0"]["response"]["body"]["error"]["message"]
    assert (bad["r2"]["response"], bad["r2"]["error"]["code"]) == (None, "server_error")


def test_faults_by_chance_fall_on_batches() -> None:
    """With a fault rate of one, every line of a batch has its fault."""
    with ChatServer(fault_rate=1, faults=[Fault.server_error]) as chat:
        batch, _ = polled(chat, made(chat))
        assert (counts(batch), batch.output_file_id) == ((5, 0, 5), None)


def test_a_batch_stays_in_progress_as_long_as_told(chat: ChatServer) -> None:
    """Courses fall on batches in the order of their making; the others take the usual one."""
    chat.batches.script(Course(polls=3))
    first, second = made(chat), made(chat)
    assert polled(chat, first)[1] == ["in_progress"] * 3 + ["finalizing", "completed"]
    assert polled(chat, second)[1] == ["in_progress", "finalizing", "completed"]


def test_a_batch_expires_after_some_requests(chat: ChatServer) -> None:
    """What was done is in the output file; the rest is in the error file as batch_expired."""
    chat.batches.script(Course(expires_after=2))
    batch, seen = polled(chat, made(chat))
    assert (seen[-1], counts(batch)) == ("expired", (5, 2, 3))
    assert [line["custom_id"] for line in lines_of(chat, batch.output_file_id)] == ["r1", "r0"]
    lost = lines_of(chat, batch.error_file_id)
    assert [line["custom_id"] for line in lost] == ["r4", "r3", "r2"]
    assert {(line["response"], line["error"]["code"]) for line in lost} == {(None, "batch_expired")}


def test_a_cancelled_batch_keeps_what_was_done(chat: ChatServer) -> None:
    """Cancelling is seen first, then cancelled with half of it done; an ended one cannot be."""
    batches, batch = sdk(chat).batches, made(chat)
    assert batches.cancel(batch.id).status == "cancelling"
    batch, _ = polled(chat, batch)
    assert (batch.status, counts(batch)) == ("cancelled", (5, 2, 3))
    codes = {line["error"]["code"] for line in lines_of(chat, batch.error_file_id)}
    assert codes == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        batches.cancel(batch.id)


def test_a_held_batch_does_not_finish(chat: ChatServer) -> None:
    """It stays in progress however often it is polled, and goes on afterwards."""
    batch = made(chat)
    with chat.batches.held():
        seen = {sdk(chat).batches.retrieve(batch.id).status for _ in range(9)}
        assert seen == {"in_progress"}
        assert chat.sources(batched=True)["tea a"] == 1
        assert chat.sources(batched=True, answered=True) == {}
    assert polled(chat, batch)[1] == ["finalizing", "completed"]


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty_file", None),
        (jsonl(FIVE[0]) + b"{", "invalid_json_line", 2),
        (jsonl(FIVE[0], FIVE[0]), "duplicate_custom_id", 2),
        (jsonl(request("", "a")), "missing_required_parameter", 1),
        (jsonl(request("a", "b", url="/v1/embeddings")), "mismatched_url", 1),
        (jsonl(FIVE[0], request("x", "a", body={"model": "n"})), "mismatched_model", None),
        (jsonl(*FIVE, request("x", "a")), "too_many_tasks", None),
    ],
)
def test_a_bad_file_fails_validation(
    chat: ChatServer, data: bytes, code: str, line: int | None
) -> None:
    """The batch is made, then failed, and says what and where; nothing in it counts as asked."""
    chat.batches.max_requests = 5
    batch = sdk(chat).batches.create(
        input_file_id=upload(chat, data), endpoint=URL, completion_window="24h"
    )
    batch, seen = polled(chat, batch)
    assert seen == ["failed"] and batch.errors and batch.errors.data
    assert [(e.code, e.line) for e in batch.errors.data] == [(code, line)]
    assert chat.batches.requests == []


def test_a_validation_can_be_made_to_fail(chat: ChatServer) -> None:
    """The errors of a course are told as they stand there."""
    chat.batches.script(Course(errors=[("token_limit_exceeded", "Enqueued token limit reached.")]))
    batch, _ = polled(chat, made(chat))
    assert batch.errors and batch.errors.data
    assert batch.errors.data[0].message == "Enqueued token limit reached."
    assert chat.batches.requests == []


def test_bad_calls_are_refused(chat: ChatServer) -> None:
    """Files too large or not named .jsonl, unknown files, windows and endpoints are 400s."""
    chat.batches.max_bytes = 20
    with pytest.raises(openai.BadRequestError, match="too large"):
        upload(chat, b"x" * 21)
    with pytest.raises(openai.BadRequestError, match="jsonl"):
        upload(chat, b"x", "in.txt")
    good = {"input_file_id": upload(chat, b"x"), "endpoint": URL, "completion_window": "24h"}
    for key, value in (
        ("input_file_id", "file-0"),
        ("endpoint", "/v1/embeddings"),
        ("completion_window", "1h"),
        ("metadata", {"a": "b" * 513}),
    ):
        error = post(chat, {**good, key: value}, "batches")["error"]
        assert error["param"] == key
    assert chat.batches.made == []
    with pytest.raises(openai.NotFoundError):
        sdk(chat).batches.retrieve("batch_0")


def test_the_key_is_checked() -> None:
    """Without the right key neither files nor batches are served."""
    with ChatServer(key="sk-right") as chat:
        for call in (sdk(chat).batches.list, lambda: upload(chat, b"x")):
            with pytest.raises(openai.AuthenticationError):
                call()
        assert list(sdk(chat, "sk-right").batches.list()) == []


def test_requests_in_batches_are_remembered(chat: ChatServer) -> None:
    """They are counted apart from live ones, and together with them when asked for."""
    sdk(chat).chat.completions.create(model="m", messages=order([{"id": 1, "t": ["tea a"]}]))
    chat.script(Fault.server_error)
    polled(chat, made(chat))
    assert chat.sources() == {"tea a": 1}
    assert chat.sources(batched=True)["tea a"] == 2
    assert chat.sources(batched=True, answered=True)["tea a"] == 1
    assert [record.status for record in chat.batches.requests] == [500, 200, 200, 200, 200]
    assert chat.count() == 1 and chat.count("batches") == 1
    chat.reset()
    assert chat.sources(batched=True) == {}


def test_trouble_on_the_calls_themselves(chat: ChatServer) -> None:
    """A call can be refused before it did anything, or do its work and lose its reply."""
    chat.batches.trouble("POST batches", Fault.rate_limit, Fault.server_error, Fault.drop)
    for kind in (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError):
        with pytest.raises(kind):
            made(chat)
    (told,) = chat.batches.made
    chat.batches.trouble("GET batch", None, Fault.drop)
    assert sdk(chat).batches.retrieve(told["id"]).status == "in_progress"
    with pytest.raises(openai.APIConnectionError):
        sdk(chat).batches.retrieve(told["id"])
    chat.batches.trouble("GET content", Fault.drop)
    batch = sdk(chat).batches.retrieve(told["id"])
    with pytest.raises(openai.APIConnectionError):
        lines_of(chat, batch.output_file_id)
    assert len(lines_of(chat, batch.output_file_id)) == 5


def test_old_files_and_batches_can_vanish(chat: ChatServer) -> None:
    """What the server forgot is a 404."""
    batch, _ = polled(chat, made(chat))
    assert batch.output_file_id
    chat.batches.lose(batch.output_file_id)
    with pytest.raises(openai.NotFoundError):
        sdk(chat).files.content(batch.output_file_id)
    chat.batches.lose(batch.id)
    with pytest.raises(openai.NotFoundError):
        sdk(chat).batches.retrieve(batch.id)
