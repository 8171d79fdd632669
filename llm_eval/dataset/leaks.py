"""Do a module's prompts hold what they must, and nothing that tells the answer?

A prompt is texts of its row, in order, and what stands around them. What stands around them must be
the same on all rows of the same shape, but for the number of the row and the row's short cells; and
those may not go with one answer oftener than chance would have it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from llm_eval.dataset.expect import Expected
from llm_eval.dataset.gold import LETTERS

_CHANCE = math.log(1e-6)  # what is less likely than this is no chance
_MOST = 20_000  # different things counted; what has more hardly ever occurs twice
_SHOWN = 80


@dataclass(slots=True)
class _Read:
    """A prompt that was read: what stands around its texts, and that without cells of the row."""

    row: int
    prompt: str
    want: Expected
    around: list[str]
    form: str = ""
    found: list[tuple[str, str]] = field(default_factory=list)


class Prompts:
    """Reads the prompts of a split, one after another, for what they lack and what they tell."""

    def __init__(self) -> None:
        self._first: dict[Hashable, _Read] = {}
        self._forms: dict[Hashable, _Read] = {}
        self._alone: set[Hashable] = set()
        self._tells = Tells()

    def fault(self, row: int, prompt: str, want: Expected) -> str:
        """What is wrong with the prompt of a row; empty when nothing is."""
        empty = tuple(not choice for choice in want.choices)
        shape = (want.shape, len(want.shown), empty)
        first = self._first.get(shape)
        if first is None or _put(first.around, want) != prompt:
            said, around = _around(prompt, want)
            if said:
                return said
            if first is None or _put(around, first.want) != first.prompt:
                return self._compared(_Read(row, prompt, want, around), shape)
            first.around = around  # a text of the first row stood elsewhere, too
        self._alone.discard((shape, len(first.found)))
        self._note(first, shape, "", row, want)
        return ""

    def last_fault(self) -> tuple[int, str]:
        """(row, what is wrong) that only all prompts together show; "" for nothing."""
        for alone in self._alone:
            read = self._forms[alone]
            if (secret := _told(read)) and not self._said_to_others(secret):
                return read.row, f"the prompt gives the answer away: {secret[:_SHOWN]!r}"
        return self._tells.fault()

    def _said_to_others(self, secret: str) -> bool:
        """Does it stand in a prompt of another shape, whose answer it is not?"""
        return any(secret in r.form and secret not in r.want.hidden for r in self._forms.values())

    def _compared(self, read: _Read, shape: Hashable) -> str:
        """Against the first prompt of the same shape that shows as many cells."""
        rest = "\0".join(read.around)
        read.form = rest
        for text, column in read.want.beside.items():
            if text in read.form:
                read.form = read.form.replace(text, "\1")
                read.found.append((text, column))
        key, unlike = (shape, len(read.found)), shape in self._first
        self._note(read, shape, _numberless(rest, read.row) if unlike else "", read.row, read.want)
        self._first.setdefault(shape, read)
        first = self._forms.setdefault(key, read)
        if first is read:
            self._alone.add(key)
            return ""
        self._alone.discard(key)
        if _alike(read, first):
            return ""
        for each in (first, read):
            if secret := _told(each):
                where = "" if each is read else f" of row {each.row}"
                return f"the prompt{where} gives the answer away: {secret[:_SHOWN]!r}"
        here, there = _odd(read.form, first.form), _odd(first.form, read.form)
        return (
            f"besides question and choices the prompt holds {here!r}, and row {first.row}'s "
            f"{there!r}: what changes with the row may tell the answer"
        )

    def _note(self, read: _Read, shape: Hashable, rest: str, row: int, want: Expected) -> None:
        """A prompt that is built like the one read: what of it changes from row to row."""
        self._tells.note((shape, "", ""), rest, want.gold, row)
        self._tells.note((shape, ""), f"{len(read.found)} of their cells", want.gold, row)
        for text, column in read.found:
            if text in want.beside:
                self._tells.note((shape, column), text, want.gold, row)


class Tells:
    """Which answers go with what changes from row to row: a cell that tells one is no chance."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Hashable, ...], dict[str, tuple[str, int, int]] | None] = {}
        self._golds: dict[tuple[Hashable, ...], Counter[str]] = {}

    def note(self, what: tuple[Hashable, ...], value: str, gold: str, row: int) -> None:
        """`value` stood in the prompt of a row with this gold; "" for what is not one of a few."""
        if not gold:
            return
        self._golds.setdefault(what, Counter())[gold] += 1
        values = self._seen.setdefault(what, {})
        if values is None:
            return
        known, count, first = values.get(value, (gold, 0, row))
        values[value] = (known if known == gold else "", count + 1, first)
        if len(values) > _MOST:
            self._seen[what] = None

    def fault(self) -> tuple[int, str]:
        """(row, sentence) of a value that tells its gold; (0, "") when none does."""
        for what, golds in sorted(self._golds.items(), key=lambda item: len(item[0])):
            values = self._seen[what]
            often = {v: told for v, told in (values or {}).items() if told[1] > 1}
            for value, (gold, count, row) in often.items():
                if not gold:
                    continue
                share = golds[gold] / golds.total()
                chance = (count - 1) * math.log(share) + math.log(len(often) * len(self._seen))
                if chance < _CHANCE:
                    shown = " ".join(value.replace("\0", "…").split())[:_SHOWN]
                    return row, (
                        f"besides question and choices the prompts of {count} rows hold {shown!r}, "
                        f"and the answer of all of them is {gold!r}: that tells it"
                    )
        return 0, ""


