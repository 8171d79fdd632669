"""A Python process that the kernel keeps to itself, as its parent sees it."""

from __future__ import annotations

import errno
import functools
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llm_eval.sandbox import allowed, bwrap, filter, folder, probe
from llm_eval.sandbox.notes import Notes, plain
from llm_eval.sandbox.records import (
    JailError,
    Layers,
    Limits,
    SandboxUnavailable,
    most_memory,
)
from llm_eval.sandbox.watchdog import Watchdog, handles, wait_for

_KEPT = 64 << 10
_LONGEST = 1000
_FILES = 1024
_INSIDE = str(Path(__file__).resolve().with_name("inside.py"))


class Jail:
    """A Python process without network, environment or files of ours; use it as a context manager.

    It starts in an empty folder, its home and the only place it can write to. What it may read is
    Python, the installed packages, llm_eval (which it can import), the system's libraries, and what
    is given as `readable`.
    """

    def __init__(
        self,
        source: str,
        *args: str,
        readable: Sequence[Path] = (),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        enforce: bool = True,
        using: Layers | None = None,
    ) -> None:
        """Start the process; `source` runs in it, with `sys.argv[1:] == args`, once it is locked.

        Args:
            source: Python code.
            args: its arguments.
            readable: files, and folders with all below them, that it may read besides.
            limits: what it may use; passing one ends it.
            enforce: the kernel must hold it. If not, it is held as well as can be.
            using: the layers to hold it with, instead of those of this machine.

        Raises:
            SandboxUnavailable: `enforce`, and the layers are not enough.
        """
        have = using or (probe.layers() if enforce else probe.untried())
        if enforce and not have.enough:
            raise SandboxUnavailable(have)
        self._limits, self._must = limits, enforce or using is not None
        self._folder = Path(tempfile.mkdtemp(prefix="hret-jail-")).resolve()
        self.home = self._folder / "home"
        self._reason, self._said, self._buffer = "", bytearray(), bytearray()
        self._dying: list[int] = []
        self._noted, note = os.pipe()
        os.set_blocking(self._noted, False)
        os.set_blocking(note, False)
        try:
            told = self._prepare(source, args, readable, have, note)
            self._process = _start(self._command(told, have), self.home, note)
        except BaseException:
            os.close(self._noted)
            folder.remove(self._folder)
            raise
        finally:
            os.close(note)
        self._notes = Notes(self._noted)
        self._watch = threading.Thread(target=self._look_after, daemon=True)
        self._watch.start()
        self._tell(told)

    def send(self, line: bytes) -> None:
        """Write a line to its standard input; a newline is added.

        Raises:
            JailError: the process has ended or been ended.
        """
        self._write(line + b"\n")

    def line(self) -> bytes:
        """The next line of its standard output, without the newline.

        Raises:
            JailError: it ended without one, or the line is longer than `limits.output`.
        """
        assert self._process.stdout
        end, seen = self._buffer.find(b"\n"), len(self._buffer)
        while end < 0:
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise JailError(self._why())
            self._buffer += piece
            end = self._buffer.find(b"\n", seen)
            seen = len(self._buffer)
            if end < 0 and seen > self._limits.output:
                self._end(f"wrote more than {self._limits.output >> 20:,} MB in one line")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def unasked(self) -> bool:
        """Has it written something to its standard output that nobody has read yet?"""
        assert self._process.stdout
        ready = select.poll()
        ready.register(self._process.stdout, select.POLLIN)
        return bool(self._buffer) or any(event & select.POLLIN for _, event in ready.poll(0))

    def tried(self) -> list[str]:
        """What its code tried and may not do, as "tried to open /etc/passwd", in order.

        Best effort: it names what goes through Python; the kernel holds what does not, too.
        """
        return self._notes.said()

    def stop(self, reason: str) -> None:
        """End the process, from any thread; whoever waits for its line is told `reason`."""
        self._reason = self._reason or reason
        self._signal()

    def wait(self) -> int:
        """Its exit status, once it has ended by itself; what it still writes is dropped.

        Raises:
            JailError: a limit ended it.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        while os.read(self._process.stdout.fileno(), 1 << 20):
            continue
        status = self._process.wait()
        if self._reason:
            raise JailError(self._why())
        return status

    def close(self) -> None:
        """End the process and all it started, and remove its folder."""
        self._kill()
        self._watch.join(10)
        while self._dying:
            wait_for(self._dying.pop())
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe and not pipe.closed:
                pipe.close()
        if self._noted >= 0:
            os.close(self._noted)
            folder.remove(self._folder)
        self._noted = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(
        self,
        source: str,
        args: Sequence[str],
        readable: Sequence[Path],
        have: Layers,
        note: int,
    ) -> dict[str, Any]:
        """The folders, and what the process is told: see `inside`."""
        library = self._folder / "lib"
        self.home.mkdir(0o700)
        library.mkdir()
        (library / "llm_eval").symlink_to(allowed.ours())
        given = [str(p) for path in readable for p in (Path(os.path.abspath(path)), path.resolve())]
        trusted = [str(library), *allowed.code()]
        program = filter.program() if have.seccomp and filter.known() else None
        seconds = int(self._limits.seconds * (os.cpu_count() or 1)) + 1
        return {
            "path": [str(library), *allowed.python_path()],
            "argv": list(args),
            "source": source,
            "home": str(self.home),
            "read": [*trusted, *allowed.system(), *dict.fromkeys(given)],
            "trusted": trusted,
            "limits": {
                "RLIMIT_AS": min(self._limits.memory, most_memory()),
                "RLIMIT_CPU": seconds,
                "RLIMIT_FSIZE": self._limits.disk,
                "RLIMIT_NOFILE": _FILES,
                "RLIMIT_CORE": 0,
            },
            "landlock": bool(have.landlock),
            "seccomp": program.code.hex() if program else "",
            "own_pid": program.own_pid if program else (),
            "must": self._must,
            "parent": 0 if have.bubblewrap else os.getpid(),
            "report": note,
        }

    def _command(self, told: dict[str, Any], have: Layers) -> list[str]:
        inner = [allowed.interpreter(), "-I", "-S", "-B", _INSIDE]
        if not have.bubblewrap:
            return inner
        return bwrap.command(told["read"], str(self.home), inner)

    def _tell(self, told: dict[str, Any]) -> None:
        text = json.dumps(told).encode()
        try:
            self._write(b"%08x" % len(text) + text)
        except JailError:  # the first line asked for says why it ended
            return

    def _write(self, data: bytes) -> None:
        assert self._process.stdin
        if self._process.poll() is not None:  # what bubblewrap leaves may hold the pipe a moment
            raise JailError(self._why())
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except OSError as e:
            if e.errno != errno.EPIPE:
                raise
            raise JailError(self._why()) from None

    def _look_after(self) -> None:
        """Keep the end of what it writes to stderr, and end it when it passes a limit."""
        assert self._process.stderr
        fd = self._process.stderr.fileno()
        dog = Watchdog(self._process.pid, str(self.home), self._limits)
        ready = select.poll()
        ready.register(fd, select.POLLIN)
        while True:
            if ready.poll(50):
                piece = os.read(fd, 1 << 16)
                if not piece:
                    return
                self._said += piece
                del self._said[:-_KEPT]
            if not self._reason and (passed := dog.passed()):
                self._reason = passed
                self._signal()

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._kill()
        raise JailError(self._why())

    def _why(self) -> str:
        """Why it has ended, in a sentence; it is given a moment to end by itself."""
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._kill()
        self._watch.join(10)
        if self._reason:
            return f"the process {self._reason}"
        said = bytes(self._said).decode("utf-8", "replace").strip().splitlines()
        return f"the process ended: {plain(said[-1], _LONGEST) if said else self._status()}"

    def _status(self) -> str:
        status = self._process.wait()
        if status < 0:
            return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}"

    def _kill(self) -> None:
        self._signal()
        self._process.wait()

    def _signal(self) -> None:
        """Kill it and all that bubblewrap started for it; `close` waits for their ends."""
        self._dying += handles(self._process.pid)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _start(command: list[str], home: Path, note: int) -> subprocess.Popen[bytes]:
    """Start it from a thread that lasts: it is to end when the thread that started it ends."""
    return (
        _starter()
        .submit(
            subprocess.Popen,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=home,
            env=_environment(str(home)),
            start_new_session=True,
            pass_fds=(note,),
        )
        .result()
    )


@functools.cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="hret-jail")


os.register_at_fork(after_in_child=_starter.cache_clear)


def _environment(home: str) -> dict[str, str]:
    """All that the process is told: no keys, no proxies, no caches but its own."""
    return {
        "HOME": home,
        "HF_HOME": home,
        "HRET_HOME": home,
        "TMPDIR": home,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        **dict.fromkeys(("USE_TORCH", "USE_TF", "USE_JAX"), "0"),  # datasets would share memory
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
    }
