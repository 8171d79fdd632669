"""Translation through the OpenAI Batch API: the live requests, in files, at half the price.

A pack is one line of a batch. Packs are collected and go out when the engine has no more to start
(`flush`), or when a batch is full. Every line is written down before it is sent (`batch_store`),
so that whatever ends a run, the next one reads what was paid for and sends only the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hret_agents.money import Reservation
from hret_agents.translate.base import Answer, Ask, Reply
from hret_agents.translate.batch_server import ONWARD, BatchServer, Result, Vanished, undone
from hret_agents.translate.batch_store import BatchStore, Place
from hret_agents.translate.chat import OPTIONAL, ChatTranslator, failure_of
from hret_agents.translate.masks import mask
from hret_agents.translate.reply import decode
from llm_eval.errors import BackendError, HretError, UserError
from llm_eval.models.openai import reply_text
from llm_eval.models.prices import cost
from llm_eval.records import Usage

if TYPE_CHECKING:
    from openai.types import Batch

LINE = b'{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":%s}\n'
LINGER = 0.05  # seconds between a flush and the sending, for packs that are only just starting
GRACE = 10.0  # seconds that `close` waits for the id of a batch that is being made
YOUNG = 600.0  # seconds for which a batch that was just made may be missing from the server's list


@dataclass(slots=True, eq=False)
class _Line:
    """A pack that waits to be sent; `sent` becomes the tag of its batch and its custom_id."""

    asks: Sequence[Ask]
    body: bytes
    sent: asyncio.Future[tuple[str, str]]


@dataclass(slots=True)
class _Ended:
    """What a batch came to: a result by line, and what holds for lines that have none."""

    otherwise: HretError
    results: dict[str, Result]


class BatchTranslator:
    """A `ChatTranslator` whose requests travel in batches; the memory's keys are the same.

    Args:
        chat: makes and reads the requests, and knows endpoint and key.
        store: the record of batches. `close` closes both.
        max_requests, max_bytes: most lines in a batch, and most bytes in its file.
        window: rows that the engine may read ahead, and so the most that wait in batches at once.
        first_wait, last_wait: seconds between polls; the wait doubles from the first to the last.
        patience: seconds that the server may be away before the run ends with a sentence.
    """

    paid = True
    patient = True

    def __init__(
        self,
        chat: ChatTranslator,
        store: BatchStore,
        *,
        max_requests: int = 20_000,
        max_bytes: int = 100_000_000,
        window: int = 200_000,
        first_wait: float = 0.5,
        last_wait: float = 60.0,
        patience: float = 3600.0,
    ) -> None:
        self.chat, self.store, self.window = chat, store, window
        self.name, self.policy = chat.name, chat.policy
        self.max_requests, self.max_bytes = max_requests, max_bytes
        self.usage = Usage()
        self._server = BatchServer(
            chat.http, first_wait=first_wait, last_wait=last_wait, patience=patience
        )
        self._endpoint = self._server.endpoint
        self._waiting: list[_Line] = []
        self._bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._earlier: dict[str, str] = {}
        self._own: set[str] = set()
        self._taken: set[Place] = set()
        self._batches: dict[str, asyncio.Task[_Ended]] = {}
        self._making: set[asyncio.Task[str]] = set()
        self._queued_out: set[str] = set()

    @property
    def width(self) -> int:
        """A pack that waits in a batch costs nothing: as many as the window lets in."""
        return self.window

    @property
    def slots(self) -> float:
        """A batch is done when it is done: packs stay as full as they may be."""
        return 1.0

    @property
    def trying(self) -> bool:
        """There is nothing to find out."""
        return False

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`, at the price of batches."""
        return cost(self.name, usage, batch=True)

    def expected(self, asks: Sequence[Ask]) -> Usage:
        """What the live request for `asks` is estimated to cost."""
        return self.chat.expected(asks)

    def answering(self, task: asyncio.Task[Any]) -> bool:
        """Batches go on without us."""
        return False

    async def check(self) -> None:
        """Does the endpoint answer, take the key, and have batches?"""
        await self.chat.check()
        await self._server.check()

    async def translate(self, asks: Sequence[Ask]) -> Answer:
        """A reply or failure per ask, in order, once the batches that hold them have ended.

        An ask that an earlier run sent and did not read is read from there.

        Raises:
            UserError: a batch was refused or cancelled, or the server has gone.
        """
        await self._ready()
        places = self._claimed(asks)
        new = {i: ask for i, ask in enumerate(asks) if i not in places}
        if not new:
            return await self._answer(asks, places)
        payload = self.chat.payload(list(new.values()))
        if self.chat.budget is None:
            places |= await self._placed(new, payload)
            return await self._answer(asks, places)
        limit = self.chat.limit(list(new.values()))
        payload |= [limit]
        size = len(json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"))
        async with self.chat.budget.reserved(Usage(1, size, limit[1])) as reserved:
            places |= await self._placed(new, payload)
            return await self._answer(asks, places, limit, reserved)

    def flush(self) -> None:
        """Send what was collected. Packs whose tasks have not run yet are waited for."""
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def close(self, *, finished: bool = False) -> None:
        """Let go of connections and of the store; batches go on at the server.

        `finished`: all that was asked for has been taken, so that no later run reads it again.
        """
        making = list(self._making)
        tasks = [t for t in (self._flushing, self._mending, *self._batches.values()) if t]
        for task in tasks:
            task.cancel()
        if making:
            await asyncio.wait(making, timeout=GRACE)
        for unfinished in making:
            unfinished.cancel()
        await asyncio.gather(*tasks, *making, return_exceptions=True)
        if finished:
            self.store.close_batches(self._own)
            self.store.take(self._taken)
        self.store.close()
        await self._server.close()
        await self.chat.close()

    # -- collecting --------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Know what earlier runs have left at the server."""
        if self._mending is None:
            self._mending = asyncio.create_task(self._mend())
        await asyncio.shield(self._mending)

    async def _mend(self) -> None:
        """A kill may have come between making a batch and writing down its id: the server knows."""
        intents = self.store.intents(self._endpoint)
        found = await self._server.find(intents)
        young = {tag: it for tag, it in intents.items() if it.made > time.time() - YOUNG}
        if late := {tag: intent for tag, intent in young.items() if tag not in found}:
            await asyncio.sleep(self._server.first_wait)
            found |= await self._server.find(late)
        for tag, batch in found.items():
            self.store.created(tag, batch)
        self._earlier = self.store.open_batches(self._endpoint)

    def _claimed(self, asks: Sequence[Ask]) -> dict[int, Place]:
        """Where an earlier run has sent asks, by their number in `asks`.

        A place is read once, in the order of sending: an ask that is made again because of a bad
        reply finds the place to which it was sent again, if it was.
        """
        if not self._earlier:
            return {}
        names = [name_of(ask, self.policy) for ask in asks]
        known = self.store.places(self._endpoint, names)
        found: dict[int, Place] = {}
        for i, name in enumerate(names):
            free = (p for p in known.get(name, ()) if p.tag in self._earlier)
            if (place := next((p for p in free if p not in self._taken), None)) is not None:
                found[i] = place
                self._taken.add(place)
                if place.tag not in self._batches:
                    self._start(place.tag, self._followed(place.tag, self._earlier[place.tag]))
        return found

    async def _placed(self, asks: Mapping[int, Ask], payload: dict[str, Any]) -> dict[int, Place]:
        """Collect asks as one line; their places, once it is sent. The payload is used up."""
        sent = asyncio.get_running_loop().create_future()
        self._collect(_Line(list(asks.values()), json.dumps(payload).encode(), sent))
        payload.clear()  # it may be hours until the batch has ended
        tag, number = await sent
        return {i: Place(tag, number, row, len(asks)) for row, i in enumerate(asks, 1)}

    def _collect(self, line: _Line) -> None:
        size = len(LINE) + len(line.body) + len(str(self.max_requests))
        if len(self._waiting) >= self.max_requests or self._bytes + size > self.max_bytes:
            self._send()
        self._waiting.append(line)
        self._bytes += size

    async def _flush(self) -> None:
        await self._ready()
        await asyncio.sleep(LINGER)
        self._send()

    def _send(self) -> None:
        """Begin a batch of all lines that wait and are still wanted."""
        lines = [line for line in self._waiting if not line.sent.done()]
        self._waiting, self._bytes = [], 0
        if not lines:
            return
        tag = uuid.uuid4().hex
        self._own.add(tag)
        for number, line in enumerate(lines, 1):
            line.sent.set_result((tag, str(number)))
        self._start(tag, self._sent(tag, lines))

    def _start(self, tag: str, work: Coroutine[Any, Any, _Ended]) -> None:
        self._batches[tag] = asyncio.create_task(work)

    # -- batches -----------------------------------------------------------------------------------

    async def _sent(self, tag: str, lines: list[_Line]) -> _Ended:
        data = b"".join(LINE % (number, line.body) for number, line in enumerate(lines, 1))
        rows = [
            (name_of(ask, self.policy), Place(tag, str(number), row, len(line.asks)))
            for number, line in enumerate(lines, 1)
            for row, ask in enumerate(line.asks, 1)
        ]
        lines.clear()  # it may be hours until the batch has ended
        file = await self._server.upload(tag, data)
        del data
        making = asyncio.create_task(self._made(tag, file, rows))
        del rows
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        return await self._followed(tag, await asyncio.shield(making))

    async def _made(self, tag: str, file: str, rows: Collection[tuple[str, Place]]) -> str:
        """The id of a batch that stands in the store before and after it is made."""
        self.store.intend(tag, self._endpoint, file, rows)
        try:
            batch = await self._server.make(tag, file)
        except UserError:
            self.store.close_batches([tag])
            raise
        except BackendError as e:
            raise UserError(e.message, hint=ONWARD, caller_only=True) from None
        self.store.created(tag, batch)
        return batch

    async def _followed(self, tag: str, batch: str) -> _Ended:
        """What the batch comes to, when it has. Rows without a reply leave the store."""
        try:
            told = await self._server.ended(batch)
            if told.status == "failed":
                return await self._refused(tag, told)
            ended = _Ended(undone(told, {}), await self._server.results(told))
        except Vanished:
            self.store.close_batches([tag])
            gone = f"the server has the batch {batch} no longer"
            return _Ended(BackendError(gone, kind="server"), {})
        replied = {n for n, result in ended.results.items() if not isinstance(result, HretError)}
        self.store.keep(tag, replied)
        return ended

    async def _refused(self, tag: str, told: Batch) -> _Ended:
        """A batch that failed validation: nothing of it was done, and nothing is paid.

        One that found the server's queue full waits until another of ours has left it.
        """
        self.store.close_batches([tag])
        errors = (told.errors and told.errors.data) or []
        said = next((e.message for e in errors if e.message), "it gave no reason")
        if any(error.code == "token_limit_exceeded" for error in errors):
            self._queued_out.add(tag)
            tasks = [t for name, t in self._batches.items() if name not in self._queued_out]
            if running := [task for task in tasks if not task.done()]:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                full = f"the server's queue of batches was full: {said}"
                return _Ended(BackendError(full, kind="rate_limit"), {})
        raise UserError(
            f"the server refused the batch {told.id}: {said}", hint=ONWARD, caller_only=True
        )

    # -- reading -----------------------------------------------------------------------------------

    async def _answer(
        self,
        asks: Sequence[Ask],
        places: Mapping[int, Place],
        limit: tuple[str, int] | None = None,
        reserved: Reservation | None = None,
    ) -> Answer:
        """What stands at the places of `asks`; `limit` and `reserved` belong to the new line."""
        lines: dict[tuple[str, str], dict[Place, int]] = {}
        for i, place in places.items():
            lines.setdefault((place.tag, place.line), {})[place] = i
        replies: dict[int, Reply] = {}
        usage = Usage()
        for (tag, line), rows in lines.items():
            result = await self._result(tag, line, limit)
            cost = self._reported(tag, line, result)
            usage += cost
            if reserved is None or tag not in self._own:
                if self.chat.budget is not None:
                    self.chat.budget.settle(Usage(), cost)
            elif isinstance(result, HretError):
                reserved.settle(Usage())
            else:
                reserved.told(cost)
            read = _read(result, {place: asks[i] for place, i in rows.items()})
            replies |= {rows[place]: reply for place, reply in read.items()}
        return Answer(tuple(replies[i] for i in range(len(asks))), usage)

    async def _result(self, tag: str, line: str, limit: tuple[str, int] | None) -> Result:
        ended = await asyncio.shield(self._batches[tag])
        if tag not in self._own:
            return ended.results.get(line, ended.otherwise)
        result = ended.results.pop(line, ended.otherwise)  # read once: let it go
        if isinstance(result, BackendError) and self._adapted(result, limit):
            return BackendError(result.message, kind="server")
        return result

    def _adapted(self, error: BackendError, limit: tuple[str, int] | None) -> bool:
        """Will the next batch go without what the server refused?"""
        return self.chat.params.adapted(error, OPTIONAL | dict([limit] if limit else ()))

    def _reported(self, tag: str, line: str, result: Result) -> Usage:
        """What a line cost, the first time that any run asks."""
        if isinstance(result, HretError) or not self.store.report(tag, line):
            return Usage()
        cost = Usage.of(result)
        self.usage += cost
        return cost


def name_of(ask: Ask, policy: Mapping[str, str]) -> str:
    """What an ask is known by in the store: all that its translation depends on."""
    content = (ask.key, ask.unit.texts, ask.unit.fields, ask.terms, sorted(policy.items()))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(result: Result, asks: Mapping[Place, Ask]) -> dict[Place, Reply]:
    """What a line's result holds for some of its rows. How many it has decides how it is read.

    Raises:
        UserError: the result is one.
    """
    try:
        if isinstance(result, HretError):
            raise result
        text, finish = reply_text(result)
    except BackendError as e:
        return dict.fromkeys(asks, failure_of(e))
    spans: list[list[list[str]]] = [[]] * next(iter(asks)).size
    for place, ask in asks.items():
        spans[place.row - 1] = [mask(text)[1] for text in ask.unit.texts]
    replies = decode(text, finish, spans)
    return {place: replies[place.row - 1] for place in asks}
