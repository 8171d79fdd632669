"""What a module must do on each row of a port: known from its data and its spec, without it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_eval.dataset.gold import (
    LETTERS,
    Row,
    as_number,
    cells,
    choices_of,
    golds_of,
    shown_of,
    unit_tests,
)
from llm_eval.dataset.spec import ModuleSpec

NO_ANSWER = ("", "모르겠습니다.")  # replies that are never right
_ASIDE = 60  # a longer cell of another column may be a worked answer: no prompt may show it


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a row must do.

    `golds` are replies that must score 1, `wrong` replies that must score 0; `shown` are texts the
    prompt must hold, in this order, and after them `choices`, each behind its letter unless they
    are `lettered` themselves. Besides them it may hold what is the same for all rows, and the
    texts in `beside`; in nothing of that may a text in `hidden` stand. An `ungraded` row must score
    nothing (None), whatever the reply. `code` is what `load()` must give beside a program's prompt.
    """

    shown: Sequence[str]
    golds: Sequence[str]
    wrong: Sequence[str]
    choices: Sequence[str] = ()
    lettered: bool = False
    beside: Sequence[str] = ()
    hidden: Sequence[str] = ()
    ungraded: bool = False
    code: Mapping[str, Any] | None = None


def expectations(files: Sequence[Path], spec: ModuleSpec) -> Iterator[Expected]:
    """What the module must do on each row of some parquet files."""
    import pyarrow.parquet as pq

    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            for row in batch.to_pylist():
                yield expected(row, spec)


def expected(row: Row, spec: ModuleSpec) -> Expected:
    """What the module must do on one row."""
    golds, choices, shown = golds_of(row, spec), choices_of(row, spec), shown_of(row, spec)
    known: dict[str, Any] = {"shown": shown, "choices": choices, "lettered": spec.lettered}
    if spec.task not in ("multiple_choice", "ungraded"):
        known |= {"shown": [*shown, *choices], "choices": ()}
    beside = _beside(row, spec, [*golds, *_right(golds, choices, spec)])
    if spec.task == "code":
        entry = cells(row, spec.entry_point) if spec.entry_point else []
        told = {"tests": unit_tests(row, spec), "entry_point": str(entry[0]) if entry else None}
        code = {"reference": golds[0] if golds else None, **told}
        return Expected(**known, golds=[], wrong=[], beside=beside, ungraded=True, code=code)
    if not golds:
        return Expected(**known, golds=[], wrong=[], beside=beside, ungraded=True)
    replies, wrong, hidden = _replies(golds, choices, spec)
    return Expected(
        **known, golds=replies, wrong=[*wrong, *NO_ANSWER], beside=beside, hidden=hidden
    )


def _replies(
    golds: Sequence[str], choices: Sequence[str], spec: ModuleSpec
) -> tuple[list[str], list[str], list[str]]:
    """(right replies, wrong ones, what must not stand in the prompt)."""
    gold = golds[0]
    if spec.task == "multiple_choice":
        letters = LETTERS[: len(choices)]
        said = f"{gold}. {choices[letters.index(gold)]}"
        right = [gold, f"({gold})", f"정답: {gold}", said]
        wrong = [letter for letter in letters if letter != gold]
        return right, wrong, [f"정답: {gold}", f"Answer: {gold}"]
    if spec.task == "number":
        return [gold, f"정답: {gold}"], [f"{as_number(gold) * 2 + 1:f}"], [gold]
    if spec.task == "math":
        right = [f"\\boxed{{{g}}}" for g in golds] + [f"정답: {gold}"]
        return right, [f"\\boxed{{{gold}+1}}"], [gold]
    hidden = [] if gold in choices else [gold]
    return list(golds), [f"{gold} 아님"], hidden


def _right(golds: Sequence[str], choices: Sequence[str], spec: ModuleSpec) -> list[str]:
    """The right choice's own text."""
    if spec.task != "multiple_choice" or not golds:
        return []
    return [choices[LETTERS.index(golds[0])]]


