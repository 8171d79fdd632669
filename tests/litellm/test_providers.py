"""Each provider's own wire: what arrives there, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from llm_eval.records import Prompt
from tests.fakes.anthropic import AnthropicServer
from tests.fakes.azure import AzureServer
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import thinks
from tests.fakes.cohere import CohereServer
from tests.fakes.faults import REFUSAL
from tests.fakes.provider import ProviderServer
from tests.litellm.asking import KEY, PIXEL, generated, model_of, one, prompts

NAMES = ("anthropic", "azure", "cohere")


@pytest.fixture(params=NAMES)
def provider(request: pytest.FixtureRequest) -> tuple[str, ProviderServer]:
    """Each of the providers that have a wire of their own, and its server."""
    return request.param, request.getfixturevalue(request.param)


def test_a_text_comes_back_and_is_counted(provider: tuple[str, ProviderServer]) -> None:
    """The reply's text, its cost in tokens as the provider counts them, and the model's sum."""
    name, server = provider
    model = model_of(name, server)
    found = one(model, "안녕하세요")
    assert (found.text, found.failure) == ("reply to 안녕하세요", None)
    assert found.usage.requests == 1 and found.usage.completion_tokens == 5
    assert found.usage.prompt_tokens > 0
    assert model.usage == found.usage


def test_replies_stand_in_the_order_of_the_prompts(provider: tuple[str, ProviderServer]) -> None:
    """Whichever comes first."""
    name, server = provider
    server.latency = 0.2
    texts = [f"text {i}" for i in range(40)]
    found = generated(model_of(name, server, concurrency=20), prompts(*texts))
    assert [p.text for p in found] == [f"reply to {t}" for t in texts]
    assert [p.sample_id for p in found] == [f"s{i}" for i in range(40)]
    arrived = [str(asked.body) for asked in server.requests]
    assert len(arrived) == 40


def test_the_key_goes_in_the_providers_header_alone(provider: tuple[str, ProviderServer]) -> None:
    """And in no body or address."""
    name, server = provider
    one(model_of(name, server))
    (asked,) = server.requests
    holding = {header for header, value in asked.headers.items() if KEY in value}
    assert holding == {{"anthropic": "x-api-key", "azure": "api-key"}.get(name, "authorization")}
    assert KEY not in f"{asked.body} {asked.path} {asked.query}"


def test_parameters_get_the_providers_names(
    anthropic: AnthropicServer, azure: AzureServer, cohere: CohereServer
) -> None:
    """A limit, a temperature, stops and a system message, wherever a wire has them."""
    wanted = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": list("klmno")}
    for name, server in (("anthropic", anthropic), ("azure", azure), ("cohere", cohere)):
        assert one(model_of(name, server, system_message="be brief", **wanted)).text
    bodies = [server.requests[0].body for server in (anthropic, azure, cohere)]
    assert [body["max_tokens"] for body in bodies] == [9, 9, 9]
    assert [body["temperature"] for body in bodies] == [0.5, 0.5, 0.5]
    assert [body.get("p", body.get("top_p")) for body in bodies] == [0.9, 0.9, 0.9]
    stops = [body.get("stop", body.get("stop_sequences")) for body in bodies]
    assert stops == [list("klmno")] * 3  # litellm would have cut the fifth off
    assert bodies[0]["system"] == [{"type": "text", "text": "be brief"}]
    assert all(b["messages"][0] == {"role": "system", "content": "be brief"} for b in bodies[1:])


def test_azure_is_asked_by_deployment_and_version(azure: AzureServer) -> None:
    """In the address, as it wants them."""
    one(model_of("azure", azure))
    (asked,) = azure.requests
    assert asked.path == "/openai/deployments/ours/chat/completions"
    assert asked.query == {"api-version": "2024-10-21"}


def test_a_reply_at_the_limit_says_so(provider: tuple[str, ProviderServer]) -> None:
    """Cohere's too, whose reason litellm loses."""
    name, server = provider
    found = one(model_of(name, server, max_tokens=2))
    assert (found.text, found.finish_reason) == ("reply ", "length")
    whole = one(model_of(name, server, max_tokens=50))
    assert whole.finish_reason == (None if name == "cohere" else "stop")


