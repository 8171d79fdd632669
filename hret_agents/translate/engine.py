"""The engine: units in, outcomes out in the same order, with packs of them under way in between.

Equal units are asked once; what the memory knows is not asked; a reply is checked, committed and
only then counted; what fails a gate is asked again in a smaller pack with the reason, a bounded
number of times. There is no barrier: a pack starts whenever the translator has room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from hret_agents.checks import Rules
from hret_agents.plan.glossary import Glossary
from hret_agents.translate.base import Answer, Ask, Reply, Translator
from hret_agents.translate.jobs import Flow, Job, Outcome, Pack
from hret_agents.translate.judge import Judge, soft_faults
from hret_agents.translate.memory import Kept, Memory, Request, unit_key
from hret_agents.translate.packing import PACK_CHARS, Packer
from hret_agents.translate.split import LEAST_CHARS, PIECE_CHARS, divided
from hret_agents.translate.suggest import Suggestions
from hret_agents.translate.units import Unit
from llm_eval.errors import RETRYABLE, UserError
from llm_eval.records import Failure, Usage

__all__ = ["Engine", "Outcome"]

FEED = 64  # rows looked up in the memory at a time
AT_ONCE = 512  # rows read before replies and outcomes have their turn
AHEAD = 2_048  # rows that wait to be sent, at least, while more can be read
GIVE_UP_AFTER = 5  # packs in a row that the transport gave up on, with none between that came back
GRACE = 8.0  # seconds that packs under way are given after a Ctrl-C
EXAMPLES = 2  # similar texts sent along with a row
_ASKED_AGAIN = ("refusal", "content_filter", "bad_request", "malformed")


@dataclass(slots=True)
class Engine:
    """Translates streams of units with one translator and one memory.

    Args:
        rules: what replies are checked by.
        batch_size: most units in a request.
        max_retries: how often a unit is asked again after a reply that was not good enough.
        glossary: terms to be translated as it says.
        suggestions: earlier translations, offered to the model as examples.
        progress: told how many units are done, in whatever order, and how many of them failed.
        notice: told what people should know while they wait.
    """

    translator: Translator
    memory: Memory
    rules: Rules
    batch_size: int = 10
    max_retries: int = 3
    glossary: Glossary | None = None
    suggestions: Suggestions | None = None
    progress: Callable[[int, int], None] = lambda done, failed: None
    notice: Callable[[str], None] = lambda said: None
    estimated: Usage = field(default=Usage(), init=False)
    _judge: Judge = field(init=False)
    _done: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _failing: int = field(default=0, init=False)
    _ending: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._judge = Judge(self.memory, self.rules, self.translator.paid, self.max_retries)

    async def run(self, units: Iterable[Unit]) -> AsyncGenerator[Outcome, None]:
        """The outcome of each unit, in order.

        Raises:
            UserError: the key was refused, the money is spent, or the server stopped answering.
                What was answered by then is in the memory.
        """
        flow = Flow(iter(units), Packer(self.batch_size))
        try:
            while True:
                more = self._advance(flow)
                while flow.order and (outcome := flow.order[0].outcome) is not None:
                    job = flow.order.popleft()
                    flow.live.pop(job.key, None)
                    job.outcome = replace(outcome, asked=False)  # an equal row was not sent
                    yield outcome
                if flow.ended and not flow.order:
                    return
                if more:
                    await asyncio.sleep(0)
                elif flow.under_way and not flow.done:
                    self.translator.flush()
                    await flow.wake.wait()
                flow.wake.clear()
                self._take(flow)
        finally:
            await self._keep(flow)

    async def _keep(self, flow: Flow) -> None:
        """Stopping early, whatever for: what is being answered has been paid for, so keep it."""
        if not flow.under_way:
            return
        self._ending = True
        paid = [task for task in flow.under_way if self.translator.answering(task)]
        for task in flow.under_way.keys() - paid:
            task.cancel()
        if paid:
            self.notice(f"waiting for {len(paid)} replies that are paid for, at most {GRACE:g} s")
        end = time.monotonic() + GRACE
        try:
            while flow.under_way and (left := end - time.monotonic()) > 0:
                first = asyncio.FIRST_COMPLETED
                await asyncio.wait(flow.under_way, timeout=left, return_when=first)
                self._take_good(flow)
        finally:
            self._take_good(flow)
            for task in flow.under_way:
                task.cancel()

    def _take_good(self, flow: Flow) -> None:
        """Settle what has come by now; what ended otherwise is let go of."""
        done = [task for task in flow.under_way if task.done()]
        flow.done = [task for task in done if not task.cancelled() and task.exception() is None]
        for task in set(done).difference(flow.done):
            del flow.under_way[task]
        self._take(flow)

    def _advance(self, flow: Flow) -> bool:
        """Read on, and start what there is room for; False when there is nothing to do but wait."""
        width = self.translator.width
        more = self._read(flow, width)
        while len(flow.under_way) < width and (flow.again or flow.packer):
            if more and not flow.again and len(flow.packer) < width * self.batch_size:
                return True  # how much there is decides how it is packed
            self._start(flow)
        return more

    def _read(self, flow: Flow, width: int) -> bool:
        """Read enough to see whether the end is near; True when it should go on."""
        for _ in range(AT_ONCE // FEED):
            if flow.ended or len(flow.order) >= self.translator.window:
                return False
            if len(flow.packer) >= max(AHEAD, 2 * width * self.batch_size):
                return False
            if not self._feed(flow):
                flow.ended = True
                flow.packer.close()
                return False
        return True

    def _feed(self, flow: Flow) -> bool:
        """Read some units on; False when there are no more."""
        batch = list(islice(flow.source, FEED))
        fresh: dict[str, Job] = {}
        for unit in batch:
            terms = self.glossary.occurring(unit.texts) if self.glossary else ()
            key = unit_key(unit, self.translator.policy, terms)
            job = flow.live.get(key)
            if job is None:
                job = flow.live[key] = fresh[key] = Job(unit, key, terms)
            job.rows += 1
            if job.outcome is not None:
                self._count(job.outcome, 1)
            flow.order.append(job)
        self._judge.settle(fresh.values())
        self._judge.look_up([job for job in fresh.values() if job.outcome is None])
        too_long = self.memory.divided([k for k, job in fresh.items() if job.outcome is None])
        for job in fresh.values():
            if job.outcome is None:
                most = too_long.get(job.key, PIECE_CHARS if job.size > PACK_CHARS else 0)
                if not (most and self._divide(flow, job, most)):
                    flow.packer.add(job)
            else:
                self._count(job.outcome, job.rows)
        self.progress(self._done, self._failed)
        return len(batch) == FEED

    def _count(self, outcome: Outcome, rows: int) -> None:
        self._done += rows
        self._failed += rows * (outcome.texts is None)

    def _divide(self, flow: Flow, job: Job, most: int) -> bool:
        """Send a unit in parts; False when it is in one piece already."""
        parts = divided(job.unit, most)
        if len(parts) < 2:
            return False
        fresh = []
        for unit in parts:
            terms = self.glossary.occurring(unit.texts) if self.glossary else ()
            key = unit_key(unit, self.translator.policy, terms)
            part = flow.pieces.get(key)
            if part is None:
                part = flow.pieces[key] = Job(unit, key, terms)
                fresh.append(part)
            part.wholes.append(job)
            job.parts.append((part, unit))
        self._judge.settle(fresh)
        self._judge.look_up([part for part in fresh if part.outcome is None])
        too_long = self.memory.divided([part.key for part in fresh if part.outcome is None])
        for part in fresh:
            if part.outcome is not None:
                del flow.pieces[part.key]
            else:
                limit = too_long.get(part.key, 0)
                if not (limit and self._divide(flow, part, limit)):
                    flow.packer.add(part)
        self._assemble(flow, job)
        return True

    def _assemble(self, flow: Flow, job: Job) -> None:
        """Put a divided unit together once all its parts are done."""
        outcome = job.assembled()
        if outcome is None or job.outcome is not None:
            return
        if outcome.texts is not None:
            job.told = True
            known = outcome.known
            outcome = self._judge.accepted(job, outcome.texts, asked=outcome.asked)
            outcome = replace(outcome, known=known)
            if outcome.texts is not None and job.reply and self.translator.paid:
                kept = Kept(job.key, job.unit, job.reply, True)
                self.memory.put([kept], self.translator.policy)
        self._finish(flow, job, outcome)

    def _finish(self, flow: Flow, job: Job, outcome: Outcome) -> None:
        job.outcome = outcome
        self._count(outcome, job.rows)
        for whole in dict.fromkeys(job.wholes):
            self._assemble(flow, whole)
        if job.wholes:
            flow.pieces.pop(job.key, None)

    def _start(self, flow: Flow) -> None:
        """Send the next pack."""
        translator = self.translator
        if flow.again:
            jobs = self._again(flow)
        else:
            jobs = flow.packer.next(translator.slots, trying=translator.trying)
            if not (jobs := self._still_unknown(flow, jobs)):
                return
        asks = [Ask(job.unit, job.key, job.because, job.terms, self._examples(job)) for job in jobs]
        pack = Pack(jobs, translator.expected(asks))
        self.estimated += pack.estimated
        task = asyncio.create_task(translator.translate(asks))
        flow.under_way[task] = pack
        task.add_done_callback(flow.came_back)

    def _still_unknown(self, flow: Flow, jobs: list[Job]) -> list[Job]:
        """Leave out what another process has translated since the memory was looked up."""
        if not self.translator.paid:
            return jobs
        version = self._judge.version()
        if all(job.seen == version for job in jobs):
            return jobs
        self._judge.look_up(jobs)
        for job in jobs:
            if job.outcome is not None:
                self._finish(flow, job, job.outcome)
        return [job for job in jobs if job.outcome is None]

    def _again(self, flow: Flow) -> list[Job]:
        """Units to ask again: fewer each time, at last alone."""
        tries = flow.again[0].tries
        last = 0 < tries == self.max_retries
        most = 1 if last else max(1, self.batch_size >> tries)
        pack = [flow.again.popleft()]
        size = pack[0].size
        while flow.again and len(pack) < most and flow.again[0].tries == tries:
            size += flow.again[0].size
            if size > flow.packer.most:
                break
            pack.append(flow.again.popleft())
        return pack

    def _examples(self, job: Job) -> tuple[tuple[str, str], ...]:
        if self.suggestions is None:
            return ()
        found = (self.suggestions.like(text) for text in job.unit.texts)
        return tuple(islice((pair for pair in found if pair), EXAMPLES))

    def _take(self, flow: Flow) -> None:
        """Settle the jobs of finished packs: accepted, to be asked again, or failed."""
        done, flow.done = flow.done, []
        for task in sorted(done, key=lambda t: t.exception() is not None):
            pack = flow.under_way.pop(task)
            answer = task.result()  # an error that ends the run is raised after the good ones
            self._watch(answer.replies)
            self._fit(flow, pack, answer.replies)
            outcomes = [
                (job, self._judged(flow, job, reply, alone=len(pack.jobs) == 1))
                for job, reply in zip(pack.jobs, answer.replies, strict=True)
            ]
            self._commit(pack, answer, outcomes)
            for job, outcome in outcomes:
                if outcome is not None and job.outcome is None:
                    self._finish(flow, job, outcome)
        self.progress(self._done, self._failed)

    def _commit(
        self, pack: Pack, answer: Answer, outcomes: Sequence[tuple[Job, Outcome | None]]
    ) -> None:
        """Put what is good into the memory, with the record of the request."""
        if not self.translator.paid:
            return
        kept = [
            Kept(job.key, job.unit, job.reply, job.told and outcome is not None)
            for job, outcome in outcomes
            if job.fresh and job.reply is not None
        ]
        for job in pack.jobs:
            job.fresh = False
        spent = self.translator.cost(answer.usage)
        request = Request(
            self.translator.name,
            len(pack.jobs),
            answer.usage,
            answer.seconds,
            pack.estimated,
            spent,
        )
        self.memory.put(kept, self.translator.policy, request)

    def _judged(self, flow: Flow, job: Job, reply: Reply, *, alone: bool) -> Outcome | None:
        """The outcome that a reply makes, or None when the unit is under way again."""
        if isinstance(reply, Failure):
            failure = reply
            final = not reply.retryable and reply.kind not in _ASKED_AGAIN
            final = final or (alone and reply.kind in RETRYABLE and not self.translator.patient)
        else:
            outcome = self._judge.accepted(job, reply, asked=True)
            if outcome.failure is None:
                job.reply, job.fresh = reply, True
                if not self._judge.wanting(job, outcome):
                    return outcome
                job.good = outcome
                self._ask_again(flow, job, soft_faults(outcome), told=True)
                return None
            failure, final = outcome.failure, False
            told = any(f.check == "target_script" for f in outcome.findings)
            job.told = job.told or told
        if alone and failure.kind == "finish_reason" and self._shortened(flow, job):
            return job.outcome
        if final or job.tries >= self.max_retries:
            job.fresh = job.good is not None
            return job.good or Outcome(None, failure=failure, asked=True)
        self._ask_again(flow, job, "" if failure.kind in RETRYABLE else failure.message)
        return None

    def _ask_again(self, flow: Flow, job: Job, because: str, *, told: bool = False) -> None:
        job.tries += 1
        job.because, job.told = because, job.told or told
        flow.again.append(job)

    def _shortened(self, flow: Flow, job: Job) -> bool:
        """A unit alone whose reply was cut twice is sent in pieces from now on."""
        most = max(LEAST_CHARS, job.size // 2)
        if job.tries < min(1, self.max_retries) or not self._divide(flow, job, most):
            return False
        self.memory.put_divided(job.key, most)
        return True

    def _fit(self, flow: Flow, pack: Pack, replies: Sequence[Reply]) -> None:
        """Learn how much fits into a reply: packs larger than any that came back whole shrink."""
        cut = [isinstance(r, Failure) and r.kind == "finish_reason" for r in replies]
        if not any(cut):
            flow.proved = max(flow.proved, pack.size)
        elif len(replies) > 1 and pack.size > flow.proved:
            whole = sum(job.size for job, was in zip(pack.jobs, cut, strict=True) if not was)
            flow.packer.most = max(flow.proved, whole, 2 * LEAST_CHARS)

    def _watch(self, replies: Sequence[Reply]) -> None:
        """A server that has gone is told at once, not found out row by row."""
        failures = [r for r in replies if isinstance(r, Failure) and r.kind in RETRYABLE]
        self._failing = self._failing + 1 if len(failures) == len(replies) else 0
        if self._failing >= GIVE_UP_AFTER and not self._ending and not self.translator.patient:
            raise UserError(
                f"the server stopped answering: {failures[0].message}",
                hint="what it translated is kept: run the same command again to go on",
                caller_only=True,
            )