def _beside(row: Row, spec: ModuleSpec, secrets: Sequence[str]) -> list[str]:
    """Short texts of columns that the task does not name: a subject, a category, who speaks."""
    named = [spec.answer, spec.labels, spec.entry_point, *spec.question, *spec.choices, *spec.tests]
    taken = {path[0] for path in named if path}
    found = [str(v) for v in cells(row, spec.speaker)] if spec.speaker else []
    found += [t for name, v in row.items() if name not in taken for t in _texts(v)]
    low = [s.casefold().strip() for s in secrets if len(s.strip()) > 1]
    return sorted(
        {
            t
            for t in (text.strip() for text in found)
            if 1 < len(t) <= _ASIDE and not any(s in t.casefold() or t.casefold() in s for s in low)
        },
        key=lambda t: (-len(t), t),
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for inner in value:
            yield from _texts(inner)


class Prompts:
    """Reads the prompts of a split, one after another, for what they lack and what they tell.

    Cut out what a prompt must hold and may hold; the rest must be the same on all rows of the same
    shape. What changes from row to row with no cell that accounts for it may tell the answer.
    """

    def __init__(self) -> None:
        self._rests: dict[tuple[int, ...], tuple[int, str, Expected]] = {}
        self._alone: set[tuple[int, ...]] = set()

    def fault(self, row: int, prompt: str, want: Expected) -> str:
        """What is wrong with the prompt of a row; empty when nothing is."""
        said, rest = _without(prompt, want)
        if said:
            return said
        if want.choices and (secret := _told(rest, want)):
            return f"the prompt gives the answer away: {secret[:80]!r}"
        found = 0
        for text in want.beside:
            if text in rest:
                rest, found = rest.replace(text, "\1"), found + 1
        for place in (str(row), str(row + 1)):
            if place in rest:
                rest = re.sub(rf"(?<!\d){place}(?!\d)", "#", rest)
        rest = " ".join(rest.split())
        shape = (len(want.shown), len(want.choices), found)
        first = self._rests.setdefault(shape, (row, rest, want))
        if first[0] == row:
            self._alone.add(shape)
            return ""
        self._alone.discard(shape)
        if rest == first[1]:
            return ""
        for number, text, known in ((row, rest, want), first):
            if secret := _told(text, known):
                where = "" if number == row else f" of row {number}"
                return f"the prompt{where} gives the answer away: {secret[:80]!r}"
        return (
            f"besides question and choices the prompt holds {_odd(rest, first[1])!r}, and row "
            f"{first[0]}'s {_odd(first[1], rest)!r}: what changes with the row may tell the answer"
        )

    def last_fault(self) -> tuple[int, str]:
        """(row, what is wrong) of a prompt that no other could be compared with; "" for nothing."""
        for shape in self._alone:
            row, rest, want = self._rests[shape]
            if secret := _told(rest, want):
                return row, f"the prompt gives the answer away: {secret[:80]!r}"
        return 0, ""


def _told(rest: str, want: Expected) -> str:
    found = (s for s in want.hidden if s in rest)
    return next((s for s in found if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", rest)), "")


def _without(prompt: str, want: Expected) -> tuple[str, str]:
    """(what the prompt lacks, what is left of it without what it must hold)."""
    rest, place = [], 0
    for text in want.shown:
        start = prompt.find(text, place)
        if start < 0:
            how = "out of its place" if text in prompt else ""
            return _lacking(text, how), ""
        rest.append(prompt[place:start])
        place = start + len(text)
    for letter, text in zip(LETTERS, want.choices, strict=False):
        start = prompt.find(text, place)
        while start >= 0 and not (want.lettered or _behind(letter, prompt[place:start][-9:])):
            start = prompt.find(text, start + 1)
        if start < 0:
            how = f"not behind the letter {letter}, in its place" if text in prompt else ""
            return _lacking(text, how), ""
        rest.append(prompt[place:start].rstrip(f" )].:*-([{letter}"))
        place = start + len(text)
    return "", "\0".join([*rest, prompt[place:]])


def _behind(letter: str, before: str) -> bool:
    """Does a text end in an option's letter, as `B. `, `(B) `, `**B**: `?"""
    return re.search(rf"(?<![A-Za-z]){letter}[\s)\].:*-]*$", before) is not None


def _lacking(text: str, how: str) -> str:
    return f"the prompt holds {text[:80]!r} {how}" if how else f"the prompt lacks {text[:80]!r}"


def _odd(text: str, other: str) -> str:
    """The part of `text` that is not as in `other`.

    >>> _odd("hint: B. Answer:", "hint: A. Answer:")
    'B'
    """
    least = min(len(text), len(other))
    start = next((i for i in range(least) if text[i] != other[i]), least)
    end = next((i for i in range(least - start) if text[-1 - i] != other[-1 - i]), least - start)
    return text[start : len(text) - end][:80]
