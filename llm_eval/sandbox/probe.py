"""Which layers this machine has: found by trying, once in a process."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile

from llm_eval.sandbox import bwrap, filter
from llm_eval.sandbox.records import JailError, Layers, Limits

WANTED = "HRET_SANDBOX"
"""An environment variable that leaves out layers, for tests: none, landlock or bubblewrap."""
_TRY = """
import json, os, socket, sys
held = []
for name, attempt in (
    ("read", lambda: open(sys.argv[1]).close()),
    ("socket", lambda: socket.socket().close()),
    ("fork", lambda: os.fork() or os._exit(0)),
):
    try:
        attempt()
    except OSError:
        held.append(name)
print(json.dumps(held), flush=True)
"""


def layers() -> Layers:
    """The layers that hold here: each was seen to hold a process that tried to get out.

    Takes a fraction of a second at the first call.
    """
    return _found(os.environ.get(WANTED, ""))


def untried() -> Layers:
    """The layers that may hold here; what does not is left out when a process locks itself."""
    held = possible() and os.environ.get(WANTED) != "none"
    return Layers(landlock=int(held), seccomp=held)


def possible() -> bool:
    """Is there any layer for this system and processor?"""
    return sys.platform == "linux" and bool(sys.executable) and filter.known()


@functools.cache
def _found(wanted: str) -> Layers:
    if not possible() or wanted == "none":
        return Layers()
    outer = wanted != "landlock" and bwrap.program() is not None and _holds(bubblewrap=True)
    abi = 0
    if wanted != "bubblewrap" and _holds(landlock=1):
        abi = _abi()
    return Layers(bubblewrap=outer, landlock=abi, seccomp=outer or abi > 0)


def _holds(*, bubblewrap: bool = False, landlock: int = 0) -> bool:
    """Does a process that is held by this layer and seccomp get nowhere?"""
    from llm_eval.sandbox.jail import Jail

    using = Layers(bubblewrap=bubblewrap, landlock=landlock, seccomp=True)
    with tempfile.NamedTemporaryFile(prefix="hret-probe-") as secret:
        limits = Limits(seconds=20, memory=1 << 30)
        try:
            with Jail(_TRY, secret.name, limits=limits, using=using) as jail:
                return bool(json.loads(jail.line()) == ["read", "socket", "fork"])
        except (JailError, ValueError, OSError):
            return False


def _abi() -> int:
    """The version of Landlock that the kernel has."""
    import ctypes

    libc = ctypes.CDLL(None)
    return int(libc.syscall(ctypes.c_long(444), None, ctypes.c_long(0), ctypes.c_long(1)))
