"""What the `openai` backend sends: each parameter of a backend and of a prompt in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llm_eval.errors import UserError
from llm_eval.models.openai import OpenAIModel, endpoint_of
from llm_eval.records import Prompt, Sample, Usage
from tests.fakes.chat import ChatServer
from tests.fakes.chat_rules import context, refuses, refuses_fields
from tests.unit.llm_eval.openai.asking import asked, made, one
from tests.unit.llm_eval.servers import Answer, RawServer, nobody, raw_server

TALK = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"})
LIMITS = ("max_tokens", "max_completion_tokens")


@pytest.fixture
def raw() -> Iterator[RawServer]:
    """A raw server that runs."""
    with raw_server() as server:
        yield server


def sent(chat: ChatServer, *prompts: Prompt, **params: Any) -> Any:
    """The body of the first request for some prompts, without the model's name."""
    found = asked(made(chat.url, **params), *prompts)
    assert [p.failure for p in found] == [None] * len(prompts)
    return {k: v for k, v in chat.requests[0].body.items() if k != "model"}


def test_a_prompts_parameters_go_over_the_backends(chat: ChatServer) -> None:
    """What one prompt asks for holds for it alone; the others have what the backend was given."""
    model = made(chat.url, temperature=1, max_tokens=9, extra_body={"top_k": 3, "seed": 1})
    special = one(params={"temperature": 0, "stop": ["\n"], "seed": 7, "max_tokens": None})
    asked(model, special, one(sample="t"))
    first, second = (r.body for r in sorted(chat.requests, key=lambda r: -len(r.body)))
    own = {"temperature": 1, "max_tokens": 9, "top_k": 3, "seed": 1}
    assert {k: v for k, v in second.items() if k not in ("model", "messages")} == own
    assert {k: v for k, v in first.items() if k not in ("model", "messages")} == own | {
        "temperature": 0,
        "seed": 7,
        "stop": ["\n"],
    }


def test_a_limit_of_the_prompt_stands_alone(chat: ChatServer) -> None:
    """A backend's limit by the other name would be a second limit, which servers refuse."""
    body = sent(chat, one(params={"max_tokens": 3}), max_completion_tokens=50)
    assert {k: v for k, v in body.items() if k in LIMITS} == {"max_tokens": 3}


def test_a_conversation_is_sent_as_it_is(chat: ChatServer) -> None:
    """Messages stand in place of the text, the system message before them if they have none."""
    more = (*TALK, {"role": "user", "content": "2+2?"})
    body = sent(chat, one("unused", messages=more), system_message="be brief")
    assert body["messages"] == [{"role": "system", "content": "be brief"}, *more]
    chat.reset()
    own = ({"role": "system", "content": "be long"}, *more)
    assert sent(chat, one(messages=own), system_message="be brief")["messages"] == list(own)


def test_completions_take_text_and_tokens(chat: ChatServer) -> None:
    """The system message stands before the text; token ids are sent as they are."""
    body = sent(chat, one("q"), endpoint="completions", system_message="be brief")
    assert body == {"prompt": "be brief\n\nq"}
    chat.reset()
    assert sent(chat, one("", token_ids=(50, 43)), endpoint="completions") == {"prompt": [50, 43]}


@pytest.mark.parametrize(
    ("endpoint", "fields", "why"),
    [
        ("chat", {"token_ids": (1, 2)}, "no token ids"),
        ("completions", {"messages": TALK}, "takes no messages"),
        ("completions", {"images": ("data:,x",)}, "takes no images"),
    ],
)
def test_what_an_endpoint_cannot_take_is_that_samples_failure(
    chat: ChatServer, endpoint: str, fields: dict[str, Any], why: str
) -> None:
    """It is never sent without it, and says which endpoint can."""
    bad, good = asked(made(chat.url, endpoint=endpoint), one(**fields), one(sample="t"))
    assert bad.failure and bad.failure.kind == "bad_request" and why in bad.failure.message
    assert good.failure is None and len(chat.requests) == 1


def test_samples_with_images_do_not_fit_completions(chat: ChatServer) -> None:
    """Told before the first request."""
    samples = [Sample(index=0, input="q", images=("data:,x",))]
    made(chat.url).fits(samples)
    with pytest.raises(UserError, match="takes none"):
        made(chat.url, endpoint="completions").fits(samples)


