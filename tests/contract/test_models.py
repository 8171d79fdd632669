"""Every backend keeps one contract: the same number of predictions, in order, failures as data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import BackendError, UserError
from llm_eval.models import MODELS, BaseModel, load_model, require
from llm_eval.models.function import FunctionModel
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Prompt, Sample
from tests.fakes.chat import ChatServer, Fault

OPTIONS = ("A", "B", "C", "D")
BAD = "fail here"


def reply(text: str) -> str:
    """What every model here answers to a text, so that a mixed-up order is seen."""
    return f"reply to {text}"


def prompts(*texts: str) -> list[Prompt]:
    """Prompts with options and a reference each."""
    return [
        Prompt(sample_id=f"s{i}", text=t, options=OPTIONS, reference=OPTIONS[i % 4])
        for i, t in enumerate(texts)
    ]


def plain(text: str) -> str:
    """A function as a model; it fails where the text says so."""
    if text == BAD:
        raise RuntimeError("the function's own")
    return reply(text)


async def awaited(text: str) -> str:
    """An asynchronous function as a model."""
    await asyncio.sleep(0)
    return plain(text)


Make = Callable[[ChatServer], BaseModel]
BACKENDS: dict[str, Make] = {
    "openai chat": lambda chat: load_model("openai", model_name="m", api_base=chat.url),
    "openai completions": lambda chat: load_model(
        "openai", model="m", api_base=chat.url, endpoint="completions"
    ),
    "oracle": lambda chat: load_model("oracle"),
    "first": lambda chat: load_model("first"),
    "random": lambda chat: load_model("random", seed=3),
    "function": lambda chat: FunctionModel(plain),
    "async function": lambda chat: FunctionModel(awaited, concurrency=4),
}
TALKING = [name for name in BACKENDS if name.startswith("openai") or "function" in name]
SERVED = [name for name in BACKENDS if name.startswith("openai")]


@pytest.fixture
def server(chat: ChatServer) -> ChatServer:
    """A server that says of each text which one it was, later texts sooner."""
    chat.answer = lambda messages: reply(messages[-1]["content"])
    chat.complete = reply
    return chat


@pytest.fixture(params=[*BACKENDS, "huggingface"])
def model(request: pytest.FixtureRequest, server: ChatServer) -> BaseModel:
    """Each backend in turn."""
    if request.param == "huggingface":
        folder = request.getfixturevalue("tiny_lm")
        return load_model("huggingface", model_name_or_path=str(folder), max_new_tokens=4)
    return BACKENDS[request.param](server)


def generated(model: BaseModel, asked: Sequence[Prompt]) -> list[Prediction]:
    """What a backend makes of some prompts; its connections closed."""

    async def work() -> list[Prediction]:
        try:
            return await model.generate(asked)
        finally:
            await model.close()

    return run_sync(work())


# --- every backend -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 50])
def test_as_many_as_asked_in_the_order_asked(model: BaseModel, number: int) -> None:
    """One prediction a prompt, each under its own sample's id."""
    asked = prompts(*(f"text {i}" for i in range(number)))
    found = generated(model, asked)
    assert [p.sample_id for p in found] == [p.sample_id for p in asked]
    assert all(isinstance(p.text, str) and p.failure is None for p in found)


def test_the_same_again(model: BaseModel) -> None:
    """A backend can be asked twice, closed between, and answers alike."""
    asked = prompts("one", "two", "two")
    first, second = generated(model, asked), generated(model, asked)
    assert [p.text for p in first] == [p.text for p in second]


def test_equal_prompts_have_a_prediction_each(model: BaseModel) -> None:
    """Two samples with the same text are two samples."""
    found = generated(model, prompts("same", "same"))
    assert [p.sample_id for p in found] == ["s0", "s1"]


def test_every_backend_has_a_label_and_says_what_it_spent(model: BaseModel) -> None:
    """A result can name the model; what was not paid for is nothing."""
    assert model.label
    assert set(model.usage.to_dict().values()) == {0}


def test_every_backend_can_be_checked_and_closed_unused(model: BaseModel) -> None:
    """Neither raises, in either order, more than once."""

    async def work() -> None:
        for _ in range(2):
            await model.check()
            await model.close()
            await model.close()

    run_sync(work())


