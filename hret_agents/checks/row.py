"""Checks of a finished row against its source, columns named as in the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hret_agents.checks.base import Finding, Rules
from hret_agents.checks.code import code_ast_equal
from hret_agents.checks.flags import answer_leak, source_anomaly
from hret_agents.checks.korean import josa_leak
from hret_agents.checks.text import collapsed, hollow, plain
from hret_agents.plan.look import STEPS
from hret_agents.plan.records import EACH, LeafPath, Plan, Role, keys_of
from hret_agents.plan.schema import values
from llm_eval.dataset.gold import boxed

Row = Mapping[str, Any]
_LETTER = re.compile(r"^\s*\(?[A-J]\s*[).:]\s*")
_PLAIN_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+")
Touched = dict[str, "Touched | None"]
"""By key what may change below it; None: all of it."""


@dataclass(frozen=True)
class _Leaves:
    """The leaves of a plan, by how they are judged."""

    texts: tuple[LeafPath, ...]  # translated, or taken from what is
    lists: tuple[LeafPath, ...]  # whose number of values must stay
    golds: tuple[LeafPath, ...]  # equal to a choice
    numbers: tuple[LeafPath, ...]
    touched: Touched


_last: tuple[Plan, _Leaves] | None = None


def _leaves(plan: Plan) -> _Leaves:
    """The leaves of a plan; of the last plan they are known."""
    global _last
    if _last is not None and _last[0] is plan:
        return _last[1]
    spans = [p for span in plan.spans for p in (span.text, span.start)]
    texts = (*plan.translated, *(p for p, r in plan.roles.items() if r is Role.answer_text))
    lists = (*texts, *spans)
    numbers = tuple(p for p, r in plan.roles.items() if r is Role.answer_number)
    leaves = _Leaves(
        texts=tuple(dict.fromkeys(texts)),
        lists=tuple(p for p in dict.fromkeys(lists) if EACH in keys_of(p)),
        golds=tuple(p for p in texts if plan.roles[p] is Role.answer_text and plan.task.choices),
        numbers=numbers,
        touched=_touched((*texts, *numbers, *spans)),
    )
    _last = (plan, leaves)
    return leaves


def _touched(paths: Sequence[LeafPath]) -> Touched:
    """
    >>> _touched(["question", "c.text[]"])
    {'question': None, 'c': {'text': {'[]': None}}}
    """
    tree: Touched = {}
    for path in paths:
        here = tree
        *above, last = keys_of(path)
        for key in above:
            below = here.setdefault(key, {})
            assert below is not None
            here = below
        here[last] = None
    return tree


def check_row(source: Row, target: Row, plan: Plan) -> list[Finding]:
    """Every finding on a row, gates first. Flags that the plan switches off are left out."""
    found = [
        Finding(check, "gate", path, said) for check, path, said in _gates(source, target, plan)
    ]
    if found:
        return found  # what is not the same row has no flags
    shown = plan.task.question[0] if plan.task.question else ""
    leaks = (("josa_leak", partial(josa_leak, target, plan)),) if plan.target_lang == "ko" else ()
    flags: tuple[tuple[str, Callable[[], str]], ...] = (
        *leaks,
        ("answer_leak", partial(answer_leak, source, target, plan)),
    )
    for check, look in flags:
        if check not in plan.ignored(shown) and (said := look()):
            found.append(Finding(check, "flag", shown, said))
    return [
        *found,
        *(f for f in source_anomaly(source, plan) if f.check not in plan.ignored(f.path)),
    ]


def row_fault(source: Row, target: Row, plan: Plan) -> str:
    """What is wrong with a row's port, as `check: message`; empty when nothing is."""
    found = next(_gates(source, target, plan), None)
    return f"{found[0]}: {found[2]}" if found else ""


