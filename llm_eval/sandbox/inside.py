"""The first thing that runs in a jail: it locks its own process, then runs the code it was given.

Run by path, before anything of ours or of others is imported; it imports the standard library
alone. What to do comes on the standard input: eight hexadecimal digits, then so many bytes of JSON
(see `jail`). When a lock that must hold does not, the code is not run.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

_NO_NEW_PRIVS, _DEATH_SIGNAL, _SECCOMP = 38, 1, 22
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR, _WRITE_FILE, _TRUNCATE, _DEVICE = 1 << 2, 1 << 3, 1 << 1, 1 << 14, 1 << 15
# make and remove files, folders and symbolic links; move between folders
_MAKE = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13
_FOR_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE | _DEVICE | 1


class LockError(Exception):
    """A lock could not be put in force."""


def main() -> None:
    """Lock the process, then run the code."""
    told = _told()
    sys.path[:] = told["path"]
    sys.argv[:] = ["-c", *told["argv"]]
    os.environ.pop("PWD", None)  # bubblewrap's
    for name, value in told["limits"].items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))
    if sys.platform == "linux":
        _end_first()
        _lock(told)
    watch = _beside("watch.py")
    start = types.ModuleType("__main__")
    code = compile(told["source"], "<jail>", "exec")
    sys.modules["__main__"] = start
    if told["seccomp"]:
        _filter(told["seccomp"], told["own_pid"], must=told["must"])
    watch["install"](told["report"], told["trusted"], told["read"], told["home"])
    exec(code, start.__dict__)


def _beside(name: str) -> dict[str, Any]:
    """The names of a file beside this one, run without importing the package around it."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    names: dict[str, Any] = {"__name__": f"hret_{name}", "__file__": path}
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), names)
    return names


def _told() -> dict[str, Any]:
    size = int(_exactly(8), 16)
    told: dict[str, Any] = json.loads(_exactly(size))
    return told


def _exactly(count: int) -> bytes:
    read = b""
    while len(read) < count:
        piece = os.read(0, count - len(read))
        if not piece:
            raise SystemExit("the jail was told nothing")
        read += piece
    return read


def _end_first() -> None:
    """Where memory runs out, the kernel ends this process, and not the one that started it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:  # best effort: there may be no /proc
        return


def _lock(told: dict[str, Any]) -> None:
    """Die with the parent, have no capabilities and no way to any, and see few files."""
    libc = _libc()
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if told["parent"] and os.getppid() != told["parent"]:
        raise SystemExit("the parent has ended")
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) and told["must"]:
        raise LockError("the kernel does not keep the process from gaining rights")
    if _drop_capabilities(libc) and told["must"]:
        raise LockError("the process keeps capabilities")
    if told["landlock"]:
        _landlock(libc, told)


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _drop_capabilities(libc: Any) -> int:
    header = struct.pack("=Ii", 0x20080522, 0)
    return int(libc.capset(header, bytes(24)))


def _landlock(libc: Any, told: dict[str, Any]) -> None:
    """Nothing may be read but the paths told, nothing written but in the home."""
    call = _caller(libc)
    abi = call(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        if told["must"]:
            raise LockError("the kernel has no Landlock")
        return
    handled = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
    attributes = struct.pack("=QQQ", handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = call(_LANDLOCK_CREATE, attributes, size, 0)
    if rules < 0:
        raise LockError("Landlock takes no rules")
    reading, writing = _READ_FILE | _READ_DIR, _WRITE_FILE | _TRUNCATE
    for path in told["read"]:
        _allow(call, rules, path, handled & reading)
    _allow(call, rules, "/dev/null", handled & (reading | writing))
    _allow(call, rules, told["home"], handled & (reading | writing | _MAKE))
    failed = call(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)
    if failed and told["must"]:
        raise LockError("Landlock is not put in force")


def _allow(call: Callable[..., int], rules: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine, or not for this user
        return
    try:
        if not os.path.isdir(path):
            rights &= _FOR_FILES
        if call(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, fd), 0):
            raise LockError(f"Landlock takes no rule for {path}")
    finally:
        os.close(fd)


def _filter(code: str, own_pid: list[int], *, must: bool) -> None:
    """Allow no system call but those of the filter, from here on."""
    import ctypes

    program = bytearray(bytes.fromhex(code))
    for index in own_pid:
        struct.pack_into("=I", program, index * 8 + 4, os.getpid())
    held = ctypes.create_string_buffer(bytes(program), len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    if _libc().prctl(_SECCOMP, 2, header, 0, 0) and must:
        raise LockError("the kernel takes no filter of system calls")


def _caller(libc: Any) -> Callable[..., int]:
    """`syscall`, with every number as wide as the kernel reads it."""
    from ctypes import c_long

    def call(number: int, *arguments: int | bytes | None) -> int:
        wide = [c_long(a) if isinstance(a, int) else a for a in arguments]
        return int(libc.syscall(c_long(number), *wide))

    return call


if __name__ == "__main__":
    main()
