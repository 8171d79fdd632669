"""From a row to the unit that is translated, and back.

A row is the unit: its texts travel together, so that question and choices agree. What is empty,
wordless, in the target language already, or a program that does not parse is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hret_agents.plan.look import STEPS
from hret_agents.plan.records import Plan, Role, Span
from hret_agents.plan.schema import replaced, values
from hret_agents.translate.programs import Piece, fitted, pieces
from hret_agents.translate.scripts import in_language, worth_translating

_LETTER = re.compile(r"^(\s*\(?[A-J]\s*[).:]\s*)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """One text of a row: `core` is sent, what stands around it stays as it is.

    `place` counts the values of its leaf; a program has several segments in one place.
    """

    path: str
    place: int
    core: str
    before: str = ""
    after: str = ""

    @property
    def size(self) -> int:
        """Length of what is sent, in characters."""
        return len(self.core)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is translated as one: the segments of a row. `choices` groups those to be distinct."""

    segments: tuple[Segment, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts to send, in order."""
        return tuple(s.core for s in self.segments)

    @property
    def fields(self) -> tuple[str, ...]:
        """What each text is: its leaf's path."""
        return tuple(s.path for s in self.segments)

    @property
    def size(self) -> int:
        """Length of the texts, in characters."""
        return sum(s.size for s in self.segments)


def unit_of(row: Mapping[str, Any], plan: Plan) -> tuple[Unit, int]:
    """(the unit of a row, how many cells were in the target language already)."""
    segments: list[Segment] = []
    source, target = plan.source_lang, plan.target_lang
    kept = 0
    for path in plan.translated:
        for place, text in enumerate(values(row, path)):
            if not isinstance(text, str) or not worth_translating(text, source):
                continue
            if in_language(text, target, source):
                kept += 1
                continue
            if plan.roles[path] is Role.code_prompt:
                found = pieces(text) or ()  # what does not parse is kept: nobody knows its prose
                foreign = [p for p in found if not in_language(p.text, target, source)]
                segments += _of_program(path, place, text, foreign)
                continue
            before, core, after = _split(text, plan.roles[path], plan.task.lettered)
            if worth_translating(core, source):
                segments.append(Segment(path, place, core, before, after))
    return Unit(tuple(segments)), kept


def _of_program(path: str, place: int, text: str, found: Sequence[Piece]) -> Iterator[Segment]:
    """The prose of a program, each piece with the code before it, the last with what is behind."""
    done = 0
    for number, piece in enumerate(found, 1):
        after = text[piece.end :] if number == len(found) else ""
        yield Segment(path, place, piece.text, text[done : piece.start], after)
        done = piece.end


def _split(text: str, role: Role, lettered: bool) -> tuple[str, str, str]:
    """(kept before, to translate, kept after): outer spaces, an option's letter, a gold `#### 42`.

    >>> _split("B) two apples ", Role.choices, True)
    ('B) ', 'two apples', ' ')
    >>> _split("1+1=2\\n#### 2", Role.answer_steps, False)
    ('', '1+1=2', '\\n#### 2')
    """
    before = after = ""
    if role is Role.answer_steps and (m := STEPS.match(text)):
        text, after = m[1], m[2] + m[3] + m[4]
    if role is Role.choices and lettered and (m := _LETTER.match(text)):
        before, text = m[1], m[2]
    core = text.strip()
    start = text.index(core)
    return before + text[:start], core, text[start + len(core) :] + after


def translated_row(
    row: Mapping[str, Any], unit: Unit, texts: Sequence[str], plan: Plan
) -> dict[str, Any]:
    """A copy of `row` with the unit's texts in their places, and golds taken from their choices."""
    new: dict[str, dict[int, str]] = {}
    for segment, text in zip(unit.segments, texts, strict=True):
        if plan.roles[segment.path] is Role.code_prompt:
            text = fitted(text, segment.core)
        by_place = new.setdefault(segment.path, {})
        so_far = by_place.get(segment.place, "")
        by_place[segment.place] = so_far + segment.before + text + segment.after
    out: Mapping[str, Any] = row
    for path, by_place in new.items():
        out = replaced(out, path, _at(by_place))
    for path in answer_texts(plan):
        out = replaced(out, path, _rederived(row, out, plan))
    for span in plan.spans:
        out = replaced(out, span.start, _realigned(row, out, span))
    return dict(out)


def answer_texts(plan: Plan) -> list[str]:
    """The leaves whose text equals a choice and follows it."""
    return [p for p, role in plan.roles.items() if role is Role.answer_text and plan.task.choices]


def _at(by_place: Mapping[int, str]) -> Any:
    places = iter(range(1 << 62))
    return lambda old: by_place.get(next(places), old)


def _rederived(row: Mapping[str, Any], out: Mapping[str, Any], plan: Plan) -> Any:
    old = list(_choices(row, plan))
    new = list(_choices(out, plan))

    def gold(value: Any) -> Any:
        return new[old.index(value)] if value in old else value

    return gold


def _realigned(row: Mapping[str, Any], out: Mapping[str, Any], span: Span) -> Any:
    """Where an extractive answer starts now: of several places the one that it had. An answer that
    is nowhere keeps its start, for the checks to see."""
    old, new = ("\0".join(map(str, values(r, span.context))) for r in (row, out))
    texts = zip(values(row, span.text), values(out, span.text), strict=True)

    def start(place: Any) -> Any:
        was, now = next(texts, ("", ""))
        if not isinstance(place, int) or not was or not now or now not in new:
            return place
        before = old.count(was, 0, max(place, 0))
        found = -1
        for _ in range(min(before, new.count(now) - 1) + 1):
            found = new.index(now, found + 1)
        return found

    return start


def _choices(row: Mapping[str, Any], plan: Plan) -> Iterator[Any]:
    for path in plan.task.choices:
        yield from values(row, path)
