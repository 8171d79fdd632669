"""The one event loop of the process, in a thread of its own behind every synchronous call.

A loop of our own works inside a notebook (which has one running already), and lets connections be
kept from call to call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

R = TypeVar("R")
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def loop() -> asyncio.AbstractEventLoop:
    """The running loop, started at first use (and again in a forked child)."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="hret-loop", daemon=True)
            _thread.start()
        return _loop


def run_sync(work: Coroutine[Any, Any, R], *, grace: float = 10.0) -> R:
    """Run `work` to its end and return its result.

    On Ctrl-C the work is cancelled, given `grace` seconds to put away what it holds, and then the
    `KeyboardInterrupt` goes on, with the notes that the work has left; a second Ctrl-C ends the
    wait.
    """
    if threading.current_thread() is _thread:
        work.close()
        raise RuntimeError("a synchronous call inside the event loop: await its async form")
    ended = threading.Event()
    task: asyncio.Task[Any] | None = None
    notes: list[str] = []

    async def watched() -> R:
        nonlocal task
        task = asyncio.current_task()
        try:
            return await work
        except BaseException as e:
            notes.extend(getattr(e, "__notes__", ()))
            raise
        finally:
            ended.set()

    try:  # nothing stands before this: Ctrl-C may come between any two lines
        return asyncio.run_coroutine_threadsafe(watched(), loop()).result()
    except KeyboardInterrupt as stop:
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)
            ended.wait(timeout=grace)
        for note in notes:
            stop.add_note(note)
        raise


async def in_order(work: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """All results, in the order given. The first error cancels the rest and is raised bare."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(w) for w in work]
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None
    return [t.result() for t in tasks]


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
