"""Replies that were paid for, kept for all runs of this user: `HRET_HOME/replies.sqlite`.

The key says all that a reply depends on, so another model, parameter or prompt asks anew. Failures
are never kept. Several processes may share the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.records import Prediction, Usage
from llm_eval.runs import codec
from llm_eval.wal import shared, too_new, version_of

_VERSION = 1
_CHUNK = 500  # values in one query
Found = tuple[bytes, Prediction]


class Replies:
    """The replies in one file. One thread at a time may use an object of it."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or make it.

        Raises:
            UserError: it cannot be used, or is of a newer version.
        """
        self.path = path or settings.home() / "replies.sqlite"
        try:
            self._db = shared(self.path)
            if version_of(self._db) > _VERSION:
                self._db.close()
                raise too_new(self.path)
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply TEXT NOT NULL,"
                " made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID"
            )
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except (sqlite3.DatabaseError, OSError) as e:
            raise UserError(
                f"{self.path} cannot be used: {e}",
                hint="move the file away, or leave it out by cache=False (--no-cache)",
            ) from None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """What is kept under `keys`; see `told`."""
        found: dict[bytes, str] = {}
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, reply FROM replies WHERE key IN ({marks})"
            found.update(self._db.execute(query, part))
        return found

    def put(self, replies: Iterable[Found]) -> None:
        """Commit replies, all at once."""
        rows = [(key, codec.encoded(codec.of_prediction(p)).decode()) for key, p in replies]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            query = "INSERT OR IGNORE INTO replies (key, reply) VALUES (?, ?)"
            self._db.executemany(query, rows)
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.DatabaseError):
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def told(sample_id: str, kept: str) -> Prediction | None:
    """The reply as a prediction that cost nothing this time; None where it cannot be read."""
    try:
        return replace(codec.prediction(sample_id, json.loads(kept)), usage=Usage())
    except (ValueError, KeyError, TypeError):
        return None
