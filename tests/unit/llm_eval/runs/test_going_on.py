"""What a resumed run judges and pays for: only what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from llm_eval.dataset import BaseDataset
from llm_eval.errors import AuthError, BackendError, HretError, UserError
from llm_eval.evaluation import EVALUATORS, BaseEvaluator, register_evaluator
from llm_eval.evaluator import Evaluator
from llm_eval.models import MODELS, BaseModel
from llm_eval.models.base import Capabilities
from llm_eval.models.multi import MultiModel
from llm_eval.models.roles import BaseRewardModel, Reward
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Score, Usage
from llm_eval.results import EvaluationResult
from llm_eval.runs.work import Progress

LOST = Failure(where="generate", kind="timeout", message="late", retryable=True)
SIZE = 4


class Letters(BaseDataset):
    """Questions whose answer is a."""

    def load(self) -> list[dict[str, Any]]:
        return [{"input": f"q{i}", "reference": "a", "options": ["a", "b"]} for i in range(SIZE)]


class Server(BaseModel):
    """A backend that may lose what it is asked in some turns, and counts."""

    def __init__(self, **about: Any) -> None:
        super().__init__()
        self.told_of, self.asked = about, list[Prompt]()
        self.loses: Callable[[Prompt], bool] = lambda prompt: False

    @property
    def about(self) -> dict[str, Any]:
        return self.told_of

    @property
    def usage(self) -> Usage:
        return Usage(len(self.asked))

    def cost(self, usage: Usage) -> float:
        return float(usage.requests)

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        self.asked += prompts
        told = [Prediction(sample_id=p.sample_id, text="a") for p in prompts]
        return [
            replace(t, text=None, failure=LOST) if self.loses(p) else t
            for p, t in zip(prompts, told, strict=True)
        ]


class Thrice(BaseEvaluator):
    """Judges three replies to each sample, and remembers how many it was given."""

    name, replies, least = "thrice", 3, 1
    judged = 0

    async def score_all(self, items: Any, dataset: BaseDataset) -> list[Score | Failure]:
        type(self).judged += len(items)
        return [Score(sample_id=s.id, value=1.0) for s, _ in items]


class Liking(BaseRewardModel):
    """Gives what it is told to give, and remembers for how many."""

    def __init__(self, *given: Any) -> None:
        super().__init__()
        self.given, self.asked = given, 0

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        self.asked += len(items)
        return [self.given[int(p.sample_id) % len(self.given)] for p, _ in items]


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for registry in (MODELS, EVALUATORS):
        monkeypatch.setattr(registry, "_live", dict(registry._live))
    register_evaluator("thrice")(Thrice)
    monkeypatch.setattr(Thrice, "judged", 0)


def run(model: Any, dataset: Any = Letters, **options: Any) -> EvaluationResult:
    """An evaluation."""
    return Evaluator().run(model, dataset, **options)


# --- what is judged and rewarded anew ----------------------------------------------------------


def test_only_what_is_new_is_judged_and_rewarded() -> None:
    """The verdicts on what came before are in the journal, and were paid for."""
    model, liking = Server(), Liking(0.5)
    model.loses = lambda prompt: prompt.turn == 2
    run(model, evaluation_method="thrice", reward_model=liking)
    assert (Thrice.judged, liking.asked, len(model.asked)) == (8, 8, 12)
    model.loses = lambda prompt: False
    found = run(model, evaluation_method="thrice", reward_model=liking, resume="last")
    assert (Thrice.judged, liking.asked, len(model.asked)) == (12, 12, 16)
    assert [p.turn for p in model.asked[12:]] == [2] * SIZE
    assert (found.metrics["n"], found.metrics["reward"], found.metrics["reward_n"]) == (4, 0.5, 4)


def test_a_reward_that_failed_costs_no_judgement() -> None:
    """Nor the rewards that came."""
    lost = replace(LOST, where="reward")
    model, liking = Server(), Liking(1.0, lost)
    first = run(model, evaluation_method="thrice", reward_model=liking)
    assert first.metrics["reward_failed"] == 2
    liking.given = (0.0,)
    found = run(model, evaluation_method="thrice", reward_model=liking, resume="last")
    assert (Thrice.judged, liking.asked, len(model.asked)) == (12, 18, 12)
    assert (found.metrics["reward"], found.metrics["reward_n"]) == (0.5, SIZE)
    assert not any("reward_error" in s for s in found.samples)


def test_verdicts_outlast_a_reward_model_that_breaks() -> None:
    """What the judge said is kept; the rewards are owed."""

    class Poor(Liking):
        async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
            if not self.given:
                raise UserError("no money left")
            return await super().rewards(items)

    liking = Poor()
    with pytest.raises(UserError, match="no money"):
        run(Server(), evaluation_method="thrice", reward_model=liking)
    judged, liking.given = Thrice.judged, (1.0,)
    found = run(Server(), evaluation_method="thrice", reward_model=liking, resume="last")
    assert judged >= 3 and Thrice.judged == 12
    assert (found.metrics["n"], found.metrics["reward_n"]) == (SIZE, SIZE)


def test_a_reward_that_is_owed_is_no_failure() -> None:
    """`max_failures` counts what failed, and not what is made again."""
    heard: list[Progress] = []
    liking = Liking(replace(LOST, where="reward"))
    for more in ({}, {"resume": "last", "max_failures": 0, "watch": heard.append}):
        found = run(Server(), evaluation_method="thrice", reward_model=liking, **more)
    assert found.metrics["failed"] == 0 and {p.failed for p in heard} == {0}
    refused = replace(LOST, kind="content_filter")

    class Half(Server):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            if prompts[0].sample_id == "1":
                return [Prediction(sample_id="1", failure=refused) for _ in prompts]
            return await super().generate(prompts)

    half = Half()
    half.loses = lambda prompt: prompt.sample_id == "0"
    run(half, evaluation_method="thrice")
    heard.clear()
    half.loses = lambda prompt: False
    run(half, evaluation_method="thrice", resume="last", max_failures=1, watch=heard.append)
    assert heard[0].failed == heard[-1].failed == 1


@pytest.mark.parametrize("given", [float("nan"), float("inf"), None, "much"])
def test_a_reward_that_is_no_number_is_a_failure(given: Any) -> None:
    """A mean over it would be none."""
    found = run(Server(), evaluation_method="string_match", reward_model=Liking(0.5, given))
    metrics = found.metrics
    assert (metrics["reward"], metrics["reward_n"], metrics["reward_failed"]) == (0.5, 2, 2)
    assert "no finite number" in found.samples[1]["reward_error"]["message"]


def test_the_rewards_of_a_multi_model_are_taken() -> None:
    """Given as the model it is asked in all its roles, beside those that are named."""
    liking = Liking(0.5)
    multi = MultiModel(generate_model=Server(), reward_model=liking)
    assert run(multi, evaluation_method="string_match").metrics["reward"] == 0.5
    judged = run(multi, evaluation_method="string_match", judge_model=Server())
    assert (judged.metrics["reward"], liking.asked) == (0.5, 2 * SIZE)
    assert set(judged.info["asked"]) == {"generate", "judge", "reward"}


# --- what is counted ---------------------------------------------------------------------------


def test_a_model_in_two_roles_is_paid_once() -> None:
    """It counts its requests itself."""
    model = Server()
    found = run(
        MultiModel(generate_model=model, judge_model=model), evaluation_method="string_match"
    )
    assert (found.info["usage"]["requests"], found.info["cost_usd"]) == (SIZE, float(SIZE))


def test_what_is_asked_before_the_first_sample_is_paid_too() -> None:
    """Whether a server tells likelihoods is seen by asking it."""

    class Probed(Server):
        can = Capabilities(logprobs=True)

        async def probe(self) -> None:
            await self.generate([Prompt(sample_id="", text="?")] * 2)

        async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            self.asked += prompts
            both = tuple(Continuation(logprob=-x, tokens=1, chars=1) for x in (1.0, 2.0))
            return [Prediction(sample_id=p.sample_id, options=both) for p in prompts]

    found = run(Probed(), evaluation_method="log_likelihood")
    assert found.info["usage"]["requests"] == SIZE + 2


# --- what came before an error -----------------------------------------------------------------


class Ending(Server):
    """Raises in the midst of a call, and hands over what came before."""

    can = Capabilities(batch=1)

    def __init__(self, error: HretError, after: int) -> None:
        super().__init__()
        self.error: HretError | None = error
        self.after, self.answered = after, 0

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        finished: list[Prediction | None] = []
        for prompt in prompts:
            if self.error is not None and self.answered >= self.after:
                finished.append(None)
                continue
            finished += await super().generate([prompt])
            self.answered += 1
        if self.error is not None and None in finished:
            self.error.finished = finished  # type: ignore[attr-defined]
            raise self.error
        return [p for p in finished if p is not None]


@pytest.mark.parametrize("batch", [1, 12])
@pytest.mark.parametrize("after", [0, 1, 5, 6, 11])
def test_what_came_before_an_error_is_not_asked_again(
    after: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quota ends a run in the midst of a sample's replies; those that came are in the journal."""
    monkeypatch.setattr(Ending, "can", Capabilities(batch=batch))
    model = Ending(UserError("insufficient_quota"), after)
    with pytest.raises(UserError, match="insufficient_quota"):
        run(model, evaluation_method="thrice")
    assert model.answered == after
    model.error = None
    found = run(model, evaluation_method="thrice", resume="last")
    assert (model.answered, Thrice.judged) == (3 * SIZE, 3 * SIZE)
    assert (found.metrics["n"], found.metrics["failed"]) == (SIZE, 0)
    assert found.info["usage"]["requests"] == 3 * SIZE


