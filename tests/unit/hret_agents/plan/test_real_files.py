"""The plans of real benchmark files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Value

from hret_agents.module.spec import spec_of
from hret_agents.plan.infer import infer_plan
from hret_agents.plan.records import Plan, Role, check_against
from hret_agents.plan.schema import leaves_of
from llm_eval.dataset.gold import golds_of


def read(shared_data: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a file."""
    lines = (shared_data / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def planned(rows: list[dict[str, Any]]) -> Plan:
    """The plan for rows, seen through at most 500."""
    features = Dataset.from_list(rows).features
    some = [rows[i * len(rows) // 500] for i in range(500)] if len(rows) > 500 else rows
    plan = infer_plan(features, some, source="o/n", target_lang="ko", keep_columns=True)
    check_against(plan, [leaf.path for leaf in leaves_of(features)], "the plan")
    return plan


@pytest.mark.parametrize(
    ("name", "sent", "task", "question"),
    [
        ("gsm8k_test", {"question", "answer"}, ("number", "answer", "steps"), ["question"]),
        (
            "aqua_rat_test",
            {"question", "options[]", "rationale"},
            ("multiple_choice", "correct", "letter"),
            ["question"],
        ),
        (
            "bbq_religion",
            {"context", "question", "ans0", "ans1", "ans2"},
            ("multiple_choice", "label", "index"),
            ["context", "question"],
        ),
        ("humaneval", {"prompt"}, ("code", "canonical_solution", "code"), ["prompt"]),
        (
            "klue_nli_dev",
            {"premise", "hypothesis"},
            ("multiple_choice", "gold_label", "text"),
            ["premise", "hypothesis"],
        ),
    ],
)
def test_a_real_file(
    shared_data: Path,
    name: str,
    sent: set[str],
    task: tuple[str, str, str],
    question: list[str],
) -> None:
    """What is translated, what the task is, and a gold that is read on every row."""
    rows = read(shared_data, name)
    plan = planned(rows)
    assert set(plan.translated) == sent
    assert (plan.task.kind, plan.task.answer, plan.task.answer_kind) == task
    assert plan.task.question == question
    spec = spec_of(plan, slug="n_ko", repo=None, subsets={"default": ["test"]})
    assert all(len(golds_of(row, spec)) == 1 for row in rows)


def test_what_judges_code(shared_data: Path) -> None:
    """HumanEval: the docstrings alone are translated; solution, tests and entry point are code."""
    plan = planned(read(shared_data, "humaneval"))
    assert plan.roles == {
        "task_id": Role.id, "prompt": Role.code_prompt, "entry_point": Role.code,
        "canonical_solution": Role.code, "test": Role.code,
    }  # fmt: skip
    assert (plan.task.tests, plan.task.entry_point) == (["test"], "entry_point")


def test_options_keep_their_letters(shared_data: Path) -> None:
    """AQuA-RAT's options carry their letter; KLUE's labels are shown in Korean."""
    assert planned(read(shared_data, "aqua_rat_test")).task.lettered
    task = planned(read(shared_data, "klue_nli_dev")).task
    assert dict(zip(task.fixed_choices, task.shown_choices, strict=True)) == {
        "entailment": "함의", "neutral": "중립", "contradiction": "모순",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "The old clock on the wall stopped at noon, and nobody in the house had noticed it. ",
        "Let $x = {i}$; then (x + 1)(x - 1) = x^2 - 1 if [x] > 0. We say f(x) = \\frac{1}{2}. ",
        "def f(x):\n    # add one to it\n    return x + 1\n\n",
    ],
)
def test_long_texts_are_looked_at_in_no_time(text: str) -> None:
    """500 rows of 20,000 characters each take less than a second of this thread."""
    long = text * (20_000 // len(text))
    rows = [
        {"question": f"{i} {long}", "context": f"{long} {i}", "answer": f"{i}"} for i in range(500)
    ]
    features = Features(dict.fromkeys(rows[0], Value("string")))
    started = time.thread_time()
    infer_plan(features, rows, source="o/n", target_lang="ko")
    assert time.thread_time() - started < 1
