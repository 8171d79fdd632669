"""Reading a row of the source by its plan: what is asked, chosen from, and right.

The same as `llm_eval.dataset.gold` reads from a row of the port; columns have their source's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hret_agents.module.spec import spec_of
from hret_agents.plan.records import Plan
from llm_eval.dataset import gold
from llm_eval.dataset.spec import ModuleSpec

Row = Mapping[str, Any]
_last: tuple[Plan, ModuleSpec] | None = None


def as_spec(plan: Plan) -> ModuleSpec:
    """The module's spec by the source's names; of the last plan it is known."""
    global _last
    if _last is None or _last[0] is not plan:
        named = replace(plan, names={})
        _last = (plan, spec_of(named, slug="source", repo=None, subsets={}))
    return _last[1]


def choices_of(row: Row, plan: Plan) -> list[str]:
    """What is chosen from in a row."""
    return gold.choices_of(row, as_spec(plan))


def gold_of(row: Row, plan: Plan) -> str | None:
    """The right answer of a row: a letter, a number, a text; None where the row gives none."""
    return gold.gold_of(row, as_spec(plan))


def gold_fault(row: Row, plan: Plan) -> str:
    """Why a row's gold, though there is one, names no answer; empty when it does, or is missing."""
    return gold.gold_fault(row, as_spec(plan))


def question_fault(row: Row, plan: Plan) -> str:
    """Why a row asks nothing; empty when it asks something."""
    return gold.question_fault(row, as_spec(plan))
