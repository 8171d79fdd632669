"""From a row of a port back to the texts that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hret_agents.plan.schema import values
from hret_agents.review.rows import Row
from hret_agents.translate.units import Segment, Unit


def texts_of(unit: Unit, new: Row) -> list[str] | None:
    """The texts of `unit` as a row of the port holds them; None where that cannot be told.

    It cannot where a cell has several texts and what stands between them occurs in one of them too.
    """
    out: list[str] = []
    for (path, place), group in groupby(unit.segments, key=lambda s: (s.path, s.place)):
        cells = values(new, path)
        whole = cells[place] if place < len(cells) else None
        found = _apart(whole, list(group)) if isinstance(whole, str) else None
        if found is None:
            return None
        out += found
    return out


def _apart(whole: str, segments: Sequence[Segment]) -> list[str] | None:
    """The texts of one cell: what is left between the parts that are kept."""
    between = [segments[0].before, *(s.before for s in segments[1:]), segments[-1].after]
    if len(whole) < len(between[0]) + len(between[-1]):
        return None
    if not (whole.startswith(between[0]) and whole.endswith(between[-1])):
        return None
    rest = whole[len(between[0]) : len(whole) - len(between[-1])]
    first, last = _split(rest, between[1:-1]), _split_from_end(rest, between[1:-1])
    return first if first == last else None


def _split(text: str, signs: Sequence[str]) -> list[str] | None:
    """`text` cut at each of `signs`, as early as they come."""
    out = []
    for sign in signs:
        part, found, text = text.partition(sign)
        if not found:
            return None
        out.append(part)
    return [*out, text]


def _split_from_end(text: str, signs: Sequence[str]) -> list[str] | None:
    out = []
    for sign in reversed(signs):
        text, found, part = text.rpartition(sign)
        if not found:
            return None
        out.append(part)
    return [text, *reversed(out)]


def places(unit: Unit) -> list[str]:
    """The place of each text in its leaf, as a table names it: "0", or "0#1" for the second text
    of a cell."""
    out: list[str] = []
    for (_, place), group in groupby(unit.segments, key=lambda s: (s.path, s.place)):
        out += [f"{place}#{n}" if n else f"{place}" for n, _ in enumerate(group)]
    return out
