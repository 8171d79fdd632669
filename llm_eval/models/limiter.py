"""How many requests may be under way, and how fast they may start: one limiter an endpoint.

Room is found by trying (AIMD, as in TCP): it doubles each round trip until the first push-back,
then grows by one a round trip and halves on a timeout, or a 429 that no slower pace would have
avoided (Chiu & Jain 1989). A server that
queues never pushes back: there, doubling ends when replies take longer and no more of them come
(the idea of TCP Vegas, Brakmo & Peterson 1995).
`Retry-After` and rate-limit headers pause everyone who uses the limiter; 429s teach it a pace.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from llm_eval.models.pace import LearnedPace, Pace

START, FLOOR = 16, 8  # where an adaptive limit begins; below what slow replies alone never push it
SLOWER = 1.25  # replies this many times slower than the first ones mean a queue ...
GAIN = 1.3  # ... unless the last doubling brought this much more of them
LONGEST_PAUSE = 600.0  # seconds; who is asked for more ends, and the others are not held back
OVERHEAD = 10  # tokens' worth of time that a reply takes beside its tokens


class Limits(NamedTuple):
    """What a user of an endpoint asks for; None is no limit."""

    fixed: int | None = None
    rpm: float | None = None
    tpm: float | None = None


class Limiter:
    """An adaptive gate: `async with limiter.slot():` around each request.

    `fixed` sets the number of requests under way and switches adapting off; `rpm` and `tpm` cap
    requests and tokens a minute. Pauses that the server asks for are honoured in any case.
    """

    def __init__(
        self,
        *,
        fixed: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        start: int = START,
        ceiling: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fixed, self.ceiling, self._clock = fixed, ceiling, clock
        self.limit = float(fixed or start)
        self.in_flight = 0
        self.successes = 0
        self.slots = 0.0  # how many requests a server that queues was seen to work on at once
        self._threshold = 0.0 if fixed else float("inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0
        self._halved_at = 0.0
        self._requests: Pace | None = None
        self._tokens: Pace | None = None
        self._users: weakref.WeakKeyDictionary[object, Limits] = weakref.WeakKeyDictionary()
        self._counted = 0  # of them
        self.set(fixed=fixed, rpm=rpm, tpm=tpm)
        self._learned = LearnedPace()
        self._queue = _QueueSense()

    def set(self, *, fixed: int | None, rpm: float | None, tpm: float | None) -> None:
        """Other limits from now on; None is none."""
        if fixed != self.fixed:
            self.fixed, self.limit = fixed, float(fixed or START)
            self._threshold = 0.0 if fixed else float("inf")
            self._wake()
        self._requests = _paced(self._requests, rpm)
        self._tokens = _paced(self._tokens, tpm)

    def used_by(self, user: object, limits: Limits) -> None:
        """Keep to what a user asks for until it has `left`, or is gone.

        Of several users' limits the lowest of each kind holds.
        """
        if user not in self._users:
            self._users[user] = limits
            self._counted = 0
        if len(self._users) != self._counted:
            self._agreed()

    def left(self, user: object) -> None:
        """What this user asked for holds no longer."""
        if self._users.pop(user, None) is not None:
            self._agreed()

    def _agreed(self) -> None:
        asked = list(self._users.values())
        self._counted = len(asked)
        self.set(
            fixed=min((a.fixed for a in asked if a.fixed is not None), default=None),
            rpm=min((a.rpm for a in asked if a.rpm is not None), default=None),
            tpm=min((a.tpm for a in asked if a.tpm is not None), default=None),
        )

    @property
    def room(self) -> int:
        """How many more requests could start now."""
        return max(0, int(self.limit) - self.in_flight - len(self._waiting))

    @property
    def trying(self) -> bool:
        """Is it still finding out how many requests the server takes?"""
        return self.limit < min(self._threshold, self.ceiling)

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncGenerator[None, None]:
        """A place among the requests under way, once it may start; `tokens` counts against `tpm`.

        Those who wait enter in the order in which they came.
        """
        await self._enter()
        try:
            await self._may_start(tokens)
            yield
        finally:
            self.in_flight -= 1
            self._wake()

    async def _enter(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.in_flight -= 1
                self._wake()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def _may_start(self, tokens: int) -> None:
        """Wait for one's turn; a pause meanwhile means that all take a new one after it."""
        while True:
            now = self._clock()
            at = self._resume_at
            if at <= now:
                at = self._turn(now, tokens)
                while (wait := at - self._clock()) > 0 and self._resume_at <= now:
                    await asyncio.sleep(wait)
                if self._resume_at <= self._clock():
                    break
            else:
                await asyncio.sleep(at - now)
        self._learned.started(self._clock())

    def _turn(self, now: float, tokens: int) -> float:
        at = self._learned.reserve(now)
        if self._requests:
            at = max(at, self._requests.reserve(now))
        if self._tokens:
            at = max(at, self._tokens.reserve(now, tokens))
        return at

    def succeeded(self, seconds: float = 0.0, tokens: int = 0) -> None:
        """A request came back well, after so many seconds and with so many tokens: room grows."""
        self.successes += 1
        if self.fixed is not None:
            return
        if self.trying and seconds > 0:
            if slots := self._queue.saw(self._clock(), self.limit, seconds, tokens):
                self.slots = slots
                self.limit = self._threshold = max(self.limit / 2, float(FLOOR))
        self.limit += 1.0 if self.trying else 1.0 / self.limit
        self.limit = min(self.limit, float(self.ceiling))
        self._wake()

    def corrected(self, tokens: int) -> None:
        """A request cost so many tokens more than it was entered with (fewer: negative)."""
        if self._tokens:
            self._tokens.at += tokens / self._tokens.rate

    def pushed_back(self, *, started: float, retry_after: float | None = None) -> None:
        """A 429 or timeout of a request begun at `started` (the limiter's clock).

        Requests sent before the last halving say nothing new about it and do not halve again.
        """
        now = self._clock()
        if retry_after:
            self.pause(retry_after)
        if self.fixed is None and started >= self._halved_at:
            self._threshold = 0.75 * self.limit
            self.limit = max(1.0, self.limit / 2)
            self._halved_at = now

    def refused(self, *, started: float, retry_after: float | None = None) -> None:
        """A 429 of a request begun at `started`: a lesson about the pace, or, when that was kept
        to, about how many may be under way."""
        now = self._clock()
        if retry_after:
            self.pause(retry_after)
        if self._learned.refused(started, now, max(self._resume_at, now)):
            self.pushed_back(started=started)
        elif self.trying:
            self._threshold = self.limit

    def pause(self, seconds: float) -> None:
        """Nobody starts for so long. Over `LONGEST_PAUSE` it is left to who was told."""
        if seconds > LONGEST_PAUSE:
            return
        self._resume_at = max(self._resume_at, self._clock() + seconds)

    def now(self) -> float:
        """The limiter's clock, in seconds."""
        return self._clock()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1  # the place is kept for whom it is given to
                turn.set_result(None)


