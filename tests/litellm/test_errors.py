"""What providers answer besides replies, as kinds; retries are this project's, keys stay hidden."""

from __future__ import annotations

import traceback

import pytest

from llm_eval.errors import AuthError, UserError
from llm_eval.records import Failure
from tests.fakes.anthropic import AnthropicServer
from tests.fakes.azure import AzureServer
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.provider import ProviderServer, Trouble
from tests.litellm.asking import KEY, failure, generated, model_of, one, prompts
from tests.unit.llm_eval.servers import nobody

WRONG = "wrong-key-9876543210"


@pytest.fixture(params=["anthropic", "azure", "cohere"])
def provider(request: pytest.FixtureRequest) -> tuple[str, ProviderServer]:
    """Each of the providers that have a wire of their own, and its server."""
    return request.param, request.getfixturevalue(request.param)


def failed(provider: tuple[str, ProviderServer], trouble: Trouble | str) -> Failure:
    """The failure that an answer is, asked for once."""
    name, server = provider
    before = len(server.requests)
    server.script.append(trouble)
    found = failure(model_of(name, server))
    assert len(server.requests) == before + 1
    assert "Traceback" not in found.message and "litellm." not in found.message
    return found


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit"), *((s, "server") for s in (409, 424, 425, 500, 529))]
)
def test_trouble_that_passes_is_retryable(
    provider: tuple[str, ProviderServer], status: int, kind: str
) -> None:
    """The kind, the status and the provider's words."""
    found = failed(provider, Trouble(status, "come back later"))
    assert (found.kind, found.retryable, found.where) == (kind, True, "generate")
    assert f"{provider[0]} answered {status}: " in found.message
    assert found.message.endswith("come back later")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("This model's maximum context length is 8192 tokens, your prompt has 9000", "length"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "length"),
        ("too many tokens: the prompt cannot exceed 4081, received 9000", "length"),
        ("filtered: the prompt triggers the content management policy", "content_filter"),
        ("temperature: 9 is above the rate limit of 2, see page 429", "bad_request"),
    ],
)
def test_a_request_that_is_refused_is_not_repeated(
    provider: tuple[str, ProviderServer], message: str, kind: str
) -> None:
    """Too long a prompt, a filter, anything else; by the status, whatever words are in it."""
    found = failed(provider, Trouble(400, message, "invalid_request_error"))
    assert (found.kind, found.retryable) == (kind, False)
    assert message in found.message
    assert found.message.startswith("the prompt is over") == (kind == "length")


def test_azures_filter_by_its_code(azure: AzureServer) -> None:
    """With the body that Azure sends."""
    said = "The response was filtered due to the prompt triggering Azure OpenAI's policy."
    assert failed(("azure", azure), Trouble(400, said, "content_filter")).kind == "content_filter"


@pytest.mark.parametrize("body", ["<html>oops</html>", '{"moderation": 1}', "[1]", ""])
def test_a_reply_that_is_none(provider: tuple[str, ProviderServer], body: str) -> None:
    """Garbage under a status of 200 is garbage, whatever words are in it."""
    found = failed(provider, body)
    assert (found.kind, found.retryable) == ("malformed", False)
    assert f"{provider[0]} sent what litellm cannot read" in found.message


def test_a_wrong_key_ends_the_run_and_is_not_told(provider: tuple[str, ProviderServer]) -> None:
    """One sentence; the server repeats the key, this project does not."""
    name, server = provider
    with pytest.raises(AuthError, match=f"{name} answered 401") as caught:
        one(model_of(name, server, api_key=WRONG))
    told = "".join(traceback.format_exception(caught.value))
    assert WRONG not in told and "***" in str(caught.value)
    assert "api_key" in caught.value.hint


