"""The backend's own side: names, keys, parameters, money, and what it says of itself."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models import load_model, prices
from llm_eval.records import Prompt, Sample, Usage
from tests.fakes.anthropic import AnthropicServer
from tests.fakes.azure import AzureServer
from tests.fakes.chat import ChatServer
from tests.litellm.asking import KEY, PIXEL, checked, failure, model_of, one

OPUS = "anthropic/claude-3-opus-20240229"


def test_a_provider_may_stand_apart(anthropic: AnthropicServer) -> None:
    """`provider=` is the same as the first part of the name, and is not put there twice."""
    for given in (
        {"model_name": OPUS},
        {"model_name": OPUS, "provider": "anthropic"},
        {"model_name": OPUS.partition("/")[2], "provider": "anthropic"},
        {"model_name": None, "model": OPUS},
    ):
        model = model_of("anthropic", anthropic, **given)
        assert model.label == f"litellm:{OPUS}"
        assert one(model).text == "reply to hello"
    assert {asked.body["model"] for asked in anthropic.requests} == {"claude-3-opus-20240229"}


def test_whose_model_is_it(chat: ChatServer) -> None:
    """A name that litellm does not know is refused with the two ways to say it."""
    with pytest.raises(UserError, match="does not know whose model 'mine' is") as caught:
        checked(model_of("openai", chat, model_name="mine"))
    assert "openai/mine" in caught.value.hint
    assert one(model_of("openai", chat, model_name="openai/mine")).text


@pytest.mark.parametrize(
    ("model", "given", "names"),
    [
        ("gpt-4", {}, "OPENAI_API_KEY"),
        (OPUS, {}, "ANTHROPIC_API_KEY"),
        ("cohere/command-r-08-2024", {}, "COHERE_API_KEY"),
        ("azure/ours", {}, "AZURE_API_BASE and AZURE_API_VERSION and AZURE_API_KEY"),
        ("azure/ours", {"api_key": KEY, "api_base": "http://127.0.0.1:9"}, "AZURE_API_VERSION"),
        ("gemini/gemini-2.0-flash", {}, "GOOGLE_API_KEY or GEMINI_API_KEY"),
    ],
)
def test_a_missing_key_is_named(model: str, given: dict[str, Any], names: str) -> None:
    """Before anything is asked: the variables that were looked for, and no other."""
    with pytest.raises(UserError, match=f"litellm needs {names} for") as caught:
        checked(load_model("litellm", model_name=model, **given))  # type: ignore[arg-type]
    assert names in caught.value.hint


def test_keys_come_from_the_environment(
    anthropic: AnthropicServer, azure: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's own variables, addresses and versions among them."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_BASE", anthropic.url)
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    monkeypatch.setenv("AZURE_API_BASE", azure.url)
    monkeypatch.setenv("AZURE_API_VERSION", "2024-06-01")
    for name, server in (("anthropic", anthropic), ("azure", azure)):
        model = model_of(name, server, api_key=None, api_base=None, api_version=None)
        checked(model)
        assert one(model).text == "reply to hello"
    assert azure.requests[0].query == {"api-version": "2024-06-01"}


def test_openais_key_and_address_are_the_projects(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the openai backend: the environment, .env, config/config.py."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    model = model_of("openai", chat, api_key=None, api_base=None)
    checked(model)
    assert one(model).text and model.about["api_base"] == chat.url


@pytest.mark.parametrize(
    "given", [{"n": 2}, {"seed": 1}, {"response_format": {"type": "json_object"}}]
)
def test_a_parameter_that_would_be_left_out_is_refused(
    anthropic: AnthropicServer, given: dict[str, Any]
) -> None:
    """Litellm refuses the first two and silently drops the third: all are one sentence here."""
    (name,) = given
    with pytest.raises(UserError, match=f"{OPUS} does not take {name}") as caught:
        checked(model_of("anthropic", anthropic, **given))
    assert "drop_params=True" in caught.value.hint
    if name != "n":
        found = failure(model_of("anthropic", anthropic), params=given)
        assert found.kind == "bad_request" and name in found.message
    assert anthropic.requests == []
    model = model_of("anthropic", anthropic, drop_params=True, **given)
    checked(model)
    assert one(model).text and name not in anthropic.requests[0].body


@pytest.mark.parametrize(
    ("more", "what"),
    [({"token_ids": (1, 2)}, "token_ids"), ({"params": {"choice": ["a", "b"]}}, "choice")],
)
def test_what_it_cannot_do_is_not_done_without(
    chat: ChatServer, more: dict[str, Any], what: str
) -> None:
    """A prompt that asks for it fails, by name, and nothing is sent."""
    found = failure(model_of("openai", chat), **more)
    assert found.kind == "bad_request" and what in found.message
    assert chat.count() == 0


@pytest.mark.parametrize("name", ["num_retries", "stream", "messages"])
def test_what_this_backend_does_itself_is_not_litellms(chat: ChatServer, name: str) -> None:
    """Two policies of retries are none."""
    with pytest.raises(UserError, match=f"takes no '{name}'"):
        model_of("openai", chat, **{name: 1})


def test_a_model_that_does_not_see(anthropic: AnthropicServer) -> None:
    """Is told from the samples, where litellm's list says so and the address is the provider's."""
    blind = load_model("litellm", model_name="gpt-4", api_key=KEY)
    sample = Sample(index=0, input="what is it?", images=(PIXEL,))
    blind.fits([sample])
    with pytest.raises(UserError, match="gpt-4 takes no images"):
        checked(blind)  # type: ignore[arg-type]
    seeing = load_model("litellm", model_name="gpt-4o", api_key=KEY)
    seeing.fits([sample])
    checked(seeing)  # type: ignore[arg-type]


def test_an_image_that_is_none(anthropic: AnthropicServer) -> None:
    """Costs its own sample, and no request."""
    found = failure(model_of("anthropic", anthropic), images=("/no/such/file.png",))
    assert found.kind == "bad_request" and "file.png" in found.message
    assert anthropic.requests == []


def test_likelihoods_are_elsewhere(chat: ChatServer) -> None:
    """The sentence says where."""
    model = model_of("openai", chat)
    assert not model.can.logprobs
    with pytest.raises(UserError, match="does not tell how likely") as caught:
        run_sync(model.probe())
    assert 'endpoint="completions"' in caught.value.hint


def test_what_it_says_of_itself_decides_a_reply(chat: ChatServer) -> None:
    """Parameters, address, version; JSON, in which nothing secret stands."""
    model = model_of("openai", chat, temperature=0, extra_headers={"x-team": "a", "x-api-key": "s"})
    about = json.loads(json.dumps(model.about))
    assert about == {
        "model": "gpt-4",
        "api_base": chat.url,
        "headers_sha256": about["headers_sha256"],
        "temperature": 0,
        "litellm": about["litellm"],
    }
    headers = {"x-team": "b", "x-api-key": "s"}
    query = {"api_base": f"{chat.url}?dep=a&api-key=s"}
    others = [
        model_of("openai", chat, temperature=0, extra_headers=headers),
        model_of("openai", chat, temperature=0, headers=headers, **query),
        model_of("openai", chat, temperature=1),
        model_of("openai", chat, temperature=0, system_message="s"),
        model_of("openai", chat, temperature=0, drop_params=True),
        model_of("azure", chat, temperature=0),
    ]
    assert len({json.dumps(m.about, sort_keys=True) for m in (model, *others)}) == 7


def test_an_address_of_the_environment_decides_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what is secret in it; another resource is another model."""
    told = []
    for place in ("https://alice.example", "https://bob.example?api-key=s3cret"):
        monkeypatch.setenv("AZURE_API_BASE", place)
        monkeypatch.setenv("AZURE_API_KEY", "s3cret")
        told.append(load_model("litellm", model_name="azure/ours").about["environment"])
    assert told == [
        {"AZURE_API_BASE": "https://alice.example"},
        {"AZURE_API_BASE": "https://bob.example"},
    ]


