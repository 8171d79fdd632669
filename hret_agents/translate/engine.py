"""The engine: units in, outcomes out in the same order, with packs of them under way in between.

Equal units are asked once; what the memory knows is not asked; a reply is checked, committed and
only then counted; what fails a gate is asked again in a smaller pack with the reason, a bounded
number of times. There is no barrier: a pack starts whenever the translator has room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from hret_agents.translate.base import Ask, Reply, Translator
from hret_agents.translate.checks import Finding, check_unit
from hret_agents.translate.memory import Memory, unit_key
from hret_agents.translate.units import Unit
from llm_eval.errors import RETRYABLE, UserError
from llm_eval.records import Failure

WINDOW = 20_000  # rows read ahead of the first unfinished one
FEED = 256  # rows looked up in the memory at a time
PACK_CHARS = 6_000  # source characters in one request
GIVE_UP_AFTER = 5  # packs in a row that the transport gave up on, with none between that came back
GRACE = 8.0  # seconds that packs under way are given after a Ctrl-C


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit: texts and flags, or the failure. `asked`: it was sent this time."""

    texts: tuple[str, ...] | None
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None
    asked: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    """A unit on its way. `unchanged`: the model was told that a text came back as it was."""

    unit: Unit
    key: str
    because: str = ""
    tries: int = 0
    unchanged: bool = False
    outcome: Outcome | None = None


