"""A dataset module in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import llm_eval
from llm_eval.errors import DatasetError

_START = "import sys; sys.path.append(sys.argv[1]); from llm_eval.dataset.child import main; main()"


class ChildModule:
    """A dataset module in a process of its own: no environment, no keys, limits, a deadline.

    The process starts outside the checkout, in an empty folder that is also its home.
    """

    def __init__(self, path: Path, *, timeout: float = 600.0, memory: int = 16 << 30) -> None:
        self.path = path.resolve()
        self._timeout, self._memory = timeout, memory
        self._home = tempfile.TemporaryDirectory(prefix="hret-module-")
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(Path(llm_eval.__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self._home.name,
            env=_environment(self._home.name),
            start_new_session=True,
            preexec_fn=self._limits,
        )
        self._buffer, self._late = bytearray(), False
        self._watch = threading.Timer(timeout, self._too_late)
        self._watch.daemon = True
        self._watch.start()

    def ask(self, name: str, *arguments: Any) -> Any:
        """The module's answer; what it raises, and its death, are `DatasetError`s."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps([name, arguments]).encode() + b"\n")
            self._process.stdin.flush()
            reply = json.loads(self._line())
        except (BrokenPipeError, ValueError, RecursionError):
            self._kill()
            if self._late:
                said = f"the module took longer than {self._timeout:g} s"
            else:
                said = f"the module's process ended: {self._last_words()}"
            raise DatasetError(said) from None
        if not isinstance(reply, dict) or not reply.keys() & {"ok", "error"}:
            raise DatasetError("the module's process answered out of turn")
        if "error" in reply:
            raise DatasetError(f"the module's {name} failed: {reply['error']}")
        return reply["ok"]

    def close(self) -> None:
        """End the process and all it started."""
        self._watch.cancel()
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._errors.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _line(self) -> bytes:
        assert self._process.stdout
        end = self._buffer.find(b"\n")
        while end < 0:
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise BrokenPipeError
            end = piece.find(b"\n") + len(self._buffer) if b"\n" in piece else -1
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _too_late(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return said[-1] if said else f"exit status {self._process.wait()}"

    def _limits(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (self._memory, self._memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seconds = int(self._timeout) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _environment(home: str) -> dict[str, str]:
    """All that a module's process is told: no keys, no proxies, no caches but its own."""
    return {
        "HOME": home,
        "HF_HOME": home,
        "HRET_HOME": home,
        "TMPDIR": home,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
    }
