"""A loop in whose time an hour of waiting takes none: servers and schedules, simulated exactly."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable


class JumpingSelector(selectors.SelectSelector):
    """Where a real one waits, the time jumps; where nothing will ever come, it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everyone waits and nobody will wake them")
        self.now += 0 if ready else max(0.0, timeout or 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop in which an hour of waiting takes no time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def now() -> float:
    """The time of the running loop."""
    return asyncio.get_running_loop().time()


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a scene in jumping time."""

    async def scene() -> None:
        await work()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(scene())
