"""From a plan to the spec of the dataset module."""

from __future__ import annotations

import re

from hret_agents.plan.records import Plan
from llm_eval.dataset.spec import ModuleSpec


def spec_of(
    plan: Plan, *, slug: str, repo: str | None, subsets: dict[str, list[str]]
) -> ModuleSpec:
    """The spec of the module for a port of this plan."""
    task = plan.task
    return ModuleSpec(
        slug=slug,
        class_name=class_name(slug),
        source=plan.source,
        lang=plan.target_lang,
        repo=repo,
        subsets=subsets,
        task=task.kind,
        question=[plan.renamed(p) for p in task.question],
        choices=[plan.renamed(p) for p in task.choices],
        fixed_choices=task.fixed_choices,
        shown_choices=task.shown_choices,
        labels=plan.renamed(task.labels) if task.labels else None,
        lettered=task.lettered,
        rotated=task.rotated,
        answer=plan.renamed(task.answer) if task.answer else None,
        answer_kind=task.answer_kind,
        index_base=task.index_base,
        speaker=plan.renamed(task.speaker) if task.speaker else None,
        tests=[plan.renamed(p) for p in task.tests],
        entry_point=plan.renamed(task.entry_point) if task.entry_point else None,
    )


def class_name(slug: str) -> str:
    """A class name from a slug.

    >>> class_name("HAERAE-HUB__QARV__my_subset_ko"), class_name("gsm8k_ko"), class_name("1-x_ko")
    ('QARVMySubsetKo', 'Gsm8kKo', 'Dataset1XKo')
    """
    name = slug.split("__", 1)[-1]
    parts = [p for p in re.split(r"[^0-9A-Za-z가-힣]+", name) if p]
    joined = "".join(p[0].upper() + p[1:] for p in parts)
    return joined if joined[:1].isalpha() else f"Dataset{joined}"
