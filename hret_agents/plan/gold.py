"""Which leaf holds the right answer, and in what form: found by trying it on every sampled row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hret_agents.plan.look import Look
from hret_agents.plan.records import LeafPath, Role
from hret_agents.plan.schema import Leaf, values
from llm_eval.dataset.spec import AnswerKind, Task

LETTERS = "ABCDEFGHIJ"
MISSING = ("", "None", "-1")  # what stands where a split keeps its answers back
_NAMES = re.compile(
    r"^(answer_?key|correct_?answer|answer_?idx|answer_?index|correct_?option|correct_?choice|answer|"
    r"correct|gold_?label|gold|label|target|cop|solution|정답|답|output|final_answer)$",
    re.I,
)
_FITS = 0.9  # a source with a wrong gold in ten is still read as what it is; those are flagged
_CLASSES = 12  # a label with more different values is no closed set
Rows = Sequence[Mapping[str, Any]]
ROLE_OF: dict[str, Role] = {
    "letter": Role.answer_letter,
    "index": Role.answer_index,
    "label": Role.answer_label,
    "text": Role.answer_text,
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found: the task, where its gold lies, and the roles that follow from it."""

    kind: Task = "ungraded"
    answer: LeafPath | None = None
    answer_kind: AnswerKind | None = None
    index_base: int = 0
    labels: LeafPath | None = None
    fixed_choices: list[str] = field(default_factory=list)
    roles: dict[LeafPath, Role] = field(default_factory=dict)


def find(
    leaves: Sequence[Leaf],
    looks: Mapping[LeafPath, Look],
    rows: Rows,
    choices: Sequence[LeafPath],
    roles: Mapping[LeafPath, Role],
) -> Found:
    """The gold of a dataset."""
    named = [leaf for leaf in leaves if may_be(leaf)]
    if choices:
        return _among_choices(leaves, named, rows, choices)
    return _without_choices(named, looks, roles)


def may_be(leaf: Leaf) -> bool:
    """Could a leaf, by its name, hold the gold?"""
    return _NAMES.match(leaf.name) is not None and not leaf.listed


def _among_choices(
    leaves: Sequence[Leaf], named: Sequence[Leaf], rows: Rows, choices: Sequence[LeafPath]
) -> Found:
    """Every named leaf that fits gets its role; the first that is no text is the gold."""
    labels = next(
        (
            p.path
            for p in leaves
            if p.listed and p.name.lower() in ("label", "labels", "key", "keys")
        ),
        None,
    )
    fits: dict[LeafPath, tuple[AnswerKind, int]] = {}
    for leaf in named:
        if leaf.path not in choices and (form := _form(leaf, rows, choices, labels)):
            fits[leaf.path] = form
    roles = {path: ROLE_OF[kind] for path, (kind, _) in fits.items()}
    if labels:
        roles[labels] = Role.category
    for path, (kind, base) in sorted(fits.items(), key=lambda item: item[1][0] == "text"):
        return Found(
            kind="multiple_choice",
            answer=path,
            answer_kind=kind,
            index_base=base,
            labels=labels if kind == "label" else None,
            roles=roles,
        )
    return Found(kind="multiple_choice", roles=roles)


def _form(
    leaf: Leaf, rows: Rows, choices: Sequence[LeafPath], labels: LeafPath | None
) -> tuple[AnswerKind, int] | None:
    """How a leaf names the right choice, on nearly every row that has it: (kind, first index)."""
    pairs = [
        (gold, [v for p in choices for v in values(r, p)], values(r, labels) if labels else [])
        for r in rows
        for gold in values(r, leaf.path)
        if str(gold).strip() not in MISSING
    ]
    if not pairs:
        return None
    text = [str(g).strip() for g, _, _ in pairs]
    counts = [len(c) for _, c, _ in pairs]
    numbers = [int(t) if t.isdecimal() else -1 for t in text]
    first = 1 if choices[0].endswith("1") else 0  # option1, option2: counted as they are named
    forms: list[tuple[AnswerKind, int, list[bool]]] = [
        ("label", 0, [str(g) in map(str, known) for g, _, known in pairs]),
        ("letter", 0, [t.upper() in LETTERS[:n] for t, n in zip(text, counts, strict=True)]),
        *(
            ("index", base, [base <= i < n + base for i, n in zip(numbers, counts, strict=True)])
            for base in (first, 1 - first)
        ),
        ("text", 0, [[str(x) for x in c].count(str(g)) == 1 for g, c, _ in pairs]),
    ]
    fitting = ((kind, base) for kind, base, fits in forms if sum(fits) >= _FITS * len(fits))
    return next(fitting, None)


def _without_choices(
    named: Sequence[Leaf], looks: Mapping[LeafPath, Look], roles: Mapping[LeafPath, Role]
) -> Found:
    for path, role in roles.items():
        if role is Role.answer_steps:
            return Found(kind="number", answer=path, answer_kind="steps")
    for leaf in named:
        look = looks[leaf.path]
        if leaf.kind == "class_label":
            return _closed(leaf, list(leaf.names), "index")
        if leaf.kind == "bool":
            return _closed(leaf, ["False", "True"], "index")
        if leaf.kind == "string" and roles[leaf.path] is Role.category:
            if 2 <= len(look.distinct) <= _CLASSES and len(look.texts) > 2 * len(look.distinct):
                return _closed(leaf, sorted(look.distinct), "text")
        if leaf.kind in ("int", "float") or look.numeric:
            found = {leaf.path: Role.answer_number}
            return Found(kind="number", answer=leaf.path, answer_kind="number", roles=found)
        if leaf.kind == "string" and look.texts and look.mean_words <= 6:
            return Found(kind="text", answer=leaf.path, answer_kind="text")
    return Found()


def _closed(leaf: Leaf, names: list[str], kind: AnswerKind) -> Found:
    roles = {leaf.path: Role.answer_label}
    return Found(
        kind="multiple_choice", answer=leaf.path, answer_kind=kind, fixed_choices=names, roles=roles
    )