@pytest.mark.parametrize(
    ("endpoint", "params", "told"),
    [
        ("chat", {"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ("chat", {"logprobs": 0}, {"logprobs": True}),
        ("chat", {"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ("completions", {"logprobs": 3}, {"logprobs": 3}),
        ("completions", {"logprobs": True}, {"logprobs": 1}),
        ("completions", {"logprobs": True, "top_logprobs": 4}, {"logprobs": 4}),
    ],
)
def test_log_probabilities_are_asked_for_in_each_endpoints_way(
    chat: ChatServer, endpoint: str, params: dict[str, Any], told: dict[str, Any]
) -> None:
    """One parameter, a number of alternatives, is what both endpoints are asked by."""
    body = sent(chat, one(), endpoint=endpoint, **params)
    assert {k: v for k, v in body.items() if "logprobs" in k} == told
    chat.reset()
    if params["logprobs"] is not True:
        body = sent(chat, one(params=params), endpoint=endpoint, temperature=0)
        assert {k: v for k, v in body.items() if "logprobs" in k} == told


@pytest.mark.parametrize("names", [LIMITS, LIMITS[::-1]], ids="->".join)
@pytest.mark.parametrize("refusing", [refuses, refuses_fields])
def test_a_limits_other_name_is_learnt_once(
    chat: ChatServer, names: tuple[str, str], refusing: Any
) -> None:
    """A server that knows the limit by one name is asked by it, from the second request on."""
    refused, known = names
    chat.rules.append(refusing(refused))
    model = made(chat.url, **{refused: 2})
    first, second = (asked(model, one(sample=s))[0] for s in "ab")
    assert (
        (first.text, first.finish_reason)
        == ("네, 알겠습", "length")
        == (
            second.text,
            second.finish_reason,
        )
    )
    assert [[k for k in r.body if k in LIMITS] for r in chat.requests] == [
        [refused],
        [known],
        [known],
    ]


def test_a_server_that_knows_no_limit_says_so_in_the_first_words(chat: ChatServer) -> None:
    """Both names are tried; what the first refusal said is the sample's failure."""
    chat.rules.append(refuses(*LIMITS))
    (found,) = asked(made(chat.url, max_tokens=2), one())
    assert found.failure and "'max_tokens' is not supported" in found.failure.message
    assert found.failure.kind == "bad_request" and len(chat.requests) == 2


def test_a_prompt_over_the_context_fails_alone(chat: ChatServer) -> None:
    """Its failure names both lengths, is no matter of a limit's name, and costs the others none."""
    chat.rules.append(context(50))
    long, short = asked(made(chat.url, max_tokens=5), one("x" * 300), one(sample="t"))
    assert long.failure and (long.failure.kind, long.failure.retryable) == ("length", False)
    assert "context length" in long.failure.message
    assert "50 tokens" in long.failure.message and "100 tokens" in long.failure.message
    assert short.failure is None and len(chat.requests) == 2


def test_what_decides_a_reply_is_told_and_no_key(chat: ChatServer) -> None:
    """`about` holds parameters and address; neither it nor anything else shows key or headers."""
    model = OpenAIModel(
        "gpt-4o-mini",
        api_base=f"{chat.url}?token=hidden-1",
        api_key="hidden-2",
        extra_headers={"X-Key": "hidden-3"},
        temperature=0,
        extra_body={"top_k": 1},
    )
    assert model.about == {
        "model": "gpt-4o-mini",
        "api_base": chat.url,
        "endpoint": "chat",
        "system_message": None,
        "params": {"temperature": 0, "top_k": 1},
    }
    shown = f"{model.transport.endpoint!r} {model.transport!r} {model.about}"
    assert [s for s in ("hidden-1", "hidden-2", "hidden-3") if s in shown] == []
    assert model.cost(Usage(1, 1_000_000, 0)) == 0.15
    assert made(chat.url).cost(Usage(1, 5, 5)) is None
    assert (model.cost(Usage()), model.cost(Usage(1))) == (0.0, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"extra_headers": {"x-portkey-provider": "a"}},
            {"extra_headers": {"x-portkey-provider": "b"}},
        ),
        ({"extra_headers": {"x-team": "a"}}, {}),
        ({"query": "?dep=a"}, {"query": "?dep=b"}),
        ({"query": "?dep=a&dep2="}, {"query": ""}),
    ],
)
def test_what_may_choose_the_model_decides_a_reply(one: Any, other: Any) -> None:
    """A header or the address's query; as a hash, for others may read it."""

    def about(query: str = "", **params: Any) -> Any:
        return dict(OpenAIModel("m", api_base=f"http://127.0.0.1:1/v1{query}", **params).about)

    assert about(**one) != about(**other)
    assert about(**one) == about(**one)
    assert "dep" not in str(about(**one)) and "x-" not in str(about(**one))


def test_a_key_in_a_header_or_query_decides_nothing() -> None:
    """Another key is answered the same."""
    told = [
        OpenAIModel(
            "m",
            api_base=f"http://127.0.0.1:1/v1?dep=a&api-key={key}",
            extra_headers={"X-Api-Key": key, "x-portkey-api-key": key, "x-team": "a"},
        ).about
        for key in ("one", "two")
    ]
    assert told[0] == told[1] and {"headers_sha256", "query_sha256"} < set(told[0])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"stream": True}, "stream"),
        ({"extra_body": {"stream": True}}, "stream"),
        ({"extra_body": "x"}, "extra_body is no mapping"),
        ({"extra_headers": ["a"]}, "extra_headers is no mapping"),
        ({"extra_headers": {"X-A": "abc\n"}}, "'X-A' holds a character"),
        ({"extra_headers": {"X A": "abc"}}, "'X A' holds a character"),
        ({"timeout": "60"}, "timeout '60' is not a number above 0"),
        ({"concurrency": "8"}, "concurrency '8' is not a whole number from 1"),
        ({"concurrency": 2.5}, "concurrency 2.5 is not"),
        ({"rpm": "60"}, "rpm '60' is not"),
        ({"max_retries": "3"}, "max_retries '3' is not a whole number from 0"),
    ],
)
def test_a_parameter_that_cannot_be_is_a_sentence(wrong: dict[str, Any], told: str) -> None:
    """Before anything is sent, and with its name; a header's value is not shown."""
    with pytest.raises(UserError, match=told) as caught:
        OpenAIModel("m", api_base="http://127.0.0.1:1/v1", **wrong)
    assert "abc" not in str(caught.value)