def _gates(source: Row, target: Row, plan: Plan) -> Iterator[tuple[str, LeafPath, str]]:
    """(check, leaf, what is wrong)."""
    leaves = _leaves(plan)
    short = [p for p in leaves.lists if not _same_lists(source, target, keys_of(p))]
    for path in short:
        was, now = len(values(source, path)), len(values(target, path))
        yield "list_len", path, f"{path} holds {now} values, not {was}"
    if not same_but(source, target, leaves.touched):
        if not short:
            path = _differing(source, target, plan)
            yield "immutable_leaf", path, f"a leaf that is kept differs: {path}"
        return
    if short:
        return
    for path in leaves.texts:
        old, new = values(source, path), values(target, path)
        if [_blank(v) for v in old] != [_blank(v) for v in new]:
            yield "empty", path, f"{path} was blank and is not, or the other way round"
        if plan.roles[path] is Role.answer_steps and _golds(old) != _golds(new):
            said = f"{path} ends in {_endings(new)}, not {_endings(old)}"
            yield "gold_numeric_equal", path, said
        if plan.roles[path] is Role.answer_boxed and _boxes(old) != _boxes(new):
            yield "gold_equal", path, f"{path}: what stands in \\boxed{{}} changed"
        if plan.roles[path] is Role.code_prompt:
            for was, now in zip(old, new, strict=True):
                if was and now and (said := code_ast_equal(was, now, Rules(lang=plan.target_lang))):
                    yield "code_ast_equal", path, said
    yield from _numeric_golds(source, target, leaves)
    yield from _choices(source, target, plan, leaves)
    yield from _spans(source, target, plan)


def _same_lists(source: Any, target: Any, keys: Sequence[str]) -> bool:
    """Are the lists on the way to a leaf as long as they were?"""
    for place, key in enumerate(keys):
        if key == EACH:
            if not isinstance(source, list) or not isinstance(target, list):
                return True  # seen elsewhere, if they differ
            rest = keys[place + 1 :]
            if len(source) != len(target):
                return False
            return EACH not in rest or all(
                _same_lists(a, b, rest) for a, b in zip(source, target, strict=True)
            )
        if not isinstance(source, dict) or not isinstance(target, dict) or key not in target:
            return True
        source, target = source.get(key), target[key]
    return True


