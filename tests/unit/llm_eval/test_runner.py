"""A run: everything named is looked up first, one bad sample costs one sample, and order stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from llm_eval.dataset import BaseDataset
from llm_eval.errors import BackendError, Unknown, UserError
from llm_eval.evaluation import EVALUATORS, BaseEvaluator, register_evaluator
from llm_eval.evaluator import UNBUILT, Evaluator
from llm_eval.models import MODELS, BaseModel
from llm_eval.models.base import Capabilities
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Prompt, Sample, Score
from llm_eval.results import EvaluationResult
from llm_eval.runner import PipelineRunner
from llm_eval.scaling_methods import SCALING_METHODS, register_scaling_method
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import filters

SIZE = 40


class Numbers(BaseDataset):
    """`q0` … with the answers 0, 1, 2, …; counts how often it was loaded."""

    loads = 0

    def load(self) -> list[dict[str, Any]]:
        type(self).loads += 1
        return [{"input": f"q{i}", "reference": i, "note": f"n{i}"} for i in range(SIZE)]


class Judging(BaseDataset):
    """A module that has no references and judges itself."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.data = [f"word{i}" for i in range(4)]

    def get_prompt(self, index: int) -> str:
        return self.data[index]

    def evaluate_prediction(self, index: int, prediction: str) -> Any:
        return prediction == self.data[index].upper(), float(prediction.isupper())


class NoGold(BaseDataset):
    """A module without references that cannot judge."""

    def load(self) -> list[dict[str, Any]]:
        return [{"input": "chat", "reference": None}] * 3


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it, and nothing was loaded before it."""
    for registry in (MODELS, EVALUATORS, SCALING_METHODS):
        monkeypatch.setattr(registry, "_live", dict(registry._live))
    monkeypatch.setattr(Numbers, "loads", 0)


def right(text: str) -> str:
    """A function that knows the answers of `Numbers`."""
    return f"정답: {text.removeprefix('q')}"


class Asked:
    """A function that knows the answers, and what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> str:
        self.texts.append(text)
        return right(text)


def run(model: Any = right, dataset: Any = Numbers, **options: Any) -> EvaluationResult:
    """An evaluation."""
    return Evaluator().run(model, dataset, **options)


def counts(found: EvaluationResult) -> tuple[Any, ...]:
    """The numbers that add up to the whole."""
    m = found.metrics
    return m["accuracy"], m["n"], m["failed"], m["unscored"]


# --- order, and what becomes of a sample -------------------------------------------------------


def test_results_are_in_the_order_of_the_dataset(chat: ChatServer) -> None:
    """Whichever reply came first: input, reply and what else was in a row are its own."""
    chat.answer = lambda messages: right(messages[-1]["content"])
    chat.slot_rate = 300.0
    model = OpenAIModel("m", api_base=chat.url)
    found = run(model)
    assert counts(found) == (1.0, SIZE, 0, 0)
    for i, sample in enumerate(found.samples):
        assert (sample["input"], sample["prediction"]) == (f"q{i}", f"정답: {i}")
        assert (sample["reference"], sample["metadata"]) == (str(i), {"note": f"n{i}"})


def test_the_reply_is_kept_as_it_came() -> None:
    """The judgement reads it and changes nothing: thoughts, spaces and all."""
    reply = "  <think>0?</think> 정답: 0 \n"
    found = run(lambda text: reply, limit=1)
    assert found.samples[0]["prediction"] == reply
    assert found.samples[0]["evaluation"] == {"is_correct": True, "score": 1.0, "extracted": "0"}


def test_failures_are_no_wrong_answers(chat: ChatServer) -> None:
    """What broke in transport is counted apart, and the accuracy stands on the rest."""
    chat.answer = lambda messages: right(messages[-1]["content"])
    chat.script(*[Fault.server_error] * 3)
    chat.rules.append(filters("q7", "q38"))
    found = run(OpenAIModel("m", api_base=chat.url, max_retries=0))
    assert counts(found) == (1.0, SIZE - 5, 5, 0)
    kinds = sorted(s["error"]["kind"] for s in found.samples if "error" in s)
    assert kinds == ["content_filter", "content_filter", "server", "server", "server"]
    assert all(s["prediction"] is None for s in found.samples if "error" in s)
    assert len(found.samples) == SIZE


