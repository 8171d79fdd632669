"""How many requests may be under way: found by trying (AIMD, as in TCP), one limiter an endpoint.

Starts small, doubles each round trip until the first push-back, then grows by one a round trip and
halves on a 429 or a timeout (Chiu & Jain 1989). `Retry-After` pauses everyone who uses the limiter.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType


class Limiter:
    """An adaptive gate: `async with limiter:` around each request.

    `fixed` sets the number of requests under way and switches adapting off (a `Retry-After` is
    still honoured).
    """

    def __init__(
        self,
        *,
        fixed: int | None = None,
        start: int = 8,
        ceiling: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fixed, self.ceiling, self._clock = fixed, ceiling, clock
        self.limit = float(fixed or start)
        self.in_flight = 0
        self._slow_start = fixed is None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0
        self._halved_at = 0.0

    @property
    def room(self) -> int:
        """How many more requests could start now."""
        return max(0, int(self.limit) - self.in_flight - len(self._waiting))

    async def __aenter__(self) -> None:
        while self.in_flight >= int(self.limit) or self._waiting:
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
            break
        else:
            self.in_flight += 1
        try:
            while (pause := self._resume_at - self._clock()) > 0:
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self._leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._leave()

    def succeeded(self) -> None:
        """A request came back well: room grows."""
        if self.fixed is None:
            self.limit += 1.0 if self._slow_start else 1.0 / self.limit
            self.limit = min(self.limit, float(self.ceiling))
            self._wake()

    def pushed_back(self, *, started: float, retry_after: float | None = None) -> None:
        """A 429 or timeout of a request begun at `started` (the limiter's clock).

        Requests sent before the last halving say nothing new about it and do not halve again.
        """
        now = self._clock()
        if retry_after:
            self._resume_at = max(self._resume_at, now + retry_after)
        if self.fixed is None and started >= self._halved_at:
            self.limit = max(1.0, self.limit / 2)
            self._halved_at, self._slow_start = now, False

    def now(self) -> float:
        """The limiter's clock, in seconds."""
        return self._clock()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1  # the place is kept for whom it is given to
                turn.set_result(None)


_shared: dict[tuple[str, int, int | None], Limiter] = {}


def shared_limiter(base_url: str, loop_id: int, fixed: int | None) -> Limiter:
    """The limiter of an endpoint, one for all who use it in this process."""
    return _shared.setdefault((base_url, loop_id, fixed), Limiter(fixed=fixed))
