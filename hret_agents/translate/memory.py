"""What was paid for is kept: one SQLite file per user, keyed by the content of a unit.

The key holds all that a translation depends on, so an edited row, another model or another prompt
asks anew and everything else never does. A reply is committed before it is counted; a kill loses at
most what was under way. Several processes may share the file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hret_agents.translate.units import Unit
from llm_eval.errors import UserError

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    model TEXT NOT NULL,
    insisted INTEGER NOT NULL DEFAULT 0,
    made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID
"""


class Memory:
    """The translation memory in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._set_up()
        except (sqlite3.DatabaseError, OSError) as e:
            raise self._unusable(e) from None

    def _set_up(self) -> None:
        """Make the tables. Going over to WAL does not wait for a lock as all else does."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as e:
                if "locked" not in str(e) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self._db.execute("PRAGMA synchronous=NORMAL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise UserError(
                f"{self._path} was written by a newer version of HRET Agents",
                hint="update, or set HRET_HOME",
            )
        if found < VERSION:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    def _unusable(self, error: Exception) -> UserError:
        return UserError(
            f"the translation memory {self._path} cannot be used: {error}",
            hint="move the file away, or set HRET_HOME to another folder",
        )

    def get(self, keys: Sequence[str]) -> dict[str, tuple[list[str], bool]]:
        """What is known of `keys`: (texts, whether the model insisted on unchanged ones)."""
        found: dict[str, tuple[list[str], bool]] = {}
        try:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, target, insisted FROM units WHERE key IN ({marks})"
                for key, target, insisted in self._db.execute(query, part):
                    found[key] = (json.loads(target), bool(insisted))
        except sqlite3.DatabaseError as e:
            raise self._unusable(e) from None
        return found

    def put(self, entries: Iterable[tuple[str, Unit, Sequence[str], bool]], model: str) -> None:
        """Commit translations: (key, unit, texts, insisted) each."""
        rows = [
            (key, _json(unit.texts), _json(texts), model, int(insisted))
            for key, unit, texts, insisted in entries
        ]
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO units (key, source, target, model, insisted)"
                    " VALUES (?, ?, ?, ?, ?)",
                    rows,
                )
        except sqlite3.DatabaseError as e:
            raise self._unusable(e) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def unit_key(unit: Unit, policy: Mapping[str, str]) -> str:
    """The key of a unit under a policy (languages, prompt version, model, parameters)."""
    content = _json(
        {"texts": unit.texts, "fields": unit.fields, "policy": dict(sorted(policy.items()))}
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
