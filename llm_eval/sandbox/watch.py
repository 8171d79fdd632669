"""Naming what code in a jail tries: an audit hook that writes it down for the parent.

It holds nothing back. The kernel does that, whatever happens to this hook; so it may be coarse, but
it must not name what an honest module does: reading Python's files, writing its own, importing
libraries. What a library does while it is imported is the library's doing and is not named.

Each note is a line of JSON, `[kind, detail]`; the parent has the words for each kind. A detail is a
path, a host, a number or a name, never data.
"""

from __future__ import annotations

import _thread
import json
import os
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

FORBIDDEN = frozenset(
    "_ctypes _posixshmem _posixsubprocess _socket aiohttp asyncio cffi ctypes fcntl ftplib httpx"
    " http.client http.server mmap multiprocessing poplib pty requests resource smtplib socket"
    " socketserver ssl subprocess urllib.request urllib3 webbrowser xmlrpc.client".split()
)
_CHANGES = frozenset(
    "os.chmod os.chown os.link os.mkdir os.remove os.removexattr os.rename os.rmdir os.setxattr"
    " os.symlink os.truncate os.utime".split()
)
_LISTS = frozenset({"os.listdir", "os.scandir", "os.listdrives"})
_COMMANDS = frozenset(
    "os.exec os.posix_spawn os.spawn os.startfile os.system pty.spawn subprocess.Popen".split()
)
_FORKS = frozenset({"os.fork", "os.forkpty"})
_HOSTS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_ADDRESSES = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"})
_LOOKS = {
    "sys._getframe": "the frames of its caller",
    "sys._current_frames": "the frames of other threads",
    "gc.get_objects": "all objects of the process",
    "gc.get_referrers": "who refers to an object",
    "sys.settrace": "every line as it runs",
    "sys.setprofile": "every call as it is made",
    "sys.addaudithook": "every event of the interpreter",
}
# Calls of `os` that the interpreter raises no event for.
_SILENT = (
    "chroot initgroups lchown memfd_create mkfifo mknod nice pidfd_open sched_setaffinity"
    " sched_setscheduler setegid seteuid setgid setgroups setpgid setpriority setregid setresgid"
    " setresuid setreuid setsid setuid"
).split()
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STANDARD = os.path.dirname(os.__file__) + "/"
_MACHINE = ("/etc/", "/proc/", "/sys/")
_MOST = 100


def install(report: int, trusted: Sequence[str], readable: Sequence[str], home: str) -> None:
    """Write what is tried from now on to the descriptor `report`.

    Code in files under `trusted` is a library's; under `readable` all may be read, under `home` all
    may be done.
    """
    watch = _Watch(report, tuple(trusted), tuple(readable), home)
    sys.addaudithook(watch.event)
    for name in _SILENT:
        if hasattr(os, name):
            setattr(os, name, watch.named(name, getattr(os, name)))