@dataclass(slots=True)
class _QueueSense:
    """Is the server queueing what is sent? Told by replies, a round trip at a time.

    Queued requests are slow without more of them coming back; a server that batches gets slow too,
    and more come back. Slowness is seconds per token.
    """

    alone: float = 0.0
    _since: float = -1.0
    _left: int = START
    _count: int = 0
    _work: float = 0.0
    _slowness: float = 0.0
    _rate: float = 0.0

    def saw(self, now: float, limit: float, seconds: float, tokens: int) -> float:
        """How many requests the server works on at once, when it queues the others; else 0."""
        work = tokens + OVERHEAD
        if self._since < 0:
            self._since = now - seconds
        self._count, self._work = self._count + 1, self._work + work
        self._slowness += seconds / work
        if self._count < self._left:
            return 0.0
        rate, slowness = self._work / max(now - self._since, 1e-9), self._slowness / self._count
        self.alone = self.alone or slowness
        queueing = slowness > SLOWER * self.alone and rate < GAIN * self._rate
        self._rate = max(rate, self._rate)
        self._since, self._left, self._count = now, int(limit), 0
        self._work = self._slowness = 0.0
        return rate * self.alone if queueing else 0.0


_shared: dict[tuple[str, int], Limiter] = {}


def shared_limiter(base_url: str, loop_id: int, user: object, limits: Limits) -> Limiter:
    """The limiter of an endpoint, one for all who use it in this process and loop.

    It keeps to the limits of each of its users, as long as there is that user.
    """
    place = base_url, loop_id
    limiter = _shared.get(place) or _shared.setdefault(place, Limiter())
    limiter.used_by(user, limits)
    return limiter


def _paced(pace: Pace | None, a_minute: float | None) -> Pace | None:
    """A pace of so many a minute: the one that there is, if it is that one."""
    if a_minute is None:
        return None
    return pace if pace and pace.rate == a_minute / 60 else Pace(a_minute / 60)