def _put(around: Sequence[str], want: Expected) -> str:
    """The prompt of a row's texts with this around them."""
    texts = [*want.shown, *want.choices[: len(LETTERS)], ""]
    return "".join(part for pair in zip(around, texts, strict=True) for part in pair)


def _around(prompt: str, want: Expected) -> tuple[str, list[str]]:
    """(what the prompt lacks, what stands before, between and behind the texts it must hold)."""
    around, place = list[str](), 0
    for text in want.shown:
        start = prompt.find(text, place)
        if start < 0:
            return _lacking(text, "out of its place" if text in prompt else ""), []
        around.append(prompt[place:start])
        place = start + len(text)
    for letter, text in zip(LETTERS, want.choices, strict=False):
        start = _choice(prompt, place, "" if want.lettered else letter, text)
        if start < 0:
            how = f"not behind the letter {letter}, in its place" if text in prompt else ""
            return _lacking(text, how), []
        around.append(prompt[place:start])
        place = start + len(text)
    return "", [*around, prompt[place:]]


def _choice(prompt: str, place: int, letter: str, text: str) -> int:
    """Where a choice stands, from `place` on, behind its letter if it needs one; -1: nowhere."""
    if letter and not text:
        found = re.compile(rf"(?<![A-Za-z]){letter}[)\].:*-]+ ?").search(prompt, place)
        return found.end() if found else -1
    start = prompt.find(text, place)
    while start >= 0 and letter and not _behind(letter, prompt[place:start][-9:]):
        start = prompt.find(text, start + 1)
    return start


def _behind(letter: str, before: str) -> bool:
    """Does a text end in an option's letter, as `B. `, `(B) `, `**B**: `?"""
    return re.search(rf"(?<![A-Za-z]){letter}[\s)\].:*-]*$", before) is not None


def _lacking(text: str, how: str) -> str:
    shown = repr(text[:_SHOWN])
    return f"the prompt holds {shown} {how}" if how else f"the prompt lacks {shown}"


def _told(read: _Read) -> str:
    found = (s for s in read.want.hidden if s in read.form)
    return next((s for s in found if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", read.form)), "")


def _alike(one: _Read, other: _Read) -> bool:
    """Are two forms the same, but for the numbers of their rows, counted from 0 or from 1?"""
    mine, yours = re.split(r"(\d+)", one.form), re.split(r"(\d+)", other.form)
    if len(mine) != len(yours):
        return False
    unlike = {pair for pair in zip(mine, yours, strict=True) if pair[0] != pair[1]}
    return any(unlike <= {(str(one.row + base), str(other.row + base))} for base in (0, 1))


def _numberless(rest: str, row: int) -> str:
    return re.sub(rf"(?<!\d)(?:{row}|{row + 1})(?!\d)", "#", rest)


def _odd(text: str, other: str) -> str:
    """The part of `text` that is not as in `other`.

    >>> _odd("hint: B. Answer:", "hint: A. Answer:")
    'B'
    """
    least = min(len(text), len(other))
    start = next((i for i in range(least) if text[i] != other[i]), least)
    end = next((i for i in range(least - start) if text[-1 - i] != other[-1 - i]), least - start)
    return text[start : len(text) - end][:_SHOWN]