def test_thoughts_stand_apart(anthropic: AnthropicServer) -> None:
    """What the model thought aloud is not part of its answer."""
    anthropic.thought = "two and two"
    found = one(model_of("anthropic", anthropic))
    assert (found.text, found.reasoning) == ("reply to hello", "two and two")


def test_images_take_the_providers_shape(
    anthropic: AnthropicServer, azure: AzureServer, cohere: CohereServer, chat: ChatServer
) -> None:
    """A data URL becomes a block of base64 for Anthropic, and goes as it is elsewhere."""
    for name, server in (("anthropic", anthropic), ("azure", azure), ("cohere", cohere)):
        assert one(model_of(name, server), "what is it?", images=(PIXEL,)).failure is None
    parts = [s.requests[0].body["messages"][0]["content"] for s in (anthropic, azure, cohere)]
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    assert parts[0][0] == {"type": "image", "source": source}
    assert parts[0][1] == {"type": "text", "text": "what is it?"}
    assert parts[1] == parts[2]
    assert parts[1][0] == {"type": "image_url", "image_url": {"url": PIXEL}}
    assert one(model_of("openai", chat), images=(PIXEL,)).failure is None
    assert chat.requests[0].body["messages"][0]["content"][0] == parts[1][0]


def test_conversations_and_parameters_of_one_prompt(chat: ChatServer) -> None:
    """A prompt's own parameters go over the model's; its messages stand in place of a text."""
    turns = ({"role": "user", "content": "2+2?"},)
    model = model_of("openai", chat, max_completion_tokens=99, temperature=0)
    asked = Prompt(sample_id="s", text="", messages=turns, params={"max_tokens": 3, "logprobs": 2})
    (found,) = generated(model, [asked])
    body = chat.requests[0].body
    assert body["messages"] == list(turns)
    assert (body["max_tokens"], body["temperature"], body["top_logprobs"]) == (3, 0, 2)
    assert "max_completion_tokens" not in body
    assert len(found.detail) == found.tokens == 3 and len(found.detail[0].top) == 2
    assert found.logprob == pytest.approx(sum(t.logprob or 0 for t in found.detail))


def test_several_replies_of_one_request(chat: ChatServer) -> None:
    """The first is the text, the others stand beside it, and one request is counted."""
    replies = iter(["one", "two", "three"])
    chat.answer = lambda messages: next(replies)
    found = one(model_of("openai", chat, n=3))
    assert (found.text, found.alternatives) == ("one", ("two", "three"))
    assert found.usage.requests == chat.count() == 1


@pytest.mark.parametrize("own", [{"seed": 0}, {"extra_body": {"seed": 0}}])
def test_a_seed_draws_each_reply_anew(chat: ChatServer, own: dict[str, Any]) -> None:
    """And its choices too: a reply to a sample has as many seeds as it has choices."""
    prompts = [Prompt(sample_id="s", text="2+2?", turn=turn) for turn in range(3)]
    generated(model_of("openai", chat, **own), prompts)
    generated(model_of("openai", chat, n=2, **own), prompts)
    seeds = [r.body["seed"] for r in chat.requests]
    assert (sorted(seeds[:3]), sorted(seeds[3:])) == ([0, 1, 2], [0, 2, 4])


@pytest.mark.parametrize(("fault", "text"), [(Fault.refusal, REFUSAL), (Fault.content_filter, "")])
def test_a_reply_without_an_answer_is_a_reply(chat: ChatServer, fault: Fault, text: str) -> None:
    """The model's refusal, or what a filter stopped: it is scored, as from any other backend."""
    chat.script(fault)
    found = one(model_of("openai", chat))
    assert (found.text, found.finish_reason, found.failure) == (text, fault, None)


def test_a_thought_without_an_answer_is_a_reply(chat: ChatServer) -> None:
    """The limit ended it while the model was thinking."""
    chat.bends.append(thinks("hm", content=None))
    chat.bends.append(
        lambda asked, reply: {
            **reply,
            "choices": [{**choice, "finish_reason": "length"} for choice in reply["choices"]],
        }
    )
    found = one(model_of("openai", chat))
    assert (found.text, found.finish_reason, found.reasoning) == ("", "length", "hm")
