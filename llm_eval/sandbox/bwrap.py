"""The outer wall: bubblewrap, with namespaces of its own and an almost empty file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from functools import cache


@cache
def program() -> str | None:
    """Where bubblewrap is; None where it is not installed."""
    return shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")


def command(readable: Iterable[str], home: str, inner: Sequence[str]) -> list[str]:
    """The command that runs `inner` behind the wall: it reads `readable` and writes in `home`.

    It sees no network, no other process, no path but those. What it could write besides (the root
    of its file system, /dev) would be memory, and is read-only.
    """
    found = program()
    assert found
    wall = [found, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    wall += ["--proc", "/proc", "--dev", "/dev"]
    for path in _outermost(readable):
        if os.path.islink(path) and os.path.dirname(path) == "/":  # /lib → usr/lib
            wall += ["--symlink", os.readlink(path), path]
        else:
            wall += ["--ro-bind", path, path]
    wall += ["--bind", home, home, "--chdir", home]
    wall += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*wall, "--", *inner]


def _outermost(paths: Iterable[str]) -> list[str]:
    """The paths that lie in none of the others; /dev and /proc are the wall's own."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not path.startswith(("/dev/", "/proc/", *(f"{k}/" for k in kept))):
            kept.append(path)
    return kept
