"""Which of several columns is the gold, and what is said of what is taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from datasets import ClassLabel, Dataset

from hret_agents.plan.closed import with_all_labels
from hret_agents.plan.records import Role, TaskPlan
from tests.unit.hret_agents.plan.test_what_is_graded import PICKS, TOWNS, asked, plan_of, told


@pytest.mark.parametrize(
    ("column", "answers", "kind", "gold"),
    [
        ("difficulty", [7, 12, 31], "number", "answer"),
        ("category", TOWNS, "text", "answer"),
        ("topic", ("yes", "no"), "multiple_choice", "answer"),
        ("human_or_machine", TOWNS, "text", "answer"),
        ("human_or_machine", [None], "multiple_choice", "human_or_machine"),
        ("category", [None], "ungraded", None),
    ],
)
def test_a_class_of_unknown_name_is_the_last_resort(
    column: str, answers: Sequence[Any], kind: str, gold: str | None
) -> None:
    """A ClassLabel is no gold beside what is called the answer, and never what only sorts rows."""
    rows = [
        {"question": asked(i), "answer": answers[i % len(answers)], column: i % 3}
        for i in range(24)
    ]
    plan, said = plan_of(rows, {column: ClassLabel(names=["first", "second", "third"])})
    assert (plan.task.kind, plan.task.answer) == (kind, gold)
    assert bool(said) == (gold is None)


def test_one_of_several_classes_is_no_gold() -> None:
    """Of two ClassLabels, one of which sorts the rows, the other is no gold for that."""
    names = {"bias_type": ClassLabel(names=["age", "trade"]),
             "direction": ClassLabel(names=["up", "down"])}  # fmt: skip
    rows = [{"text": told(i), "bias_type": i % 2, "direction": i // 2 % 2} for i in range(12)]
    plan, said = plan_of(rows, names)
    assert plan.task.answer is None
    assert said == ["not graded: no column was found to hold the answers"]


@pytest.mark.parametrize(
    ("name", "value", "kind", "role"),
    [
        ("label", lambda i: i * 0.37 % 5, "ungraded", Role.answer_label),
        ("label", lambda i: float(i % 2), "ungraded", Role.answer_label),
        ("label", lambda i: str(i % 2), "ungraded", Role.answer_label),
        ("label", lambda i: i * 7 % 100, "ungraded", Role.answer_label),
        ("emotion", lambda i: i / 40, "ungraded", Role.answer_label),
        ("intent", lambda i: 1.0 + i % 5, "ungraded", Role.answer_label),
        ("target", lambda i: i * 7 % 100, "number", Role.answer_number),
        ("answer", lambda i: i * 7 % 100, "number", Role.answer_number),
    ],
)
def test_a_rating_is_no_number_to_guess(name: str, value: Any, kind: str, role: Role) -> None:
    """Numbers in a column of labels are marks of a scale; a target may be what a sum comes to."""
    plan, said = plan_of([{"text": told(i), name: value(i)} for i in range(40)])
    assert (plan.task.kind, plan.roles[name]) == (kind, role)
    why = f"not graded: {name} has numbers, and nothing tells their names"
    assert said == ([why] if kind == "ungraded" else [])


def test_a_label_of_numbers_leaves_another_gold() -> None:
    """An answer beside a mark is graded."""
    rows = [{"question": asked(i), "answer": TOWNS[i % 6], "label": i / 24} for i in range(24)]
    plan, _ = plan_of(rows)
    assert (plan.task.kind, plan.task.answer) == ("text", "answer")


@pytest.mark.parametrize(
    ("golds", "count", "base"),
    [
        ([1, 2, 3], 24, 1),
        (["1", "2", "3"], 24, 1),
        ([1, 2, 3], 12, 0),
        ([0, 1, 2], 24, 0),
        ([1, 2, 3, 4], 24, 1),
    ],
)
def test_what_choices_are_counted_from(golds: Sequence[Any], count: int, base: int) -> None:
    """Where both bases fit, and the first choice would never be right, it is 1; that is told."""
    rows = [
        {"question": asked(i), "options": list(PICKS), "answer": golds[i % len(golds)]}
        for i in range(count)
    ]
    plan, said = plan_of(rows)
    assert (plan.task.answer_kind, plan.task.index_base) == ("index", base)
    guessed = base == 1 and len(golds) == 3
    assert said == (["answer is never 0, and is taken to count from 1"] if guessed else [])


@pytest.mark.parametrize(
    ("every", "kind"), [(10, "text"), (3, "text"), (2, "multiple_choice"), (1, "multiple_choice")]
)
def test_choices_of_few_rows(every: int, kind: str) -> None:
    """Where most rows with an answer have no choices, the answers are graded as texts."""
    rows = [
        {"question": asked(i), "options": list(PICKS) if i % every == 0 else [],
         "answer": f"{TOWNS[i % 6]}, {i}" if i % every else PICKS[i % 4]} for i in range(60)
    ]  # fmt: skip
    plan, said = plan_of(rows)
    assert plan.task.kind == kind
    assert plan.roles["options[]"] is Role.choices
    why = "most rows have no options[], so no choices are shown in any"
    assert said == ([why] if kind == "text" else [])


def test_a_gold_that_only_rows_with_choices_have() -> None:
    """An index that stands only where there are choices is graded, however few rows have it."""
    rows = [
        {"question": asked(i), "options": list(PICKS) if i % 5 == 0 else [],
         "answer": TOWNS[i % 6], "answer_idx": i % 4 if i % 5 == 0 else None} for i in range(60)
    ]  # fmt: skip
    plan, _ = plan_of(rows)
    assert (plan.task.kind, plan.task.answer) == ("multiple_choice", "answer_idx")


@pytest.mark.parametrize(
    ("columns", "graded"),
    [
        ({"made_up": ("yes", "no")}, False),
        ({"made_up": ("Yes", "No")}, False),
        ({"made_up": ("yes", "no"), "checked": ("no", "yes")}, True),
        ({"made_up": ("often", "never")}, True),
        ({"made_up": ("no", "no")}, True),
    ],
)
def test_answers_that_a_column_may_judge(columns: dict[str, Any], graded: bool) -> None:
    """An answer beside a lone yes or no may be wrong: it is translated, and grades nothing."""
    rows = [
        {"question": asked(i), "answer": TOWNS[i % 6], **{c: v[i % 2] for c, v in columns.items()}}
        for i in range(24)
    ]
    plan, said = plan_of(rows)
    assert plan.roles["answer"] is Role.answer_free
    assert plan.task.answer == ("answer" if graded else None)
    why = "not graded: answer may be wrong: made_up says yes or no of each row"
    assert said == ([] if graded else [why])


@pytest.mark.parametrize(
    "name",
    "final_ans golden_answer reference_answer ref_answer ground_truths gt ideal ideal_answer "
    "std_ans standard_answer key_answer correct_response exact_answer".split(),
)
def test_what_a_gold_is_called(name: str) -> None:
    """The names that published sets give their golds."""
    plan, _ = plan_of([{"question": asked(i), name: TOWNS[i % 6]} for i in range(12)])
    assert (plan.task.kind, plan.task.answer) == ("text", name)
    assert plan.roles[name] is Role.answer_free


@pytest.mark.parametrize("name", ["model_answer", "reference_id", "key_id", "ref_no", "remark"])
def test_what_no_gold_is_called(name: str) -> None:
    """Where no gold is found, a sentence says so."""
    plan, said = plan_of([{"question": asked(i), name: f"{TOWNS[i % 6]}, {i}"} for i in range(12)])
    assert plan.task.kind == "ungraded"
    assert said == ["not graded: no column was found to hold the answers"]


@pytest.mark.parametrize(
    ("golds", "answer"),
    [({}, None), ({"answer": "{}"}, "answer"), ({"label": "{}"}, None)],
)
def test_a_piece_that_no_name_calls_the_gold(golds: dict[str, str], answer: str | None) -> None:
    """It is found again in the translation, is shown, and another column is graded or none."""
    rows = [
        {"text": told(i), "aspect": {"term": "bell", "start": told(i).index("bell")},
         **{name: said.format(TOWNS[i % 6]) + f" {i}" for name, said in golds.items()}}
        for i in range(12)
    ]  # fmt: skip
    plan, said = plan_of(rows)
    assert plan.roles["aspect.term"] is Role.answer_span
    assert plan.task.span is not None and plan.task.question == ["text", "aspect.term"]
    assert (plan.task.answer, bool(said)) == (answer, answer is None)


@pytest.mark.parametrize(("count", "kind"), [(26, "multiple_choice"), (27, "text")])
def test_more_labels_than_letters(count: int, kind: str) -> None:
    """Labels that the rows looked at do not hold count as well, and more than 26 are written."""
    task = TaskPlan(
        kind="multiple_choice", question=["text"], fixed_choices=["label 0", "label 1"],
        answer="label", answer_kind="text",
    )  # fmt: skip
    data = Dataset.from_list([{"text": told(i), "label": f"label {i}"} for i in range(count)])
    found = with_all_labels(task, [("default", "test", data)])
    assert (found.kind, len(found.fixed_choices)) == (kind, count)
