"""What a module must do on each row of a port: known from its data and its spec, without it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llm_eval.dataset.gold import (
    LETTERS,
    Row,
    as_number,
    cells,
    choices_of,
    golds_of,
    shown_of,
    unit_tests,
)
from llm_eval.dataset.spec import EACH, ModuleSpec

NO_ANSWER = ("", "모르겠습니다.")  # replies that are wrong, unless one is the very gold
_ASIDE = 60  # a longer cell of another column may be a worked answer: no prompt may show it


_PROSE = (  # a long reply that says nothing
    "주어진 조건을 하나씩 살펴보았습니다. 먼저 물음이 무엇을 묻는지 다시 읽고, 아는 것과 모르는 "
    "것을 나누어 적어 보았습니다. 그러고 나서 가능한 경우를 차례로 따져 보았으나 확신은 없습니다."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a row must do.

    `golds` are replies that must score 1, `wrong` replies that must score 0; `shown` are texts the
    prompt must hold, in this order, and after them `choices`, each behind its letter unless they
    are `lettered` themselves. What stands around them must be the same on all rows of the same
    `shape`, but for the texts in `beside` (text → its column); in nothing of that may a text in
    `hidden` stand. `gold` is the answer where all rows have one of a few, else empty. An `ungraded`
    row must score nothing (None), whatever the reply. `reference` is what `load()` must give, in
    other writing at most, and empty where that says nothing; `code` is what it must give of a
    program: its reference and its metadata. `subset` is its `_subset_name`, if not empty.
    """

    shown: Sequence[str]
    golds: Sequence[str]
    wrong: Sequence[str]
    choices: Sequence[str] = ()
    lettered: bool = False
    shape: Hashable = None
    beside: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[str] = ()
    gold: str = ""
    ungraded: bool = False
    reference: str = ""
    code: Mapping[str, Any] | None = None
    subset: str = ""


def rows_of(files: Iterable[Path]) -> int:
    """How many rows some parquet files hold."""
    import pyarrow.parquet as pq

    return sum(int(pq.ParquetFile(path).metadata.num_rows) for path in files)


def expectations(files: Sequence[Path], spec: ModuleSpec) -> Iterator[Expected]:
    """What the module must do on each row of some parquet files, each in its subset's folder."""
    import pyarrow.parquet as pq

    others = spec.task == "text" and not spec.fixed_choices
    before = ""
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            for row in batch.to_pylist():
                want = expected(row, spec, path.parent.name)
                if others and want.golds:
                    if before and all(_unlike(before, gold) for gold in want.golds):
                        want = replace(want, wrong=[*want.wrong, before])
                    before = want.golds[0]
                yield want


def expected(row: Row, spec: ModuleSpec, subset: str = "") -> Expected:
    """What the module must do on one row."""
    golds, choices, shown = golds_of(row, spec), choices_of(row, spec), shown_of(row, spec)
    known: dict[str, Any] = {"shown": shown, "choices": choices, "lettered": spec.lettered}
    known |= {"shape": _shape(row, spec), "subset": subset}
    if spec.task not in ("multiple_choice", "ungraded"):
        known |= {"shown": [*shown, *choices], "choices": ()}
    known["beside"] = _beside(row, spec, [*golds, *_right(golds, choices, spec)])
    if spec.task == "code":
        return Expected(**known, golds=[], wrong=[], ungraded=True, code=_code(row, golds, spec))
    if not golds:
        return Expected(**known, golds=[], wrong=[], ungraded=True)
    replies, wrong, hidden = _replies(golds, choices, spec)
    if wrong and "think>" not in (said := wrong[0]) + replies[0]:
        replies.append(f"<think>{said} 정답: {said}</think>{replies[0]}")
        wrong.append(f"<think>{replies[0]} 정답: {replies[0]}</think>{said}")
    if not any(text.casefold() in _PROSE for text in [*golds, *_right(golds, choices, spec)]):
        wrong += [_PROSE, *(f"{_PROSE}\n{said}" for said in wrong[:1])]
    right = {_bare(text) for text in [*golds, *_right(golds, choices, spec)]}
    wrong = list(dict.fromkeys([*wrong, *(said for said in NO_ANSWER if _bare(said) not in right)]))
    known["gold"] = golds[0] if choices else ""
    return Expected(**known, golds=replies, wrong=wrong, hidden=hidden, reference=golds[0])


def _code(row: Row, golds: Sequence[str], spec: ModuleSpec) -> dict[str, Any]:
    """What `load()` must give of a program, from which `evaluation_method="code"` judges it."""
    entry = cells(row, spec.entry_point) if spec.entry_point else []
    prompt: Any = cells(row, spec.question[0])
    if EACH not in spec.question[0]:
        prompt = prompt[0] if prompt else None
    return {
        "reference": golds[0] if golds else None,
        "prompt": prompt,
        "tests": unit_tests(row, spec),
        "entry_point": None if entry in ([], [None]) else str(entry[0]),
    }