def test_a_second_limit_is_kept_per_provider(chat: ChatServer, azure: AzureServer) -> None:
    """`rpm` spreads the starts of one provider's requests, and of no other's."""
    asked = [Prompt(sample_id=str(i), text=str(i)) for i in range(4)]

    async def work() -> None:
        slow, other = model_of("azure", azure, rpm=600), model_of("openai", chat)
        await slow.generate(asked[:1])  # litellm loads a provider's code at its first request
        await slow.generate(asked)
        await other.generate(asked)
        assert slow.limiter is not other.limiter
        await slow.close()
        await other.close()

    run_sync(work())
    starts = [asked.at for asked in azure.requests[1:]]
    assert max(starts) - min(starts) >= 0.25  # four starts, a tenth of a second apart


def test_key_and_address_stay_those_of_when_it_was_made(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run asks one place as one user, whatever becomes of the environment."""
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = model_of("openai", chat, api_key=None, api_base=None)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-0123456789")
    chat.key = KEY
    assert one(model).failure is None and chat.count() == 1


def test_money(anthropic: AnthropicServer, azure: AzureServer, chat: ChatServer) -> None:
    """By this project's prices, else by the list inside litellm; a deployment has none."""
    spent = Usage(1, 1_000_000, 100_000)
    mini = model_of("openai", chat, model_name="gpt-4o-mini")
    assert mini.cost(spent) == prices.cost("gpt-4o-mini", spent) is not None
    name = "claude-opus-4-5"
    opus = model_of("anthropic", anthropic, model_name=f"anthropic/{name}")
    ours = model_of("azure", azure)
    assert opus.cost(spent) is None  # litellm is not loaded for a price alone
    checked(opus)
    checked(ours)
    listed = import_module("litellm").model_cost[name]
    sent, made = listed["input_cost_per_token"], listed["output_cost_per_token"]
    assert (mini.cost(Usage(1)), opus.cost(Usage(1))) == (None, None)  # nobody said what they used
    assert sent > 0 and opus.cost(spent) == pytest.approx(1_000_000 * sent + 100_000 * made)
    assert ours.cost(spent) is None


def test_a_price_of_ones_own_wins(
    anthropic: AnthropicServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name that results use, or the model's."""
    for name in (f"litellm:{OPUS}", OPUS):
        prices.own_prices().parent.mkdir(parents=True, exist_ok=True)
        prices.own_prices().write_text(f'"{name}": {{input: 1, output: 2}}\n', "utf-8")
        assert model_of("anthropic", anthropic).cost(Usage(1, 1_000_000, 0)) == 1.0
