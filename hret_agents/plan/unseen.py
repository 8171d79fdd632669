"""Parts of what is asked that no prompt of a port can show: nothing is graded without them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.forms import present
from hret_agents.plan.found import Found
from hret_agents.plan.languages import in_one_list
from hret_agents.plan.listed import read_list
from hret_agents.plan.look import FITS
from hret_agents.plan.records import LeafPath, Role
from hret_agents.plan.schema import Leaf, values

_LETTER = re.compile(r"\(?[A-Ja-j]\)?\.?")
Row = Mapping[str, Any]


def graded(
    found: Found,
    question: Sequence[LeafPath],
    leaves: Sequence[Leaf],
    roles: Mapping[LeafPath, Role],
    rows: Sequence[Row],
) -> Found:
    """What was found; without its gold where that is judged by what is not shown."""
    if found.answer is None:
        return found
    for path in filter(hints.is_asking, in_one_list(leaves)):
        return found.ungraded(f"{path} holds all languages of what is asked, and is not shown")
    texts = [x for x in leaves if hints.is_options(x.name) and x.kind == "string" and not x.listed]
    for leaf in texts if found.group is None else []:
        if roles[leaf.path] is Role.code and _picks(found.answer, leaf.path, question, rows):
            return found.ungraded(f"{leaf.path} holds the choices as one text, and is not shown")
    return found


def _picks(
    gold: LeafPath, choices: LeafPath, question: Sequence[LeafPath], rows: Sequence[Row]
) -> bool:
    """Does the gold name a place among choices that are not in the question?"""
    fits = []
    for row in rows:
        listed = [str(choice) for choice in read_list(row, choices)]
        golds = [str(v).strip() for v in values(row, gold) if present(v)]
        if listed and golds:
            said = "\0".join(str(v) for path in question for v in values(row, path))
            told = golds[0] in listed or all(choice in said for choice in listed)
            fits.append(not told and _is_place(golds[0], len(listed)))
    return bool(fits) and sum(fits) >= FITS * len(fits)


def _is_place(gold: str, count: int) -> bool:
    return bool(_LETTER.fullmatch(gold)) or (gold.isdecimal() and int(gold) <= count)