def test_a_reply_without_an_answer_counts_0(chat: ChatServer) -> None:
    """A thought up to the limit, a refusal, a filtered reply: left out, they would raise the rest.

    The words of a refusal are its text.
    """
    ends = {
        "q1": ({"content": None, "reasoning_content": "정답: 1"}, "length"),
        "q2": ({"content": "", "reasoning_content": "정답: 2"}, "length"),
        "q3": ({"content": None, "refusal": "거절합니다."}, "stop"),
        "q4": (
            {"content": None, "provider_specific_fields": {"refusal": "거절합니다."}},
            "stop",
        ),
        "q5": ({"content": None}, "content_filter"),
        "q6": ({"content": None, "reasoning_content": "정답: 6"}, "stop"),
    }

    def bend(asked: Any, reply: Any) -> Any:
        message, end = ends.get(asked["messages"][-1]["content"], (None, "stop"))
        if message:
            reply["choices"] = [{"message": message, "finish_reason": end}]
        return reply

    chat.answer = lambda messages: right(messages[-1]["content"])
    chat.bends.append(bend)
    found = run(OpenAIModel("m", api_base=chat.url), limit=10)
    assert counts(found) == (0.4, 10, 0, 0)
    assert (found.metrics["answer_rate"], found.metrics["truncated"]) == (0.4, 2)
    texts = [s["prediction"] for s in found.samples]
    assert texts[1:7] == ["", "", "거절합니다.", "거절합니다.", "", ""]
    ended = [s.get("finish_reason") for s in found.samples]
    assert ended[1:7] == ["length", "length", "refusal", "refusal", "content_filter", None]


def test_a_function_that_fails_costs_its_samples() -> None:
    """An exception of the user's own is one sample's failure and says what it was."""

    def half(text: str) -> str:
        if text in ("q3", "q5"):
            raise ZeroDivisionError("mine")
        return right(text)

    found = run(half)
    assert counts(found) == (1.0, SIZE - 2, 2, 0)
    assert "ZeroDivisionError: mine" in found.samples[3]["error"]["message"]


class Plugged(BaseModel):
    """Somebody's backend, which raises where it should record."""

    can = Capabilities(batch=4)

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        if any(p.text == "q5" for p in prompts):
            raise BackendError("engine stalled", kind="server")
        return [Prediction(sample_id=p.sample_id, text=right(p.text)) for p in prompts]


def test_a_backend_that_raises_costs_its_batch() -> None:
    """An error that is data stays data: the run goes on, and nothing that was paid for is lost."""
    found = run(Plugged())
    assert counts(found) == (1.0, SIZE - 4, 4, 0)
    assert {s["error"]["kind"] for s in found.samples[4:8]} == {"server"}


def test_a_bug_ends_the_run() -> None:
    """What is no error of ours is never hidden in a result."""

    class Buggy(Plugged):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            raise AttributeError("a bug")

    with pytest.raises(AttributeError, match="a bug"):
        run(Buggy())


def test_a_prediction_that_never_comes_is_a_failure() -> None:
    """A backend with nothing to give for a sample costs that sample, and says how many it gave."""

    class Losing(Plugged):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            kept = [p for p in prompts if p.text != "q7"]
            return [Prediction(sample_id=p.sample_id, text=right(p.text)) for p in kept]

    found = run(Losing())
    assert counts(found) == (1.0, SIZE - 1, 1, 0)
    error = found.samples[7]["error"]
    assert error["kind"] == "malformed"
    assert "0 predictions for 1 prompt" in error["message"]


# --- scoring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", [KeyError("q"), ZeroDivisionError(), RecursionError("deep")])
def test_a_scorer_that_raises_costs_one_sample(raised: Exception) -> None:
    """The reply is kept, the sample is counted as failed, and the others are scored."""

    @register_evaluator("picky")
    class Picky(BaseEvaluator):
        name = "picky"

        def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
            if sample.index == 2:
                raise raised
            return Score(sample_id=sample.id, value=0.5)

    found = run(evaluation_method="picky")
    assert counts(found) == (0.5, SIZE - 1, 1, 0)
    lost = found.samples[2]
    assert (lost["prediction"], lost["error"]["kind"]) == ("정답: 2", "scoring")
    assert type(raised).__name__ in lost["error"]["message"]


