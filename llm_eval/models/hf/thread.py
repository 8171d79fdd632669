"""The thread that a model lives in, so that the event loop goes on. Nothing here imports torch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

W = TypeVar("W")
R = TypeVar("R")


class Worker(Generic[W]):
    """Loads something once and works with it, one call after another, in a thread of its own."""

    def __init__(self, load: Callable[[], W]) -> None:
        self._load = load
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()  # a thread that was let go of may still end its step
        self.loaded: W | None = None

    async def do(self, work: Callable[[W, Callable[[], bool]], R]) -> R:
        """`work(what was loaded, stopped)` there; `stopped()` is true once nobody waits for it."""
        gone = threading.Event()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "hret-huggingface")

        def inside() -> R:
            with self._lock:
                if self.loaded is None:
                    self.loaded = self._load()
                return work(self.loaded, gone.is_set)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, inside)
        except asyncio.CancelledError:
            gone.set()
            raise

    def close(self) -> None:
        """Let the thread end. What was loaded stays until this object goes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
