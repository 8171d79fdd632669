"""What the kernel does not limit, looked at from outside: time, disk, threads."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator

from llm_eval.sandbox.records import Limits

EVERY = 0.05
_ENTRIES = 5_000
_DEPTH = 64
_THREADS = 512 + 4 * (os.cpu_count() or 1)
_MB = 1 << 20


class Watchdog:
    """Looks at a process tree and its folder, and says when a limit is passed."""

    def __init__(self, pid: int, home: str, limits: Limits) -> None:
        self._pid, self._home, self._limits = pid, home, limits
        self._end = time.monotonic() + limits.seconds
        self._next = 0.0

    def passed(self) -> str:
        """Which limit is passed, as what the process did; empty for none."""
        now = time.monotonic()
        if now > self._end:
            return f"took longer than {self._limits.seconds:g} s"
        if now < self._next:
            return ""
        said = self._counted()
        self._next = time.monotonic() + EVERY
        return said

    def _counted(self) -> str:
        used, entries = _folder(self._home)
        if entries > _ENTRIES:
            return f"made more than {_ENTRIES:,} files, or folders that cannot be looked into"
        threads = 0
        for pid in _tree(self._pid):
            threads += len(_listed(f"/proc/{pid}/task"))
            used += _deleted(pid)
        if used > self._limits.disk:
            return f"wrote more than {self._limits.disk / _MB:,.0f} MB to disk"
        if threads > _THREADS:
            return f"started more than {_THREADS:,} threads"
        return ""


def handles(pid: int) -> list[int]:
    """Descriptors of the descendants of a process, for `wait_for`; they are killed."""
    found = []
    for child in list(_tree(pid))[1:]:
        try:
            handle = os.pidfd_open(child)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except OSError:  # it has ended
            continue
        found.append(handle)
    return found


def wait_for(handle: int) -> None:
    """Wait until the process of a descriptor has ended, and close it."""
    ready = select.poll()
    ready.register(handle, select.POLLIN)
    ready.poll(10_000)
    os.close(handle)


def _folder(top: str) -> tuple[int, int]:
    """(bytes on disk, entries) under a folder, as far as they can be seen.

    A folder that is nested too deep, or that was made unreadable, counts as too many entries.
    """
    used = entries = 0
    todo = [(top, 0)]
    while todo and entries <= _ENTRIES:
        folder, depth = todo.pop()
        if depth > _DEPTH:
            return used, _ENTRIES + 1
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    entries += 1
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return used, _ENTRIES + 1
    return used, entries


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for task in _listed(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                found = [int(child) for child in children.read().split()]
        except OSError:
            continue
        for child in found:
            yield from _tree(child)


def _deleted(pid: int) -> int:
    """Bytes on disk in files that have no name any more and that a process holds open."""
    used = 0
    for fd in _listed(f"/proc/{pid}/fd"):
        try:
            found = os.stat(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        used += found.st_blocks * 512 if found.st_nlink == 0 else 0
    return used


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
