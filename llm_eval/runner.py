"""One evaluation from names to result: load → prompt → generate → score → sum up.

One place catches, and only `RunError`: a bad sample is data; a bug, or a user's mistake, ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llm_eval.aio import in_order, run_sync
from llm_eval.dataset import load_datasets
from llm_eval.dataset.adapt import judges_itself, samples_of
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import HretError, RunError, UserError
from llm_eval.evaluation import BaseEvaluator, load_evaluator
from llm_eval.models import BaseModel, load_model, require
from llm_eval.models.function import FunctionModel
from llm_eval.records import Failure, Prediction, Sample, Score
from llm_eval.results import EvaluationResult, Reply, Row, mean, summed_up
from llm_eval.scaling_methods import SCALING_METHODS

AHEAD = 1024  # samples under way at once, whatever the limiter lets through
Model = str | BaseModel | Callable[[str], Any]
Dataset = str | type[BaseDataset] | BaseDataset


@dataclass(frozen=True, kw_only=True)
class PipelineRunner:
    """A run, described; `run()` does it. The names are haerae-evaluation-toolkit's.

    `listener` is called with (samples done, samples in all) as samples finish.
    """

    dataset_name: Dataset
    model_backend_name: Model
    subset: str | Sequence[str] | None = None
    split: str | None = None
    evaluation_method_name: str | None = None
    scaling_method_name: str | None = None
    dataset_params: Mapping[str, Any] = field(default_factory=dict)
    model_backend_params: Mapping[str, Any] = field(default_factory=dict)
    evaluator_params: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    listener: Callable[[int, int], None] | None = None

    def run(self) -> EvaluationResult:
        """The result; blocks until it is there."""
        return run_sync(self.arun())

    async def arun(self) -> EvaluationResult:
        """The result. Everything named is looked up before anything is loaded or asked."""
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit {self.limit} is less than 1")
        if self.scaling_method_name is not None:
            SCALING_METHODS.get(self.scaling_method_name)
            raise UserError(f"scaling_method={self.scaling_method_name!r} is not built yet")
        named = self.evaluation_method_name
        if self.evaluator_params and not named:
            raise UserError(
                f"evaluator_params {dict(self.evaluator_params)} belong to no method",
                hint="name one by evaluation_method",
            )
        method = load_evaluator(named, **self.evaluator_params) if named else None
        model = self._model()
        started = time.monotonic()
        dataset = await asyncio.to_thread(self._dataset)
        samples = await asyncio.to_thread(samples_of, dataset)
        samples = samples[: self.limit] if self.limit is not None else samples
        about, before = _info(dataset), model.usage
        method, note = _fitting(method, dataset, samples, about)
        if method.scoring == "logprob":
            require(model, "logprobs", f"evaluation method {method.name!r}")
        method.fits(samples)
        model.fits(samples)
        note = note or _alike(model, method)
        try:
            await model.check()
            rows = await self._rows(samples, model, method, dataset)
            usage = (model.usage - before).to_dict()
        finally:
            await model.close()
        info = {
            **about,
            "dataset": _name_of(self.dataset_name),
            "model": model.label,
            "evaluation_method": method.name,
            "scoring": method.scoring,
            **({"asked": dict(model.about)} if model.about else {}),
            **({"replies": method.replies} if method.replies > 1 else {}),
            **({"note": note} if note else {}),
            "usage": usage,
            "seconds": round(time.monotonic() - started, 3),
        }
        return EvaluationResult(summed_up(rows, method.measured), info, rows)

    async def _rows(
        self,
        samples: Sequence[Sample],
        model: BaseModel,
        method: BaseEvaluator,
        dataset: BaseDataset,
    ) -> list[Row]:
        size = model.can.batch
        packs = [samples[i : i + size] for i in range(0, len(samples), size)]
        gate, done = asyncio.Semaphore(max(1, AHEAD // (size * method.replies))), 0

        async def one(pack: Sequence[Sample]) -> list[Row]:
            nonlocal done
            async with gate:
                asked = [s for s in pack for _ in range(method.replies)]
                predictions = await _predictions(model, asked, method)
                replies = await _judged(asked, predictions, method, dataset)
                rows = [_row(s, replies, i, method) for i, s in enumerate(pack)]
            done += len(pack)
            if self.listener:
                self.listener(done, len(samples))
            return rows

        return [row for rows in await in_order(one(p) for p in packs) for row in rows]

    def _model(self) -> BaseModel:
        given = self.model_backend_name
        if isinstance(given, str):
            return load_model(given, **self.model_backend_params)
        if isinstance(given, BaseModel):
            if self.model_backend_params:
                raise UserError(
                    f"{given.name} is made already: {dict(self.model_backend_params)} is too late",
                    hint="leave model_params out, or name the backend",
                )
            return given
        if callable(given):
            try:
                return FunctionModel(given, **self.model_backend_params)
            except TypeError as e:
                raise UserError(f"a function as model: {e}", hint="it takes: concurrency") from None
        raise UserError(f"a model is a name, a backend or a function, not {type(given).__name__}")

    def _dataset(self) -> BaseDataset:
        for name in ("name", "subset", "split"):
            if name in self.dataset_params:
                raise UserError(f"dataset_params holds {name!r}", hint=f"pass it as {name}=")
        return load_datasets(self.dataset_name, self.subset, self.split, **self.dataset_params)


def _info(dataset: BaseDataset) -> dict[str, Any]:
    try:
        return dict(dataset.info())
    except HretError:
        raise
    except Exception as e:  # a module's code may raise anything; nothing was asked yet
        raise UserError(f"{type(dataset).__name__}.info() failed: {type(e).__name__}: {e}") from e


async def _predictions(
    model: BaseModel, pack: Sequence[Sample], method: BaseEvaluator
) -> list[Prediction]:
    """The predictions of a pack; where the backend fails as a whole, a failure for each sample.

    Where options are weighed, a sample that has none is not asked: it stays without a text.
    """
    prompts = [method.asked(s) for s in pack]
    try:
        if method.scoring == "generate":
            return await model.generate(prompts)
        closed = [p for p in prompts if p.options]
        told = iter(await model.weigh(closed, method.delimiter) if closed else [])
        return [next(told) if p.options else Prediction(sample_id=p.sample_id) for p in prompts]
    except RunError as e:
        return [Prediction(sample_id=s.id, failure=Failure.of(e, "generate")) for s in pack]


async def _judged(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    method: BaseEvaluator,
    dataset: BaseDataset,
) -> list[Reply]:
    """Each reply: scored, unscored for want of a reference, or failed."""
    pairs = list(zip(samples, predictions, strict=True))
    can = [_can_be_judged(s, p, method) for s, p in pairs]
    items = [pair for pair, yes in zip(pairs, can, strict=True) if yes]
    verdicts = iter(await method.judge_all(items, dataset) if items else [])
    return [
        _reply(p, next(verdicts) if yes else None) for p, yes in zip(predictions, can, strict=True)
    ]


def _can_be_judged(sample: Sample, prediction: Prediction, method: BaseEvaluator) -> bool:
    if prediction.failure or (prediction.text is None and method.scoring == "generate"):
        return False
    return sample.reference is not None or not method.needs_reference


def _reply(prediction: Prediction, verdict: Score | Failure | None) -> Reply:
    if isinstance(verdict, Failure):
        return Reply(prediction, None, verdict.to_dict())
    failure = prediction.failure
    if failure is None and prediction.text is None and verdict is None:
        failure = Failure(where="generate", kind="malformed", message="no text")
    return Reply(prediction, verdict, failure.to_dict() if failure else None)


def _row(sample: Sample, replies: Sequence[Reply], place: int, method: BaseEvaluator) -> Row:
    """The row of the sample at `place` of a pack, from its replies."""
    own = replies[place * method.replies : (place + 1) * method.replies]
    first = next((r for r in own if not r.error), own[0])
    if method.replies == 1:
        return Row(sample, first.prediction, first.score, first.error)
    errors = [r.error for r in own if r.error]
    if len(own) - len(errors) < method.least:
        return Row(sample, first.prediction, None, errors[0], own)
    values = [r.score.value for r in own if r.score and r.score.value is not None]
    score = replace(first.score, value=mean(values)) if first.score else None
    return Row(sample, first.prediction, score, None, own)


def _fitting(
    method: BaseEvaluator | None,
    dataset: BaseDataset,
    samples: Sequence[Sample],
    about: Mapping[str, Any],
) -> tuple[BaseEvaluator, str]:
    """The method to use and, where it is not the one asked for, why.

    Asked for none: the one that the dataset's `info()` names ("evaluation_method", or the first of
    "evaluation_only"), else its own where it has one. Asked for one that needs references, of a
    dataset that gives none but judges itself: its own as well.

    Raises:
        UserError: "evaluation_only" leaves out the one asked for, or there are no references.
    """
    own, only = judges_itself(dataset), about.get("evaluation_only") or []
    only = [only] if isinstance(only, str) else list(only)
    if method is None:
        named = [about.get("evaluation_method"), *only, "dataset" if own else "string_match"]
        return load_evaluator(next(n for n in named if isinstance(n, str) and n)), ""
    if only and method.name not in only:
        raise UserError(
            f"{type(dataset).__name__} is not evaluated by {method.name}",
            hint=f"its info() allows: {', '.join(map(str, only))}",
        )
    if method.needs_reference and all(s.reference is None for s in samples):
        if own:
            why = f"{method.name} needs references and this dataset has none: it judges itself"
            return load_evaluator("dataset"), why
        raise UserError(
            f"{method.name} needs references, and {type(dataset).__name__} has none",
            hint="give 'reference' in load(), or define evaluate_prediction()",
        )
    return method, ""


def _alike(model: BaseModel, method: BaseEvaluator) -> str:
    """What makes all replies to a sample the same, where several are asked for."""
    params = getattr(model, "params", None) or {}
    seed = params.get("seed")
    fixed = ["temperature=0"] * (params.get("temperature") == 0) + [f"seed={seed}"] * bool(seed)
    if method.replies == 1 or not fixed:
        return ""
    said = " and ".join(fixed)
    return f"with {said} the {method.replies} replies to a sample may be all the same"


def _name_of(dataset: Dataset) -> str:
    if isinstance(dataset, str):
        return dataset
    return dataset.__name__ if isinstance(dataset, type) else type(dataset).__name__
