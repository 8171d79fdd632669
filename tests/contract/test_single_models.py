"""What is each backend's own, besides the contract: `openai`, the baselines, functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import BackendError, UserError
from llm_eval.models import BaseModel, load_model, require
from llm_eval.models.function import FunctionModel
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Sample
from tests.contract.backends import BAD, OPTIONS, generated, plain, prompts, reply
from tests.fakes.chat import ChatServer, Fault


@pytest.fixture
def server(chat: ChatServer) -> ChatServer:
    """A server that says of each text which one it was."""
    chat.answer = lambda messages: reply(messages[-1]["content"])
    return chat


def test_openai_sends_what_it_is_told(server: ChatServer) -> None:
    """System message and parameters stand in the request as they were given."""
    model = OpenAIModel("m", api_base=server.url, system_message="be brief", max_tokens=5, seed=1)
    generated(model, prompts("q"))
    assert server.requests[0].body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "q"},
        ],
        "max_tokens": 5,
        "seed": 1,
    }


@pytest.mark.parametrize("params", [{}, {"model_name": "m", "endpoint": "chats"}], ids=str)
def test_openai_is_refused_when_it_cannot_be_asked(
    chat: ChatServer, params: dict[str, Any]
) -> None:
    """No model's name, or an endpoint that is none: told before anything is sent."""
    with pytest.raises(UserError):
        load_model("openai", api_base=chat.url, **params)


def test_the_baselines_answer_as_their_names_say() -> None:
    """Oracle gives the reference, first the first option, random one of them."""
    asked = prompts(*"abcdefgh")
    assert [p.text for p in generated(load_model("oracle"), asked)] == [p.reference for p in asked]
    assert {p.text for p in generated(load_model("first"), asked)} == {"A"}
    assert {p.text for p in generated(load_model("random"), asked)} <= set(OPTIONS)


def test_random_is_even_and_repeats() -> None:
    """The same seed and sample draw the same option, whatever is asked beside it; others differ."""
    asked = prompts(*map(str, range(400)))
    drawn = [p.text for p in generated(load_model("random", seed=1), asked)]
    alone = [generated(load_model("random", seed=1), [p])[0].text for p in asked[:20]]
    assert alone == drawn[:20]
    assert drawn != [p.text for p in generated(load_model("random", seed=2), asked)]
    assert all(70 < drawn.count(option) < 130 for option in OPTIONS)


@pytest.mark.parametrize("name", ["oracle", "first", "random"])
def test_a_baseline_without_its_means_says_so(name: str) -> None:
    """No reference, or no options: told before the first sample."""
    good = Sample(index=0, input="q", reference="A", options=OPTIONS)
    load_model(name).fits([good])
    with pytest.raises(UserError, match=name):
        load_model(name).fits([Sample(index=0, input="q")])


@pytest.mark.parametrize("name", ["first", "random"])
def test_a_batch_without_options_is_told(name: str) -> None:
    """Nobody has looked at the samples of a batch: the baseline itself says what is missing."""
    with pytest.raises(UserError, match=name):
        load_model(name).generate_batch([{"input": "q"}])


def test_an_oracle_answers_in_text() -> None:
    """A reference that is a number is answered as a model would, in text."""
    found = load_model("oracle").generate_batch([{"input": "2+2?", "reference": 4}])
    assert found[0]["prediction"] == "4"


def _scripted() -> Callable[[str], str]:
    replies = iter(["only one"])
    return lambda text: next(replies)


class Awaiting:
    """An object that is called like a function and is to be awaited."""

    async def __call__(self, text: str) -> str:
        return reply(text)


NO_TEXT: dict[str, Callable[[], Callable[..., Any]]] = {
    "none": lambda: lambda text: None,
    "number": lambda: lambda text: 4,
    "signature": lambda: lambda: "x",
    "exhausted": _scripted,
}


@pytest.mark.parametrize("how", NO_TEXT)
def test_a_function_that_gives_no_text_costs_its_samples(how: str) -> None:
    """None, a number, a wrong signature, an exhausted script: failures, and the run goes on."""
    model = FunctionModel(NO_TEXT[how]())

    async def work() -> list[Prediction]:
        return await asyncio.wait_for(model.generate(prompts("a", "b")), 10)

    found = run_sync(work())
    assert found[1].failure is not None and found[1].text is None


def test_a_functions_failure_names_it() -> None:
    """The record says which function raised what."""
    (found,) = generated(FunctionModel(plain), prompts(BAD))
    assert found.failure is not None
    assert "plain raised RuntimeError: the function's own" in found.failure.message


def test_an_awaitable_object_is_a_function() -> None:
    """Whatever is called and awaited can be a model."""
    (found,) = generated(FunctionModel(Awaiting()), prompts("q"))
    assert found.text == reply("q")


def test_a_function_is_called_by_one_thread_at_a_time() -> None:
    """Most model objects stand no second thread; `concurrency` says that this one does."""
    inside, peaks = [], []

    def count(text: str) -> str:
        inside.append(text)
        peaks.append(len(inside))
        inside.remove(text)
        return text

    model = FunctionModel(count)

    async def work() -> None:
        await asyncio.gather(*(model.generate([p]) for p in prompts(*map(str, range(200)))))

    run_sync(work())
    assert set(peaks) == {1}


def test_a_feature_is_asked_for_before_the_first_sample() -> None:
    """What a backend does not offer is refused by name."""
    require(load_model("oracle"), "generate", "this test")
    with pytest.raises(UserError, match="this test needs images, which backend 'oracle'"):
        require(load_model("oracle"), "images", "this test")


def test_a_backend_without_generate_says_so() -> None:
    """A class that forgot it is a bug with a name."""
    with pytest.raises(NotImplementedError, match="has no generate"):
        generated(BaseModel(), prompts("q"))


def test_transport_trouble_is_data_too(server: ChatServer) -> None:
    """A connection that breaks for good costs its sample and says that trying again may help."""
    server.script(Fault.drop)
    model = OpenAIModel("m", api_base=server.url, max_retries=0)
    (found,) = generated(model, prompts("q"))
    assert found.failure is not None
    assert (found.failure.kind, found.failure.retryable) == ("connection", True)
    assert BackendError("x", kind="connection").retryable