@dataclass(slots=True)
class Engine:
    """Translates streams of units with one translator and one memory.

    Args:
        lang: the target language.
        choices: the leaves whose texts must stay different from one another.
        batch_size: most units in a request.
        max_retries: how often a unit is asked again after a reply that was not good enough.
    """

    translator: Translator
    memory: Memory
    lang: str
    choices: Sequence[str] = ()
    batch_size: int = 10
    max_retries: int = 3
    _failing: int = field(default=0, init=False)
    _ending: bool = field(default=False, init=False)

    async def run(self, units: Iterable[Unit]) -> AsyncGenerator[Outcome, None]:
        """The outcome of each unit, in order.

        Raises:
            UserError: the key was refused, or the server stopped answering. What was answered by
                then is in the memory.
        """
        source = iter(units)
        order: deque[_Job] = deque()
        live: dict[str, _Job] = {}
        queue: deque[_Job] = deque()
        again: deque[_Job] = deque()
        under_way: dict[asyncio.Task[list[Reply]], list[_Job]] = {}
        fed = True
        try:
            while True:
                while fed and len(order) < WINDOW and len(queue) < 4 * FEED:
                    fed = self._feed(source, order, live, queue)
                while (again or queue) and self.translator.room(len(under_way)):
                    pack = self._pack(again or queue)
                    asks = [Ask(job.unit, job.because) for job in pack]
                    under_way[asyncio.create_task(self.translator.translate(asks))] = pack
                while order and (outcome := order[0].outcome) is not None:
                    job = order.popleft()
                    live.pop(job.key, None)
                    job.outcome = replace(outcome, asked=False)  # an equal row was not sent
                    yield outcome
                if not under_way:
                    if not fed and not order:
                        return
                    continue
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                self._take(done, under_way, again)
        finally:
            await self._keep(under_way, again)

    async def _keep(
        self, under_way: dict[asyncio.Task[list[Reply]], list[_Job]], again: deque[_Job]
    ) -> None:
        """Stopping early, whatever for: what is being answered has been paid for, so keep it."""
        if not under_way:
            return
        self._ending = True
        try:
            done, _ = await asyncio.wait(under_way, timeout=GRACE)
            self._take({t for t in done if t.exception() is None}, under_way, again)
        finally:
            for task in under_way:
                task.cancel()

    def _feed(
        self, source: Iterator[Unit], order: deque[_Job], live: dict[str, _Job], queue: deque[_Job]
    ) -> bool:
        """Read some units on; False when there are no more."""
        batch = list(islice(source, FEED))
        keys = [unit_key(unit, self.translator.policy) for unit in batch]
        known = self.memory.get(list(dict.fromkeys(keys))) if self.translator.paid else {}
        for unit, key in zip(batch, keys, strict=True):
            job = live.get(key)
            if job is None:
                job = live[key] = _Job(unit, key)
                if not unit.segments:
                    job.outcome = Outcome(())
                elif key in known:
                    job.outcome = self._known(unit, *known[key])
                if job.outcome is None:
                    queue.append(job)
            order.append(job)
        return len(batch) == FEED

    def _known(self, unit: Unit, texts: Sequence[str], insisted: bool) -> Outcome | None:
        """What the memory knows, if it passes today's checks."""
        found = check_unit(unit, texts, self.lang, self.choices, allow_unchanged=insisted)
        if any(f.severity == "gate" for f in found):
            return None
        return Outcome(tuple(texts), tuple(found))

    def _pack(self, waiting: deque[_Job]) -> list[_Job]:
        """The next units of one request: few enough, short enough, and fewer each time anew."""
        tries = waiting[0].tries
        last = 0 < tries == self.max_retries
        most = 1 if last else max(1, self.batch_size >> tries)
        pack = [waiting.popleft()]
        size = pack[0].unit.size
        while waiting and len(pack) < most and waiting[0].tries == tries:
            size += waiting[0].unit.size
            if size > PACK_CHARS:
                break
            pack.append(waiting.popleft())
        return pack

    def _take(
        self,
        done: Iterable[asyncio.Task[list[Reply]]],
        under_way: dict[asyncio.Task[list[Reply]], list[_Job]],
        again: deque[_Job],
    ) -> None:
        """Settle the jobs of finished packs: accepted, to be asked again, or failed."""
        for task in sorted(done, key=lambda t: t.exception() is not None):
            pack = under_way.pop(task)
            replies = task.result()  # an error that ends the run is raised after the good ones
            self._watch(replies)
            good = []
            for job, reply in zip(pack, replies, strict=True):
                outcome = self._judged(job, reply, alone=len(pack) == 1)
                if outcome is None:
                    again.append(job)
                elif outcome.texts is not None and self.translator.paid:
                    good.append((job, outcome))
                else:
                    job.outcome = outcome
            if good:
                self.memory.put(
                    ((j.key, j.unit, o.texts or (), j.unchanged) for j, o in good),
                    self.translator.name,
                )
            for job, outcome in good:
                job.outcome = outcome

    def _judged(self, job: _Job, reply: Reply, *, alone: bool) -> Outcome | None:
        """The outcome that a reply makes, or None to ask again."""
        if isinstance(reply, Failure):
            failure = reply
            final = not reply.retryable and reply.kind not in (
                "refusal",
                "content_filter",
                "bad_request",
                "malformed",
            )
            final = final or (alone and reply.kind in RETRYABLE)
        else:
            found = check_unit(
                job.unit, reply, self.lang, self.choices, allow_unchanged=job.unchanged
            )
            gates = [f for f in found if f.severity == "gate"]
            if not gates:
                return Outcome(reply, tuple(found), asked=True)
            said = "; ".join(f"{f.path}: {f.message}" for f in gates)
            failure = Failure(where="translate", kind=gates[0].check, message=said)
            final = False
            job.unchanged = any(f.check == "target_script" for f in gates)
        if final or job.tries >= self.max_retries:
            return Outcome(None, failure=failure, asked=True)
        job.tries += 1
        job.because = "" if failure.kind in RETRYABLE else failure.message
        return None

    def _watch(self, replies: Sequence[Reply]) -> None:
        """A server that has gone is told at once, not found out row by row."""
        failures = [r for r in replies if isinstance(r, Failure) and r.kind in RETRYABLE]
        self._failing = self._failing + 1 if len(failures) == len(replies) else 0
        if self._failing >= GIVE_UP_AFTER and not self._ending:
            raise UserError(
                f"the server stopped answering: {failures[0].message}",
                hint="what it translated is kept: run the same command again to go on",
            )
