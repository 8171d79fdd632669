"""What a module must do on each row of a port: known from the data and the plan alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hret_agents.plan.gold import MISSING
from hret_agents.plan.records import Plan
from hret_agents.plan.schema import values
from llm_eval.dataset.render import PROMPTS
from llm_eval.dataset.verify import Expected

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Row = Mapping[str, Any]


def expectations(files: Sequence[Path], plan: Plan) -> Iterator[Expected]:
    """What the module must do on each row of some parquet files."""
    import pyarrow.parquet as pq

    old_names = {new: old for old, new in plan.names.items()}
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            for row in batch.to_pylist():
                yield expected({old_names.get(k, k): v for k, v in row.items()}, plan)


def expected(row: Row, plan: Plan) -> Expected:
    """What the module must do on one row, its columns named as in the source."""
    task = plan.task
    shown = [str(v) for p in task.question for v in values(row, p) if v not in (None, "")]
    choices = choices_of(row, plan)
    gold = gold_of(row, plan)
    if gold is None:
        return Expected(shown=[*shown, *choices], golds=[], wrong=[], ungraded=True)
    if task.kind == "multiple_choice":
        letters = LETTERS[: len(choices)]
        said = f"{gold}. {choices[letters.index(gold)]}"
        return Expected(
            shown=[*shown, *choices],
            golds=[gold, f"({gold})", f"정답: {gold}", said],
            wrong=[letter for letter in letters if letter != gold],
            hidden=[f"정답: {gold}", f"Answer: {gold}"],
        )
    if task.kind == "number":
        wrong = f"{as_number(gold) * 2 + 1:f}"
        return Expected(shown=shown, golds=[gold, f"정답: {gold}"], wrong=[wrong], hidden=[gold])
    known = PROMPTS.get(plan.target_lang, PROMPTS["en"])["text"]
    hidden = [] if gold in known else [gold]
    return Expected(shown=shown, golds=[gold], wrong=[f"{gold} 아님"], hidden=hidden)


def choices_of(row: Row, plan: Plan) -> list[str]:
    """What is chosen from in a row."""
    if plan.task.fixed_choices:
        return plan.task.fixed_choices
    listed = [v for p in plan.task.choices for v in values(row, p)]
    while len(plan.task.choices) > 1 and listed and listed[-1] in (None, ""):
        listed.pop()
    return [str(v) for v in listed]


def gold_of(row: Row, plan: Plan) -> str | None:
    """The right answer of a row: a letter, a number, a text; None where the row gives none."""
    task = plan.task
    if task.kind == "ungraded" or task.answer is None:
        return None
    found = values(row, task.answer)
    gold = found[0] if found else None
    if task.kind == "multiple_choice":
        place = _place(gold, row, plan)
        letters = LETTERS[: len(choices_of(row, plan))]
        return letters[place] if place is not None and 0 <= place < len(letters) else None
    text = "" if gold is None else str(gold).strip()
    if task.answer_kind == "steps":
        text = text.rpartition("####")[2].strip() if "####" in text else ""
    if task.kind == "number":
        return text if _is_number(text) else None
    return text if any(c.isalnum() for c in text) else None


def gold_fault(row: Row, plan: Plan) -> str:
    """Why a row's gold, though there is one, names no answer; empty when it does, or is missing."""
    if plan.task.answer is None or gold_of(row, plan) is not None:
        return ""
    found = [v for v in values(row, plan.task.answer) if str(v).strip() not in MISSING]
    return (
        f"the gold {str(found[0])[:80]!r} names no answer: the row is not graded" if found else ""
    )


def question_fault(row: Row, plan: Plan) -> str:
    """Why a row asks nothing; empty when it asks something."""
    shown = [v for p in plan.task.question for v in values(row, p) if str(v or "").strip()]
    return "" if shown else "the row holds no question"


def _place(gold: Any, row: Row, plan: Plan) -> int | None:
    text = str(int(gold) if isinstance(gold, bool) else gold).strip()
    choices = choices_of(row, plan)
    match plan.task.answer_kind:
        case "letter":
            return LETTERS.find(text.upper()) if len(text) == 1 else None
        case "index":
            return int(text) - plan.task.index_base if text.isdecimal() else None
        case "label":
            labels = [str(v) for v in values(row, plan.task.labels or "")]
            return labels.index(str(gold)) if str(gold) in labels else None
        case _:
            return choices.index(str(gold)) if str(gold) in choices else None


def as_number(text: str) -> float:
    """The number that a gold is."""
    return float(text.replace(",", "").strip(" $₩€%"))


def _is_number(text: str) -> bool:
    try:
        as_number(text)
    except ValueError:
        return False
    return True
