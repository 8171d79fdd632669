"""What is chosen from: lists of choices, a column per choice, or the gold beside wrong answers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hret_agents.plan.chat import list_of
from hret_agents.plan.hints import is_wrong, names_on, parts_of
from hret_agents.plan.look import FITS, Look
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of
from hret_agents.plan.schema import Leaf, values
from llm_eval.dataset.gold import MISSING

Rows = Sequence[Mapping[str, Any]]
Looks = Mapping[LeafPath, Look]
_LISTS = frozenset(
    "choice choices option options candidate candidates ending endings alternatives answers "
    "selections entities".split()
)
_UNSURE_LISTS = frozenset(
    ("answers", "candidate", "candidates", "entities")
)  # they may be golds as well
_KEYS = frozenset("label labels key keys letter letters id ids idx index mark".split())
_FLAGS = frozenset(
    "label labels score scores correct correctness gold golds flag flags right answer".split()
)
_STEMS = re.compile(
    r"^(?:.*[_ ])?(ans|answer|answer choice|op|opt|option|choice|ending|sol|alternative|candidate|"
    r"mc|selection|hypothesis|hyp)$|^.*quiz$|^$"
)
_UNSURE_STEMS = re.compile(r"(sol|alternative|candidate|mc|hypothesis|hyp|quiz|answer)$")
_MARKED = re.compile(r"^(.*?)[_ \[(-]*(\d{1,2}|[a-jA-J])[\])]?$")
_NOT_ONE = frozenset("explanation reason answers distractors options choices".split())
_EARLIER = frozenset(("pre", "revision", "extra", "original", "old"))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Choices that belong together. `paths` is one list, or a column per choice.

    `labels` names each choice, `flags` says of each whether it is right. `gold` is the one of the
    columns that is always right. A group that is not `sure` counts only if a gold fits it.
    """

    paths: list[LeafPath]
    labels: LeafPath | None = None
    flags: LeafPath | None = None
    gold: LeafPath | None = None
    sure: bool = True

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """What is chosen from in a row, without the empty columns at the end."""
        found = [v for path in self.paths for v in values(row, path)]
        while len(self.paths) > 1 and found and found[-1] in (None, ""):
            found.pop()
        return [str(v) for v in found]


def groups(
    leaves: Sequence[Leaf], looks: Looks, rows: Rows, roles: Mapping[LeafPath, Role]
) -> list[Group]:
    """All that may be chosen from, what is likeliest first."""
    found = [*_lists(leaves, looks, rows, roles), *_columns(leaves, looks)]
    rotated = _beside_wrong_ones(leaves, looks, rows)
    return [*found, rotated] if rotated else found


def nested(leaves: Sequence[Leaf], looks: Looks) -> list[LeafPath]:
    """Choices in a list within a list, as of several questions a row: no task can ask them."""
    return [
        leaf.path
        for leaf in leaves
        if (root := _root(leaf)) is not None
        and keys_of(leaf.path).count(EACH) > 1
        and looks[leaf.path].texts
        and not looks[leaf.path].letters
        and not _KEYS.intersection(parts_of(leaf.name))
        and not _UNSURE_LISTS.intersection(parts_of(leaf.name))
        and "entities" not in keys_of(leaf.path)
        and not _is_of_an_answer(leaf, root)
    ]


def _is_of_an_answer(leaf: Leaf, root: tuple[str, ...]) -> bool:
    """Is it a list of what one answer has, as answers[].tokens[]?"""
    inside = keys_of(leaf.path)[len(root) :]
    return inside.count(EACH) > 1 and not _UNSURE_LISTS.isdisjoint(parts_of(root[-1]))


def _lists(
    leaves: Sequence[Leaf], looks: Looks, rows: Rows, roles: Mapping[LeafPath, Role]
) -> Iterator[Group]:
    seen: set[tuple[str, ...]] = set()
    for leaf in leaves:
        root = _root(leaf)
        if root is None or root in seen or keys_of(leaf.path).count(EACH) != 1:
            continue
        inside = [o for o in leaves if keys_of(o.path)[: len(root)] == root and o.listed]
        strings = [o for o in inside if o.kind == "string" and looks[o.path].texts]
        labels = next((o for o in strings if _names_choices(o, strings, rows)), None)
        texts = [o for o in strings if o is not labels and roles[o.path] is not Role.code]
        if not texts:
            continue
        seen.add(root)
        text = max(texts, key=lambda o: looks[o.path].mean_words)
        unsure = any(parts_of(name)[-1:] and parts_of(name)[-1] in _UNSURE_LISTS for name in root)
        flags = [o for o in leaves if _flags(o, text, rows)]
        if labels is None:
            apart = [o for o in leaves if o not in inside and _names_choices(o, [o, text], rows)]
            labels = next((o for o in apart if _parallel(o, text, rows)), None)
        yield Group(
            paths=[text.path],
            labels=labels.path if labels else None,
            flags=flags[0].path if flags else None,
            sure=not unsure or bool(flags),
        )


def _root(leaf: Leaf) -> tuple[str, ...] | None:
    """The keys down to the one that is called choices, options, ...; None if none is.

    Its neighbours in a struct belong to the same choices only if the struct itself is called so.
    """
    if not leaf.listed or leaf.kind != "string":
        return None
    keys = keys_of(leaf.path)
    for place, key in enumerate(keys):
        named = parts_of(key)
        if key == EACH or is_wrong(key) or "correct" in named:
            continue
        if (named[-1:] and named[-1] in _LISTS) or "choice" in named:
            return keys[: place + 1]
    return None


