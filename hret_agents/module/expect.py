"""What a module must do on each row of a port: known from the data and the plan alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hret_agents.plan.records import LeafPath, Plan, path_of
from hret_agents.plan.schema import values
from llm_eval.dataset.render import PROMPTS
from llm_eval.dataset.verify import Expected

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def expectations(files: Sequence[Path], plan: Plan) -> Iterator[Expected]:
    """What the module must do on each row of some parquet files."""
    import pyarrow.parquet as pq

    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            for row in batch.to_pylist():
                yield expected(row, plan)


def expected(row: Mapping[str, Any], plan: Plan) -> Expected:
    """What the module must do on one row of a port."""
    task = plan.task
    shown = [str(v) for p in task.question for v in _at(row, p, plan) if v not in (None, "")]
    if task.kind == "ungraded" or task.answer is None:
        return Expected(shown=shown, golds=[], wrong=[])
    (gold,) = _at(row, task.answer, plan)
    if task.kind == "multiple_choice":
        return _choice(row, plan, shown, gold)
    text = str(gold).rsplit("####", 1)[-1].strip()
    if task.kind == "number":
        wrong = f"{float(text.replace(',', '').lstrip('$')) + 1:f}"
        return Expected(shown=shown, golds=[text, f"정답: {text}"], wrong=[wrong], hidden=[text])
    known = PROMPTS.get(plan.target_lang, PROMPTS["en"])["text"]
    hidden = [] if text in known else [text]
    return Expected(shown=shown, golds=[text], wrong=[f"{text} 아님"], hidden=hidden)


def _choice(row: Mapping[str, Any], plan: Plan, shown: list[str], gold: Any) -> Expected:
    task = plan.task
    choices = task.fixed_choices or [str(v) for p in task.choices for v in _at(row, p, plan)]
    match task.answer_kind:
        case "letter":
            place = LETTERS.index(str(gold).strip().upper())
        case "index":
            place = int(gold) - task.index_base
        case "label":
            labels = [str(v) for v in _at(row, task.labels or "", plan)]
            place = labels.index(str(gold))
        case _:
            place = choices.index(str(gold))
    letters = LETTERS[: len(choices)]
    right = letters[place]
    return Expected(
        shown=[*shown, *choices],
        golds=[right, f"({right})", f"정답: {right}", f"{right}. {choices[place]}"],
        wrong=[letter for letter in letters if letter != right],
        hidden=[f"정답: {right}", f"Answer: {right}"],
    )


def _at(row: Mapping[str, Any], path: LeafPath, plan: Plan) -> list[Any]:
    return values(row, path_of(tuple(plan.renamed(path))))
