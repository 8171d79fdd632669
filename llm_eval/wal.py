"""SQLite files that several processes share: opened, and gone over to a write-ahead log."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from llm_eval.errors import UserError

WAIT = 60  # seconds that a process waits for another one that is writing


def shared(path: Path) -> sqlite3.Connection:
    """A connection that commits when told to. Going over to WAL waits for a lock as all else does.

    Raises:
        sqlite3.DatabaseError, OSError: the file cannot be used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=WAIT, check_same_thread=False, isolation_level=None)
    deadline = time.monotonic() + WAIT
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                db.close()
                raise
            time.sleep(0.02)
        except sqlite3.DatabaseError:
            db.close()
            raise
    db.execute("PRAGMA synchronous=NORMAL")
    return db


def version_of(db: sqlite3.Connection) -> int:
    """The schema version that a file carries."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def too_new(path: Path) -> UserError:
    """What to say of a file whose schema is not known yet."""
    return UserError(
        f"{path} was written by a newer version of HRET Agents",
        hint="update, or set HRET_HOME",
        caller_only=True,
    )
