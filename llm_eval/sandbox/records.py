"""What a jail is given, what it has, and how it says no."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from llm_eval.errors import RunError, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a jail may use.

    Attributes:
        seconds: from its start to its end, on the clock.
        memory: bytes of address space (RLIMIT_AS); never more than `most_memory`.
        disk: bytes in its folder, files that it has deleted and still holds open counted in.
        output: bytes in one line of its output.
    """

    seconds: float = 600.0
    memory: int = 4 << 30
    disk: int = 2 << 30
    output: int = 64 << 20


LEAST, MOST = 2 << 30, 16 << 30  # what Python's libraries for data take, with room to spare
_GROUPS = Path("/sys/fs/cgroup")


@functools.cache
def most_memory() -> int:
    """Bytes that a jail may have here: half of the machine's memory, or of what the control group
    of this process may use; 16 GiB at most, and 2 GiB at least."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(LEAST, min(MOST, min([total, *_group_limits()]) // 2))


def _group_limits(groups: Path = _GROUPS, mine: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What the control groups that this process is in, and those around them, may use."""
    found = []
    with suppress(OSError, ValueError):
        for line in mine.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            name = {"": "memory.max", "memory": "memory/memory.limit_in_bytes"}.get(kinds)
            if name is None:
                continue
            file = groups / name
            for group in (PurePosixPath(path), *PurePosixPath(path).parents):
                with suppress(OSError, ValueError):  # "max", or not of this name space
                    found.append(int((file.parent / f".{group}" / file.name).read_text()))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What holds a jail on this machine; `landlock` is the kernel's ABI, 0 for none."""

    bubblewrap: bool = False
    landlock: int = 0
    seccomp: bool = False

    @property
    def enough(self) -> bool:
        """May code that nobody has read be run?"""
        return self.seccomp and (self.bubblewrap or self.landlock > 0)

    @property
    def says(self) -> str:
        """One sentence for people.

        >>> Layers(landlock=4, seccomp=True).says
        'Landlock (ABI 4) and seccomp hold modules that a model wrote'
        >>> Layers(seccomp=True).says
        'seccomp alone is not enough: modules that a model wrote are not run'
        """
        have = [
            *(["bubblewrap"] if self.bubblewrap else []),
            *([f"Landlock (ABI {self.landlock})"] if self.landlock else []),
            *(["seccomp"] if self.seccomp else []),
        ]
        listed = " and ".join(filter(None, (", ".join(have[:-1]), *have[-1:])))
        if self.enough:
            return f"{listed} hold modules that a model wrote"
        if have:
            return f"{listed} alone is not enough: modules that a model wrote are not run"
        return "none on this machine: modules that a model wrote are not run"


class SandboxUnavailable(UserError):
    """The kernel does not offer what it takes to hold code that nobody has read."""

    caller_only = True

    def __init__(self, layers: Layers) -> None:
        super().__init__(
            f"no sandbox: {layers.says}",
            hint="on Linux a kernel of 5.13 or newer (Landlock) or bubblewrap gives one, elsewhere "
            "nothing does; see `hret doctor`. Modules of the template need no sandbox",
        )


class JailError(RunError):
    """A jailed process ended, or was ended; the message says why, in a sentence."""

    kind = "sandbox"
