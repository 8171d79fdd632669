"""One evaluation from names to result: load → prompt → generate → score → sum up.

One place catches, and only `RunError`: a bad sample is data; a bug, or a user's mistake, ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_eval.aio import in_order, run_sync
from llm_eval.dataset import load_datasets
from llm_eval.dataset.adapt import judges_itself, samples_of
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import HretError, RunError, ScoringError, UserError, boundary
from llm_eval.evaluation import BaseEvaluator, load_evaluator
from llm_eval.models import BaseModel, load_model
from llm_eval.models.function import FunctionModel
from llm_eval.records import Failure, Prediction, Prompt, Sample
from llm_eval.results import EvaluationResult, Row, summed_up
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
        method, note = _fitting(method, dataset, samples)
        model.fits(samples)
        about, before = _info(dataset), model.usage
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
            **({"note": note} if note else {}),
            "usage": usage,
            "seconds": round(time.monotonic() - started, 3),
        }
        return EvaluationResult(summed_up(rows), info, rows)

    async def _rows(
        self,
        samples: Sequence[Sample],
        model: BaseModel,
        method: BaseEvaluator,
        dataset: BaseDataset,
    ) -> list[Row]:
        size = model.can.batch
        packs = [samples[i : i + size] for i in range(0, len(samples), size)]
        gate, done = asyncio.Semaphore(max(1, AHEAD // size)), 0

        async def one(pack: Sequence[Sample]) -> list[Row]:
            nonlocal done
            async with gate:
                predictions = await _predictions(model, pack)
                rows = [
                    _judged(s, p, method, dataset) for s, p in zip(pack, predictions, strict=True)
                ]
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


async def _predictions(model: BaseModel, pack: Sequence[Sample]) -> list[Prediction]:
    """The predictions of a pack; where the backend fails as a whole, a failure for each sample."""
    try:
        return await model.generate([Prompt.of(s) for s in pack])
    except RunError as e:
        return [Prediction(sample_id=s.id, failure=Failure.of(e, "generate")) for s in pack]


def _judged(
    sample: Sample, prediction: Prediction, method: BaseEvaluator, dataset: BaseDataset
) -> Row:
    """The row of one sample: scored, unscored for want of a reference, or failed."""
    if prediction.failure or prediction.text is None:
        failure = prediction.failure or Failure(
            where="generate", kind="malformed", message="no text"
        )
        return Row(sample, prediction, None, failure.to_dict())
    if method.needs_reference and sample.reference is None:
        return Row(sample, prediction, None)
    try:
        with boundary(ScoringError, f"scoring sample {sample.id}"):
            score = method.score(sample, prediction.text, dataset)
    except RunError as e:
        return Row(sample, prediction, None, Failure.of(e, "score").to_dict())
    return Row(sample, prediction, score)


def _fitting(
    method: BaseEvaluator | None, dataset: BaseDataset, samples: Sequence[Sample]
) -> tuple[BaseEvaluator, str]:
    """The method to use and, where it is not the one asked for, why.

    Asked for none: the dataset's own, where it has one. Asked for one that needs references, of a
    dataset that gives none but judges itself: the dataset's own as well.
    """
    own = judges_itself(dataset)
    if method is None:
        return load_evaluator("dataset" if own else "string_match"), ""
    if method.needs_reference and all(s.reference is None for s in samples):
        if own:
            why = f"{method.name} needs references and this dataset has none: it judges itself"
            return load_evaluator("dataset"), why
        raise UserError(
            f"{method.name} needs references, and {type(dataset).__name__} has none",
            hint="give 'reference' in load(), or define evaluate_prediction()",
        )
    return method, ""


def _name_of(dataset: Dataset) -> str:
    if isinstance(dataset, str):
        return dataset
    return dataset.__name__ if isinstance(dataset, type) else type(dataset).__name__
