"""The loop of a run: packs of samples out, replies judged, written, counted, in bounded memory.

A pack is one sample over HTTP, and as many as a backend in this process takes at once; two of those
are under way, so that one is made ready while the other is answered. What fails is data. What ends
a run (a bug, a user's mistake, Ctrl-C, too many failures, a server that has gone) first waits for
what is being answered, so that nothing that was paid for is lost. What a backend tells of as it is
finished (`Done`) is written down then, whatever becomes of its pack.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import RETRYABLE, HretError, UserError
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.models.base import BaseModel
from llm_eval.records import Prediction, Sample, Usage
from llm_eval.results import Reply, Row
from llm_eval.runs import replies as cache
from llm_eval.runs.asking import Asking
from llm_eval.runs.items import UNASKED, Item, owes
from llm_eval.runs.journal import Entry, Journal
from llm_eval.runs.judging import judged, rewarded
from llm_eval.runs.meter import Meter
from llm_eval.runs.store import Store
from llm_eval.totals import Totals

AHEAD = 1024  # requests under way at once, whatever the limiter lets through
MOST = 4096  # samples of a pack: a kill may cost those, of a backend that takes no `done`
LOOKED_UP = 256  # samples whose replies are looked up in the cache at once
GRACE = 30.0  # seconds that what is being answered is waited for when a run ends early
GIVE_UP_AFTER = 10  # requests in a row that the transport gave up on
_TELL_EVERY = 0.1  # seconds between two words on how far it is
_QUIET = 0.15  # seconds without an answer to wait for, until it is believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. `run` is its id, None where it leaves nothing on disk.

    `stage`: "begun", "running", "stopping" (waiting for what is being answered) or "ended".
    `usage`, `cost_usd` and `seconds` are of this session alone, `earlier` samples were done before.
    """

    run: str | None
    stage: str
    done: int
    total: int
    earlier: int
    failed: int
    usage: Usage
    cost_usd: float | None
    seconds: float