class _Watch:
    def __init__(
        self, report: int, trusted: tuple[str, ...], readable: tuple[str, ...], home: str
    ) -> None:
        self._report, self._home, self._pid = report, home, os.getpid()
        self._trusted = (*(f"{t}/" for t in trusted), "<frozen ")
        self._readable = (*readable, os.devnull)
        self._inside = (home, *(f"{r}/" for r in readable))
        self._busy: set[int] = set()  # threads that are in the hook
        self._noted = 0

    def event(self, name: str, arguments: tuple[Any, ...]) -> None:
        """An audit event. Nothing may be raised from here, and events of its own are not named."""
        thread = _thread.get_ident()
        if thread in self._busy or self._noted >= _MOST:
            return
        self._busy.add(thread)
        try:
            if found := self._found(name, arguments):
                self._note(*found)
        except Exception:  # whatever odd values the code hands to an event: no name for it, then
            return
        finally:
            self._busy.discard(thread)

    def named(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of `os` that is written down when it is called."""

        def called(*arguments: Any, **more: Any) -> Any:
            self.event("os.", (name,))
            return function(*arguments, **more)

        return called

    def _found(self, name: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        """The kind and detail of what an event shows; None for nothing to name."""
        if name == "open":
            return self._opened(*arguments[:3])
        if name == "import":
            module = str(arguments[0])
            return ("import", module) if module in FORBIDDEN and self._direct() else None
        if name in _LOOKS:
            return ("look", _LOOKS[name]) if self._direct() else None
        if name == "pickle.find_class":
            return ("unpickle", ".".join(map(str, arguments))) if self._direct() else None
        detail = self._named(name, arguments)
        return detail if detail and self._theirs() else None

    def _named(self, name: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        first = arguments[0] if arguments else None
        if name in _LISTS:
            outside = not isinstance(first, int) and not self._may_read(first)
            return ("list", _text(first)) if outside else None
        if name in _CHANGES:
            paths = [p for p in arguments[:2] if isinstance(p, str | bytes | os.PathLike)]
            if name in ("os.setxattr", "os.symlink", "os.removexattr"):
                paths = paths[-1:] if name == "os.symlink" else paths[:1]
            wrong = next((p for p in paths if not self._at_home(p)), None)
            return ("change", _text(wrong)) if wrong is not None else None
        if name in _COMMANDS:
            return "run", _text(first).split()[0] if _text(first).split() else "a command"
        if name == "os.":
            return "call", f"os.{first}"
        if name in _FORKS:
            return "fork", ""
        if name in ("os.kill", "os.killpg"):
            return None if first == self._pid else ("signal", str(first))
        if name == "ctypes.dlopen":
            return "library", _text(first) or "its own"
        if name == "ctypes.dlsym":
            return "function", _text(arguments[-1])
        if name == "socket.__new__":
            return "socket", ""
        if name in _HOSTS:
            return "host", _text(first)
        if name in _ADDRESSES:
            where = arguments[1] if isinstance(arguments[1], tuple) else arguments[1:2]
            return "connect", ":".join(_text(part) for part in where[:2])
        if name in ("resource.setrlimit", "resource.prlimit"):
            return "limits", ""
        if name == "sqlite3.connect" and not self._at_home(first):
            return "open", _text(first)
        return None

    def _opened(self, path: Any, mode: Any, flags: Any) -> tuple[str, str] | None:
        if isinstance(path, int):
            return None
        writing = isinstance(flags, int) and bool(flags & _WRITING)
        writing |= isinstance(mode, str) and any(m in mode for m in "wax+")
        fine = self._at_home(path) if writing else self._may_read(path)
        if fine or not self._theirs():
            return None
        return ("write" if writing else "open"), _text(path)

    def _may_read(self, path: Any) -> bool:
        text = os.path.abspath(os.fsdecode("." if path is None else path))
        if text.startswith(_MACHINE) and self._packages_doing():
            return True  # a package that looks at the machine; it can live without
        if not text.startswith(self._home):
            return text in self._readable or text.startswith(self._inside)
        real = os.path.realpath(text)
        return real in self._readable or real.startswith(self._inside)

    def _at_home(self, path: Any) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return real == self._home or real.startswith(self._home + "/") or real == os.devnull

    def _theirs(self) -> bool:
        """Is it the code's doing: no library is being imported on the way to it?"""
        frame = _caller()
        while frame is not None:
            file = frame.f_code.co_filename
            if not file.startswith(self._trusted):
                return True
            if frame.f_code.co_name == "_find_and_load" and file.startswith("<frozen importlib"):
                return False
            frame = frame.f_back
        return True

    def _packages_doing(self) -> bool:
        """Is an installed package the caller, through the standard library or without it?"""
        frame = _caller()
        while frame is not None:
            file = frame.f_code.co_filename
            if not file.startswith("<frozen ") and (
                not file.startswith(_STANDARD) or "-packages/" in file
            ):
                return file.startswith(self._trusted)
            frame = frame.f_back
        return False

    def _direct(self) -> bool:
        """Is the code itself the caller, with nothing of a library between?"""
        frame = _caller()
        return frame is not None and not frame.f_code.co_filename.startswith(self._trusted)

    def _note(self, kind: str, detail: str) -> None:
        self._noted += 1
        try:
            os.write(self._report, json.dumps([kind, detail[:400]]).encode() + b"\n")
        except OSError:  # the pipe is full, or the code has closed it
            return


def _caller() -> FrameType | None:
    """The innermost frame that is not of this file."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def _text(value: Any) -> str:
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    return "" if value is None else str(value)
