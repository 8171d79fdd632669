"""What the `openai` backend reads: several choices, log-probabilities, thoughts, held replies."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import pytest

from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Usage
from tests.fakes.chat import ChatServer, Fault, hashed_logprob
from tests.fakes.chat_rules import (
    Bend,
    constrains,
    one_choice,
    refuses,
    refuses_fields,
    thinks,
    without,
)
from tests.unit.llm_eval.openai.asking import asked, made, one

WAYS = ["structured_outputs", "guided_choice", "response_format"]


@pytest.fixture
def counting(chat: ChatServer) -> ChatServer:
    """A server whose replies are numbered."""
    numbers = count(1)
    chat.answer = lambda messages: f"reply {next(numbers)}"
    return chat


def says(**choice: Any) -> Bend:
    """Every reply is this one."""
    return lambda asked, reply: {"choices": [choice]}


# --- several -----------------------------------------------------------------------------------


def test_prompts_of_one_sample_are_one_request(counting: ChatServer) -> None:
    """Equal prompts that follow each other share a request; its cost is told once."""
    model = made(counting.url)
    found = asked(model, *[one()] * 5, one(sample="t"))
    assert sorted(p.text or "" for p in found) == [f"reply {i}" for i in range(1, 7)]
    assert [p.sample_id for p in found] == ["s"] * 5 + ["t"]
    assert sorted(r.body.get("n", 1) for r in counting.requests) == [1, 5]
    assert sum((p.usage for p in found), Usage()) == model.usage


def test_prompts_of_one_sample_that_differ_are_each_asked(counting: ChatServer) -> None:
    """A sample's second question is another request."""
    asked(made(counting.url), one("a"), one("b"), one("b", params={"seed": 1}))
    assert ["n" in r.body for r in counting.requests] == [False] * 3


def test_missing_choices_are_asked_for_singly(counting: ChatServer) -> None:
    """A server that gives one choice loses nothing and is never asked for several again."""
    counting.bends.append(one_choice)
    model = made(counting.url)
    found = asked(model, *[one()] * 4)
    assert sorted(p.text or "" for p in found) == ["reply 1", "reply 5", "reply 6", "reply 7"]
    assert [r.body.get("n") for r in counting.requests] == [4, None, None, None]
    asked(model, *[one(sample="t")] * 3)
    assert [r.body.get("n") for r in counting.requests][4:] == [None] * 3


@pytest.mark.parametrize("refusing", [refuses, refuses_fields])
def test_a_refused_n_is_asked_for_singly(counting: ChatServer, refusing: Any) -> None:
    """A server that refuses `n` is asked as often as replies are wanted."""
    counting.rules.append(refusing("n"))
    found = asked(made(counting.url), *[one()] * 3)
    assert [p.failure for p in found] == [None] * 3
    assert len(counting.requests) == 4


@pytest.mark.parametrize("bends", [[], [one_choice]], ids=["honoured", "not"])
def test_n_gives_alternatives(counting: ChatServer, bends: list[Any]) -> None:
    """The first reply is the prediction, the others stand beside it, however they came."""
    counting.bends += bends
    model = made(counting.url, n=3)
    (found,) = asked(model, one())
    assert (found.text, len(found.alternatives)) == ("reply 1", 2)
    assert len({found.text, *found.alternatives}) == 3
    assert found.usage == model.usage
    if bends:
        assert [r.body.get("n") for r in counting.requests] == [3, None, None]


def test_a_choice_that_broke_off_is_asked_for_again(counting: ChatServer) -> None:
    """It is no reply; the others of its request are, and later requests are for several."""

    def bend(asked: Any, reply: Any) -> Any:
        reply["choices"][0]["finish_reason"] = "abort" if asked.get("n") == 3 else "stop"
        return reply

    counting.bends.append(bend)
    model = made(counting.url)
    found = asked(model, *[one()] * 3)
    assert sorted(p.text or "" for p in found) == ["reply 2", "reply 3", "reply 4"]
    assert sum((p.usage for p in found), Usage()) == model.usage
    asked(model, *[one(sample="t")] * 2)
    assert [r.body.get("n") for r in counting.requests] == [3, None, 2]


