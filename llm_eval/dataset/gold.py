"""Reading a row of a port by its module's spec: what is asked, chosen from, and right.

This is what the module is held against: the same facts as the module reads, found without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llm_eval.dataset.spec import EACH, FieldPath, ModuleSpec

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASSISTANTS = ("assistant", "gpt", "model", "bot", "chatbot")
MISSING = ("", "None", "-1", "-")  # what stands where a split keeps its answers back
Row = Mapping[str, Any]


def cells(row: Any, path: FieldPath) -> list[Any]:
    """The values at `path`, flattened, in order; what is missing on the way gives none.

    >>> cells({"a": {"b": [1, None]}}, ["a", "b", "[]"]), cells({"m": [{"c": 1}]}, ["m", "[]", "c"])
    ([1, None], [1])
    """
    found = [row]
    for key in path:
        if key == EACH:
            found = [v for item in found if item is not None for v in item]
        else:
            found = [item[key] for item in found if item is not None]
    return found


def shown_of(row: Row, spec: ModuleSpec) -> list[str]:
    """The texts that a prompt must hold besides the choices, in order."""
    said = [] if spec.speaker is None else conversation(row, spec)
    for path in spec.question:
        if spec.speaker is None or not _spoken(path, spec.speaker):
            said += [str(v) for v in cells(row, path) if v not in (None, "")]
    if spec.task == "code" and spec.entry_point is None:
        said += unit_tests(row, spec)
    return said


def conversation(row: Row, spec: ModuleSpec) -> list[str]:
    """What was said up to the last turn that is not the assistant's."""
    assert spec.speaker is not None
    speaker = spec.speaker
    path = next(p for p in spec.question if _spoken(p, speaker))
    turns = list(zip(cells(row, speaker), cells(row, path), strict=True))
    while turns and str(turns[-1][0]).lower() in ASSISTANTS:
        turns.pop()
    return [str(said) for _, said in turns if said not in (None, "")]


def _spoken(path: FieldPath, speaker: FieldPath) -> bool:
    """Do what is said and who says it stand in the same list?"""
    return EACH in path and path[: path.index(EACH)] == speaker[: speaker.index(EACH)]


def choices_of(row: Row, spec: ModuleSpec) -> list[str]:
    """What is chosen from in a row, in the order shown."""
    if spec.fixed_choices:
        return list(spec.shown_choices or spec.fixed_choices)
    listed = [v for p in spec.choices for v in cells(row, p)]
    while len(spec.choices) > 1 and listed and listed[-1] in (None, ""):
        listed.pop()
    texts = ["" if v is None else str(v) for v in listed]
    if spec.rotated and texts:
        turn = sum(map(ord, str((cells(row, spec.question[0]) or [""])[0]))) % len(texts)
        texts = texts[turn:] + texts[:turn]
    return texts


def unit_tests(row: Row, spec: ModuleSpec) -> list[str]:
    """The tests of a program, in order."""
    return [str(v) for p in spec.tests for v in cells(row, p) if v not in (None, "")]


def gold_of(row: Row, spec: ModuleSpec) -> str | None:
    """The right answer of a row: a letter, a number, a text; None where the row gives none."""
    golds = golds_of(row, spec)
    return golds[0] if golds else None


def golds_of(row: Row, spec: ModuleSpec) -> list[str]:
    """All answers of a row that are right, the one to show first; none where it gives none."""
    if spec.task == "ungraded" or spec.answer is None:
        return []
    found = cells(row, spec.answer)
    if spec.task == "multiple_choice":
        place = _place(found, row, spec)
        letters = LETTERS[: len(choices_of(row, spec))]
        return [letters[place]] if place is not None and 0 <= place < len(letters) else []
    if spec.task == "code":
        return [str(v) for v in found if str(v or "").strip()]
    if spec.fixed_choices:
        place = _place(found, row, spec)
        known = choices_of(row, spec)
        return [known[place]] if place is not None and 0 <= place < len(known) else []
    texts = [_text(v, spec) for v in found]
    if spec.task == "number":
        return [t for t in texts if is_number(t)]
    readable = _is_formula if spec.task == "math" else _is_worded
    return [t for t in dict.fromkeys(texts) if readable(t) and "think>" not in t]