def test_a_refused_key_is_told_as_it_is() -> None:
    """It is a PermissionError, and no trouble with a file of ours."""
    model = Ending(AuthError("the key was refused", hint="check it"), 5)
    with pytest.raises(AuthError, match=r"refused\n  → check it; what was answered is kept: run"):
        run(model, evaluation_method="thrice")
    model.error = None
    run(model, evaluation_method="thrice", resume="last")
    assert len(model.asked) == 3 * SIZE


def test_an_error_of_a_method_is_no_trouble_with_the_disk() -> None:
    """What one's own code raises comes as it is, with how to go on."""

    @register_evaluator("down")
    class Down(Thrice):
        name = "down"

        async def score_all(self, items: Any, dataset: BaseDataset) -> list[Score | Failure]:
            raise ConnectionError("the judge's server is down")

    with pytest.raises(ConnectionError, match="server is down") as caught:
        run(Server(), evaluation_method="down")
    assert "resume=" in caught.value.__notes__[0]


class Picky(Server):
    """Raises over one reply to one sample, and hands over all the others."""

    can = Capabilities(batch=12)

    def __init__(self, error: HretError) -> None:
        super().__init__()
        self.error = error

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        fine = [p for p in prompts if (p.sample_id, p.turn) != ("1", 1)]
        told = iter(await super().generate(fine))
        finished = [next(told) if p in fine else None for p in prompts]
        if None in finished:
            self.error.finished = finished  # type: ignore[attr-defined]
            raise self.error
        return [p for p in finished if p is not None]


@pytest.mark.parametrize("kind", ["server", "bad_request"])
def test_what_came_beside_one_that_failed_stands(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked twice, and one reply is lost."""
    monkeypatch.setattr(Thrice, "least", 3)
    model = Picky(BackendError("down", kind=kind))
    found = run(model, evaluation_method="thrice")
    assert (len(model.asked), found.metrics["failed"], found.metrics["n"]) == (11, 1, SIZE - 1)