def test_a_dataset_that_judges_itself_does() -> None:
    """Without a method named, its own verdict counts; there is no reference to compare with."""
    found = run(str.upper, Judging)
    assert counts(found) == (1.0, 4, 0, 0)
    assert found.info["evaluation_method"] == "dataset"
    assert "note" not in found.info
    assert run(str.lower, Judging).metrics["accuracy"] == 0.0


def test_a_method_that_needs_references_gives_way() -> None:
    """Of a dataset without any that judges itself, its own is used, and the record says so."""
    found = run(str.upper, Judging, evaluation_method="string_match")
    assert counts(found) == (1.0, 4, 0, 0)
    assert found.info["evaluation_method"] == "dataset"
    assert "string_match needs references" in found.info["note"]


def test_a_method_that_needs_references_is_refused_where_nothing_judges() -> None:
    """No reference and no judge: told before anything is asked."""
    asked = Asked()
    with pytest.raises(UserError, match="string_match needs references, and NoGold has none"):
        run(asked, NoGold, evaluation_method="string_match")
    assert asked.texts == []


def test_a_dataset_without_gold_is_answered_and_not_scored() -> None:
    """Its own verdict is (False, None): unscored, never wrong."""
    found = run(right, NoGold, evaluation_method="dataset")
    assert counts(found) == (None, 0, 0, 3)


@pytest.mark.parametrize("verdict", [True, None, 0.5, ("x", "y"), (True,), (1, 2, 3)], ids=repr)
def test_a_verdict_that_is_none_costs_its_sample(verdict: Any) -> None:
    """A module that returns anything but (bool, score) is quoted, and scores nothing."""

    class Odd(Judging):
        def evaluate_prediction(self, index: int, prediction: str) -> Any:
            return verdict if index == 1 else (True, 1)

    found = run(str.upper, Odd)
    assert counts(found) == (1.0, 3, 1, 0)
    assert repr(verdict) in found.samples[1]["error"]["message"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_spoils_no_mean(value: float) -> None:
    """One NaN among the verdicts is that sample's loss, not the whole run's."""

    class Odd(Judging):
        def evaluate_prediction(self, index: int, prediction: str) -> Any:
            return True, (value if index == 1 else 1.0)

    assert run(str.upper, Odd).metrics["accuracy"] == 1.0


@pytest.mark.parametrize("thought", ["<thought>{}</thought>", "[THINK]{}[/THINK]", "{}</think>"])
def test_a_module_never_reads_a_thought(thought: str) -> None:
    """A module that compares whole texts is right, whatever tag a model thinks behind."""
    found = run(lambda text: thought.format("Is it WORD9?") + text.upper(), Judging)
    assert found.metrics["accuracy"] == 1.0


# --- before anything is loaded or asked --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "openia"}, "did you mean 'openai'"),
        ({"evaluation_method": "string_mach"}, "did you mean 'string_match'"),
        ({"model": "random", "model_params": {"sed": 1}}, "sed"),
        ({"evaluation_method": "string_match", "evaluator_params": {"strict": 1}}, "strict"),
        ({"evaluator_params": {"strict": 1}}, "strict"),
        ({"model": right, "model_params": {"temperature": 0}}, "temperature"),
        ({"model": Plugged(), "model_params": {"temperature": 0}}, "temperature"),
        ({"model": 7}, "a model is a name"),
        ({"limit": -1}, "limit"),
        ({"sclaing": 1}, "sclaing"),
        ({"dataset_params": {"split": "train"}, "split": "test"}, "split"),
    ],
)
def test_what_cannot_be_honoured_is_told_first(options: dict[str, Any], said: str) -> None:
    """A typo, or an option that nobody takes, is a sentence before the dataset is loaded."""
    with pytest.raises(UserError) as caught:
        run(**{"model": right, **options})
    assert said in str(caught.value)
    assert Numbers.loads == 0


def test_an_unknown_dataset_is_told_before_a_request(chat: ChatServer) -> None:
    """The model is not even checked."""
    with pytest.raises(Unknown, match="no dataset called 'nowhere'"):
        run(OpenAIModel("m", api_base=chat.url), "nowhere")
    assert chat.requests == []


def test_a_model_that_fits_no_sample_is_told_first() -> None:
    """`first` picks an option; these samples have none."""
    with pytest.raises(UserError, match="'first' picks an option"):
        run("first")


