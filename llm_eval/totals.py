"""The numbers of a run, from columns that hold a few bytes a sample.

A row is put at its place, whenever it comes, and again if it comes again: the sums depend on
neither, so that a run that was stopped ends with the very numbers of one that was not.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llm_eval.records import TRUNCATED, Score

if TYPE_CHECKING:
    from llm_eval.results import Row

More = Callable[[Sequence[Score]], dict[str, float]]
_NOT_YET, _SCORED, _UNSCORED, _FAILED = range(4)
_NO_SCORE, _NOT_TOLD, _UNREADABLE, _ANSWERED = range(4)
_NONE = -1


class Totals:
    """The sums over `size` samples. `more` measures a scored sample by all its replies' scores."""

    def __init__(self, size: int, more: More | None = None) -> None:
        self._size, self._more = size, more
        self._state, self._answer = bytearray(size), bytearray(size)
        self._values = array("d", bytes(8 * size))
        self._lost = array("i", [_NONE]) * size  # replies lost; _NONE where one was asked for
        self._truncated = array("i", bytes(4 * size))  # replies cut at a length limit
        self._subset = array("i", [_NONE]) * size
        self._subsets: dict[str, int] = {}
        self._measures: dict[str, array[float]] = {}
        self._rewards: array[float] | None = None
        self._unrewarded = bytearray()

    def add(self, place: int, row: Row) -> None:
        """Put a finished row at its place (from 0)."""
        score, value = row.score, row.score.value if row.score else None
        if row.error is not None:
            self._state[place] = _FAILED
        else:
            self._state[place] = _UNSCORED if value is None else _SCORED
        self._values[place] = 0.0 if value is None else float(value)
        answered = score.answered if score else None
        told = _NOT_TOLD if answered is None else _ANSWERED if answered else _UNREADABLE
        self._answer[place] = told if score else _NO_SCORE
        if row.replies:
            self._lost[place] = sum(r.error is not None for r in row.replies)
        ends = [r.prediction.finish_reason for r in row.replies or (row,)]
        self._truncated[place] = sum(end in TRUNCATED for end in ends)
        if subset := row.sample.subset:
            self._subset[place] = self._subsets.setdefault(subset, len(self._subsets))
        if self._more and self._state[place] == _SCORED:
            for name, measured in self._more(_scores(row)).items():
                self._column(name)[place] = measured
        if row.reward is not None or row.reward_error or self._rewards is not None:
            self._reward(place, row)

    @property
    def failed(self) -> int:
        """How many samples failed so far."""
        return self._state.count(_FAILED)

    def metrics(self) -> dict[str, Any]:
        """The metrics of the rows that are there.

        `accuracy` is the mean score over the `n` samples that were scored: a reply without a
        readable answer counts 0 there, a sample that failed in transport is left out and counted in
        `failed`. `accuracy_stderr` is the sample standard deviation over sqrt(n). `answer_rate` and
        `accuracy_answered` look at readable answers alone; None where the method does not tell
        them. Of each further measure the mean and its standard error are told. `failed_replies`
        counts replies that failed while enough others came to score their sample, `truncated`
        those that a length limit cut, if any. `reward` is the mean over the `reward_n` samples that
        a reward model judged.
        """
        scored = array("q", (i for i in range(self._size) if self._state[i] == _SCORED))
        values = self._at(self._values, scored)
        answered = self._at(self._values, (i for i in scored if self._answer[i] == _ANSWERED))
        told = _NOT_TOLD not in self._answer
        metrics: dict[str, Any] = {
            "accuracy": mean(values),
            "accuracy_stderr": stderr(values),
            "n": len(values),
            "failed": self.failed,
            "unscored": self._state.count(_UNSCORED),
            "answer_rate": len(answered) / len(values) if len(values) and told else None,
            "accuracy_answered": mean(answered) if told else None,
            **self._measured(scored),
        }
        if any(lost != _NONE for lost in self._lost):
            pairs = zip(self._lost, self._state, strict=True)
            metrics["failed_replies"] = sum(n for n, s in pairs if n > 0 and s != _FAILED)
        if truncated := sum(self._truncated):
            metrics["truncated"] = truncated
        if self._rewards is not None:
            rewards = array("d", (r for r in self._rewards if not math.isnan(r)))
            metrics |= {"reward": mean(rewards), "reward_stderr": stderr(rewards)}
            metrics |= {"reward_n": len(rewards), "reward_failed": self._unrewarded.count(1)}
        if len(self._subsets) > 1:
            metrics["by_subset"] = self._by_subset(scored)
        return metrics

    def _by_subset(self, scored: Sequence[int]) -> dict[str, Any]:
        """In the order of the samples, whichever came first."""
        places: dict[int, array[int]] = {}
        failed: Counter[int] = Counter()
        for number, state in zip(self._subset, self._state, strict=True):
            if number == _NONE:
                continue
            if number not in places:
                places[number] = array("q")
            failed[number] += state == _FAILED
        for place in scored:
            if self._subset[place] != _NONE:
                places[self._subset[place]].append(place)
        names = {number: name for name, number in self._subsets.items()}
        found = {}
        for number, own in places.items():
            values = self._at(self._values, own)
            found[names[number]] = {
                "accuracy": mean(values),
                "accuracy_stderr": stderr(values),
                "n": len(values),
                "failed": failed[number],
                **self._measured(own),
            }
        return found

    def _measured(self, places: Sequence[int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, column in self._measures.items():
            values = array("d", (column[i] for i in places if not math.isnan(column[i])))
            if values:
                found |= {name: mean(values), f"{name}_stderr": stderr(values)}
        return found

    def _column(self, name: str) -> array[float]:
        if name not in self._measures:
            self._measures[name] = array("d", [math.nan]) * self._size
        return self._measures[name]

    def _reward(self, place: int, row: Row) -> None:
        if self._rewards is None:
            self._rewards = array("d", [math.nan]) * self._size
            self._unrewarded = bytearray(self._size)
        self._rewards[place] = math.nan if row.reward is None else row.reward
        self._unrewarded[place] = row.reward_error is not None

    @staticmethod
    def _at(column: array[float], places: Iterable[int]) -> array[float]:
        return array("d", (column[i] for i in places))


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