def _shape(row: Row, spec: ModuleSpec) -> Hashable:
    """What of a row may change what stands around its texts: which are there, and who speaks."""
    there = [any(v not in (None, "") for v in cells(row, p)) for p in spec.question]
    speakers = map(str, cells(row, spec.speaker)) if spec.speaker else ()
    return (*there, *speakers)


def _replies(
    golds: Sequence[str], choices: Sequence[str], spec: ModuleSpec
) -> tuple[list[str], list[str], list[str]]:
    """(right replies, wrong ones, what must not stand in the prompt).

    A wrong reply is one that no honest way of reading takes for right: what it says first, what it
    says last, and what it marks as the answer are all wrong.
    """
    gold = golds[0]
    if spec.task == "multiple_choice":
        said = f"{gold}. {choices[LETTERS.index(gold)]}"
        right = [gold, f"({gold})", f"정답: {gold}", said]
        return right, _other_letters(gold, choices), [f"정답: {gold}", f"Answer: {gold}"]
    if spec.task == "number":
        value = as_number(gold)
        other = f"{value + abs(value) + 1:f}"
        digits = [f"1{gold}", f"{gold}0"] if gold.isdecimal() and value else []
        wrong = [other, f"정답: {other}", *digits, _doubted(other, gold)]
        return [gold, f"정답: {gold}"], wrong, [gold]
    if spec.task == "math":
        right = [f"\\boxed{{{g}}}" for g in golds] + [f"정답: {gold}"]
        here, other = f"\\boxed{{{gold}}}", f"\\boxed{{{gold}+1}}"
        return right, [other, f"{other} 또는 {here} 같았지만, 답은 {other}"], [gold]
    others = [c for c in choices if all(_unlike(c, g) for g in golds)]
    hidden = [] if gold in choices else [gold]
    if letters := [letter for g in golds if (letter := _letter(g))]:
        here, other = letters[0], next(x for x in LETTERS if x not in letters)
        right = [*golds, here, f"({here})", f"정답: ({here})", f"({here}) 그것"]
        wrong = [other, f"({other})", f"정답: {other}", _doubted(other, here)]
        return right, [*others, *wrong], hidden
    return list(golds), [*others, f"{gold} 아님"], hidden


def _letter(gold: str) -> str:
    """The letter that a gold is, as "(C)" is; empty where it is a word."""
    m = re.fullmatch(r"[(\[]?([A-Za-z])[)\]]?\.?", gold)
    return m[1].upper() if m else ""


def _bare(text: str) -> str:
    return "".join(text.casefold().split()).strip(".。!?\"'`")


def _other_letters(gold: str, choices: Sequence[str]) -> list[str]:
    """Replies that choose another letter than the right one."""
    letters, right = LETTERS[: len(choices)], choices[LETTERS.index(gold)]
    wrong = [x for x in letters if x != gold]
    lines = [
        (x, text)
        for x, text in zip(letters, choices, strict=False)
        if len(text) > 1
        and _unlike(text, right)
        and gold not in text.upper()
        and not any(map(str.isdigit, text))
    ]
    return [
        *wrong,
        *(f"정답: {x}" for x in wrong),
        *(said for x, text in lines for said in (f"{x}. {text}", text)),
        *(_doubted(x, gold) for x in wrong[:1]),
    ]


def _doubted(wrong: str, gold: str) -> str:
    """A reply that names the gold on its way, and first, last and oftenest something else."""
    return f"{wrong} 아니면 {gold} 일 수도 있지만, 다시 보니 {wrong}\n정답: {wrong}"


def _unlike(one: str, other: str) -> bool:
    """Is neither of two texts part of the other?"""
    one, other = (" ".join(text.casefold().split()) for text in (one, other))
    return bool(one and other) and one not in other and other not in one


def _right(golds: Sequence[str], choices: Sequence[str], spec: ModuleSpec) -> list[str]:
    """The right choice's own text."""
    if spec.task != "multiple_choice" or not golds:
        return []
    return [choices[LETTERS.index(golds[0])]]


def _beside(row: Row, spec: ModuleSpec, secrets: Sequence[str]) -> dict[str, str]:
    """Short texts of columns that the task does not name (a subject, a category, who speaks), each
    with its column; longer ones first."""
    named = [spec.answer, spec.labels, spec.entry_point, *spec.question, *spec.choices, *spec.tests]
    taken = {path[0] for path in named if path}
    found = [(str(v), "") for v in cells(row, spec.speaker)] if spec.speaker else []
    found += [(t, name) for name, v in row.items() if name not in taken for t in _texts(v)]
    low = [s.casefold().strip() for s in secrets if len(s.strip()) > 1]
    texts: dict[str, str] = {}
    for text, name in found:
        bare = text.strip()
        near = bare.casefold()
        if 1 < len(bare) <= _ASIDE and not any(s in near or near in s for s in low):
            texts.setdefault(text, name)
            texts.setdefault(bare, name)
    return dict(sorted(texts.items(), key=lambda item: (-len(item[0]), item[0])))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for inner in value:
            yield from _texts(inner)
