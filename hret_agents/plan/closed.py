"""Labels as golds: what is one of a few, named by a ClassLabel or written out in every row.

Labels that nothing names grade nothing: nobody could tell what they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.forms import present
from hret_agents.plan.found import Found, Seen, may_be, might_be
from hret_agents.plan.labels import in_order, is_known
from hret_agents.plan.records import Role, TaskPlan, keys_of
from hret_agents.plan.schema import Leaf
from llm_eval.dataset.gold import LETTERS, MISSING, is_number
from llm_eval.dataset.spec import AnswerKind, Task

_OF_ROWS = frozenset(  # a flag of these tells how a row was made, and nothing of what it says
    "translated annotated reviewed verified edited generated synthetic augmented truncated public "
    "private train test validation original machine deleted redacted gold".split()
)
_CLASSES = 12  # a written label with more different values is no closed set
_OFTEN, _VERY_OFTEN = 2, 4  # so often must the values of a closed set recur


def closed_set(seen: Seen) -> Found | None:
    """Labels with names, yes or no, and labels written out that recur."""
    single = [leaf for leaf in seen.leaves if not leaf.listed]
    classes = [leaf for leaf in single if leaf.kind == "class_label"]
    labels = [x for x in classes if not hints.is_tag(x.name)]
    named = [x for x in classes if may_be(x)] or [x for x in labels if might_be(x)]
    if not named and len(classes) == 1 and not _has_golds(seen):
        named = labels
    if len(named) == 1 or (named and may_be(named[0])):
        if all(map(is_number, named[0].names)):
            return _nameless(named[:1])
        return _closed(named[0], list(named[0].names), "index")
    for leaf in (x for x in single if may_be(x) and not is_flag(x)):
        if leaf.kind == "bool":
            return _closed(leaf, ["False", "True"], "index")
        if leaf.kind == "string" and (names := _label_names(leaf, seen)):
            return _closed(leaf, names, "text")
    return _ungraded_labels(seen)


def flag(seen: Seen) -> Found | None:
    """Where nothing else may be a gold, what a bool says of the row: is_toxic."""
    if _has_golds(seen):
        return None
    flags = [x for x in seen.leaves if x.kind == "bool" and is_flag(x) and not x.listed]
    flags = [x for x in flags if hints.parts_of(x.name)[-1] not in _OF_ROWS]
    return _closed(flags[0], ["False", "True"], "index") if len(flags) == 1 else None


def _has_golds(seen: Seen) -> bool:
    """Does a leaf, flags aside, hold what by its name may be a gold?"""
    named = [seen.looks[x.path] for x in seen.leaves if may_be(x) and not is_flag(x)]
    return any(present(value) for look in named for value in look.values)


def is_flag(leaf: Leaf) -> bool:
    """is_toxic, is_impossible"""
    return leaf.name.lower().startswith("is_")


def _ungraded_labels(seen: Seen) -> Found | None:
    """Labels that no task can be made of: they are kept, and nothing is guessed."""
    kept = [x for x in seen.leaves if hints.is_label(x.name) and _has_no_names(x, seen)]
    return _nameless(kept) if kept else None


def ratings(seen: Seen) -> Found | None:
    """Labels that are numbers, as of a scale that is nowhere told: none is a number to find out."""
    kept = [x for x in seen.leaves if may_be(x) and is_class(x) and is_numeric(x, seen)]
    return _nameless(kept) if kept else None


def _nameless(kept: Sequence[Leaf]) -> Found:
    """Labels that stay as they are, and grade nothing."""
    first = kept[0]
    several = first.listed and first.kind in ("class_label", "bool")
    why = "has several labels in a row" if several else "has numbers, and nothing tells their names"
    roles = dict.fromkeys((x.path for x in kept), Role.answer_label)
    return Found(roles=roles).ungraded(f"{first.path} {why}")


def is_class(leaf: Leaf) -> bool:
    """label, emotion; but not target, which may be what a sum comes to"""
    return hints.is_label(leaf.name) and leaf.name.lower() not in ("target", "targets")


def is_numeric(leaf: Leaf, seen: Seen) -> bool:
    """Numbers, and not all held back?"""
    look = seen.looks[leaf.path]
    return bool(look.distinct - {-1}) and (leaf.kind in ("int", "float") or look.numeric)


def _has_no_names(leaf: Leaf, seen: Seen) -> bool:
    """Numbers from 0 or 1 on and nothing that says what they stand for; or several labels a row."""
    if leaf.listed and leaf.kind in ("class_label", "bool"):
        return True
    found = sorted(v for v in seen.looks[leaf.path].distinct if v != -1)
    if leaf.kind != "int" or not 2 <= len(found) <= _CLASSES:
        return False
    return found[0] in (0, 1) and found == list(range(found[0], found[0] + len(found)))


def _label_names(leaf: Leaf, seen: Seen) -> list[str]:
    """The different labels of a leaf that has few; empty if it is no closed set."""
    look = seen.looks[leaf.path]
    names = in_order(v for v in look.distinct if isinstance(v, str) and present(v))
    if seen.roles[leaf.path] is not Role.category or not 2 <= len(names) <= _CLASSES:
        return []
    often = _OFTEN if hints.is_label(leaf.name) else _VERY_OFTEN
    recur = len(look.texts) > often * len(names)
    if recur or (look.texts and all(map(is_known, names))):
        return names
    return names if hints.is_label(leaf.name) and len(look.texts) > len(names) else []


def _closed(leaf: Leaf, names: list[str], kind: AnswerKind) -> Found:
    roles = {leaf.path: Role.answer_label}
    return Found(
        kind=_task(names), answer=leaf.path, answer_kind=kind, fixed_choices=names, roles=roles
    )


def _task(names: Sequence[str]) -> Task:
    """More labels than there are letters are answered by their names."""
    return "multiple_choice" if len(names) <= len(LETTERS) else "text"


def with_all_labels(task: TaskPlan, parts: Iterable[tuple[str, str, Any]]) -> TaskPlan:
    """The task with every label that its column holds in the `parts` of a source (subset, split,
    data), not only those in the rows looked at."""
    if not task.fixed_choices or task.answer_kind != "text" or task.answer is None:
        return task
    (column, *deeper) = keys_of(task.answer)
    if deeper:
        return task
    labels = {v for _, _, data in parts for v in data.unique(column)}
    names = in_order(str(v) for v in labels if str(v) not in MISSING)
    return replace(task, fixed_choices=names, kind=_task(names))
