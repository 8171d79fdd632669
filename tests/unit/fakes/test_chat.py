"""The fake server answers the real SDK, remembers what it was asked, and stops without a trace."""

import asyncio
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.fakes.chat import SENTENCE, ChatServer, Fault
from tests.fakes.translit import Row, forward

ROWS: list[Row] = [
    {"id": 1, "t": ["Tea, please", "2 cups"]},
    {"id": 2, "t": ["Go"]},
    {"id": 3, "t": ["up"]},
]
RIGHT: list[Row] = [{**row, "t": [forward(text) for text in row["t"]]} for row in ROWS]


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def sdk(chat: ChatServer, key: str = "sk-test") -> OpenAI:
    return OpenAI(base_url=chat.url, api_key=key, max_retries=0)


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def order(rows: Any = ROWS) -> list[Any]:
    return said(json.dumps({"to": "ko", "rows": rows}))


def body(messages: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "fake-translator", "messages": messages or order(), **more}


def post(chat: ChatServer, data: Any, path: str = "chat/completions", **headers: str) -> Any:
    """The parsed reply, of whatever status, with no SDK in between."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    request = urllib.request.Request(f"{chat.url}/{path}", raw, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def choice(chat: ChatServer, **more: Any) -> Any:
    return post(chat, body(**more))["choices"][0]


def rows_of(content: str) -> Any:
    return json.loads(content)["rows"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


# -- the three endpoints ---------------------------------------------------------------------------


def test_rows_are_translated(chat: ChatServer) -> None:
    """JSON with rows comes back as compact JSON with the same ids, transliterated."""
    reply = sdk(chat).chat.completions.create(model="any", messages=order())
    content = reply.choices[0].message.content or ""
    assert content == json.dumps({"rows": RIGHT}, ensure_ascii=False, separators=(",", ":"))
    assert (reply.choices[0].finish_reason, reply.model) == ("stop", "any")


def test_the_async_sdk_is_answered_too() -> None:
    """The asynchronous client gets the same translation."""

    async def ask(chat: ChatServer) -> str | None:
        async with AsyncOpenAI(base_url=chat.url, api_key="k", max_retries=0) as client:
            reply = await client.chat.completions.create(model="any", messages=order())
            return reply.choices[0].message.content

    with ChatServer(lang="ja") as chat:
        content = asyncio.run(ask(chat))
    assert rows_of(content or "")[1] == {"id": 2, "t": [forward("Go", "ja")]}


def test_anything_else_gets_the_answer_of_the_test(chat: ChatServer) -> None:
    """A chat without rows is answered by `answer`, which sees the messages, once per choice."""
    assert choice(chat, messages=said("2+2?"))["message"]["content"] == SENTENCE
    seen: list[Any] = []
    chat.answer = lambda messages: seen.append(messages) or f"{len(seen)}번"  # type: ignore
    reply = sdk(chat).chat.completions.create(model="m", messages=said("2+2?"), n=2)
    assert [c.message.content for c in reply.choices] == ["1번", "2번"]
    assert seen == [said("2+2?")] * 2


def test_models_are_listed() -> None:
    """GET /v1/models gives the names, and the list may change while the server runs."""
    with ChatServer(models=["a"]) as chat:
        chat.models.append("b")
        assert [model.id for model in sdk(chat).models.list()] == ["a", "b"]


def test_strict_models_refuse_others() -> None:
    """With strict_models a model that is not in the list is 404 model_not_found."""
    with ChatServer(strict_models=True) as chat:
        with pytest.raises(openai.NotFoundError) as caught:
            sdk(chat).completions.create(model="gpt-x", prompt="a")
        assert caught.value.code == "model_not_found"
        assert choice(chat)["finish_reason"] == "stop"


def test_a_wrong_or_missing_key_is_401() -> None:
    """With a key set, every endpoint wants it; the record of a request does not hold it."""
    with ChatServer(key="sk-test") as chat:
        with pytest.raises(openai.AuthenticationError) as caught:
            sdk(chat, "sk-wrong").models.list()
        assert caught.value.code == "invalid_api_key"
        assert "API key" in post(chat, body())["error"]["message"]
        sdk(chat).chat.completions.create(model="m", messages=order())
        assert [r.status for r in chat.requests] == [401, 401, 200]
        assert "sk-" not in repr(chat.requests)
        first, none, last = (r.headers.get("authorization") for r in chat.requests)
        assert none is None and first != last and re.fullmatch("sha256:[0-9a-f]{12}", last or "")


# -- what the server remembers ---------------------------------------------------------------------


def test_requests_are_remembered(chat: ChatServer) -> None:
    """Path, body, status and times of every request are kept, until reset."""
    post(chat, body(seed=7))
    sdk(chat).models.list()
    first, second = chat.requests
    assert (first.path, first.body, first.status) == ("/v1/chat/completions", body(seed=7), 200)
    assert first.end and second.end and first.start <= first.end <= second.start <= second.end
    assert (chat.count(), chat.count("models"), chat.count("completions")) == (1, 1, 0)
    chat.script(Fault.server_error)
    chat.reset()
    assert (chat.requests, chat.peak, chat.sources()) == ([], 0, Counter())
    assert choice(chat)["finish_reason"] == "stop"


def test_source_texts_are_counted(chat: ChatServer) -> None:
    """`sources` counts each text as often as it was sent, or as it was answered."""
    chat.script(Fault.server_error, None)
    post(chat, body())
    post(chat, body(order(ROWS[1:])))
    post(chat, body(said("no rows")))
    assert chat.sources() == {"Tea, please": 1, "2 cups": 1, "Go": 2, "up": 2}
    assert chat.sources(answered=True) == {"Go": 1, "up": 1}


def test_a_bug_in_an_answer_fails_the_test() -> None:
    """What `answer` raises is a 500 for the client and is raised again when the server ends."""
    with pytest.raises(ZeroDivisionError), ChatServer() as chat:
        chat.answer = lambda messages: str(1 // 0)
        assert "ZeroDivisionError" in post(chat, body(said("a")))["error"]["message"]


# -- capacity and life -----------------------------------------------------------------------------


def test_two_hundred_at_once(chat: ChatServer) -> None:
    """200 requests in flight together are each answered with their own rows."""

    async def one(session: aiohttp.ClientSession, i: int) -> Any:
        asks = body(order([{"id": i, "t": [f"text {i}"]}]))
        async with session.post(f"{chat.url}/chat/completions", json=asks) as reply:
            return (await reply.json())["choices"][0]["message"]["content"]

    async def all_at_once() -> list[Any]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as g:
            with chat.held():
                tasks = [g.create_task(one(session, i)) for i in range(200)]
                while chat.peak < 200:
                    await asyncio.sleep(0.001)
        return [task.result() for task in tasks]

    contents = asyncio.run(asyncio.wait_for(all_at_once(), 20))
    assert [rows_of(content) for content in contents] == [
        [{"id": i, "t": [forward(f"text {i}")]}] for i in range(200)
    ]
    assert chat.peak == 200


def test_slots_make_requests_queue() -> None:
    """With one slot the second request is worked on after the first; a slot has its speed."""
    with ChatServer(slots=1, slot_rate=70) as chat, ThreadPoolExecutor() as pool:
        with chat.held():
            replies = []
            for arrived in (1, 2):
                replies.append(pool.submit(post, chat, body(said("a"))))
                until(lambda: chat.count() == arrived)  # noqa: B023
            go = time.monotonic()
        seconds = [reply.result()["usage"]["completion_tokens"] / 70 for reply in replies]
        first, second = sorted(record.end or 0.0 for record in chat.requests)
        assert chat.peak == 2
        assert first >= go + seconds[0] and second >= first + seconds[1]


def test_a_rate_cap_answers_429_beyond_it() -> None:
    """The request over the cap is told when to come back; script and chance do not see it."""
    with ChatServer(rate_cap=1) as chat:
        chat.script(None, Fault.server_error)
        create = sdk(chat).chat.completions.create
        create(model="m", messages=order())
        with pytest.raises(openai.RateLimitError) as caught:
            create(model="m", messages=order())
        assert 0 < float(caught.value.response.headers["retry-after"]) <= 1
        chat.rate_cap = None
        assert "server" in post(chat, body())["error"]["message"]
        assert [record.fault for record in chat.requests] == [None, None, Fault.server_error]


def open_request(chat: ChatServer, sent: bytes, *, length: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", chat.port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def test_a_server_may_answer_some_and_hold_the_others(chat: ChatServer) -> None:
    """As many as are let through, whichever come first; the others once the block ends."""
    with ThreadPoolExecutor() as pool:
        with chat.held(after=2):
            replies = [pool.submit(post, chat, body(said("a"))) for _ in range(5)]
            until(lambda: chat.count() == 5 and sum(r.done() for r in replies) == 2)
            assert [r.status for r in chat.requests].count(200) == 2
        assert all("choices" in reply.result() for reply in replies)


def test_a_client_that_leaves_disturbs_nobody(
    chat: ChatServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Gone while waiting, while sending or before: no traceback, and the next one is answered."""
    data = json.dumps(body()).encode()
    with chat.held():
        waiting = open_request(chat, data, length=len(data))
        until(lambda: chat.count() == 1)
        waiting.close()
        until(lambda: chat.requests[0].end is not None)
    open_request(chat, data[:9], length=len(data)).close()
    open_request(chat, b"", length=len(data)).close()
    assert choice(chat)["finish_reason"] == "stop"
    assert chat.requests[0].status is None
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


def test_the_port_is_free_again_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """When the block ends nobody listens any more, even if a request was being answered."""
    data = json.dumps(body()).encode()
    with ChatServer(slow_seconds=60) as chat:
        chat.script(Fault.slow)
        connection = open_request(chat, data, length=len(data))
        until(lambda: chat.count() == 1)
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", chat.port))
    assert caplog.records == []


def test_it_serves_as_a_script_until_interrupted() -> None:
    """`python -m tests.fakes.chat` prints its address, serves, and ends quietly on an interrupt."""
    command = [sys.executable, "-m", "tests.fakes.chat", "--port", "0", "--fault-rate", "0"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/models", timeout=10) as reply:
            assert json.load(reply)["data"][0]["id"] == "fake-translator"
        process.send_signal(signal.SIGINT)
        assert (process.wait(10), process.stderr.read()) == (0, "")
