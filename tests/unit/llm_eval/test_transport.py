"""One request, against a real server in trouble: asked again where that helps, counted, bounded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from llm_eval.errors import BackendError, UserError
from llm_eval.models.openai import OpenAIModel
from llm_eval.models.transport import Endpoint
from llm_eval.records import Prompt, Usage
from tests.fakes import translit
from tests.fakes.chat import ALL, SENTENCE, ChatServer, Fault
from tests.fakes.chat_protocol import dumped
from tests.fakes.faults import REFUSAL, bend_rows, bend_text
from tests.unit.llm_eval.servers import many, opened, post, said

ROWS = [{"id": i, "t": [f"Row number {i}", "second"]} for i in range(3)]
AGAIN = [Fault.rate_limit, Fault.server_error, Fault.drop]


# --- every fault -------------------------------------------------------------------------------


class End(NamedTuple):
    """What becomes of a request: text or kind of failure, why it ends, how often it was asked."""

    text: str | None
    kind: str | None = None
    finish: str | None = "stop"
    asked: int = 1


RIGHT = dumped({"rows": translit.translated(ROWS)})
ENDS = {
    Fault.rate_limit: End(RIGHT, asked=2),
    Fault.server_error: End(RIGHT, asked=2),
    Fault.drop: End(RIGHT, asked=2),
    Fault.slow: End(RIGHT),
    Fault.truncated: End(RIGHT[: len(RIGHT) // 2], finish="length"),
    Fault.empty: End(""),
    Fault.refusal: End(REFUSAL, finish="refusal"),
    Fault.content_filter: End("", finish="content_filter"),
    Fault.malformed: End(bend_text(Fault.malformed, RIGHT)),
    Fault.fenced: End(bend_text(Fault.fenced, RIGHT)),
}
BENT = [f for f in ALL if f not in ENDS]
ENDS |= {f: End(dumped({"rows": bend_rows(f, ROWS, translit.translated(ROWS))})) for f in BENT}


@pytest.mark.parametrize("fault", ALL)
def test_what_becomes_of_every_fault(chat: ChatServer, fault: Fault) -> None:
    """Transport trouble is asked again; whatever the model said arrives untouched and paid once."""
    chat.script(fault)

    async def work() -> Any:
        model = OpenAIModel("m", api_base=chat.url)
        try:
            return await model.generate([Prompt(sample_id="7", text=dumped({"rows": ROWS}))])
        finally:
            await model.close()

    (found,) = asyncio.run(work())
    end = ENDS[fault]
    kind = found.failure.kind if found.failure else None
    assert (found.text, kind, found.finish_reason, chat.count()) == end
    assert found.sample_id == "7"


# --- retries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("fault", AGAIN)
def test_retries_are_bounded(chat: ChatServer, fault: Fault, retries: int) -> None:
    """`max_retries` is how many further attempts there are; 0 means none."""
    chat.retry_after = 0.001
    chat.script(*[fault] * 10)
    with pytest.raises(BackendError) as caught:
        post(chat.url, max_retries=retries)
    assert caught.value.retryable
    assert chat.count() == retries + 1


@pytest.mark.parametrize("fault", AGAIN)
def test_the_last_attempt_may_succeed(chat: ChatServer, fault: Fault) -> None:
    """Two faults and two retries give the reply; dropped connections of both ways too."""
    chat.script(fault, fault)
    assert said(post(chat.url, max_retries=2)) == SENTENCE


def test_a_slow_server_is_given_up_on(chat: ChatServer) -> None:
    """A request ends after `timeout`, is asked again, and is told as a timeout."""
    with chat.held(), pytest.raises(BackendError, match=r"within 0\.1 s") as caught:
        post(chat.url, timeout=0.1, max_retries=1)
    assert (caught.value.kind, chat.count()) == ("timeout", 2)


def test_retry_after_holds_everyone_back(chat: ChatServer) -> None:
    """After a 429 nobody asks this server again before the time it named."""
    chat.retry_after = 0.3
    chat.script(Fault.rate_limit)
    replies, _ = many(chat.url, 5, concurrency=1)
    assert [said(r) for r in replies] == [SENTENCE] * 5
    refused, *others = chat.requests
    assert (refused.status, refused.end is not None) == (429, True)
    assert all(r.start - (refused.end or 0) >= 0.29 for r in others)
    assert len(others) == 5


def test_no_reply_is_lost_in_a_storm() -> None:
    """Under faults by chance every request ends in its own reply, and none is asked in vain."""
    storm = ChatServer(fault_rate=0.3, faults=AGAIN, retry_after=0.001)
    storm.answer = lambda messages: f"reply to {messages[-1]['content']}"
    with storm:
        replies, _ = many(storm.url, 100, max_retries=30)
    assert [said(r) for r in replies] == [f"reply to question {i}" for i in range(100)]
    assert sum(r.status == 200 for r in storm.requests) == 100


def test_a_limit_per_second_costs_no_reply() -> None:
    """A server that takes so many requests a second answers all, with the default retries."""
    with ChatServer(rate_cap=60) as strict:
        replies, _ = many(strict.url, 150)
    assert [type(r).__name__ for r in replies if isinstance(r, Exception)] == []


def test_no_more_than_asked_for_are_under_way(chat: ChatServer) -> None:
    """`concurrency` is the most that the server ever sees at once."""
    chat.slot_rate = 1000.0
    many(chat.url, 40, concurrency=3)
    assert chat.peak == 3


# --- the endpoint, and what was spent ----------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_address_may_end_in_a_slash(chat: ChatServer, slash: str) -> None:
    """The path is the same either way."""
    post(chat.url + slash)
    assert chat.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "127.0.0.1:8000/v1"},
        {"base_url": ""},
        {"concurrency": 0},
        {"concurrency": -1},
        {"max_retries": -1},
        {"base_url": "http://"},
        {"base_url": "http://[::1/v1"},
        {"base_url": "http://h:port/v1"},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": None},
        {"timeout": float("inf")},
        {"timeout": True},
        {"rpm": 0},
        {"tpm": float("nan")},
    ],
    ids=str,
)
def test_an_endpoint_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    """An address without http, room for nobody, fewer than no retries: told when it is made."""
    with pytest.raises(UserError):
        Endpoint(**changes)


def test_usage_is_what_the_server_counted(chat: ChatServer) -> None:
    """Requests and tokens of all replies; what was refused cost nothing."""
    chat.script(Fault.rate_limit, Fault.server_error)
    replies, usage = many(chat.url, 12)
    counted = [r["usage"] for r in replies]
    tokens = [sum(u[k] for u in counted) for k in ("prompt_tokens", "completion_tokens")]
    assert usage == Usage(12, *tokens)
    assert min(tokens) > 0


def test_numbers_of_tokens_may_be_floats() -> None:
    """Where they are whole; anything else is no number of tokens."""
    for told, counted in ((12.0, 12), (12, 12), (12.5, 0), (float("nan"), 0), (-1, 0), ("12", 0)):
        assert Usage.of({"usage": {"prompt_tokens": told}}) == Usage(1, counted, 0)


def test_a_check_is_no_request_that_was_paid_for(chat: ChatServer) -> None:
    """Asking for the list of models is not counted."""

    async def work() -> Usage:
        async with opened(chat.url) as transport:
            await transport.check()
            return transport.usage

    assert asyncio.run(work()) == Usage()


def test_pauses_grow(chat: ChatServer) -> None:
    """Without Retry-After each pause is about twice the last, so that a sick server can recover."""
    chat.script(*[Fault.server_error] * 4)
    post(chat.url, max_retries=4, backoff=0.02)
    pauses = [later.start - earlier.start for earlier, later in pairwise(chat.requests)]
    least = [0.01, 0.02, 0.04, 0.08]
    assert all(pause >= low for pause, low in zip(pauses, least, strict=True))


# --- the end -----------------------------------------------------------------------------------

ASKS = """
from llm_eval.models.openai import OpenAIModel
for _ in range(2):
    model = OpenAIModel("m", api_base={url!r}, concurrency=1)
    print(model.generate_batch([{{"input": "2+2?"}}])[0]["prediction"])
"""


def test_a_client_that_nobody_closed_is_let_go_of(
    chat: ChatServer, environment: dict[str, str]
) -> None:
    """When its model is gone, and at the end of Python: nobody is told of sessions."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", ASKS.format(url=chat.url)],
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    assert done.stdout.split("\n") == [SENTENCE, SENTENCE, ""]
    assert "Unclosed" not in done.stderr and "Traceback" not in done.stderr


def test_a_runs_limit_is_not_the_next_ones(chat: ChatServer) -> None:
    """A client that is closed slows nobody down; one beside it that is open does."""

    async def work() -> None:
        async with opened(chat.url, rpm=60, concurrency=1) as slow:
            async with opened(chat.url) as other:
                gate = other.limiter
                assert slow.limiter is gate and (gate.fixed, gate.limit) == (1, 1)
            assert slow.limiter is gate and (gate.fixed, gate.limit) == (1, 1)
        async with opened(chat.url) as later:
            assert later.limiter is gate
            assert gate.fixed is None and gate._requests is None

    asyncio.run(work())