def _names_choices(leaf: Leaf, among: Sequence[Leaf], rows: Rows) -> bool:
    """Does a leaf hold the choices' own labels: short, and different within a row?"""
    if leaf.kind != "string" or not leaf.listed or len(among) < 2:
        return False
    if not _KEYS.intersection(parts_of(leaf.name)):
        return False
    lists = [[str(v) for v in values(row, leaf.path)] for row in rows]
    lists = [found for found in lists if found]
    short = [f for f in lists if len(set(f)) == len(f) and all(len(v) <= 3 for v in f)]
    return bool(lists) and len(short) >= FITS * len(lists)


def _parallel(one: Leaf, other: Leaf, rows: Rows) -> bool:
    """Are two lists as long as each other, in nearly every row?"""
    counts = [(len(values(row, one.path)), len(values(row, other.path))) for row in rows]
    counts = [pair for pair in counts if any(pair)]
    return bool(counts) and sum(a == b for a, b in counts) >= FITS * len(counts)


def _flags(leaf: Leaf, text: Leaf, rows: Rows) -> bool:
    """Does a leaf say of each choice whether it is right: by 0 and 1, and at least one 1?"""
    if leaf.kind not in ("int", "bool", "float") or not leaf.listed:
        return False
    beside = list_of(leaf.path)[:-1] == list_of(text.path)[:-1] or (
        keys_of(leaf.path)[:-2] == keys_of(text.path)[:-2]
    )
    if not beside or not _FLAGS.intersection(parts_of(leaf.name)):
        return False
    lists = [[v for v in values(row, leaf.path) if v is not None] for row in rows]
    binary = all(v in (0, 1) for found in lists for v in found)
    return binary and any(map(any, lists)) and _parallel(leaf, text, rows)


def _columns(leaves: Sequence[Leaf], looks: Looks) -> Iterator[Group]:
    """A column per choice: option1, option2; A, B, C, D; opa, opb, opc, opd."""
    found: dict[tuple[str, ...], list[tuple[str, LeafPath]]] = defaultdict(list)
    for leaf in leaves:
        m = _MARKED.match(leaf.name)
        if leaf.kind == "string" and not leaf.listed and m:
            stem = " ".join(parts_of(m[1])) if len(m[1]) > 2 else m[1].lower().strip()
            found[(*keys_of(leaf.path)[:-1], stem)].append((m[2].lower(), leaf.path))
    for (*above, stem), marked in found.items():
        if not _STEMS.match(stem):
            continue
        marked.sort(key=lambda pair: (len(pair[0]), pair[0]))
        marks = [mark for mark, _ in marked]
        if not stem and marks[0].isdigit() and not above:
            continue
        if len(marks) >= 2 and marks in _runs(len(marks)) and looks[marked[0][1]].texts:
            yield Group(paths=[path for _, path in marked], sure=_UNSURE_STEMS.search(stem) is None)


def _runs(count: int) -> list[list[str]]:
    numbers = [[str(i + base) for i in range(count)] for base in (0, 1)]
    return [*numbers, [chr(ord("a") + i) for i in range(count)]]


def _beside_wrong_ones(leaves: Sequence[Leaf], looks: Looks, rows: Rows) -> Group | None:
    """A column that always holds the right answer, beside columns that always hold wrong ones."""
    single = [x for x in leaves if x.kind == "string" and not x.listed and looks[x.path].texts]
    single = [x for x in single if not _EARLIER.intersection(parts_of(x.name))]
    wrong = [x for x in single if is_wrong(x.name) and _may_be_chosen(x)]
    right = [x for x in single if x not in wrong and _is_right(x) and not looks[x.path].letters]
    if not right or not wrong:
        return None
    gold = min(right, key=lambda x: "correct" not in parts_of(x.name))
    wrong = [x for x in wrong if keys_of(x.path)[:-1] == keys_of(gold.path)[:-1]]
    wrong.sort(key=lambda x: (len(x.name), x.name))
    paths = [gold.path, *(x.path for x in wrong)]
    given = [row for row in rows if str(row_value(row, gold.path)).strip() not in MISSING]
    apart = sum(len({str(row_value(row, p)) for p in paths}) == len(paths) for row in given)
    if not wrong or apart < FITS * len(given):
        return None
    return Group(paths=paths, gold=gold.path)


def _may_be_chosen(leaf: Leaf) -> bool:
    """Is it one wrong answer: not why it is wrong, nor several in one text?"""
    parts = parts_of(leaf.name)
    return len(names_on(leaf.path)) == 1 and not _NOT_ONE.intersection(parts)


def _is_right(leaf: Leaf) -> bool:
    parts = [p for p in parts_of(leaf.name) if not p.isdigit()]
    return tuple(parts) in {
        ("correct", "answer"), ("right", "answer"), ("answer",), ("correct",), ("best", "answer"),
        ("correct", "option"), ("correct", "choice"),
    }  # fmt: skip


def row_value(row: Mapping[str, Any], path: LeafPath) -> Any:
    """The first value at a path; None where there is none."""
    return next(iter(values(row, path)), None)