def test_a_refused_key_ends_the_run_at_once(chat: ChatServer) -> None:
    """One call, and not one for each sample."""
    chat.key = "sk-right"
    with pytest.raises(PermissionError):
        run(OpenAIModel("m", api_base=chat.url, api_key="sk-wrong"))
    assert len(chat.requests) == 1


def test_a_dataset_whose_info_fails_costs_no_request() -> None:
    """What will stand in the record is asked for before the first sample is paid for."""

    class Silent(Numbers):
        def info(self) -> Any:
            raise RuntimeError("no card")

    asked = Asked()
    with pytest.raises(Exception, match="no card"):
        run(asked, Silent)
    assert asked.texts == []


def test_no_model_or_no_dataset_is_told() -> None:
    """Neither is guessed."""
    with pytest.raises(UserError, match="needs a model"):
        Evaluator().run(dataset=Numbers)
    with pytest.raises(UserError, match="needs a dataset"):
        Evaluator().run("oracle")


@pytest.mark.parametrize("name", UNBUILT)
def test_an_option_that_is_not_built_is_refused(name: str) -> None:
    """Set, it would be ignored: refused. Left at nothing, it is no option at all."""
    with pytest.raises(UserError, match=f"{name}='x' is not built yet"):
        run(**{name: "x"})
    assert Numbers.loads == 0
    assert run(limit=1, **{name: None}).metrics["n"] == 1


def test_a_scaling_method_is_used_or_refused() -> None:
    """One that is registered is not taken and then left out."""
    register_scaling_method("best_of_two")(object)
    asked: dict[str, Any] = {"dataset_name": Numbers, "model_backend_name": right}
    with pytest.raises(UserError, match="best_of_two"):
        PipelineRunner(**asked, scaling_method_name="best_of_two").run()


# --- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, SIZE, SIZE + 9])
def test_a_limit_takes_the_first_so_many(limit: int) -> None:
    """The first samples, and no request for any other."""
    asked = Asked()
    found = run(asked, limit=limit)
    wanted = [f"q{i}" for i in range(min(limit, SIZE))]
    assert [s["input"] for s in found.samples] == asked.texts == wanted


def test_the_listener_hears_of_every_sample() -> None:
    """Done rises to the whole, and the whole is what will be done."""
    heard: list[tuple[int, int]] = []
    run(limit=9, listener=lambda done, total: heard.append((done, total)))
    assert heard == [(i, 9) for i in range(1, 10)]


def test_the_record_says_what_was_run(chat: ChatServer) -> None:
    """Dataset, subset, split, model and what was spent; the key is in no part of it."""
    chat.key = "sk-hidden-key"
    model = OpenAIModel("m", api_base=chat.url, api_key="sk-hidden-key")
    found = run(model, subset="s", split="train", limit=3)
    info = found.info
    assert (info["dataset"], info["subset"], info["split"]) == ("Numbers", "s", "train")
    assert (info["model"], info["evaluation_method"]) == ("openai:m", "string_match")
    tokens = [info["usage"][k] for k in ("prompt_tokens", "completion_tokens")]
    assert min(tokens) > 0
    assert info["usage"]["requests"] == chat.count() == 3
    assert "sk-hidden-key" not in str(found.to_dict()) + repr(found) + repr(vars(model))


def test_a_second_run_counts_its_own(chat: ChatServer) -> None:
    """A model used for two runs does not charge the second one for the first."""
    model = OpenAIModel("m", api_base=chat.url)
    first, second = (run(model, limit=4).info["usage"] for _ in range(2))
    assert first == second


def test_the_defaults_stand_where_nothing_is_said() -> None:
    """An evaluator's own defaults, and a call's arguments over them."""
    evaluator = Evaluator("oracle", "string_match", "validation")
    info = evaluator.run(dataset=Numbers).info
    assert (info["model"], info["split"]) == ("oracle", "validation")
    assert evaluator.run(right, Numbers, split="test").info["split"] == "test"


def test_it_runs_where_a_loop_runs() -> None:
    """In a notebook `run` returns as anywhere, and `arun` is awaited."""

    async def cell() -> list[EvaluationResult]:
        return [run("oracle"), await Evaluator().arun("oracle", Numbers)]

    one, other = asyncio.run(cell())
    assert counts(one) == counts(other) == (1.0, SIZE, 0, 0)
