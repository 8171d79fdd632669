"""Rows that ask several questions, each with an answer of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.look import FITS
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of, path_of
from hret_agents.plan.schema import Leaf, values

Rows = Sequence[Mapping[str, Any]]


def answers_one_of_several(
    path: LeafPath, leaves: Sequence[Leaf], rows: Rows, roles: Mapping[LeafPath, Role]
) -> bool:
    """Is a gold in a list that has one place for each question of a row?

    As `answers.input_text[]` beside `questions[]`, and `parts[].answer` beside `parts[].question`.
    """
    if EACH not in keys_of(path):
        return False
    asked = [x for x in leaves if x.listed and x.path != path and hints.is_asking(x.path)]
    asked = [x for x in asked if _asks(x, path, roles[x.path])]
    return any(_parallel(path, x.path, rows) for x in asked)


def _asks(leaf: Leaf, path: LeafPath, role: Role) -> bool:
    """Is it a text; or a question beside the gold in one struct, too short to be seen as text?"""
    beside = hints.asks(leaf.name) and _list_of(leaf.path) == _list_of(path)
    return leaf.kind == "string" and (role.translated or beside)


def _list_of(path: LeafPath) -> LeafPath:
    """The outermost list that a leaf lies in."""
    keys = keys_of(path)
    return path_of(keys[: keys.index(EACH)])


def _parallel(one: LeafPath, other: LeafPath, rows: Rows) -> bool:
    """Are their lists as long as each other, and some longer than one?"""
    pairs = [(_count(row, one), _count(row, other)) for row in rows]
    pairs = [pair for pair in pairs if any(pair)]
    longer = any(min(pair) > 1 for pair in pairs)
    return longer and sum(a == b for a, b in pairs) >= FITS * len(pairs)


def _count(row: Mapping[str, Any], path: LeafPath) -> int:
    return sum(len(found or ()) for found in values(row, _list_of(path)))
