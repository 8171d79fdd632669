"""A backend of many prompts at once tells of each as it is finished; a run keeps it then."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import BaseDataset
from llm_eval.errors import BackendError
from llm_eval.evaluation import EVALUATORS, register_evaluator
from llm_eval.evaluator import Evaluator
from llm_eval.models import BaseModel
from llm_eval.models.base import Capabilities, Done
from llm_eval.models.multi import MultiModel
from llm_eval.records import Continuation, Prediction, Prompt
from llm_eval.results import EvaluationResult

SIZE, FINISHED = 6, ("4", "1", "2")


class Letters(BaseDataset):
    """Questions whose answer is a; one of them has no options."""

    def load(self) -> list[dict[str, Any]]:
        rows = [{"input": f"q{i}", "reference": "a", "options": ["a", "b"]} for i in range(SIZE)]
        return [{**row, "options": []} if i == 3 else row for i, row in enumerate(rows)]


class Batched(BaseModel):
    """Tells of some that it has finished, and then fails, or never ends."""

    can = Capabilities(batch=SIZE, logprobs=True)

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error, self.asked = error, list[str]()
        self.waits: asyncio.Event | None = None

    async def generate(
        self, prompts: Sequence[Prompt], done: Done | None = None
    ) -> list[Prediction]:
        both = tuple(Continuation(logprob=-x, tokens=1, chars=0) for x in (1.0, 2.0))
        told = [Prediction(sample_id=p.sample_id, text=" a", options=both) for p in prompts]
        self.asked += [p.sample_id for p in prompts]
        if len(prompts) == SIZE or (len(prompts) == SIZE - 1 and prompts[0].options):
            ids = [p.sample_id for p in prompts]
            for place in (0, 2, 4) if ids[:2] == ["0", "0"] else map(ids.index, FINISHED):
                if done is not None:
                    done(place, told[place])
            if self.waits is not None:
                self.waits.set()
                await asyncio.Event().wait()
            if self.error is not None:
                raise self.error
        return told

    likelihoods = generate


class Shouting(Batched):
    """Changes what it is told, in a way that knows of no `done`."""

    async def generate(self, prompts: Sequence[Prompt], **_: Any) -> list[Prediction]:  # type: ignore[override]
        return [replace(p, text="b") for p in await super().generate(prompts)]


def run(model: Any, method: str = "string_match", **options: Any) -> EvaluationResult:
    """An evaluation."""
    return Evaluator().run(model, Letters, evaluation_method=method, **options)


def journaled() -> list[str]:
    """The samples that the run's journal has, in order, each as often as it stands there."""
    (path,) = Path(os.environ["HRET_HOME"]).glob("runs/*/journal.jsonl")
    told = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [t["id"] for t in told if "id" in t]


@pytest.mark.parametrize("method", ["string_match", "log_likelihood"])
@pytest.mark.parametrize("roles", [False, True])
def test_what_was_finished_before_a_bug_is_kept(method: str, roles: bool) -> None:
    """It is in the journal, judged as it would be, and is not asked again."""
    model = Batched(RuntimeError("a bug"))
    asked = MultiModel(generate_model=model) if roles else model
    with pytest.raises(RuntimeError, match="a bug"):
        run(asked, method)
    assert journaled() == list(FINISHED)
    model.error, model.asked = None, []
    found = run(asked, method, resume="last")
    weighs = method == "log_likelihood"
    assert model.asked == [s for s in "0123456"[:SIZE] if s not in (*FINISHED, weighs and "3")]
    whole = run(Batched(), method, journal=False)
    assert (found.metrics, found.to_dict()["samples"]) == (
        whole.metrics,
        whole.to_dict()["samples"],
    )
    assert sorted(journaled()) == sorted({*journaled()})


def test_what_was_finished_before_an_error_is_not_divided() -> None:
    """A prompt that the backend refuses costs itself, and what was told stands."""
    model = Batched(BackendError("refused", kind="bad_request"))
    found = run(model)
    assert found.metrics["n"] == SIZE
    assert sorted(model.asked[SIZE:]) == ["0", "3", "5"] and sorted(journaled()) == list("012345")


def test_what_was_finished_before_a_stop_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the others would still take."""
    monkeypatch.setattr("llm_eval.runs.work.GRACE", 0.0)
    model = Batched()

    async def stopped() -> None:
        model.waits = asyncio.Event()
        task = asyncio.create_task(Evaluator().arun(model, Letters))
        await model.waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert sorted(journaled()) == sorted(FINISHED)


def test_some_replies_to_a_sample_are_kept_where_others_are_not_finished() -> None:
    """The others alone are asked for when the run goes on."""

    @register_evaluator("twice")
    class Twice(EVALUATORS.get("string_match")):  # type: ignore[misc]
        name, replies = "twice", 2

    model = Batched(RuntimeError("a bug"))
    model.can = Capabilities(batch=SIZE)
    with pytest.raises(RuntimeError, match="a bug"):
        run(model, "twice", limit=SIZE // 2)
    model.error, model.asked = None, []
    assert run(model, "twice", limit=SIZE // 2, resume="last").metrics["n"] == SIZE // 2
    assert sorted(model.asked) == ["0", "1", "2"]


def test_a_subclass_that_changes_replies_is_asked_as_ever() -> None:
    """What its parent tells of is not what it answers."""
    found = run(Shouting())
    assert [s["prediction"] for s in found.to_dict()["samples"]] == ["b"] * SIZE
