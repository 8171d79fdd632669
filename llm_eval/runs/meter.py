"""What a run has spent: requests, tokens and money, of all the models that it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_eval.models.base import BaseModel
from llm_eval.records import Usage


@dataclass(frozen=True, slots=True)
class Spent:
    """Requests and tokens, and USD; None where a price is unknown."""

    usage: Usage = Usage()
    cost_usd: float | None = 0.0

    def __add__(self, other: Spent) -> Spent:
        known = self.cost_usd is not None and other.cost_usd is not None
        cost = (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None
        return Spent(self.usage + other.usage, cost)


class Meter:
    """What `model`, with the judge and reward model beside it, spends from now on.

    A model in two roles counts once.
    """

    def __init__(self, model: BaseModel) -> None:
        roles: dict[str, Any] = getattr(model, "roles", None) or {"generate": model}
        self._models = list({id(m): m for m in roles.values()}.values())
        self._before = [m.usage for m in self._models]

    def spent(self) -> Spent:
        """So far."""
        found = Spent()
        for model, before in zip(self._models, self._before, strict=True):
            used = model.usage - before
            found += Spent(used, model.cost(used))
        return found