def test_one_failure_is_each_prompts(chat: ChatServer) -> None:
    """A request for several that fails is a failure in each place, and is not repeated singly."""
    chat.script(Fault.server_error)
    found = asked(made(chat.url), *[one()] * 3)
    assert [p.failure and p.failure.kind for p in found] == ["server"] * 3
    assert chat.count() == 1


# --- log-probabilities -------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_replys_tokens_and_how_likely_they_are(chat: ChatServer, endpoint: str) -> None:
    """Token by token with the likeliest ones, and the sum; the same from either endpoint."""
    chat.answer, chat.complete = lambda messages: "abcde", lambda prompt: "abcde"
    prompt = one("2+2?", params={"logprobs": 2})
    (found,) = asked(made(chat.url, endpoint=endpoint), prompt)
    values = [hashed_logprob("2+2?", "abc"), hashed_logprob("2+2?abc", "de")]
    assert [(t.text, t.logprob) for t in found.detail] == list(
        zip(["abc", "de"], values, strict=True)
    )
    assert found.logprob == pytest.approx(sum(values)) and found.tokens == 2
    for token in found.detail:
        assert len(token.top) >= 2 and token.top == tuple(sorted(token.top, key=lambda t: -t[1]))
    (plain,) = asked(made(chat.url, endpoint=endpoint), one())
    assert (plain.logprob, plain.tokens, plain.detail) == (None, None, ())


def test_log_probabilities_that_do_not_come_are_a_failure(chat: ChatServer) -> None:
    """A prompt that asks for them has no reply without; a backend's own wish is no demand."""
    chat.bends.append(without("logprobs"))
    (found,) = asked(made(chat.url), one(params={"logprobs": 0}))
    assert found.failure and found.failure.kind == "bad_request"
    assert "no log-probabilities" in found.failure.message
    (plain,) = asked(made(chat.url, logprobs=True), one())
    assert plain.failure is None and plain.logprob is None


# --- thoughts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_kept_apart(chat: ChatServer, field: str) -> None:
    """What a server keeps apart stays apart; `<think>` in a text stays where it is."""
    chat.answer = lambda messages: "<think>a</think>4"
    chat.bends.append(thinks("2+2 is 4", field))
    (found,) = asked(made(chat.url), one())
    assert (found.text, found.reasoning) == ("<think>a</think>4", "2+2 is 4")


def test_a_thought_without_an_answer_is_no_answer(chat: ChatServer) -> None:
    """An empty content that the limit ended, told thoughts or not; a completion's is a text."""
    told: list[dict[str, str]] = [{}, {"reasoning_content": "hm"}]
    for message in [{"content": c, **t} for c in ("", None) for t in told]:
        chat.bends = [says(message=message, finish_reason="length")]
        (found,) = asked(made(chat.url), one())
        assert (found.text, found.finish_reason, found.failure) == ("", "length", None)
        assert found.reasoning == message.get("reasoning_content")
    chat.bends = [says(text="", finish_reason="length")]
    (empty,) = asked(made(chat.url, endpoint="completions"), one())
    assert (empty.text, empty.finish_reason, empty.failure) == ("", "length", None)


PARTS = [
    {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "2+2 "}, {"type": "text", "text": "?"}],
    },
    {"type": "thinking", "thinking": " 4!"},
    {"type": "text", "text": "It is"},
    {"type": "reference", "reference_ids": [1]},
    {"type": "text", "text": " 4"},
]


@pytest.mark.parametrize(
    ("parts", "end", "text", "thought", "kind"),
    [
        (PARTS, "stop", "It is 4", "2+2 ? 4!", None),
        (PARTS[2:3], "length", "It is", None, None),
        (PARTS[:2], "length", "", "2+2 ? 4!", None),
        (PARTS[:2], "stop", "", "2+2 ? 4!", None),
        (
            [{"type": ["text"], "text": "4"}, {"type": "text", "text": 4}],
            "stop",
            None,
            None,
            "malformed",
        ),
    ],
)
def test_a_content_in_parts_is_joined(
    chat: ChatServer, parts: Any, end: str, text: str | None, thought: str | None, kind: str | None
) -> None:
    """As Mistral's thinking models send it: texts are the reply, thoughts stand apart."""
    chat.bends.append(says(message={"content": parts}, finish_reason=end))
    (found,) = asked(made(chat.url), one())
    assert (found.text, found.reasoning) == (text, thought)
    assert (found.failure and found.failure.kind) == kind


