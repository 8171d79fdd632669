"""Each fault looks as a real server's trouble does, and falls where the script or the seed says."""

import http.client
import json
import random
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import openai
import pytest

from tests.fakes.chat import SENTENCE, ChatServer
from tests.fakes.faults import ALL, REFUSAL, Fault
from tests.unit.fakes.test_chat import (
    RIGHT,
    ROWS,
    body,
    choice,
    order,
    post,
    rows_of,
    said,
    sdk,
)

WHOLE = json.dumps({"rows": RIGHT}, ensure_ascii=False, separators=(",", ":"))
SHOWN: dict[Fault, Callable[[str], bool]] = {
    Fault.slow: lambda content: content == WHOLE,
    Fault.missing_id: lambda content: rows_of(content) == [RIGHT[0], RIGHT[2]],
    Fault.extra_id: lambda content: rows_of(content) == [*RIGHT, {**RIGHT[0], "id": 4}],
    Fault.reordered: lambda content: rows_of(content) == RIGHT[::-1],
    Fault.wrong_count: lambda content: (
        rows_of(content) == [{"id": 1, "t": RIGHT[0]["t"][:1]}, *RIGHT[1:]]
    ),
    Fault.echo_source: lambda content: rows_of(content) == ROWS,
    Fault.fenced: lambda content: content == f"Here is the result:\n\n```json\n{WHOLE}\n```",
}
ENDS = {
    Fault.truncated: (WHOLE[: len(WHOLE) // 2], None, "length"),
    Fault.empty: ("", None, "stop"),
    Fault.refusal: (None, REFUSAL, "stop"),
    Fault.content_filter: ("", None, "content_filter"),
}
BROKEN = (http.client.RemoteDisconnected, http.client.IncompleteRead)


def served(chat: ChatServer) -> list[Fault | None]:
    return [record.fault for record in chat.requests]


@pytest.mark.parametrize("fault", SHOWN)
def test_faults_of_the_rows(fault: Fault) -> None:
    """A fault of the content leaves a reply that ends as usual, and is recorded."""
    with ChatServer(slow_seconds=0.01) as chat:
        chat.script(fault)
        spoken, after = choice(chat), choice(chat)
        assert SHOWN[fault](spoken["message"]["content"]) and spoken["finish_reason"] == "stop"
        assert after["message"]["content"] == WHOLE
        assert served(chat) == [fault, None]


def test_a_slow_reply_is_late_by_as_much_as_asked() -> None:
    """`slow` holds the reply back for `slow_seconds`."""
    with ChatServer(slow_seconds=0.05) as chat:
        chat.script(Fault.slow)
        post(chat, body())
        (record,) = chat.requests
        assert record.end and record.end - record.start >= 0.05


@pytest.mark.parametrize("fault", ENDS)
def test_faults_of_the_ending(fault: Fault) -> None:
    """Cut, empty, refused and filtered replies say so where OpenAI says so."""
    with ChatServer() as chat:
        chat.script(fault)
        reply = post(chat, body())
        (spoken,) = reply["choices"]
        message = spoken["message"]
        assert (message["content"], message["refusal"], spoken["finish_reason"]) == ENDS[fault]
        said_at_all = message["content"] or message["refusal"] or ""
        assert reply["usage"]["completion_tokens"] == -(-len(said_at_all) // 3)
        assert served(chat) == [fault]


@pytest.mark.parametrize("text", ['{"a": "b"}', "[1]", '"a"', "", "정답은 4"])
def test_malformed_content_is_no_json(text: str) -> None:
    """Whatever the right reply, the malformed one cannot be parsed."""
    with ChatServer() as chat:
        chat.answer = lambda messages: text
        chat.script(Fault.malformed, Fault.malformed)
        for messages in (said("a"), order()):
            with pytest.raises(ValueError):
                json.loads(choice(chat, messages=messages)["message"]["content"])


def test_a_rate_limit_says_when_to_come_back() -> None:
    """429 is the SDK's RateLimitError, with Retry-After in seconds."""
    with ChatServer(retry_after=0.25) as chat:
        chat.script(Fault.rate_limit)
        with pytest.raises(openai.RateLimitError) as caught:
            sdk(chat).chat.completions.create(model="m", messages=order())
        assert caught.value.response.headers["retry-after"] == "0.25"
        assert caught.value.code == "rate_limit_exceeded"
        assert (chat.requests[0].status, served(chat)) == (429, [Fault.rate_limit])


def test_a_server_error_is_500() -> None:
    """500 is the SDK's InternalServerError."""
    with ChatServer() as chat:
        chat.script(Fault.server_error)
        with pytest.raises(openai.InternalServerError):
            sdk(chat).completions.create(model="m", prompt="a")
        assert (chat.requests[0].status, served(chat)) == (500, [Fault.server_error])


def test_a_dropped_connection_breaks_before_or_in_the_reply(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two drops of one body are one of each kind, silent on the server; the SDK sees no reply."""
    with ChatServer() as chat:
        chat.script(*[Fault.drop] * 4, None)
        kinds = set()
        for _ in range(2):
            with pytest.raises(BROKEN) as broken:
                post(chat, body())
            kinds.add(broken.type)
        for _ in range(2):
            with pytest.raises(openai.APIConnectionError):
                sdk(chat).chat.completions.create(model="m", messages=order())
        assert choice(chat)["finish_reason"] == "stop"
        assert kinds == set(BROKEN)
        assert served(chat) == [*[Fault.drop] * 4, None]
        assert [record.status for record in chat.requests] == [None] * 4 + [200]
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))


def test_the_sdk_survives_what_can_be_retried() -> None:
    """With its retries on, the SDK gets through a rate limit and a dropped connection."""
    with ChatServer(retry_after=0.01) as chat:
        chat.script(Fault.rate_limit, Fault.drop)
        client = sdk(chat).with_options(max_retries=2)
        reply = client.chat.completions.create(model="m", messages=order())
        assert reply.choices[0].message.content == WHOLE
        assert chat.count() == 3


def test_a_fault_that_does_not_fit_is_not_served() -> None:
    """Where no row can be wrong the reply is right, and the record claims no fault."""
    with ChatServer() as chat:
        chat.script(Fault.missing_id, Fault.refusal, Fault.reordered, Fault.wrong_count)
        assert choice(chat, messages=said("a"))["message"]["content"] == SENTENCE
        assert post(chat, {"model": "m", "prompt": "a"}, "completions")["choices"][0]["text"]
        assert rows_of(choice(chat, messages=order(ROWS[:1]))["message"]["content"]) == RIGHT[:1]
        empty = [{"id": 1, "t": []}]
        assert rows_of(choice(chat, messages=order(empty))["message"]["content"]) == empty
        assert served(chat) == [None] * 4


def test_a_single_row_can_be_missing() -> None:
    """A reply whose only row is left out has no rows."""
    with ChatServer() as chat:
        chat.script(Fault.missing_id)
        assert rows_of(choice(chat, messages=order(ROWS[:1]))["message"]["content"]) == []


def test_an_extra_id_is_new_among_texts_too() -> None:
    """Ids that are strings get a stranger that equals none of them."""
    with ChatServer() as chat:
        chat.script(Fault.extra_id)
        rows = [{"id": "a", "t": ["x"]}, {"id": "ax", "t": ["y"]}]
        content = choice(chat, messages=order(rows))["message"]["content"]
        ids = [row["id"] for row in rows_of(content)]
        assert len(set(ids)) == 3 and ids[:2] == ["a", "ax"]


def test_the_script_passes_over_other_requests() -> None:
    """Only model requests that are in order use up the script."""
    with ChatServer() as chat:
        chat.script(Fault.empty)
        sdk(chat).models.list()
        post(chat, {"model": "m"})
        assert choice(chat)["message"]["content"] == ""
        assert served(chat) == [None, None, Fault.empty]


# -- faults by chance ------------------------------------------------------------------------------


def by_chance(seed: int, orders: list[int], workers: int, rate: float = 0.3) -> Any:
    """Which faults fell on each of the bodies, each asked three times, in the order given."""
    with ChatServer(fault_rate=rate, seed=seed, slow_seconds=0) as chat:

        def ask(i: int) -> None:
            try:
                post(chat, body(order([{"id": i, "t": [f"text {i}", "b"]}, *ROWS])))
            except (*BROKEN, urllib.error.URLError):
                pass

        with ThreadPoolExecutor(workers) as pool:
            for _ in range(3):
                list(pool.map(ask, orders))
        fell: dict[str, list[Fault | None]] = {}
        for record in chat.requests:
            fell.setdefault(json.dumps(record.body), []).append(record.fault)
        return fell


def test_chance_is_repeatable_whatever_the_order() -> None:
    """One seed gives one set of faults, alone or in parallel, forwards or shuffled."""
    bodies = list(range(100))
    shuffled = random.Random(0).sample(bodies, len(bodies))
    once, again = by_chance(1, bodies, workers=1), by_chance(1, shuffled, workers=16)
    assert once == again
    assert by_chance(2, bodies, workers=16) != once
    fell = [fault for faults in once.values() for fault in faults if fault]
    assert 60 <= len(fell) <= 120 and set(fell) == set(ALL)
    assert any(a and not b for faults in once.values() for a, b in pairwise(faults))


def test_chance_touches_only_chats() -> None:
    """At a rate of 1 every chat has its fault; models and completions have none."""
    with ChatServer(fault_rate=1, faults=[Fault.empty]) as chat:
        sdk(chat).models.list()
        assert post(chat, {"model": "m", "prompt": "a"}, "completions")["choices"][0]["text"]
        assert choice(chat)["message"]["content"] == ""
        chat.script(None)
        assert choice(chat)["message"]["content"] == WHOLE
        assert served(chat) == [None, None, Fault.empty, None]


def test_a_reset_turns_chance_back() -> None:
    """After a reset each body meets the same faults as at first."""
    with ChatServer(fault_rate=0.5, faults=[Fault.empty]) as chat:
        rounds = []
        for _ in range(2):
            for i in range(20):
                post(chat, body(said(str(i))))
            rounds.append(served(chat))
            chat.reset()
        assert rounds[0] == rounds[1] and set(rounds[0]) == {None, Fault.empty}


def test_a_rate_of_nought_has_no_faults() -> None:
    """Nothing goes wrong unless a test asks for it."""
    assert not any(
        fault for faults in by_chance(0, list(range(20)), 4, 0).values() for fault in faults
    )
