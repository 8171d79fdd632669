"""`dataset`: the dataset module judges by its own `evaluate_prediction`."""

from __future__ import annotations

import math
import unicodedata

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import ScoringError
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.records import Sample, Score


class DatasetsOwn(BaseEvaluator):
    """The dataset's own method."""

    name = "dataset"
    needs_reference = False

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """What the module says: (is it right, its score). A score of None means not scored."""
        # Modules compare texts as they stand, and some systems write Hangul in pieces.
        verdict = dataset.evaluate_prediction(sample.index, unicodedata.normalize("NFC", reply))
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
