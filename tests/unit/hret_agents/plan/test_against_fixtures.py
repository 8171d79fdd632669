"""The planner against the schemas of the field: the plans that people wrote for them are right."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

import pytest
from datasets import Features

from hret_agents.module.spec import spec_of
from hret_agents.plan.infer import infer_plan
from hret_agents.plan.records import Plan, Role, TaskPlan, check_against, keys_of, path_of
from hret_agents.plan.schema import leaves_of
from llm_eval.dataset.gold import LETTERS, choices_of, golds_of
from llm_eval.errors import UserError
from tests.schemas import Fixture, fixtures

SCHEMAS = {fixture.name: fixture for fixture in fixtures()}
ENOUGH = 0.95


@cache
def plan_of(name: str) -> Plan:
    """The plan that is inferred for a fixture, its columns under their own names."""
    fixture = SCHEMAS[name]
    rows = fixture.table().to_pylist()
    return infer_plan(fixture.features, rows, source=name, target_lang="ko", keep_columns=True)


def wrong_roles(fixture: Fixture) -> dict[str, str]:
    """By leaf what is wrong with its role."""
    roles = plan_of(fixture.name).roles
    return {
        path: f"{fixture.name}: {path} is {role}, not {roles[path]}"
        for path, role in fixture.plan["roles"].items()
        if roles[path] != role
    }


def wrong_task(fixture: Fixture) -> list[str]:
    """What is wrong with the task."""
    found = asdict(plan_of(fixture.name).task)
    right = asdict(TaskPlan(kind="ungraded", question=[])) | fixture.plan["task"]
    return [
        f"{fixture.name}: {key} is {right[key]!r}, not {found[key]!r}"
        for key in right
        if found[key] != right[key]
    ]


def test_nearly_all_leaves_are_right() -> None:
    """At least 95 in 100 leaves have the very role that a person gave them."""
    wrong = [said for f in SCHEMAS.values() for said in wrong_roles(f).values()]
    leaves = sum(len(f.plan["roles"]) for f in SCHEMAS.values())
    print(f"{leaves - len(wrong)} of {leaves} leaves", *wrong, sep="\n")
    assert len(SCHEMAS) >= 40
    assert leaves - len(wrong) >= ENOUGH * leaves


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_kept_is_never_translated(name: str) -> None:
    """No label, id, key, gold or code gets a translated role, nor any other leaf that is kept; and
    what is text is translated."""
    right, roles = SCHEMAS[name].plan["roles"], plan_of(name).roles
    assert {p for p in roles if roles[p].translated} == {
        p for p in right if Role(right[p]).translated
    }
    kinds = {leaf.path: leaf.kind for leaf in leaves_of(SCHEMAS[name].features)}
    assert all(kinds[path] == "string" for path, role in roles.items() if role.translated)


def test_nearly_all_tasks_are_right() -> None:
    """At least 95 in 100 fixtures have the task that a person described, in every field."""
    wrong = {f.name: said for f in SCHEMAS.values() if (said := wrong_task(f))}
    print(f"{len(SCHEMAS) - len(wrong)} of {len(SCHEMAS)} tasks")
    print(*(line for said in wrong.values() for line in said), sep="\n")
    assert len(SCHEMAS) - len(wrong) >= ENOUGH * len(SCHEMAS)
    for name in wrong:  # where a person names a gold that cannot be graded, the plan names none
        assert SCHEMAS[name].plan["task"]["kind"] == "ungraded"
        assert plan_of(name).task.answer is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_plan_can_be_used(name: str) -> None:
    """The plan agrees with the data, asks something once, and shows no gold."""
    plan, fixture = plan_of(name), SCHEMAS[name]
    check_against(plan, [leaf.path for leaf in leaves_of(fixture.features)], name)
    question = plan.task.question
    assert question
    assert len(set(question)) == len(question)
    assert plan.task.answer not in question
    assert not set(question) & set(plan.task.choices)
    assert (plan.task.kind == "ungraded") == (not fixture.gold) or "held_back" in name


@pytest.mark.parametrize("name", [n for n, f in SCHEMAS.items() if f.answers is not None])
def test_golds_are_read_as_they_are_meant(name: str) -> None:
    """The gold of every row, read by the plan, is the one that a person reads."""
    fixture, plan = SCHEMAS[name], plan_of(name)
    spec = spec_of(plan, slug=f"{name}_ko", repo=None, subsets={"default": ["test"]})
    found: list[Any] = []
    for row in fixture.table().to_pylist():
        golds = golds_of(row, spec)
        if plan.task.rotated:
            golds = [choices_of(row, spec)[LETTERS.index(gold)] for gold in golds]
        found.append(None if not golds else golds[0] if len(golds) == 1 else golds)
    assert found == [
        a[0] if isinstance(a, list) and len(a) == 1 else a for a in fixture.answers or []
    ]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_rows_give_nothing_away(name: str, count: int) -> None:
    """However few rows are looked at, what is kept gets no translated role."""
    fixture = SCHEMAS[name]
    rows = fixture.table().to_pylist()[:count]
    roles = infer_plan(fixture.features, rows, source=name, target_lang="ko").roles
    kept = {p for p, role in fixture.plan["roles"].items() if not Role(role).translated}
    assert not [p for p in kept if roles[p].translated]


@pytest.mark.parametrize("name", SCHEMAS)
def test_columns_that_tell_nothing_give_nothing_away(name: str) -> None:
    """Under names that say nothing fewer texts are found, and nothing kept is translated."""
    fixture = SCHEMAS[name]
    new = {column: f"col_{i}" for i, column in enumerate(fixture.features)}
    features = Features({new[column]: f for column, f in fixture.features.items()})
    rows = [{new[c]: v for c, v in row.items()} for row in fixture.table().to_pylist()]
    try:
        roles = infer_plan(features, rows, source=name, target_lang="ko").roles
    except UserError:
        return  # nothing there reads like a question: a sentence, and no port
    for path, role in fixture.plan["roles"].items():
        column, *deeper = keys_of(path)
        if not Role(role).translated:
            assert not roles[path_of((new[column], *deeper))].translated
