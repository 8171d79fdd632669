"""The schema fixtures agree with themselves: leaves, rows, paths, answers. No planner is asked."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hret_agents.plan.records import Role, TaskPlan, keys_of
from hret_agents.plan.schema import leaves_of, values
from llm_eval.dataset.spec import validated
from tests.schemas import HELD_OUT, Fixture, Row, fixtures

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALL = (*fixtures(), *fixtures(HELD_OUT))
FIXTURES = [pytest.param(f, id=f.name) for f in ALL]
GRADED = [pytest.param(f, id=f.name) for f in ALL if f.answers is not None]
NEVER_TEXT = ("int", "float", "bool", "class_label", "binary", "other")


def task_of(fixture: Fixture) -> TaskPlan:
    task: TaskPlan = validated(TaskPlan, fixture.plan["task"], fixture.name)
    return task


def those(has: Callable[[TaskPlan], object]) -> list[Any]:
    """The fixtures of which this is so; a test of none would test nothing."""
    found = [pytest.param(f, id=f.name) for f in ALL if has(task_of(f))]
    assert found
    return found


def paths_of(task: TaskPlan) -> Iterator[str]:
    yield from [*task.question, *task.choices, *task.tests]
    span = [task.span.context, task.span.text, task.span.start] if task.span else []
    one = [task.labels, task.answer, task.speaker, task.entry_point, *span]
    yield from (path for path in one if path is not None)


def test_there_are_enough_of_them() -> None:
    """At least 48 schemas, each of 8 to 24 rows that differ, under names that differ."""
    assert len(fixtures()) >= 48
    assert len(fixtures(HELD_OUT)) >= 36
    assert len({fixture.name for fixture in ALL}) == len(ALL)
    for fixture in ALL:
        assert 8 <= len(fixture.rows) <= 24, fixture.name
        assert len({repr(row) for row in fixture.rows}) == len(fixture.rows), fixture.name
        assert fixture.describes.endswith("."), fixture.name


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_leaf_has_a_role(fixture: Fixture) -> None:
    """The roles name all leaves of the features, in their order, and only text is translated."""
    leaves = leaves_of({name: _struct(f) for name, f in fixture.features.items()})
    roles = {path: Role(role) for path, role in fixture.plan["roles"].items()}
    assert list(fixture.plan) == ["roles", "task"]
    assert sorted(roles) == sorted(leaf.path for leaf in leaves)
    for leaf in leaves:
        assert not (roles[leaf.path].translated and leaf.kind in NEVER_TEXT), leaf.path


def _struct(feature: Any) -> Any:
    """A Translation is stored as a struct of texts."""
    from datasets import Translation, Value

    if isinstance(feature, Translation):
        return {language: Value("string") for language in feature.languages}
    return feature


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_features_hold_the_rows(fixture: Fixture, tmp_path: Path) -> None:
    """Rows survive a parquet file unchanged, and `datasets` reads their features back from it."""
    from datasets import Features
    from pyarrow import parquet

    again = parquet.read_table(fixture.write(tmp_path))
    assert Features.from_arrow_schema(again.schema) == fixture.features
    assert again.to_pylist() == fixture.table().to_pylist()
    for row, stored in zip(fixture.rows, again.to_pylist(), strict=True):
        assert list(row) == list(stored) == list(fixture.features)
        for path in fixture.plan["roles"]:
            for kept, given in zip(values(stored, path), values(row, path), strict=True):
                rounded = isinstance(given, float)  # to a float32
                assert kept == (pytest.approx(given) if rounded else given), path


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_task_names_what_is_there(fixture: Fixture) -> None:
    """The task's paths are leaves whose roles fit, and a question never shows its answer."""
    task, roles = task_of(fixture), fixture.plan["roles"]
    assert set(paths_of(task)) <= set(roles)
    answers = [path for path, role in roles.items() if role.startswith("answer_")]
    assert task.answer is not None or not answers or task.kind == "ungraded"
    told = {path for path in answers if roles[path] != "answer_span"}  # that may be asked about
    assert not {task.answer, *told} & set(task.question)
    assert (task.answer is None) == (task.answer_kind is None)
    assert task.question
    assert all(roles[path] == Role.choices for path in task.choices)
    assert all(roles[path] == Role.code for path in task.tests)
    assert len(task.shown_choices) in (0, len(task.fixed_choices))
    if task.kind == "multiple_choice":
        assert bool(task.choices) != bool(task.fixed_choices)
        assert 2 <= len(task.fixed_choices or LETTERS) <= len(LETTERS)
    assert fixture.gold == any(a is not None for a in fixture.answers or [])
    assert (fixture.answers is None) == (task.kind == "ungraded")


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_row_asks_something(fixture: Fixture) -> None:
    """Some leaf of the question is filled, unless the row has no answer either."""
    task = task_of(fixture)
    for i, row in enumerate(fixture.rows):
        asked = [v for path in task.question for v in values(row, path) if str(v or "").strip()]
        empty = fixture.answers is not None and fixture.answers[i] is None
        assert asked or empty or fixture.name == "nested_three_deep", i


