"""Answers that are a piece of a context, with the place where they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hret_agents.plan.hints import parts_of
from hret_agents.plan.look import FITS
from hret_agents.plan.records import LeafPath, Role, Span, keys_of
from hret_agents.plan.schema import Leaf, values

Rows = Sequence[Mapping[str, Any]]


def find_span(
    leaves: Sequence[Leaf],
    rows: Rows,
    roles: Mapping[LeafPath, Role],
    may_be: Callable[[Leaf], bool],
) -> list[Span]:
    """The extractive answers: of nine in ten the text stands in the context where it is said to.

    A column beside a start is an answer only if it `may_be` one by its name, or shares a word with
    the start's: not the word whose place in a sentence is told.
    """
    contexts = [leaf for leaf in leaves if roles[leaf.path] is Role.prose and not leaf.listed]
    texts = [leaf for leaf in leaves if leaf.kind == "string"]
    found = []
    for start in leaves:
        if start.kind != "int" or "start" not in start.name.lower():
            continue
        beside = [x for x in texts if _beside(x, start) and (may_be(x) or _belongs(x, start))]
        pairs = ((c, t) for t in beside for c in contexts if c is not t)
        for context, text in pairs:
            span = Span(context=context.path, text=text.path, start=start.path)
            if _fits(span, rows):
                found.append(span)
                break
    return found


def _beside(text: Leaf, start: Leaf) -> bool:
    """In the same struct, or in the same list of structs."""
    return text.listed == start.listed and _above(text.path) == _above(start.path)


def _belongs(text: Leaf, start: Leaf) -> bool:
    """Do they lie in a struct of their own, or share a word: span_text, span_start?"""
    shared = set(parts_of(text.name)) & set(parts_of(start.name))
    return bool(_above(text.path)) or bool(shared)


def _above(path: LeafPath) -> tuple[str, ...]:
    keys = keys_of(path)
    return keys[:-2] if keys[-1] == "[]" else keys[:-1]


def _fits(span: Span, rows: Rows) -> bool:
    fits = []
    for row in rows:
        context = next(iter(values(row, span.context)), None)
        for text, start in zip(values(row, span.text), values(row, span.start), strict=False):
            if context and text and isinstance(start, int) and start >= 0:
                fits.append(context[start : start + len(text)] == text)
    return bool(fits) and sum(fits) >= FITS * len(fits)
