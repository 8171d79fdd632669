"""A dataset on its way from one language to another; each step fills in more of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hret_agents.job import PortJob
from hret_agents.plan.records import Plan
from hret_agents.source import Source
from hret_agents.translators import Choice
from llm_eval.dataset.spec import Manifest, SplitRecord
from llm_eval.models.prices import cost
from llm_eval.records import Usage

Splits = dict[str, dict[str, SplitRecord]]


@dataclass(frozen=True, kw_only=True)
class Port:
    """What is known of a port so far.

    `work` is where it is made, `folder` where it will lie; `old` is what lies there now. `kept`
    are the splits of the old port that this one leaves as they are; `choice` is the translator,
    once it is decided. `usage` is what it has cost, `asked` what other models have, by their names.
    """

    job: PortJob
    slug: str
    source: Source
    plan: Plan
    folder: Path
    work: Path
    choice: Choice | None = None
    repo: str | None = None
    old: Manifest | None = None
    kept: frozenset[tuple[str, str]] = frozenset()
    splits: Splits = field(default_factory=dict)
    checks: Counter[str] = field(default_factory=Counter)
    failures: tuple[str, ...] = ()
    remembered: int = 0
    graded: int = 0
    usage: Usage = Usage()
    estimated: Usage = Usage()
    asked: Mapping[str, Usage] = field(default_factory=dict)
    prompt_version: str = "none"
    manifest: Manifest | None = None
    url: str | None = None

    @property
    def paid_model(self) -> str:
        """The translator's name as results give it."""
        if self.choice is None:
            return "none"
        return "memory" if self.choice.backend == "memory" else self.choice.model

    @property
    def spent(self) -> Usage:
        """What this run has asked of all models together."""
        return sum(self.asked.values(), self.usage)

    @property
    def cost_usd(self) -> float | None:
        """USD that this run has spent; None where a model's price is unknown."""
        paid = (
            [cost(self.paid_model, self.usage, batch=self.job.batch)] if self.usage.requests else []
        )
        paid += [cost(model, usage) for model, usage in self.asked.items() if usage.requests]
        return None if None in paid else round(sum(usd or 0.0 for usd in paid), 6)