@pytest.mark.parametrize(
    "end",
    [
        {"finish_reason": "insufficient_system_resource"},
        {"finish_reason": "abort"},
        {"finish_reason": "error"},
        {"finish_reason": "network_error"},
        {"finish_reason": None, "error": {"code": 502, "message": "provider died"}},
    ],
    ids=str,
)
def test_half_a_reply_is_none(chat: ChatServer, end: dict[str, Any]) -> None:
    """What a provider broke off is never scored, and may be asked for again."""
    chat.bends.append(says(message={"content": "so it is 4"}, **end))
    (found,) = asked(made(chat.url), one())
    assert found.text is None and found.failure is not None
    assert (found.failure.kind, found.failure.retryable) == ("server", True)
    assert (end["finish_reason"] or "provider died") in found.failure.message


# --- held to a choice --------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize("way", WAYS)
def test_a_choice_is_held_to_in_the_servers_way(chat: ChatServer, way: str, endpoint: str) -> None:
    """Each way is tried once, passed over or refused; then all prompts go that way."""
    chat.bends.append(constrains(way))
    chat.rules.append(refuses(*WAYS[: WAYS.index(way)][:1]))
    model = made(chat.url, endpoint=endpoint, max_tokens=40, n=1)
    prompts = [one(sample=str(i), params={"choice": ["서울", f"b{i}"]}) for i in range(5)]
    found = asked(model, *prompts)
    assert [p.text for p in found] == [f"b{i}" for i in range(5)]
    probes = WAYS.index(way) + 1
    assert len(chat.requests) == probes + 5
    assert all(way in r.body for r in chat.requests[probes:])


def test_a_server_that_holds_to_nothing_gets_no_reply_through(chat: ChatServer) -> None:
    """No way is kept to: the sample says so, and prompts without a choice are answered."""
    held, plain = asked(made(chat.url), one(params={"choice": ["a", "b"]}), one(sample="t"))
    assert held.failure and held.failure.kind == "bad_request"
    assert all(way in held.failure.message for way in WAYS)
    assert plain.failure is None


def test_a_held_reply_that_was_cut_is_none_of_the_choice(chat: ChatServer) -> None:
    """A reply that ends before its text is whole is a failure and no other text."""
    chat.bends.append(constrains("structured_outputs"))
    chat.bends.append(
        lambda asked, reply: json.loads(json.dumps(reply).replace("long text", "long"))
    )
    (found,) = asked(made(chat.url), one(params={"choice": ["a", "long text"]}))
    assert found.failure and "none of the choice" in found.failure.message


@pytest.mark.parametrize("end", ["length", "content_filter"])
def test_a_held_reply_without_an_answer_is_a_reply(chat: ChatServer, end: str) -> None:
    """The model was asked and chose nothing: that is scored, and no fault of the server."""
    chat.bends.append(constrains("structured_outputs"))
    model, prompt = made(chat.url), one(params={"choice": ["a", "b"]})
    asked(model, prompt)
    chat.bends.append(says(message={"content": None}, finish_reason=end))
    (found,) = asked(model, prompt)
    assert (found.text, found.finish_reason, found.failure) == ("", end, None)


def test_what_is_found_out_outlives_a_loop(chat: ChatServer) -> None:
    """A second call, in another event loop, goes the way that the first one found."""
    chat.bends.append(constrains("guided_choice"))
    model = OpenAIModel("m", api_base=chat.url)
    for _ in range(2):
        (found,) = asked(model, one(params={"choice": ["a", "b"]}))
        assert found.text == "b"
    assert len(chat.requests) == 2 + 2


def test_a_cancelled_question_leaves_the_others_answered(chat: ChatServer) -> None:
    """Who waits for a finding and is cancelled takes it from nobody else."""
    chat.bends.append(constrains("structured_outputs"))
    model = made(chat.url)

    async def work() -> list[Any]:
        prompt = one(params={"choice": ["a", "b"]})
        with chat.held():
            first = asyncio.create_task(model.generate([prompt]))
            second = asyncio.create_task(model.generate([prompt]))
            while not chat.requests:
                await asyncio.sleep(0.001)
            first.cancel()
        found = await second
        await model.close()
        return found

    assert [p.text for p in asyncio.run(work())] == ["b"]