@dataclass
class Work:
    """What is left of a run, and the doing of it.

    `most_failures`: the run ends when more samples than that have failed. `listener` is told of
    each sample, `watch` now and then. `rewards`: the model has one that judges replies.
    """

    samples: Sequence[Sample]
    model: BaseModel
    method: BaseEvaluator
    dataset: BaseDataset
    store: Store
    asking: Asking
    meter: Meter
    rewards: bool = False
    most_failures: float | None = None
    listener: Callable[[int, int], None] | None = None
    watch: Callable[[Progress], None] | None = None
    done: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _unjudged: list[Item] = field(default_factory=list)
    _error: BaseException | None = None
    _judging: int = 0
    _gone: int = 0
    _failed: int = 0
    _earlier: int = 0
    _told: float = 0.0

    def __post_init__(self) -> None:
        size, replies = len(self.samples), self.method.replies
        self.totals = Totals(size, self.method.measured)
        self.cached = array("i", [0]) * size
        self._owed, self._again = bytearray(b"\x01") * size, bytearray(size)
        self._began = time.monotonic()
        self._pack = min(max(1, self.model.can.batch // replies), MOST)
        ahead = self.asking.most_at_once or AHEAD
        self._window = 2 if self._pack > 1 else max(1, min(ahead + 1, AHEAD // replies))
        self._gate = asyncio.Semaphore(self._window)

    def go_on(self, journal: Journal) -> None:
        """Take over what an earlier session did; what failed in transport is still owed."""
        failed = bytearray(len(self.samples))
        for place, replies, cached in journal.replay():
            row = self._row(self.samples[place], replies)
            self.totals.add(place, row)
            self.cached[place] = cached
            self._owed[place] = self._again[place] = any(map(owes, replies))
            failed[place] = row.error is not None and not self._again[place]
        self.done = self._earlier = len(self.samples) - sum(self._owed)
        self._failed = sum(failed)

    async def run(self) -> None:
        """Do what is owed. What ends it early is raised once what was under way is kept."""
        self._tell("begun")
        try:
            async for pack in self._packs():
                await self._gate.acquire()
                self._stop_if_failed()
                task = asyncio.create_task(self._do(pack))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            for _ in range(self._window):
                await self._gate.acquire()
                self._stop_if_failed()
        except BaseException:
            await self._settle()
            raise
        self._tell("ended")

    async def _packs(self) -> AsyncIterator[list[Item]]:
        """What is asked at once. What the cache or an earlier session knows goes in one."""
        owed = (place for place in range(len(self.samples)) if self._owed[place])
        size = self._pack if self._pack > 1 else LOOKED_UP
        while places := list(islice(owed, size)):
            items = [self._item(place) for place in places]
            await self._look_up(items)
            if self._pack > 1:
                yield items
                continue
            if known := [item for item in items if not item.missing]:
                yield known
            for item in items:
                if item.missing:
                    yield [item]

    def _item(self, place: int) -> Item:
        sample = self.samples[place]
        prompt = self.method.asked(sample)
        keys, wanted = self.asking.keys(prompt), self.method.replies
        item = Item(place, sample, prompt, [None] * wanted, keys, [None] * wanted)
        if self._again[place] and isinstance(self.store.journal, Journal):
            _, replies, cached = self.store.journal.entry(place)
            item.resume(replies, cached)
        return item

    async def _look_up(self, items: Sequence[Item]) -> None:
        keys = {key for i in items for key in (i.keys[m] for m in i.missing) if key is not None}
        if not keys:
            return
        kept = await self.store.look_up(list(keys))
        for item in items:
            for turn in item.missing:
                text = kept.get(item.keys[turn] or b"")
                if text is not None and (found := cache.told(item.sample.id, text)):
                    item.told[turn] = found
                    item.cached += 1

    async def _do(self, pack: list[Item]) -> None:
        """Ask a pack, and keep each of its samples once it is answered."""
        ready: list[Item] = []
        try:
            ask = self._ask_and_keep if len(pack) > 1 else self._ask
            error = await ask(pack, ready)
            await self._keep(ready)
        except BaseException:  # Ctrl-C and bugs too: what came is written down at the end
            self._unjudged += [*ready, *(i for i in pack if i.missing and i.predictions)]
            raise
        if error is not None:
            raise error
        self._give_up(pack)

    async def _ask_and_keep(self, pack: list[Item], ready: list[Item]) -> HretError | None:
        """Keep the samples that are `ready` while others are being answered."""
        news = asyncio.Event()
        asking = asyncio.create_task(self._ask(pack, ready, news))
        asking.add_done_callback(lambda _: news.set())
        try:
            while ready or not asking.done():
                await news.wait()
                news.clear()
                await self._keep(ready)
            return asking.result()
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def _ask(
        self, pack: list[Item], ready: list[Item], news: asyncio.Event | None = None
    ) -> HretError | None:
        """Ask for what is missing. A sample is `ready`, once, when it has all its replies.

        What ends the run is returned, where something does: what came before it stands.
        """
        ready += [item for item in pack if not item.missing]
        wanted = [(item, turn) for item in pack for turn in item.missing]
        if not wanted:
            return None

        def done(place: int, prediction: Prediction) -> None:
            item, turn = wanted[place]
            item.take(turn, prediction)
            if not item.missing and item.asked:
                ready.append(item)
                if news is not None:
                    news.set()

        prompts = [replace(item.prompt, turn=turn) for item, turn in wanted]
        told, error = await self.asking.asked(prompts, done)
        gone = True
        for place, ((item, turn), came) in enumerate(zip(wanted, told, strict=True)):
            prediction = came or Prediction(sample_id=item.sample.id, failure=UNASKED)
            if item.told[turn] is None:
                done(place, prediction)
            failure = prediction.failure
            gone = gone and failure is not None and failure.kind in RETRYABLE
        self._gone = self._gone + (1 if len(pack) == 1 else GIVE_UP_AFTER // 2) if gone else 0
        return error

    async def _keep(self, ready: list[Item]) -> None:
        """Take those that are ready: judge them, write them down, and count them."""
        items, ready[:] = ready[:], []
        if not items:
            return
        self._judging += 1
        try:
            entries = await self._judged(items)
            fresh = [found for item in items for found in item.fresh]
            await self.store.put(entries, fresh, self.meter.spent())
        except BaseException:
            self._unjudged += items
            raise
        finally:
            self._judging -= 1
        for item, (place, replies, cached) in zip(items, entries, strict=True):
            row = self._row(item.sample, replies)
            self.totals.add(place, row)
            self.cached[place] = cached
            self._failed += row.error is not None
            self.done += 1
            if self.listener:
                self.listener(self.done, len(self.samples))
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._tell("running")

    async def _judged(self, pack: list[Item]) -> list[Entry]:
        """The pack with its verdicts and rewards; only what has none yet is given one."""
        new = [(i, turn) for i in pack for turn, reply in enumerate(i.replies) if reply is None]
        pairs = [(i.sample, i.predictions[turn]) for i, turn in new]
        for (item, turn), reply in zip(
            new, await judged(pairs, self.method, self.dataset), strict=True
        ):
            item.replies[turn] = reply
        replies = [reply for item in pack for reply in item.replies if reply is not None]
        if self.rewards:
            prompts = [item.prompt for item in pack for _ in item.told]
            replies = await rewarded(prompts, replies, self.model)
        each = iter(replies)
        return [Entry(item.place, [next(each) for _ in item.told], item.cached) for item in pack]

    def _row(self, sample: Sample, replies: Sequence[Reply]) -> Row:
        return Row.of(sample, replies, self.method.least)

    def _give_up(self, pack: list[Item]) -> None:
        """End a run that brings nothing any more.

        Raises:
            UserError: more samples failed than may, or the server has gone.
        """
        failed = [p.failure for item in pack for p in item.predictions if p.failure]
        said = failed[-1].message if failed else "see their errors"
        if self.most_failures is not None and self._failed > self.most_failures:
            raise UserError(
                f"{self._failed} of {len(self.samples)} samples failed, more than max_failures; "
                f"the last: {said}",
                hint="mend what is wrong, or let max_failures be more",
            )
        if self._gone >= GIVE_UP_AFTER:
            raise UserError(
                f"the server stopped answering, several samples in a row: {said}",
                hint="see to it that it runs",
            )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._gate.release()
        if not task.cancelled() and (error := task.exception()) and self._error is None:
            self._error = error

    def _stop_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    async def _settle(self) -> None:
        """Ending early: start nothing more, wait for what is being answered, and keep it."""
        end = time.monotonic() + GRACE
        quiet = time.monotonic() + _QUIET
        if self._tasks:
            self._tell("stopping")
        try:
            while self._tasks and time.monotonic() < min(end, quiet):
                self.asking.hold()
                await asyncio.wait(self._tasks, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                if self._judging or self.asking.waiting():
                    quiet = time.monotonic() + _QUIET
        finally:
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._unjudged:
            entries = [item.unfinished(self.rewards) for item in self._unjudged]
            await self.store.put(entries, [], self.meter.spent())

    def _tell(self, stage: str) -> None:
        self._told = time.monotonic()
        if self.watch:
            self.watch(self._progress(stage))

    def _progress(self, stage: str) -> Progress:
        spent, folder = self.meter.spent(), self.store.folder
        return Progress(
            run=folder.id if folder else None,
            stage=stage,
            done=self.done,
            total=len(self.samples),
            earlier=self._earlier,
            failed=self._failed,
            usage=spent.usage,
            cost_usd=spent.cost_usd,
            seconds=time.monotonic() - self._began,
        )
