"""SIGTERM and SIGHUP stop a command as Ctrl-C does: what is being answered is kept."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def as_ctrl_c() -> Iterator[list[int]]:
    """While the block runs the first of these signals raises KeyboardInterrupt, and is listed.

    Later ones are passed over, since a hangup and `timeout` send two. One that is ignored stays so,
    as SIGHUP under nohup. Nothing is done outside the main thread.
    """
    came: list[int] = []
    owner, terminals = os.getpid(), [n for n in (1, 2) if os.isatty(n)]

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a fork, which ends as it would have without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not came:
            came.append(number)
            for terminal in terminals:
                if not os.isatty(terminal):  # it was closed: a word to it would be an error
                    _silenced(terminal)
            raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for sign in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(sign) is signal.SIG_DFL:
                before[sign] = signal.signal(sign, stop)
    try:
        yield came
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _silenced(terminal: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, terminal)
    os.close(nowhere)
