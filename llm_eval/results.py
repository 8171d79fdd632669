"""What a run gives back: metrics, samples in input order, and the record of how it was done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from llm_eval.files import replaced
from llm_eval.records import Prediction, Sample, Score
from llm_eval.totals import More, Totals, mean, stderr

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EvaluationResult", "Reply", "Row", "mean", "stderr", "summed_up"]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to a sample, and its judgement or its error.

    `reward` is what a reward model gives for it, where there is one; `reward_error` why not.
    """

    prediction: Prediction
    score: Score | None
    error: dict[str, Any] | None = None
    reward: float | None = None
    reward_error: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        out: dict[str, Any] = {"prediction": self.prediction.text}
        if self.score is not None:
            out["evaluation"] = _evaluation(self.score)
        return out | _besides(self)


@dataclass(frozen=True, slots=True)
class Row:
    """One sample with all that became of it.

    Where a method asks for several replies they are all in `replies`; `prediction` is then the
    first one that was judged, `score` has the mean of their values, and `reward` is the mean.
    """

    sample: Sample
    prediction: Prediction
    score: Score | None
    error: dict[str, Any] | None = None
    replies: Sequence[Reply] = ()
    reward: float | None = None
    reward_error: dict[str, Any] | None = None

    @classmethod
    def of(cls, sample: Sample, own: Sequence[Reply], least: int = 1) -> Row:
        """The row of a sample from its replies, of which `least` must have come."""
        first = next((r for r in own if not r.error), own[0])
        if len(own) == 1:
            return cls(
                sample,
                first.prediction,
                first.score,
                first.error,
                reward=first.reward,
                reward_error=first.reward_error,
            )
        errors = [r.error for r in own if r.error]
        rewards = [r.reward for r in own if r.reward is not None]
        wrong = next((r.reward_error for r in own if r.reward_error), None)
        score = None
        if fine := len(own) - len(errors) >= least:
            values = [r.score.value for r in own if r.score and r.score.value is not None]
            score = replace(first.score, value=mean(values)) if first.score else None
        error = None if fine else errors[0]
        return cls(sample, first.prediction, score, error, own, mean(rewards), wrong)

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
        out |= _besides(self)
        if self.replies:
            out["replies"] = [r.to_dict() for r in self.replies]
        return out


def _evaluation(score: Score) -> dict[str, Any]:
    found = {"is_correct": score.is_correct, "score": score.value, "extracted": score.extracted}
    return found | dict(score.measures) | ({"why": score.why} if score.why else {})


def _besides(of: Reply | Row) -> dict[str, Any]:
    end = of.prediction.finish_reason
    told = {
        "finish_reason": end if end != "stop" else None,
        "error": of.error,
        "reward": of.reward,
        "reward_error": of.reward_error,
    }
    return {name: value for name, value in told.items() if value is not None}


def summed_up(rows: Sequence[Row], more: More | None = None) -> dict[str, Any]:
    """The metrics of finished rows; see `Totals.metrics`."""
    totals = Totals(len(rows), more)
    for place, row in enumerate(rows):
        totals.add(place, row)
    return totals.metrics()


class Lazily(Sequence[R]):
    """Items made as they are asked for; equal to any sequence of equal items."""

    def __init__(self, count: int, get: Callable[[int], R], each: Callable[[], Iterator[R]]):
        """`get` makes the item at a place, `each` all of them in order."""
        self._count, self._get, self._each = count, get, each

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> list[R]: ...
    def __getitem__(self, place: int | slice) -> R | list[R]:
        found = range(self._count)[place]
        return self._get(found) if isinstance(found, int) else [self._get(i) for i in found]

    def __iter__(self) -> Iterator[R]:
        return self._each()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # what it equals may be a list

    def __repr__(self) -> str:
        first = ", ".join(map(repr, self[:3]))
        return f"[{first}{', ...' if self._count > 3 else ''}] ({self._count:,} in all)"


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A finished run. `result["metrics"]` and `result.metrics` are the same."""

    metrics: dict[str, Any]
    info: dict[str, Any]
    rows: Sequence[Row]

    @property
    def samples(self) -> Sequence[dict[str, Any]]:
        """Every sample as a dict, in input order; each is made as it is asked for."""
        rows = self.rows
        return Lazily(
            len(rows), lambda i: rows[i].to_dict(), lambda: (row.to_dict() for row in rows)
        )

    def __getitem__(self, key: str) -> Any:
        if key in ("metrics", "info"):
            return getattr(self, key)
        return self.to_dict()[key]

    def to_dict(self) -> dict[str, Any]:
        """{"metrics", "samples", "info"}, JSON-ready."""
        return {"metrics": self.metrics, "samples": list(self.samples), "info": self.info}

    def to_dataframe(self) -> pd.DataFrame:
        """A row per sample; the judgement's fields as columns of their own."""
        import pandas as pd

        return pd.json_normalize(
            [{k: v for k, v in s.items() if k != "metadata"} for s in self.samples], max_level=1
        )

    def save_json(self, path: str | Path) -> Path:
        """Write everything to `path`, a sample at a time; the folder is made if it is missing.

        A file that is there is replaced once the new one is whole.

        Raises:
            OSError: it cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as new, new.open("w", encoding="utf-8") as out:
            out.writelines(self._json())
        return target

    def _json(self) -> Iterator[str]:
        yield f'{{\n  "metrics": {_indented(self.metrics)},\n  "samples": ['
        comma = ""
        for sample in self.samples:
            yield f"{comma}\n    {_indented(sample, '    ')}"
            comma = ","
        end = "\n  " if comma else ""
        yield f'{end}],\n  "info": {_indented(self.info)}\n}}\n'

    def __repr__(self) -> str:
        shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in self.metrics.items()}
        return f"EvaluationResult({self.info.get('model')} on {self.info.get('dataset')}: {shown})"


def json_text(value: Any) -> str:
    """Indented JSON that UTF-8 can hold: a reply may have half of a surrogate pair."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=2, default=str)
    return text


def _indented(value: Any, by: str = "  ") -> str:
    """JSON that stands `by` deep."""
    return json_text(value).replace("\n", f"\n{by}")
