"""Every backend keeps one contract: the same number of predictions, in order, failures as data."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models import BaseModel, load_model
from llm_eval.records import Prediction, Prompt
from tests.contract.backends import (
    BACKENDS,
    BAD,
    KEY,
    OPTIONS,
    SERVED,
    TALKING,
    Theirs,
    generated,
    prompts,
    reply,
)
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import filters


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


@pytest.mark.parametrize("name", ["oracle", "first", "random", "huggingface", "multi"])
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    """A typo ends before anything is made, and says which parameters there are."""
    with pytest.raises(UserError, match="sed") as caught:
        load_model(name, sed=1)
    assert "its parameters are" in caught.value.hint


ASKED: dict[str, tuple[dict[str, Any], Callable[[Prediction], bool]]] = {
    "stop": ({"stop": [" to", "A"]}, lambda p: " to" not in str(p.text) and "A" not in str(p.text)),
    "logprobs": ({"logprobs": 2}, lambda p: bool(p.detail)),
    "choice": ({"choice": ["yes", "no"]}, lambda p: p.text in ("yes", "no")),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_a_prompt_asks_is_done_or_refused(model: BaseModel, what: str) -> None:
    """A reply as it was asked for, or a failure that says so; the prompt beside it is answered."""
    params, done = ASKED[what]
    first, second = prompts("one", "two")
    asked, free = generated(model, [replace(first, params=params), second])
    if asked.failure:
        assert (asked.failure.kind, asked.text) == ("bad_request", None)
        assert asked.failure.where == "generate"
    else:
        assert done(asked), asked
    assert free.failure is None and isinstance(free.text, str)


def test_what_nobody_has_heard_of_is_refused_or_sent(model: BaseModel, server: ChatServer) -> None:
    """A parameter that is none of ours goes to the server, or is a failure; it is never dropped."""
    (found,) = generated(model, [replace(prompts("one")[0], params={"no_such_thing": 1})])
    sent = [r.body.get("no_such_thing") for r in server.requests if r.body]
    assert sent == [1] or (found.failure and found.failure.kind == "bad_request")


def test_an_argument_without_effect_is_refused(model: BaseModel) -> None:
    """A typo in `generate_batch` is told, and guessed."""
    given = [{"input": "text", "reference": "B", "options": list(OPTIONS)}]
    with pytest.raises(UserError, match="temprature") as told:
        model.generate_batch(given, temprature=0.5)
    assert "did you mean 'temperature'" in told.value.hint
    run_sync(model.close())


def test_nothing_that_is_told_of_a_backend_holds_its_key(model: BaseModel) -> None:
    """`about` is JSON and complete; neither it nor a repr holds the key; a pickle is refused."""
    told = json.dumps([model.label, dict(model.about), model.usage.to_dict()])
    shown = told + repr(model) + repr(getattr(model, "transport", ""))
    assert KEY not in shown
    try:
        frozen = pickle.dumps(model)
    except (TypeError, AttributeError, pickle.PicklingError):
        return
    assert KEY.encode() not in frozen or isinstance(getattr(model, "inner", None), Theirs)


def test_every_backend_works_inside_a_running_loop(model: BaseModel) -> None:
    """The synchronous face in a notebook, and the asynchronous one in a loop of the caller's."""
    given = [{"input": "text", "reference": "B", "options": list(OPTIONS)}]

    async def cell() -> tuple[Any, list[Prediction]]:
        found = model.generate_batch(given)
        run_sync(model.close())
        awaited = await model.generate(prompts("text"))
        await model.close()
        return found, awaited

    found, (awaited,) = asyncio.run(cell())
    assert isinstance(found[0]["prediction"], str)
    assert isinstance(awaited.text, str)


# --- backends that talk ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TALKING)
def test_each_reply_belongs_to_its_prompt(server: ChatServer, name: str) -> None:
    """The reply to the third text stands third, whichever came first."""
    texts = [f"text {i}" for i in range(40)]
    found = generated(BACKENDS[name](server), prompts(*texts))
    assert [p.text for p in found] == [reply(t) for t in texts]


@pytest.mark.parametrize("name", SERVED)
def test_replies_that_come_late_stand_where_they_belong(name: str) -> None:
    """Half of the requests are slow, by chance: the order is that of the prompts."""
    texts = [f"text {i}" for i in range(30)]
    chance = {"fault_rate": 0.5, "faults": [Fault.slow], "slow_seconds": 0.05}
    with ChatServer(**chance) as server:  # type: ignore[arg-type]
        server.answer = lambda messages: reply(messages[-1]["content"])
        server.complete = reply
        found = generated(BACKENDS[name](server), prompts(*texts))
        ended = [r.body for r in sorted(server.requests, key=lambda r: r.end or 0) if r.body]
    assert [p.text for p in found] == [reply(t) for t in texts]
    if name != "openai completions":  # chance falls on chats alone
        asked = [body["messages"][-1]["content"] for body in ended]
        assert asked != sorted(asked, key=texts.index)


@pytest.mark.parametrize("name", SERVED)
def test_a_conversation_is_sent_as_one(server: ChatServer, name: str) -> None:
    """`input` as a list of messages, in the toolkit's dicts; refused where there is no chat."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
             {"role": "user", "content": "c"}]  # fmt: skip
    model = BACKENDS[name](server)
    (found,) = model.generate_batch([{"input": turns, "extra": 1}])
    run_sync(model.close())
    assert (found["input"], found["extra"]) == (turns, 1)
    if name == "openai completions":
        assert found["prediction"] is None and found["error"]["kind"] == "bad_request"
    else:
        assert found["prediction"] == reply("c")
        assert server.requests[-1].body["messages"] == turns


@pytest.mark.parametrize("name", SERVED)
def test_arguments_of_a_batch_are_sent(server: ChatServer, name: str) -> None:
    """`until`, max_new_tokens, temperature and seed go with each prompt of the batch."""
    model = BACKENDS[name](server)
    more = {"max_new_tokens": 3, "temperature": 0.5, "seed": 7, "batch_size": 2}
    model.generate_batch([{"input": "q"}], until="\n", show_progress=False, **more)  # type: ignore[arg-type]
    run_sync(model.close())
    body = server.requests[-1].body
    assert (body["stop"], body["temperature"], body["seed"]) == (["\n"], 0.5, 7)
    assert 3 in (body.get("max_tokens"), body.get("max_completion_tokens"))


@pytest.mark.parametrize("name", TALKING)
def test_one_failure_is_one_samples(server: ChatServer, name: str) -> None:
    """What fails is data in its own place, without a text, and costs the others nothing."""
    server.rules.append(filters(BAD))
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
    server.rules.append(filters(BAD))
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