@pytest.mark.parametrize("fixture", GRADED)
def test_answers_are_what_the_rows_say(fixture: Fixture) -> None:
    """The gold given for a row is the one that its answer cell names, whatever its kind."""
    task = task_of(fixture)
    assert fixture.answers is not None
    assert len(fixture.answers) == len(fixture.rows)
    for row, answer in zip(fixture.rows, fixture.answers, strict=True):
        golds = [answer] if isinstance(answer, str) else answer or []
        cells = values(row, task.answer or "")
        if task.kind == "multiple_choice":
            assert golds == right_choice(row, cells, task), row
        elif task.fixed_choices:
            assert golds == [task.fixed_choices[cells[0]]], row
        elif task.answer_kind == "steps":
            assert [str(cells[0]).endswith(f"\n#### {gold}") for gold in golds] == [True], row
        elif task.answer_kind == "boxed":
            assert [f"\\boxed{{{gold}}}" in cells[0] for gold in golds] == [True], row
            assert cells[0].count("\\boxed") == 1, row
        else:
            assert golds == list(dict.fromkeys(str(c) for c in cells if c is not None)), row


def right_choice(row: Row, cells: list[Any], task: TaskPlan) -> list[str]:
    """The letter of the right choice, or for rotated choices its text; none where it is missing."""
    texts = task.fixed_choices or [v for path in task.choices for v in values(row, path)]
    cell = cells[0] if cells else None
    if cell in (None, "", -1, "-"):
        return []
    match task.answer_kind:
        case "letter":
            place = LETTERS.index(cell)
        case "index":
            place = int(cell) - task.index_base
        case "label":
            place = values(row, task.labels or "").index(cell)
        case "flags":
            assert sum(cells) == 1
            place = cells.index(1)
        case _:
            assert texts.count(cell) == 1
            place = texts.index(cell)
    assert 0 <= place < len(texts)
    return [texts[place]] if task.rotated else [LETTERS[place]]


@pytest.mark.parametrize("fixture", those(lambda task: task.span))
def test_spans_stand_where_they_start(fixture: Fixture) -> None:
    """An extractive answer is found in its context at its offset."""
    span = task_of(fixture).span
    assert span
    assert any(values(row, span.text) for row in fixture.rows)
    for row in fixture.rows:
        (context,) = values(row, span.context)
        texts, starts = values(row, span.text), values(row, span.start)
        assert [context[s : s + len(t)] for t, s in zip(texts, starts, strict=True)] == texts


@pytest.mark.parametrize("fixture", those(lambda t: t.choices and t.kind == "multiple_choice"))
def test_lettered_choices_carry_their_letters(fixture: Fixture) -> None:
    """Choices begin with A, B, C... exactly where the plan says so."""
    task = task_of(fixture)
    rows = [[str(v) for p in task.choices for v in values(r, p)] for r in fixture.rows]
    carried = all(
        text.startswith((f"{letter})", f"({letter})"))
        for texts in rows
        for letter, text in zip(LETTERS, texts, strict=False)
    )
    assert carried == task.lettered


@pytest.mark.parametrize("fixture", those(lambda task: task.speaker))
def test_conversations_have_their_speakers(fixture: Fixture) -> None:
    """Who speaks and what is said stand in the same list."""
    task = task_of(fixture)
    assert task.speaker
    assert keys_of(task.speaker)[:-1] in [keys_of(path)[:-1] for path in task.question]
    said = [str(v) for row in fixture.rows for v in values(row, task.speaker)]
    assert set(said) <= {"system", "user", "assistant", "tool", "human", "gpt"}


@pytest.mark.parametrize("fixture", those(lambda task: task.kind == "code"))
def test_programs_run_and_pass_their_tests(fixture: Fixture) -> None:
    """The reference of a program parses, and passes the tests that come with it."""
    task = task_of(fixture)
    for row in fixture.rows:
        reference = str(values(row, task.answer or "")[0])
        begun = fixture.plan["roles"][task.question[0]] == Role.code_prompt
        program = values(row, task.question[0])[0] + reference if begun else reference
        tests = [t for path in task.tests for t in values(row, path)]
        ast.parse(program)
        called = [values(row, task.entry_point)[0]] if task.entry_point and begun else []
        check = [f"check({name})" for name in called]
        exec("\n".join([program, *tests, *check]), {})


def test_json_cells_are_json() -> None:
    """What a fixture gives as JSON in a string parses, so that a port can be compared by value."""
    found = {f.name: f for f in fixtures()}
    for row in found["function_calling_json"].rows:
        called = json.loads(row["answers"])[0]["name"]
        assert called in [tool["name"] for tool in json.loads(row["tools"])]
    for row in found["contest_io_json"].rows:
        pairs = json.loads(row["input_output"])
        assert len(pairs["inputs"]) == len(pairs["outputs"])
