"""What a translator is: packs of units in, an answer with a reply or failure for each out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hret_agents.translate.units import Unit
from llm_eval.records import Failure, Usage

Reply = tuple[str, ...] | Failure


@dataclass(frozen=True, slots=True)
class Ask:
    """A unit to translate.

    `key` is the memory's name of it; `because` says why its last reply was not taken (empty: first
    asked); `terms` are the glossary's that occur in it; `like` are similar texts and how they were
    translated, as examples.
    """

    unit: Unit
    key: str = ""
    because: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    like: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a pack: a reply or failure per ask, in order, and what it cost."""

    replies: tuple[Reply, ...]
    usage: Usage = Usage()
    seconds: float = 0.0


class Translator(Protocol):
    """A way to translate. `paid` says whether its replies are worth keeping in the memory.

    `policy` is what a translation by it depends on, besides the unit; `window` is how many rows
    may be read ahead of the first unfinished one. A `patient` one takes hours, and what comes back
    undone says nothing about the server: it is asked for again.
    """

    name: str
    paid: bool
    policy: Mapping[str, str]
    window: int
    patient: bool

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        ...

    @property
    def width(self) -> int:
        """How many packs may be under way now."""
        ...

    @property
    def slots(self) -> float:
        """How many packs are worked on at once, as far as that is known."""
        ...

    @property
    def trying(self) -> bool:
        """Is it being found out how many packs may be under way? Small ones tell soonest."""
        ...

    def expected(self, asks: Sequence[Ask]) -> Usage:
        """What a request for `asks` is estimated to cost, by the dry run's formula."""
        ...

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`; None where the price is unknown."""
        ...

    def flush(self) -> None:
        """No further pack starts before one comes back: what was collected should go out."""
        ...

    def answering(self, task: asyncio.Task[Any]) -> bool:
        """Is what a task of `translate` waits for at the server, and will be paid for?"""
        ...

    async def check(self) -> None:
        """Raise a `UserError` if it cannot be used; nothing is paid."""
        ...

    async def translate(self, asks: Sequence[Ask]) -> Answer:
        """A reply or failure per ask, in order."""
        ...

    async def close(self, *, finished: bool = False) -> None:
        """Let go of connections. `finished`: all that was asked for has been taken."""
        ...
