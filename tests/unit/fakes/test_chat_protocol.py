"""Requests are checked and replies built as OpenAI does, parameter by parameter."""

import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel, ConfigDict

from tests.fakes.chat import ChatServer, hashed_logprob
from tests.unit.fakes.test_chat import RIGHT, body, choice, order, post, rows_of, said, sdk

CLOSED = {"type": "object", "additionalProperties": False}


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


@pytest.mark.parametrize(
    ("path", "data", "param"),
    [
        ("chat/completions", b"{", "messages"),
        ("chat/completions", {"messages": said("a")}, "model"),
        ("chat/completions", body(n=0), "n"),
        ("chat/completions", body(n=129), "n"),
        ("chat/completions", body(max_tokens=0), "max_tokens"),
        ("chat/completions", body(logprobs=True, top_logprobs=21), "top_logprobs"),
        ("chat/completions", body(temperature=3), "temperature"),
        ("chat/completions", body(top_logprobs=2), "top_logprobs"),
        ("chat/completions", body(stream=True), "stream"),
        ("completions", {"model": "m", "prompt": [1, "a"]}, "prompt"),
        ("completions", {"model": "m", "prompt": "a", "max_tokens": 0}, "max_tokens"),
        ("embeddings", {}, None),
    ],
)
def test_a_bad_request_is_refused_in_openais_shape(
    chat: ChatServer, path: str, data: Any, param: str | None
) -> None:
    """What OpenAI would not take is an error that names the parameter."""
    error = post(chat, data, path)["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert chat.requests[0].status == (400 if param else 404)


# -- parameters of a chat --------------------------------------------------------------------------


def test_tokens_are_three_characters_rounded_up(chat: ChatServer) -> None:
    """Usage counts prompt and reply, over all messages and choices."""
    chat.answer = lambda messages: "12345"
    usage = post(chat, body(said("1234") + said("1"), n=2))["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_reply(chat: ChatServer, name: str) -> None:
    """A reply over the limit ends there with finish_reason length; one that fits does not."""
    chat.answer = lambda messages: "1234567"
    cut, whole = (choice(chat, messages=said("a"), **{name: most}) for most in (2, 3))
    assert (cut["message"]["content"], cut["finish_reason"]) == ("123456", "length")
    assert (whole["message"]["content"], whole["finish_reason"]) == ("1234567", "stop")


@pytest.mark.parametrize("stop", ["\n", ["#", "\n"]])
def test_a_stop_sequence_ends_the_reply(chat: ChatServer, stop: Any) -> None:
    """The reply ends before the first of the stop sequences."""
    chat.answer = lambda messages: "4\n# 5"
    assert choice(chat, messages=said("a"), stop=stop)["message"]["content"] == "4"


def test_chat_logprobs_are_given_and_repeatable(chat: ChatServer) -> None:
    """Each token has its log-prob and the best alternatives, best first, the same every time."""
    chat.answer = lambda messages: "B"
    chat.logprob = lambda prefix, token: {"A": -2.0, "B": -0.1, "C": -3.0}.get(token, -9.0)
    make = sdk(chat).chat.completions.create
    reply = make(model="m", messages=said("?"), logprobs=True, top_logprobs=3)
    assert reply.choices[0].logprobs and reply.choices[0].logprobs.content
    (token,) = reply.choices[0].logprobs.content
    assert (token.token, token.logprob, token.bytes) == ("B", -0.1, [66])
    assert [(t.token, t.logprob) for t in token.top_logprobs] == [
        ("B", -0.1),
        ("A", -2.0),
        ("C", -3.0),
    ]
    chat.logprob = hashed_logprob
    first, again = (choice(chat, messages=said("?"), logprobs=True) for _ in range(2))
    assert first["logprobs"] == again["logprobs"]
    assert first["logprobs"]["content"][0]["logprob"] == hashed_logprob("?", "B")
    assert choice(chat, messages=said("?"))["logprobs"] is None


# -- structured outputs ----------------------------------------------------------------------------


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    score: int
    why: str | None
    parts: list["Part"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def test_the_sdk_parses_a_structured_answer(chat: ChatServer) -> None:
    """An answer that is a dict comes back through the SDK as the record asked for."""
    chat.answer = lambda messages: {"score": 4, "why": None, "parts": [{"name": "가"}]}
    parse = sdk(chat).chat.completions.parse
    reply = parse(model="m", messages=said("judge"), response_format=Verdict)
    assert reply.choices[0].message.parsed == Verdict(score=4, why=None, parts=[Part(name="가")])


@pytest.mark.parametrize(
    "answer",
    [
        {"score": 4, "why": "x"},
        {"score": "4", "why": "x", "parts": []},
        {"score": True, "why": "x", "parts": []},
        {"score": 4, "why": 1, "parts": []},
        {"score": 4, "why": "x", "parts": [{"name": "a", "more": 1}]},
    ],
)
def test_an_answer_that_breaks_the_schema_fails_the_test(answer: dict[str, Any]) -> None:
    """A server with structured outputs never breaks the schema, so the fake may not either."""
    with pytest.raises(ValueError, match="does not fit the schema"), ChatServer() as chat:
        chat.answer = lambda messages: answer
        with pytest.raises(openai.InternalServerError):
            sdk(chat).chat.completions.parse(
                model="m", messages=said("judge"), response_format=Verdict
            )


def schema(**more: Any) -> dict[str, Any]:
    return {"name": "verdict", "strict": True, "schema": {**CLOSED, **more}}


TEXT = {"type": "string"}
BAD_SCHEMAS = {
    "name": {"schema": CLOSED},
    "response_format.json_schema.schema": {"name": "verdict"},
    "type 'object', got 'array'": schema(type="array", items=TEXT),
    "context=(), 'additionalProperties'": schema(additionalProperties=True),
    "Missing 'a'": schema(properties={"a": TEXT}, required=[]),
    "'default' is not permitted": schema(properties={"a": {**TEXT, "default": ""}}, required=["a"]),
    "must have a 'type' key": schema(properties={"a": {}}, required=["a"]),
    "'$defs', 'b'": schema(**{"$defs": {"b": {"type": "object"}}}),
    "'a', 'anyOf', '1'": schema(
        properties={"a": {"anyOf": [TEXT, {"type": "object"}]}}, required=["a"]
    ),
    "'a', 'items'": schema(
        properties={"a": {"type": "array", "items": {"type": "object"}}}, required=["a"]
    ),
}


@pytest.mark.parametrize("why", BAD_SCHEMAS)
def test_a_bad_schema_is_refused(chat: ChatServer, why: str) -> None:
    """A schema that OpenAI's strict mode does not take is a 400 that says where and why."""
    wanted: Any = {"type": "json_schema", "json_schema": BAD_SCHEMAS[why]}
    with pytest.raises(openai.BadRequestError, match=re.escape(why)):
        sdk(chat).chat.completions.create(model="m", messages=order(), response_format=wanted)


def test_an_unknown_response_format_is_refused(chat: ChatServer) -> None:
    """A type that is neither text nor JSON is a 400 that names it."""
    error = post(chat, body(response_format={"type": "yaml"}))["error"]
    assert "'yaml'" in error["message"] and error["param"] == "response_format"


def test_without_strict_any_object_schema_is_taken(chat: ChatServer) -> None:
    """The rules of strict mode bind only those who ask for it."""
    wanted = {"name": "x", "schema": {"type": "object", "properties": {"a": {"default": 1}}}}
    spoken = choice(chat, response_format={"type": "json_schema", "json_schema": wanted})
    assert rows_of(spoken["message"]["content"]) == RIGHT


def test_a_server_may_lack_structured_outputs() -> None:
    """With structured=False a json_schema is a 400; a plain request is answered."""
    with ChatServer(structured=False) as chat:
        wanted = {"type": "json_schema", "json_schema": schema()}
        error = post(chat, body(response_format=wanted))["error"]
        assert error["message"] == "response_format json_schema is not supported"
        for plain in ("text", "json_object"):
            assert choice(chat, response_format={"type": plain})["finish_reason"] == "stop"


# -- /v1/completions -------------------------------------------------------------------------------


def test_each_prompt_gets_its_completions(chat: ChatServer) -> None:
    """A list of prompts with n choices each comes back flat, in order, cut to 16 tokens."""
    chat.complete = lambda prompt: prompt + "!" * 99
    reply = sdk(chat).completions.create(model="m", prompt=["a", "b"], n=2)
    assert [c.text[:2] for c in reply.choices] == ["a!", "a!", "b!", "b!"]
    assert {(len(c.text), c.finish_reason) for c in reply.choices} == {(48, "length")}
    assert reply.usage and reply.usage.prompt_tokens == 2 and reply.usage.completion_tokens == 64


def test_echo_scores_the_prompt(chat: ChatServer) -> None:
    """max_tokens=0 with echo gives the prompt's tokens, and log-probs from the second on."""
    reply = sdk(chat).completions.create(
        model="m", prompt="12345678", max_tokens=0, echo=True, logprobs=1
    )
    scores = reply.choices[0].logprobs
    assert scores and scores.token_logprobs and scores.top_logprobs
    assert (reply.choices[0].text, scores.tokens) == ("12345678", ["123", "456", "78"])
    assert scores.text_offset == [0, 3, 6]
    wanted = [None, hashed_logprob("123", "456"), hashed_logprob("123456", "78")]
    assert scores.token_logprobs == wanted and all(x < 0 for x in wanted if x is not None)
    assert scores.top_logprobs[:1] == [None]
    assert len(scores.top_logprobs[1]) == 2 and scores.top_logprobs[1]["456"] == wanted[1]
    assert reply.usage and reply.usage.completion_tokens == 0


def test_echo_goes_on_into_the_completion(chat: ChatServer) -> None:
    """With tokens to come, their log-probs and offsets follow those of the prompt."""
    chat.complete = lambda prompt: "abcd"
    asks = {"model": "m", "prompt": "1234", "logprobs": 0}
    (spoken,) = post(chat, {**asks, "echo": True}, "completions")["choices"]
    scores = spoken["logprobs"]
    assert spoken["text"] == "1234abcd" and scores["tokens"] == ["123", "4", "abc", "d"]
    assert scores["text_offset"] == [0, 3, 4, 7]
    assert scores["token_logprobs"][2] == hashed_logprob("1234", "abc")
    (plain,) = post(chat, asks, "completions")["choices"]
    assert plain["logprobs"]["tokens"] == ["abc", "d"]
    assert plain["logprobs"]["token_logprobs"] == scores["token_logprobs"][2:]
    assert plain["logprobs"]["text_offset"] == [0, 3]


def test_equal_prompts_have_equal_numbers() -> None:
    """Log-probs depend on the text alone: not on the server, the time or the neighbours."""
    asks = {"model": "m", "max_tokens": 0, "echo": True, "logprobs": 2}
    found = []
    for prompts in (["the same", "other"], ["another", "the same"]):
        with ChatServer() as chat:
            choices = post(chat, {**asks, "prompt": prompts}, "completions")["choices"]
            found.append({c["text"]: c["logprobs"] for c in choices})
    assert found[0]["the same"] == found[1]["the same"] != found[0]["other"]


def test_a_server_may_ignore_echo() -> None:
    """With echo=False the prompt is neither repeated nor scored."""
    with ChatServer(echo=False) as chat:
        asks = {"model": "m", "prompt": "1234", "max_tokens": 0, "echo": True, "logprobs": 1}
        (spoken,) = post(chat, asks, "completions")["choices"]
    assert spoken["text"] == "" and spoken["logprobs"]["tokens"] == []
