"""How a gold names the right choice: tried on every sampled row that has one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hret_agents.plan.choices import Group
from hret_agents.plan.look import FITS
from hret_agents.plan.records import Role
from hret_agents.plan.schema import Leaf, values
from llm_eval.dataset.gold import LETTERS, MISSING
from llm_eval.dataset.spec import AnswerKind

Rows = Sequence[Mapping[str, Any]]
ROLE_OF: dict[str, Role] = {
    "letter": Role.answer_letter,
    "index": Role.answer_index,
    "label": Role.answer_label,
    "text": Role.answer_text,
    "flags": Role.answer_label,
}
_PART = re.compile(r"[,;/&|\s]+|(?<=[A-J])(?=[A-J])")
_ENOUGH = 20  # golds, none of them 0, that tell on which base they are counted
_WRAPPED = re.compile(r"^\s*(?:\(([A-Ja-j])\)|([A-Ja-j])[.)])\s*$")


@dataclass(frozen=True, slots=True)
class Form:
    """How a leaf names the right choice. `graded`: one choice a row, in a form that can be read.
    `guessed`: as well as from this base the choices might be counted from the other.
    """

    kind: AnswerKind
    base: int = 0
    graded: bool = True
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class _Gold:
    """The golds of one row, as text, and what is chosen from there."""

    said: list[str]
    texts: list[str]
    labels: list[str] = field(default_factory=list)


def form_of(leaf: Leaf, rows: Rows, group: Group) -> Form | None:
    """How a leaf names the right choice, on nearly every row that has it; None: it does not."""
    golds = _golds(leaf, rows, group)
    if not golds:
        return None
    several = leaf.listed and any(len(set(gold.said)) > 1 for gold in golds)
    if form := _fitting(golds, group):
        return replace(form, graded=not several and _readable(golds, form))
    parted = [_Gold(_parts(g.said), g.texts, g.labels) for g in golds]
    if leaf.kind == "string" and any(len(g.said) > 1 for g in parted):
        if (form := _fitting(parted, group)) and form.kind != "text":
            return Form(form.kind, form.base, graded=False)
    return None


def flags_form(leaf: Leaf, rows: Rows) -> Form:
    """Flags beside the choices: graded if nearly every row that has any has a single one."""
    lists = [[v for v in values(row, leaf.path) if v] for row in rows]
    lists = [found for found in lists if found]
    return Form("flags", graded=sum(len(f) == 1 for f in lists) >= FITS * len(lists))


def present(value: Any) -> bool:
    """Is a gold given, and not held back?"""
    return str(value).strip() not in MISSING


def _golds(leaf: Leaf, rows: Rows, group: Group) -> list[_Gold]:
    found = []
    for row in rows:
        said = [str(v) for v in values(row, leaf.path) if present(v)]
        texts = group.texts(row)
        if said and texts:
            labels = [str(v) for v in values(row, group.labels)] if group.labels else []
            found.append(_Gold(said, texts, labels))
    return found


def _fitting(golds: Sequence[_Gold], group: Group) -> Form | None:
    first = 1 if group.paths[0].endswith("1") else 0  # option1, option2: counted as they are named
    shares = {
        Form("label"): _share(golds, lambda said, g: said in g.labels),
        Form("letter"): _share(golds, _is_letter),
        Form("index", first): _share(golds, lambda said, g: _counted(said, g, first)),
        Form("index", 1 - first): _share(golds, lambda said, g: _counted(said, g, 1 - first)),
        Form("text"): _share(golds, lambda said, g: g.texts.count(said) == 1),
    }
    indices = [form for form in shares if form.kind == "index"]
    better = max(indices, key=lambda form: shares[form])  # of equals the first
    for form, share in shares.items():
        if share >= FITS and (form.kind != "index" or form == better):
            guessed = form == indices[0] == Form("index", 0) and share == shares[indices[1]]
            return Form("index", 1, guessed=True) if guessed and _never_0(golds) else form
    return None


def _never_0(golds: Sequence[_Gold]) -> bool:
    """Is the first of the choices, if they are counted from 0, never right in many rows?"""
    return len(golds) >= _ENOUGH and all(text.strip() != "0" for g in golds for text in g.said)


def _share(golds: Sequence[_Gold], fits: Any) -> float:
    """The share of golds all of whose parts fit."""
    return sum(all(fits(said, gold) for said in gold.said) for gold in golds) / len(golds)


def _is_letter(said: str, gold: _Gold) -> bool:
    text = said.strip()
    if m := _WRAPPED.match(text):
        text = m[1] or m[2]
    return len(text) == 1 and text.upper() in LETTERS[: len(gold.texts)]


def _counted(said: str, gold: _Gold, base: int) -> bool:
    text = said.strip()
    return text.isdecimal() and base <= int(text) < len(gold.texts) + base


def _readable(golds: Sequence[_Gold], form: Form) -> bool:
    """A letter is read if it stands alone, without brackets."""
    return form.kind != "letter" or all(len(s.strip()) == 1 for g in golds for s in g.said)


def _parts(said: Sequence[str]) -> list[str]:
    return [part for text in said for part in _PART.split(text.strip()) if part]
