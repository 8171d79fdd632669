"""What a translator is: packs of units in, a reply or a failure for each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hret_agents.translate.units import Unit
from llm_eval.records import Failure, Usage

Reply = tuple[str, ...] | Failure


@dataclass(frozen=True, slots=True)
class Ask:
    """A unit to translate, and why its last reply was not taken (empty: first asked)."""

    unit: Unit
    because: str = ""


class Translator(Protocol):
    """A way to translate. `paid` says whether its replies are worth keeping in the memory.

    `policy` is what a translation by it depends on, besides the unit.
    """

    name: str
    paid: bool
    policy: Mapping[str, str]

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        ...

    def room(self, packs: int) -> bool:
        """May another pack be started while `packs` are under way?"""
        ...

    async def check(self) -> None:
        """Raise a `UserError` if it cannot be used; nothing is paid."""
        ...

    async def translate(self, asks: Sequence[Ask]) -> list[Reply]:
        """A reply or failure per ask, in order."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