def _is_worded(text: str) -> bool:
    return any(c.isalnum() for c in text)


def _is_formula(text: str) -> bool:
    """Is there anything to compare, and can it be boxed?"""
    return bool(math_text(text)) and boxed(f"\\boxed{{{text}}}") == text


def _text(value: Any, spec: ModuleSpec) -> str:
    text = "" if value is None else str(value).strip()
    if spec.answer_kind == "steps":
        return text.rpartition("####")[2].strip() if "####" in text else ""
    return boxed(text) if spec.answer_kind == "boxed" else text


def boxed(text: str) -> str:
    r"""What the last `\boxed{...}` of a text holds; empty where there is none.

    >>> boxed(r"so \boxed{1} or rather \boxed{\frac{1}{2}}."), boxed(r"\boxed{\left\{1\right.}")
    ('\\frac{1}{2}', '\\left\\{1\\right.')
    """
    _, found, inside = text.rpartition("\\boxed{")
    depth = 1
    for brace in re.finditer(r"(?<!\\)(?:\\\\)*([{}])", inside if found else ""):
        depth += 1 if brace[1] == "{" else -1
        if depth == 0:
            return inside[: brace.start(1)].strip()
    return ""


def math_text(text: str) -> str:
    r"""A formula as it is compared: without spaces, dollar signs, and what only changes its looks.

    >>> math_text(r"$\dfrac{1}{2}$"), math_text(r"\left( 3, 4 \right)")
    ('\\frac{1}{2}', '(3,4)')
    """
    bare = re.sub(r"\\(?:left|right|,|;|!|:|quad\b)|[\s$]", "", text)
    return re.sub(r"\\[dt]frac", r"\\frac", bare).strip(".")


def gold_fault(row: Row, spec: ModuleSpec) -> str:
    """Why a row's gold, though there is one, names no answer; empty when it does, or is missing."""
    if spec.answer is None or spec.task == "ungraded" or gold_of(row, spec) is not None:
        return ""
    found = [v for v in cells(row, spec.answer) if str(v).strip() not in MISSING]
    if spec.answer_kind == "flags" and not any(found):
        return ""
    return (
        f"the gold {str(found[0])[:80]!r} names no answer: the row is not graded" if found else ""
    )


def question_fault(row: Row, spec: ModuleSpec) -> str:
    """Why a row asks nothing; empty when it asks something."""
    shown = [v for p in spec.question for v in cells(row, p) if str(v or "").strip()]
    return "" if shown else "the row holds no question"


def _place(found: Sequence[Any], row: Row, spec: ModuleSpec) -> int | None:
    """Which of the choices is right, counted from 0."""
    if spec.answer_kind == "flags":
        ones = [i for i, flag in enumerate(found) if str(flag) in ("1", "True", "1.0")]
        return ones[0] if len(ones) == 1 else None
    gold = found[0] if found else None
    text = str(int(gold) if isinstance(gold, bool) else gold).strip()
    match spec.answer_kind:
        case "letter":
            return LETTERS.find(text.upper()) if len(text) == 1 else None
        case "index":
            return int(text) - spec.index_base if text.isdecimal() else None
        case "label":
            known = [str(v) for v in cells(row, spec.labels)] if spec.labels else []
        case _:
            known = spec.fixed_choices or choices_of(row, spec)
    return known.index(str(gold)) if str(gold) in known else None


def as_number(text: str) -> float:
    """The number that a gold is."""
    return float(text.replace(",", "").strip(" $₩€%"))


def is_number(text: str) -> bool:
    """Is a text a number, as a module reads one? No `1e5`, no `1_000`, no `inf`."""
    bare = text.replace(",", "").strip(" $₩€%")
    return re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", bare) is not None
