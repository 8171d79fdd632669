"""A unit on its way through the engine, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hret_agents.checks import Finding
from hret_agents.translate.base import Answer
from hret_agents.translate.packing import Packer
from hret_agents.translate.split import joined
from hret_agents.translate.units import Unit
from llm_eval.records import Failure, Usage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit: texts and flags, or the failure.

    `asked`: it was sent this time; `known`: it was not, for the memory had it.
    """

    texts: tuple[str, ...] | None
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None
    asked: bool = False
    known: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """A unit on its way.

    `terms` are the glossary's that occur in it, `settled` the texts that a human has translated, by
    place. `told`: the model was told of a fault that does not fail a unit in the end. `good` is a
    reply that will do if no better one comes; `reply` the last one taken, as the model gave it, and
    `fresh` until it is in the memory. So many `rows` are equal. A unit too long for one request is
    done when its `parts` are (with the unit that says where each belongs; equal ones are one job);
    a part knows the `wholes` that it is of. The memory was looked up as of its version `seen`.
    """

    unit: Unit
    key: str
    terms: tuple[tuple[str, str], ...] = ()
    settled: Mapping[int, str] = field(default_factory=dict)
    because: str = ""
    tries: int = 0
    told: bool = False
    good: Outcome | None = None
    reply: tuple[str, ...] | None = None
    fresh: bool = False
    outcome: Outcome | None = None
    rows: int = 0
    seen: int = 0
    wholes: list[Job] = field(default_factory=list)
    parts: list[tuple[Job, Unit]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Characters to translate."""
        return self.unit.size

    def with_settled(self, texts: Sequence[str]) -> tuple[str, ...]:
        """A reply's texts, those that a human has translated in the place of the model's."""
        if not self.settled:
            return tuple(texts)
        return tuple(self.settled.get(place, text) for place, text in enumerate(texts))

    def assembled(self) -> Outcome | None:
        """What came of a divided unit; None while a part is under way. Sets its `reply`."""
        done = [part.outcome for part, _ in self.parts if part.outcome is not None]
        asked = any(outcome.asked for outcome in done)
        known = all(outcome.known for outcome in done)
        for outcome in done:
            if outcome.failure is not None:
                return Outcome(None, failure=outcome.failure, asked=asked)
        texts = [outcome.texts for outcome in done if outcome.texts is not None]
        if len(texts) < len(self.parts):
            return None
        units = [unit for _, unit in self.parts]
        replies = [part.reply or text for (part, _), text in zip(self.parts, texts, strict=True)]
        self.reply = joined(self.unit, units, replies)
        return Outcome(joined(self.unit, units, texts), asked=asked, known=known)


@dataclass(slots=True, eq=False)
class Pack:
    """A request under way."""

    jobs: list[Job]
    estimated: Usage

    @property
    def size(self) -> int:
        """Characters asked for."""
        return sum(job.size for job in self.jobs)


@dataclass(slots=True)
class Flow:
    """One run: what was read and not yet given out, what waits, and what is under way."""

    source: Iterator[Unit]
    packer: Packer[Job]
    order: deque[Job] = field(default_factory=deque)
    live: dict[str, Job] = field(default_factory=dict)
    pieces: dict[str, Job] = field(default_factory=dict)
    again: deque[Job] = field(default_factory=deque)
    under_way: dict[asyncio.Task[Answer], Pack] = field(default_factory=dict)
    done: list[asyncio.Task[Answer]] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    proved: int = 0  # characters of the largest pack whose reply was not cut

    def came_back(self, task: asyncio.Task[Answer]) -> None:
        """A request has ended, well or not."""
        self.done.append(task)
        self.wake.set()
