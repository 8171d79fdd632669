"""`dataset`: the dataset module judges by its own `evaluate_prediction`."""

from __future__ import annotations

import asyncio
import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from llm_eval import thoughts
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import RunError, ScoringError
from llm_eval.evaluation.base import BaseEvaluator, Item
from llm_eval.records import Failure, Sample, Score


class DatasetsOwn(BaseEvaluator):
    """The dataset's own method."""

    name = "dataset"
    needs_reference = False

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """What the module says: (is it right, its score). A score of None means not scored."""
        return _score(sample, dataset.evaluate_prediction(sample.index, _read_as(reply)))

    async def score_all(self, items: Sequence[Item], dataset: BaseDataset) -> list[Score | Failure]:
        """In one go, off the event loop, where the dataset can (`judge_many`)."""
        judge_many = getattr(dataset, "judge_many", None)
        if judge_many is None:
            return await super().score_all(items, dataset)
        asked = [(sample.index, _read_as(reply)) for sample, reply in items]
        verdicts = await asyncio.to_thread(judge_many, asked)
        return [_read(sample, v) for (sample, _), v in zip(items, verdicts, strict=True)]


def _read_as(reply: str) -> str:
    """What a module reads: it may know the tags of few models' thoughts, and compares texts as they
    stand, where some systems write Hangul in pieces."""
    return unicodedata.normalize("NFC", thoughts.without(reply))


def _read(sample: Sample, verdict: Any) -> Score | Failure:
    if isinstance(verdict, RunError):
        return Failure.of(verdict, "score")
    try:
        return _score(sample, verdict)
    except ScoringError as e:
        return Failure.of(e, "score")


def _score(sample: Sample, verdict: Any) -> Score:
    try:
        right, value = verdict
        value = None if value is None else float(value)
        if value is not None and not math.isfinite(value):
            raise ValueError
    except (TypeError, ValueError):
        raise ScoringError(
            f"evaluate_prediction({sample.index}, ...) returned {verdict!r}, not (bool, score)"
        ) from None
    return Score(sample_id=sample.id, value=value, is_correct=bool(right), answered=None)