def test_a_key_of_the_environment_is_not_told(
    anthropic: AnthropicServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one that litellm found by itself."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", WRONG)
    with pytest.raises(AuthError) as caught:
        one(model_of("anthropic", anthropic, api_key=None))
    assert anthropic.requests[0].headers["x-api-key"] == WRONG
    assert WRONG not in str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [
        (Trouble(404, "model: none", "not_found_error"), "model_name"),
        (Trouble(402, "payment required"), "top up"),
        (Trouble(400, "Your credit balance is too low", "invalid_request_error"), "top up"),
    ],
)
def test_what_no_request_can_mend_ends_the_run(
    provider: tuple[str, ProviderServer], trouble: Trouble, hint: str
) -> None:
    """A model that is not there, a bill that is not paid."""
    name, server = provider
    server.script.append(trouble)
    with pytest.raises(UserError, match=trouble.message) as caught:
        one(model_of(name, server))
    assert hint in caught.value.hint


def test_no_such_deployment(azure: AzureServer) -> None:
    """Azure's words for it."""
    with pytest.raises(UserError, match="404: .*deployment for this resource does not exist"):
        one(model_of("azure", azure, model_name="azure/theirs"))


# --- retries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["anthropic", "azure", "cohere"])
def test_the_provider_says_how_long_to_wait(request: pytest.FixtureRequest, name: str) -> None:
    """`Retry-After` is kept to, and litellm does not retry by itself."""
    server: ProviderServer = request.getfixturevalue(name)
    server.script.append(Trouble(429, "too fast", "rate_limit_error", {"Retry-After": "1"}))
    assert one(model_of(name, server, max_retries=1)).text == "reply to hello"
    first, second = server.requests
    assert second.at - first.at >= 1


def test_so_many_attempts_and_no_more(chat: ChatServer) -> None:
    """`max_retries` counts further attempts, whatever the fault."""
    for fault in (Fault.server_error, Fault.drop):
        chat.reset()
        chat.script(*[fault] * 9)
        found = failure(model_of("openai", chat, max_retries=2))
        assert chat.count() == 3
        assert found.retryable
        assert found.kind == {Fault.drop: "connection"}.get(fault, "server")


def test_one_failure_is_one_samples(anthropic: AnthropicServer) -> None:
    """The others are answered."""
    anthropic.script.append(Trouble(400, "no", "invalid_request_error"))
    found = generated(model_of("anthropic", anthropic, concurrency=1), prompts(*"abcde"))
    assert [p.text for p in found] == [None, *(f"reply to {t}" for t in "bcde")]


def test_a_server_that_is_silent(chat: ChatServer) -> None:
    """After `timeout` seconds; it may have been paid for, and it says so."""
    with chat.held():
        found = failure(model_of("openai", chat, timeout=0.3))
    assert (found.kind, found.message) == ("timeout", "openai did not answer in time")


def test_a_server_that_is_not_there() -> None:
    """Refused connections are no error of the server."""
    with nobody() as url:
        chat = ChatServer()
        chat.url = url
        found = failure(model_of("openai", chat))
    assert found.kind == "connection" and "could not be reached" in found.message


def test_no_key_in_a_result(provider: tuple[str, ProviderServer]) -> None:
    """Neither in what a prediction holds, nor in what the backend says of itself."""
    name, server = provider
    model = model_of(name, server, extra_headers={"x-team": "a", "cookie": "s3cret"})
    assert KEY not in f"{one(model)} {model.about} {model.params} {model.label} {vars(model)}"
    assert "s3cret" not in str(model.about) and "x-team" not in str(model.about)


def test_an_error_that_ends_the_run_keeps_what_is_answered(anthropic: AnthropicServer) -> None:
    """The error holds the replies that there are; nothing is sent after it."""
    anthropic.script += [None, Trouble(400, "Your credit balance is too low")]
    model = model_of("anthropic", anthropic, concurrency=1)
    with pytest.raises(UserError, match="credit balance") as caught:
        generated(model, prompts("a", "b", "c", "d"))
    assert [p is not None for p in caught.value.finished] == [True, False, False, False]
    assert len(anthropic.requests) == 2


def test_half_of_a_surrogate_pair_fails_alone(chat: ChatServer) -> None:
    """No provider could be sent it."""
    found = generated(model_of("openai", chat), prompts("half \ud800", "b"))
    assert [p.failure and p.failure.kind for p in found] == ["bad_request", None]