def test_no_stream_may_be_asked_for_by_name(chat: ChatServer) -> None:
    """Which is what a request is without the parameter."""
    assert sent(chat, one(), stream=False)["stream"] is False


def test_what_is_named_like_a_key_is_told_nowhere(raw: RawServer) -> None:
    """Neither by `about` nor by an error in which the server sends it back; but it is sent."""
    secrets = [f"hidden-{i}" for i in range(6)]
    model = OpenAIModel(
        "m",
        api_base=f"{raw.url}?api-key={secrets[0]}",
        extra_body={"api_key": secrets[1], "deep": [{"apiKey": f"Bearer {secrets[2]}"}]},
        safety_token=secrets[3],
        extra_headers={"X-Foo-Auth": secrets[4]},
        password=secrets[5],
        max_tokens=5,
        max_retries=0,
    )
    assert model.about["params"] == {"max_tokens": 5, "deep": [{}]}
    raw.answers = [Answer(400, json.dumps({"error": {"message": " ".join(["no", *secrets])}}))]
    (found,) = asked(model, one())
    assert found.failure and found.failure.message.endswith("no" + " ***" * 6)
    assert "hidden" not in f"{found} {model.about} {model.transport!r}"
    with nobody() as url:
        (found,) = asked(made(f"{url}?api-key=hidden-0"), one())
    assert found.failure and "hidden" not in found.failure.message


def test_a_query_of_the_address_goes_with_every_request(chat: ChatServer) -> None:
    """Behind the path, where a server reads it."""
    (found,) = asked(made(f"{chat.url}/?api-version=1"), one())
    assert found.failure is None and chat.count() == 1


def test_half_of_a_surrogate_pair_is_sent_escaped(chat: ChatServer) -> None:
    """No prompt ends a run."""
    found = asked(made(chat.url), one("half \ud800"), one(sample="t"))
    assert [p.failure for p in found] == [None, None]
    assert "half \ud800" in [r.body["messages"][0]["content"] for r in chat.requests]


def test_a_list_of_models_that_is_busy_is_asked_for_again(raw: RawServer) -> None:
    """So that what is served is known."""
    listed = json.dumps({"data": [{"id": "m", "root": "/weights"}]})
    raw.answers = [Answer(500, "{}"), Answer(429, "{}"), Answer(200, listed)]
    model = made(raw.url, max_retries=2)
    asked(model, how="check")
    assert model.about["served"] == {"root": "/weights"}


def test_headers_of_the_users_own_go_along(chat: ChatServer) -> None:
    """With every request, and never into an error."""
    model = OpenAIModel("m", api_base=chat.url, extra_headers={"X-Team": "blue-secret"})
    asked(model, how="check")
    asked(model, one())
    assert [r.headers["x-team"] for r in chat.requests] == ["blue-secret"] * 2


def test_the_older_name_of_the_address_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_API_BASE is read where OPENAI_BASE_URL is not set."""
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1")
    assert endpoint_of().base_url == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:2/v1")
    assert endpoint_of().base_url == "http://127.0.0.1:2/v1"
    assert endpoint_of(rpm=60, tpm=7).rpm == 60
