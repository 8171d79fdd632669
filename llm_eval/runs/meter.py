"""What a run has spent: requests, tokens and money, of all the models that it asks.

And which runs ask a model, so that the last one closes it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from llm_eval.models.base import BaseModel
from llm_eval.models.multi import roles_of
from llm_eval.records import Usage

_runs: dict[int, set[Meter]] = {}  # those that ask a model now, by its id


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

    A model in two roles counts once. While a block of it runs the models are in use: they are
    closed behind the last of those blocks.

    Attributes:
        shared: another run has asked one of the models meanwhile; `spent` holds that as well.
    """

    def __init__(self, model: BaseModel) -> None:
        self._models = list({id(m): m for m in roles_of(model).values()}.values())
        self._before = [m.usage for m in self._models]
        self.shared = False

    async def __aenter__(self) -> Self:
        for model in self._models:
            users = _runs.setdefault(_id(model), set())
            users.add(self)
            for each in users if len(users) > 1 else ():
                each.shared = True
        return self

    async def __aexit__(self, *_: object) -> None:
        idle = []
        for model in self._models:
            users = _runs[_id(model)]
            users.remove(self)
            if not users:
                del _runs[_id(model)]
                idle.append(model)
        for error in await asyncio.gather(*(m.close() for m in idle), return_exceptions=True):
            if error is not None:
                raise error

    def spent(self) -> Spent:
        """So far."""
        found = Spent()
        for model, before in zip(self._models, self._before, strict=True):
            used = model.usage - before
            found += Spent(used, model.cost(used))
        return found


def _id(model: Any) -> int:
    """That of the user's own object, around which each run puts a backend of its own."""
    return id(getattr(model, "inner", model))
