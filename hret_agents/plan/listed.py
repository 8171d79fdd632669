"""Lists that stand in a text, as JSON or Python writes them: of golds, and of choices."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hret_agents.plan.look import FITS
from hret_agents.plan.records import LeafPath, Role
from hret_agents.plan.schema import Leaf, values

Rows = Sequence[Mapping[str, Any]]


def first_of_listed(
    lists: Sequence[Leaf], leaves: Sequence[Leaf], rows: Rows, roles: Mapping[LeafPath, Role]
) -> list[Leaf]:
    """The leaves whose text is among the golds that one of `lists` names, in nearly every row."""
    kept = (Role.category, Role.prose)
    texts = [x for x in leaves if x.kind == "string" and not x.listed and roles[x.path] in kept]
    return [x for x in texts if any(_named(x.path, golds.path, rows) for golds in lists)]


def _named(path: LeafPath, golds: LeafPath, rows: Rows) -> bool:
    pairs = [(values(row, path), read_list(row, golds)) for row in rows]
    pairs = [(said, known) for said, known in pairs if known]
    return bool(pairs) and sum(bool(a) and a[0] in b for a, b in pairs) >= FITS * len(pairs)


def read_list(row: Mapping[str, Any], path: LeafPath) -> list[Any]:
    """The list that the text at `path` writes out, or the values of a mapping; empty if neither."""
    text = next(iter(values(row, path)), None)
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(str(text).strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        found = list(found.values()) if isinstance(found, dict) else found
        return found if isinstance(found, list) else []
    return []