def same_but(one: Any, other: Any, touched: Touched | None) -> bool:
    """Is a row the same, what may change aside? Types count; a float that is no number is itself.

    >>> same_but({"a": 1, "q": "Why?"}, {"a": 1, "q": "왜?"}, {"q": None})
    True
    >>> same_but({"a": 1}, {"a": 1.0}, {}), same_but({"a": 1}, {"a": True}, {})
    (False, False)
    """
    if touched is None:
        return (one is None) == (other is None) or (_texts(one) and _texts(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same_but(value, other[key], touched.get(key, {})) for key, value in one.items()
        )
    if isinstance(one, list):
        below = touched.get(EACH, {})
        if below is None:
            return True
        return len(one) == len(other) and all(
            same_but(a, b, below) for a, b in zip(one, other, strict=True)
        )
    return bool(one == other) or (one != one and other != other)


def _texts(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _differing(source: Row, target: Row, plan: Plan) -> LeafPath:
    """The first leaf that is kept and differs."""
    touched = _leaves(plan).touched
    for key in [*source, *(k for k in target if k not in source)]:
        if key not in source or key not in target:
            return str(key)
        if not same_but(source[key], target[key], touched.get(key, {})):
            kept = (p for p in plan.roles if p not in _leaves(plan).texts)
            paths = [p for p in kept if keys_of(p)[0] == key]
            return next((p for p in paths if _changed(source, target, p)), str(key))
    return ""


def _changed(source: Row, target: Row, path: LeafPath) -> bool:
    try:
        return not same_but(values(source, path), values(target, path), {})
    except (KeyError, TypeError):
        return True


def _blank(value: Any) -> bool:
    return not isinstance(value, str) or hollow(value)


def _boxes(texts: Sequence[Any]) -> list[str]:
    return [boxed(t) if isinstance(t, str) else "" for t in texts]


def _golds(texts: Sequence[Any]) -> list[str | None]:
    """The `#### 42` of worked answers, thousands separators aside."""
    return [m[3].replace(",", "") if isinstance(t, str) and (m := STEPS.match(t)) else None
            for t in texts]  # fmt: skip


def _endings(texts: Sequence[Any]) -> str:
    return ", ".join(f"#### {gold}" if gold else "no ####" for gold in _golds(texts))


def _numeric_golds(
    source: Row, target: Row, leaves: _Leaves
) -> Iterator[tuple[str, LeafPath, str]]:
    for path in leaves.numbers:
        old, new = values(source, path), values(target, path)
        if same_but(old, new, {}):
            continue
        alike = len(old) == len(new) and all(map(_same_number, old, new))
        check = "immutable_leaf" if alike else "gold_numeric_equal"
        yield check, path, f"{path} is {new}, not {old}"


def _same_number(one: Any, other: Any) -> bool:
    """`1,250` and 1250, which differ in type or writing only."""
    if not (_PLAIN_NUMBER.fullmatch(str(one)) and _PLAIN_NUMBER.fullmatch(str(other))):
        return False
    return float(str(one).replace(",", "")) == float(str(other).replace(",", ""))


def _choices(
    source: Row, target: Row, plan: Plan, leaves: _Leaves
) -> Iterator[tuple[str, LeafPath, str]]:
    if not plan.task.choices:
        return
    old, new = ([v for p in plan.task.choices for v in values(r, p)] for r in (source, target))
    if len(old) != len(new):
        return
    for i, j in alike([_bare(v, plan) for v in old], [_bare(v, plan) for v in new]):
        said = f"choices {i + 1} and {j + 1} are both {new[j]!r}"
        yield "option_distinct", plan.task.choices[0], said
    for path in leaves.golds:
        for was, now in zip(values(source, path), values(target, path), strict=True):
            if was in old and now not in [b for a, b in zip(old, new, strict=True) if a == was]:
                yield "gold_equal", path, f"{path} is {now!r}, which is not its choice any more"


def _bare(choice: Any, plan: Plan) -> str:
    text = str(choice)
    return _LETTER.sub("", text) if plan.task.lettered else text


def alike(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The places of choices that were made one, each with that of an earlier one before it.

    >>> alike(["a cat", "a kitten"], ["고양이", "고양이."]), alike(["a", "a"], ["가", "가"])
    ([(0, 1)], [])
    """
    if len({plain(text) for text in new}) == len(new):
        return []
    return [
        (j, i)
        for i in range(len(new))
        for j in range(i)
        if collapsed(old[j], old[i], new[j], new[i])
    ]


def _spans(source: Row, target: Row, plan: Plan) -> Iterator[tuple[str, LeafPath, str]]:
    """An extractive answer stands in the context where its start says, if it did in the source."""
    for span in plan.spans:
        before, after = (
            list(_placed(*(values(row, path) for path in (span.context, span.text, span.start))))
            for row in (source, target)
        )
        for old, new in zip(before, after, strict=False):
            if _stands(*old) and not _stands(*new):
                _, text, start = new
                said = f"the answer {text!r} does not stand at {start} of {span.context}"
                yield "span_realigned", span.text, said


def _placed(
    contexts: Sequence[Any], texts: Sequence[Any], starts: Sequence[Any]
) -> Iterator[tuple[Any, Any, Any]]:
    if len(contexts) == 1:
        contexts = list(contexts) * len(texts)
    yield from zip(contexts, texts, starts, strict=False)


def _stands(context: Any, text: Any, start: Any) -> bool:
    if not (isinstance(context, str) and isinstance(text, str) and isinstance(start, int)):
        return False
    return start >= 0 and context.startswith(text, start)
