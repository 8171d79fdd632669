"""Long texts: cut at paragraphs, lines, sentences or words, and put together without loss.

A unit that fits into no request, or whose translation fits into no reply, becomes several units,
each asked for and kept on its own. Nothing is cut inside a protected part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hret_agents.translate.masks import spans_of
from hret_agents.translate.scripts import worth_translating
from hret_agents.translate.units import Segment, Unit

PIECE_CHARS = 4_000  # a longer text is cut
LEAST_CHARS = 200  # no text is cut into smaller pieces, however short the model's replies are
_BOUNDS = (
    re.compile(r"\n\s*\n\s*"),  # paragraphs
    re.compile(r"\s*\n\s*"),  # lines
    re.compile(r"[.!?…。！？][\"'”’)\]]*\s+"),  # sentences
    re.compile(r"[;:,]\s+"),  # clauses
    re.compile(r"\s+"),  # words
)


def pieces(text: str, most: int) -> list[str]:
    """`text` in pieces of at most `most` characters, where its bounds allow it.

    >>> pieces("One two. Three four.\\n\\nFive.", 22)
    ['One two. Three four.\\n\\n', 'Five.']
    >>> "".join(pieces("x" * 50, 20)) == "x" * 50
    True
    """
    closed = spans_of(text)
    out, start = [], 0
    while len(text) - start > most:
        end = _bound(text, start, most, closed)
        out.append(text[start:end])
        start = end
    return [*out, text[start:]] if start < len(text) else out


def _bound(text: str, start: int, most: int, closed: Sequence[tuple[int, int]]) -> int:
    """Where to cut: the best kind of bound in the second half of the piece, as late as it comes."""
    for bound in _BOUNDS:
        ends = [
            m.end()
            for m in bound.finditer(text, start + most // 2, start + most)
            if not _inside(m.end(), closed)
        ]
        if ends:
            return ends[-1]
    end = start + most
    return next((b for a, b in closed if a < end < b), end)


def _inside(place: int, closed: Sequence[tuple[int, int]]) -> bool:
    return any(a < place < b for a, b in closed)


def divided(unit: Unit, most: int) -> list[Unit]:
    """The unit in parts of at most about `most` characters; a part's `place` is the segment's
    number in the unit. Texts that need no cut stay together as long as they fit."""
    whole: list[Segment] = []
    cut: list[Segment] = []
    for number, segment in enumerate(unit.segments):
        if segment.size <= most:
            whole.append(Segment(segment.path, number, segment.core))
        else:
            cut += _cut(segment, number, most)
    return [Unit(tuple(part)) for part in (*_grouped(whole, most), *_grouped(cut, most))]


def _cut(segment: Segment, number: int, most: int) -> Iterator[Segment]:
    """The pieces of a text. What stands around a piece's core goes with it; a piece without a word
    goes with the one after it, or the last one."""
    cores: list[list[str]] = []
    waiting = ""
    for piece in pieces(segment.core, most):
        if not worth_translating(piece):
            waiting += piece
            continue
        core = piece.strip()
        start = piece.index(core)
        cores.append([waiting + piece[:start], core, piece[start + len(core) :]])
        waiting = ""
    if not cores:
        cores.append(["", segment.core, ""])
    else:
        cores[-1][2] += waiting
    for before, core, after in cores:
        yield Segment(segment.path, number, core, before, after)


def _grouped(segments: Sequence[Segment], most: int) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    size = 0
    for segment in segments:
        if group and size + segment.size > most:
            yield group
            group, size = [], 0
        group.append(segment)
        size += segment.size
    if group:
        yield group


def joined(unit: Unit, parts: Sequence[Unit], texts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The unit's texts, of its parts' texts."""
    out = [""] * len(unit.segments)
    for part, translated in zip(parts, texts, strict=True):
        for segment, text in zip(part.segments, translated, strict=True):
            out[segment.place] += segment.before + text + segment.after
    return tuple(out)