def test_generate_batch_is_in_the_toolkits_shape(model: BaseModel) -> None:
    """Dicts come back as they went in, with `prediction` added; those given are untouched."""
    given = [
        {
            "input": f"text {i}",
            "reference": "B",
            "options": list(OPTIONS),
            "_subset_name": "s",
            "x": i,
        }
        for i in range(5)
    ]
    before = [dict(item) for item in given]
    found = model.generate_batch(given)
    run_sync(model.close())
    assert given == before
    assert [{k: v for k, v in item.items() if k != "prediction"} for item in found] == before
    assert all(isinstance(item["prediction"], str) for item in found)


def test_a_batch_takes_the_toolkits_other_arguments(model: BaseModel) -> None:
    """`until`, `show_progress` and such are taken; log-probs are refused where there are none."""
    given = [{"input": "text", "reference": "B", "options": list(OPTIONS)}]
    assert len(model.generate_batch(given, until="\n", show_progress=True)) == 1
    if model.can.logprobs:
        (found,) = model.generate_batch(given, return_logits=True)
        told = found["logits"]["option_log_probs"]
        assert len(told) == len(OPTIONS) and max(told) < 0
        assert found["prediction"] == OPTIONS[told.index(max(told))]
    else:
        with pytest.raises(UserError, match="logprobs"):
            model.generate_batch(given, return_logits=True)
    run_sync(model.close())


def test_an_unknown_parameter_is_refused_by_name(server: ChatServer) -> None:
    """A typo ends before anything is made, and says which parameters there are."""
    for name in set(MODELS.names()) - {"openai"}:
        with pytest.raises(UserError, match="sed") as caught:
            load_model(name, sed=1)
        assert "its parameters are" in caught.value.hint


# --- backends that talk ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TALKING)
def test_each_reply_belongs_to_its_prompt(server: ChatServer, name: str) -> None:
    """The reply to the third text stands third, whichever came first."""
    texts = [f"text {i}" for i in range(40)]
    found = generated(BACKENDS[name](server), prompts(*texts))
    assert [p.text for p in found] == [reply(t) for t in texts]


@pytest.mark.parametrize("name", TALKING)
def test_one_failure_is_one_samples(server: ChatServer, name: str) -> None:
    """What fails is data in its own place, without a text, and costs the others nothing."""
    server.script(Fault.content_filter)  # the first request to arrive
    asked = prompts(BAD, *(f"text {i}" for i in range(5)))
    found = generated(BACKENDS[name](server), asked)
    lost = [p for p in found if p.failure]
    assert [p.sample_id for p in lost] == ["s0"]
    assert lost[0].text is None and lost[0].failure is not None
    assert lost[0].failure.where == "generate"
    assert [p.text for p in found[1:]] == [reply(p.text) for p in asked[1:]]


@pytest.mark.parametrize("name", TALKING)
def test_a_failure_in_a_batch_has_no_prediction(server: ChatServer, name: str) -> None:
    """`prediction` is None, never a text that could be scored, and `error` says why."""
    server.script(Fault.content_filter)
    model = BACKENDS[name](server)
    (found,) = model.generate_batch([{"input": BAD, "options": ["A"], "_subset_name": "s"}])
    run_sync(model.close())
    assert found["prediction"] is None
    assert set(found["error"]) == {"where", "kind", "message", "retryable"}
    assert (found["input"], found["options"], found["_subset_name"]) == (BAD, ["A"], "s")


@pytest.mark.parametrize("name", SERVED)
def test_the_reference_never_leaves(server: ChatServer, name: str) -> None:
    """What is sent holds the text, and neither the reference nor the options."""
    asked = [Prompt(sample_id="1", text="q", options=("opt-x", "opt-y"), reference="ref-z")]
    generated(BACKENDS[name](server), asked)
    sent = str([r.body for r in server.requests])
    assert "'q'" in sent and not {w for w in ("opt-x", "opt-y", "ref-z") if w in sent}


@pytest.mark.parametrize("name", SERVED)
def test_a_server_counts_what_was_spent(server: ChatServer, name: str) -> None:
    """Each prediction carries its own tokens; together they are the backend's."""
    model = BACKENDS[name](server)
    found = generated(model, prompts("one", "two and more"))
    assert sum(p.usage.prompt_tokens for p in found) == model.usage.prompt_tokens > 0
    assert sum(p.usage.completion_tokens for p in found) == model.usage.completion_tokens > 0
    assert model.usage.requests == 2


# --- one by one --------------------------------------------------------------------------------


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
