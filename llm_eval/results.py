"""What a run gives back: metrics, samples in input order, and the record of how it was done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_eval.records import Prediction, Sample, Score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to a sample, and its judgement or its error."""

    prediction: Prediction
    score: Score | None
    error: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        out: dict[str, Any] = {"prediction": self.prediction.text}
        if self.score is not None:
            out["evaluation"] = _evaluation(self.score)
        if self.error:
            out["error"] = self.error
        return out


@dataclass(frozen=True, slots=True)
class Row:
    """One sample with all that became of it.

    Where a method asks for several replies they are all in `replies`; `prediction` is then the
    first one that was judged, and `score` has the mean of their values.
    """

    sample: Sample
    prediction: Prediction
    score: Score | None
    error: dict[str, Any] | None = None
    replies: Sequence[Reply] = ()

    def to_dict(self) -> dict[str, Any]:
        """The sample in haerae-evaluation-toolkit's shape."""
        s = self.sample
        out: dict[str, Any] = {
            "input": s.input,
            "reference": s.reference,
            "prediction": self.prediction.text,
            "_subset_name": s.subset,
        }
        if s.options:
            out["options"] = list(s.options)
        if s.metadata:
            out["metadata"] = dict(s.metadata)
        if self.prediction.options:
            out["logits"] = self.prediction.logits
        if self.score is not None:
            out["evaluation"] = _evaluation(self.score)
        if self.error:
            out["error"] = self.error
        if self.replies:
            out["replies"] = [r.to_dict() for r in self.replies]
        return out


def _evaluation(score: Score) -> dict[str, Any]:
    found = {"is_correct": score.is_correct, "score": score.value, "extracted": score.extracted}
    return found | dict(score.measures) | ({"why": score.why} if score.why else {})


More = Callable[[Sequence[Score]], dict[str, float]]


def summed_up(rows: Sequence[Row], more: More | None = None) -> dict[str, Any]:
    """The metrics of a run.

    `accuracy` is the mean score over the `n` samples that were scored: a reply without a readable
    answer counts 0 there, a sample that failed in transport is left out and counted in `failed`.
    `accuracy_stderr` is the sample standard deviation over sqrt(n). `answer_rate` and
    `accuracy_answered` look at readable answers alone; None where the method does not tell them.
    `more` measures a scored sample by the scores of all its replies: of each such measure the mean
    and its standard error are told. `failed_replies` counts replies that failed while enough
    others came to score their sample.
    """
    values = [r.score.value for r in rows if r.score is not None and r.score.value is not None]
    answered = [
        r.score.value
        for r in rows
        if r.score is not None and r.score.value is not None and r.score.answered
    ]
    told = all(r.score.answered is not None for r in rows if r.score is not None)
    metrics: dict[str, Any] = {
        "accuracy": mean(values),
        "accuracy_stderr": stderr(values),
        "n": len(values),
        "failed": sum(r.error is not None for r in rows),
        "unscored": sum(r.error is None for r in rows) - len(values),
        "answer_rate": len(answered) / len(values) if values and told else None,
        "accuracy_answered": mean(answered) if told else None,
        **_of_method(rows, more),
    }
    if any(r.replies for r in rows):
        lost = [r.error for row in rows if not row.error for r in row.replies]
        metrics["failed_replies"] = sum(error is not None for error in lost)
    subsets = dict.fromkeys(r.sample.subset for r in rows if r.sample.subset)
    if len(subsets) > 1:
        metrics["by_subset"] = {
            name: _short([r for r in rows if r.sample.subset == name], more) for name in subsets
        }
    return metrics


def _short(rows: Sequence[Row], more: More | None) -> dict[str, Any]:
    values = [r.score.value for r in rows if r.score is not None and r.score.value is not None]
    return {"accuracy": mean(values), "n": len(values), **_of_method(rows, more)}


def _of_method(rows: Sequence[Row], more: More | None) -> dict[str, Any]:
    scored = [r for r in rows if r.score is not None and r.score.value is not None]
    measured = [more(_scores(row)) for row in scored] if more else []
    found: dict[str, Any] = {}
    for name in measured[0] if measured else ():
        values = [m[name] for m in measured]
        found |= {name: mean(values), f"{name}_stderr": stderr(values)}
    return found


def _scores(row: Row) -> list[Score]:
    told = [r.score for r in row.replies] if row.replies else [row.score]
    return [score for score in told if score is not None]


def mean(values: Sequence[float]) -> float | None:
    """The mean; None over nothing.

    >>> mean([]), mean([1.0, 0.0])
    (None, 0.5)
    """
    return sum(values) / len(values) if values else None


def stderr(values: Sequence[float]) -> float | None:
    """Standard error of the mean; None below two values.

    >>> stderr([1.0, 0.0, 1.0, 0.0])
    0.28867513459481287
    """
    if len(values) < 2:
        return None
    centre = sum(values) / len(values)
    spread = sum((v - centre) ** 2 for v in values) / (len(values) - 1)
    return math.sqrt(spread / len(values))


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A finished run. `result["metrics"]` and `result.metrics` are the same."""

    metrics: dict[str, Any]
    info: dict[str, Any]
    rows: Sequence[Row]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Every sample as a dict, in input order."""
        return [r.to_dict() for r in self.rows]

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def to_dict(self) -> dict[str, Any]:
        """{"metrics", "samples", "info"}, JSON-ready."""
        return {"metrics": self.metrics, "samples": self.samples, "info": self.info}

    def to_dataframe(self) -> pd.DataFrame:
        """A row per sample; the judgement's fields as columns of their own."""
        import pandas as pd

        return pd.json_normalize(
            [{k: v for k, v in s.items() if k != "metadata"} for s in self.samples], max_level=1
        )

    def save_json(self, path: str | Path) -> Path:
        """Write everything to `path`; the folder is made if it is missing."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps(self.to_dict(), ensure_ascii=False, indent=2, default=str) + "\n", "utf-8"
        )
        return target

    def __repr__(self) -> str:
        shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in self.metrics.items()}
        return f"EvaluationResult({self.info.get('model')} on {self.info.get('dataset')}: {shown})"
