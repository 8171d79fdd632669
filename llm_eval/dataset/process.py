"""A dataset module in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llm_eval.errors import DatasetError
from llm_eval.sandbox import Jail, JailError, Limits
from llm_eval.sandbox.notes import plain

_START = "from llm_eval.dataset.child import main; main()"
_OUTPUT = 128 << 20
_SENTENCE = 4000
_DISK = 4 << 30
_GROWTH = 30  # parquet becomes Arrow files in the child's own cache


class ModuleRaised(DatasetError):
    """The module's code raised an exception; its process lives on."""


class ChildModule:
    """A dataset module in a jail: no environment, no keys, no network, limits, a deadline.

    The process starts outside the checkout, in an empty folder that is also its home. It reads the
    module and the `data` folder beside it.

    Args:
        path: the module's file.
        timeout: seconds for all that the module does.
        memory: bytes of address space.
        enforce: the kernel must hold the process, and a module that tries what is forbidden fails.
            For code that nobody has read.
        repos: names of Hub repos, and the folder of a port each stands for: `load_dataset(NAME)`
            in the module reads the port's own data.

    Raises:
        SandboxUnavailable: `enforce`, and the kernel cannot hold a process.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = 600.0,
        memory: int = 16 << 30,
        enforce: bool = False,
        repos: Mapping[str, Path] | None = None,
    ) -> None:
        self.path = Path(os.path.abspath(path))
        self._enforce = enforce
        ports = {name: Path(os.path.abspath(folder)) for name, folder in (repos or {}).items()}
        data = [folder / "data" for folder in (self.path.parent, *ports.values())]
        readable, size = _readable([self.path, *data])
        limits = Limits(seconds=timeout, memory=memory, disk=_DISK + _GROWTH * size, output=_OUTPUT)
        told = json.dumps({name: str(folder) for name, folder in ports.items()})
        self._jail = Jail(_START, told, readable=readable, limits=limits, enforce=enforce)

    def ask(self, name: str, *arguments: Any) -> Any:
        """The module's answer; what it raises, and its death, are `DatasetError`s.

        So are, with `enforce`, an answer after something forbidden was tried.
        """
        key = secrets.token_hex(16)
        try:
            self._in_turn()
            self._jail.send(json.dumps([key, name, arguments]).encode())
            reply = _read(self._jail.line(), key)
            self._in_turn()
        except JailError as e:
            self._refuse_attempts()
            raise DatasetError(f"the module's {e.message.removeprefix('the ')}") from None
        self._refuse_attempts()
        if "error" in reply:
            raise ModuleRaised(f"the module's {name} failed: {reply['error']}")
        return reply["ok"]

    def stop(self, reason: str) -> None:
        """End the process, from any thread; the question that waits fails with `reason`."""
        self._jail.stop(reason)

    def close(self) -> None:
        """End the process and all it started."""
        self._jail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _in_turn(self) -> None:
        if self._jail.unasked():
            self._refuse_attempts()
            raise DatasetError("the module's process answered out of turn")

    def _refuse_attempts(self) -> None:
        """Whatever came of it: with `enforce`, trying is enough to fail."""
        if self._enforce and (tried := self._jail.tried()):
            raise DatasetError(f"the module {tried[0]}, which the sandbox does not allow")


def _read(line: bytes, key: str) -> dict[str, Any]:
    """A reply, if it is one to the request with this key."""
    try:
        reply = json.loads(line)
        if b"\\u" in line:  # half a surrogate pair is no text
            json.dumps(reply, ensure_ascii=False).encode()
    except (ValueError, RecursionError, MemoryError):
        raise DatasetError("the module's process answered what is no JSON") from None
    if not isinstance(reply, dict) or reply.get("key") != key:
        raise DatasetError("the module's process answered out of turn")
    if reply.keys() == {"key", "ok"}:
        return reply
    if reply.keys() == {"key", "error"} and isinstance(reply["error"], str):
        return {"error": plain(reply["error"], _SENTENCE)}
    raise DatasetError("the module's process answered out of turn")


def _readable(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """Files and folders to be read, the targets of links among them too; their size in bytes.

    The Hub's cache keeps a dataset's files as links to a store beside it.
    """
    found, size = list[Path](), 0
    for path in filter(Path.exists, paths):
        found.append(path)
        for file in (path, *path.rglob("*")):
            if file.is_file():
                size += file.stat().st_size
                if file.is_symlink():
                    found.append(file.resolve())
    return found, size
