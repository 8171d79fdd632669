"""The folder of a run, `HRET_HOME/runs/<id>/`, and which one a run goes on in.

`run.json` says what was asked, `journal.jsonl` what was answered, `result.json` what came of it.
One process at a time writes a run.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from llm_eval import settings
from llm_eval.errors import Unknown, UserError
from llm_eval.files import replaced
from llm_eval.results import json_text

RUN, JOURNAL, RESULT, _LOCK = "run.json", "journal.jsonl", "result.json", "lock"
LAST = "last"
_LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RunFolder:
    """A run's folder, locked for this process until `close`."""

    path: Path
    _lock: IO[str]

    @property
    def id(self) -> str:
        """Names the run; ids sort by the time at which runs began."""
        return self.path.name

    @classmethod
    def make(cls) -> RunFolder:
        """The folder of a new run.

        Raises:
            OSError: no folder can be made there.
        """
        runs = runs_folder()
        runs.mkdir(parents=True, exist_ok=True)
        while True:
            now = datetime.now(UTC)
            path = runs / f"{now:%Y%m%d-%H%M%S}{now.microsecond // 1000:03}-{secrets.token_hex(3)}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return cls(path, _locked(path))

    @classmethod
    def of(cls, which: str | Path) -> RunFolder:
        """The folder of an earlier run: "last", an id, or the folder's path.

        Raises:
            Unknown: there is no such run.
            UserError: another process is writing it, or this one cannot.
        """
        path = _found(str(which))
        try:
            return cls(path, _locked(path))
        except OSError as e:
            raise UserError(
                f"the run {path.name} cannot be written: {e.strerror or e}",
                hint=f"it goes on where {path} may be written: see to that, or name a copy of it "
                "by its path",
            ) from None

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Note what is asked, all at once or not at all."""
        self._write(RUN, {"id": self.id, **asked})

    def end(self, result: Mapping[str, Any]) -> None:
        """Note metrics and record of the finished run."""
        self._write(RESULT, result)

    def asked(self) -> dict[str, Any]:
        """What was asked when the run began.

        Raises:
            UserError: run.json cannot be read.
        """
        try:
            found: dict[str, Any] = json.loads((self.path / RUN).read_text("utf-8"))
        except (OSError, ValueError) as e:
            raise UserError(
                f"{self.path / RUN} cannot be read: {e}", hint="begin a new run without resume"
            ) from None
        return found

    def close(self) -> None:
        """Let other processes write."""
        self._lock.close()

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        try:
            with replaced(self.path / name) as new:
                new.write_text(json_text(value) + "\n", encoding="utf-8")
        except OSError as e:
            raise unwritable(self.path / name, e, self.id) from None


def runs_folder() -> Path:
    """Where runs lie."""
    return settings.home() / "runs"


def unwritable(path: Path, error: OSError, run: str) -> UserError:
    """What to say where a run's file cannot be written."""
    return UserError(
        f"{path} cannot be written: {error.strerror or error}",
        hint=f"make room for it; what was answered is kept, and resume={run!r} (--resume {run}) "
        "goes on",
        caller_only=True,
    )


def _found(which: str) -> Path:
    if which != LAST and os.sep in which and (Path(which) / RUN).is_file():
        return Path(which).resolve()
    known = sorted(_known())
    if which == LAST:
        if not known:
            raise UserError(f"there is no run in {runs_folder()}", hint="leave resume out")
        return runs_folder() / known[-1]
    if which in known:
        return runs_folder() / which
    raise Unknown("run", which, known[-30:])


def _known() -> Iterator[str]:
    folder = runs_folder()
    return (p.parent.name for p in folder.glob(f"*/{RUN}")) if folder.is_dir() else iter(())


def _locked(path: Path) -> IO[str]:
    """The lock of a run's folder; on a file system that has none, the file alone."""
    file = (path / _LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError(
            f"another process is writing the run {path.name}", hint="wait for it, or stop it first"
        ) from None
    except OSError as e:
        if e.errno not in _LOCKLESS:
            file.close()
            raise
        logger.warning(f"{path} cannot be locked ({e.strerror}): see to it that one process writes")
    return file
