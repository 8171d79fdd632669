"""Which requests lie in which batch at the server: one SQLite file, so that a kill loses none.

A batch is written down before it is made (its tag travels in the batch's metadata), and its id when
the server has told it. Several processes may share the file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from llm_eval.errors import UserError
from llm_eval.wal import shared, too_new, version_of

VERSION = 1
INTENT_LIVES = 24 * 3600.0  # seconds until a batch that the server does not list is given up
_SCHEMA = (
    """CREATE TABLE batches (
        tag TEXT PRIMARY KEY,
        endpoint TEXT NOT NULL,
        file TEXT NOT NULL,
        id TEXT,
        state TEXT NOT NULL DEFAULT 'open',
        made REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE rows (
        name TEXT NOT NULL,
        tag TEXT NOT NULL,
        line TEXT NOT NULL,
        row INTEGER NOT NULL,
        size INTEGER NOT NULL,
        reported INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (name, tag, line, row)
    ) WITHOUT ROWID""",
    "CREATE INDEX rows_of_a_line ON rows (tag, line)",
)


class Place(NamedTuple):
    """Where a row was sent: the batch's tag, the line's custom_id, its number in the line, and how
    many rows the line has."""

    tag: str
    line: str
    row: int
    size: int


class Intent(NamedTuple):
    """A batch that was to be made: its input file, and when (Unix time)."""

    file: str
    made: float


class BatchStore:
    """The batches that are under way, or not yet read.

    Raises:
        UserError: the file cannot be used, from any method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._usable():
            self._db = shared(path)
            self._set_up()

    def _set_up(self) -> None:
        """Make the tables."""
        with self._changes():
            found = version_of(self._db)
            if found > VERSION:
                raise too_new(self._path)
            if found < VERSION:
                for statement in _SCHEMA:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as e:
            raise UserError(
                f"the record of batches {self._path} cannot be used: {e}",
                hint="free its disk or mend its rights, then run the same command again; "
                "without it, what batches hold would be paid for twice",
                caller_only=True,
            ) from None

    @contextmanager
    def _changes(self) -> Iterator[None]:
        """One transaction, committed at the end of the block."""
        with self._usable(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def intend(self, tag: str, endpoint: str, file: str, rows: Iterable[tuple[str, Place]]) -> None:
        """Write down a batch that is about to be made: the name and place of each row in it.

        It stands on the disk when this returns, a power cut included.
        """
        with self._usable():
            self._db.execute("PRAGMA synchronous=FULL")
        with self._changes():
            self._db.execute(
                "INSERT INTO batches (tag, endpoint, file, made) VALUES (?, ?, ?, ?)",
                (tag, endpoint, file, time.time()),
            )
            self._db.executemany(
                "INSERT INTO rows (name, tag, line, row, size) VALUES (?, ?, ?, ?, ?)",
                ((name, *place) for name, place in rows),
            )
        with self._usable():
            self._db.execute("PRAGMA synchronous=NORMAL")

    def created(self, tag: str, batch: str) -> None:
        """The server made the batch and gave it an id."""
        with self._changes():
            self._db.execute("UPDATE batches SET id = ? WHERE tag = ?", (batch, tag))

    def intents(self, endpoint: str) -> dict[str, Intent]:
        """By tag, the batches that were to be made and whose id was not told.

        Those that the server has not listed for a day are closed.
        """
        with self._changes():
            rows = self._db.execute(
                "SELECT tag, file, made FROM batches"
                " WHERE endpoint = ? AND id IS NULL AND state = 'open'",
                (endpoint,),
            )
            found = {tag: Intent(file, made) for tag, file, made in rows}
            old = [tag for tag, it in found.items() if it.made < time.time() - INTENT_LIVES]
            self._close(old)
        return {tag: intent for tag, intent in found.items() if tag not in old}

    def open_batches(self, endpoint: str) -> dict[str, str]:
        """Tag and id of each batch at the server that is not closed."""
        with self._usable():
            found = self._db.execute(
                "SELECT tag, id FROM batches"
                " WHERE endpoint = ? AND id IS NOT NULL AND state = 'open'",
                (endpoint,),
            )
            return dict(found)

    def places(self, endpoint: str, names: Sequence[str]) -> dict[str, list[Place]]:
        """Where rows of these names lie in open batches at the server, oldest batch first."""
        marks = ",".join("?" * len(names))
        places: dict[str, list[Place]] = {}
        with self._usable():
            for name, *place in self._db.execute(
                "SELECT name, tag, line, row, size FROM rows JOIN batches USING (tag)"
                f" WHERE name IN ({marks}) AND endpoint = ? AND id IS NOT NULL AND state = 'open'"
                " ORDER BY made, tag, line, row",
                (*names, endpoint),
            ):
                places.setdefault(name, []).append(Place(*place))
        return places

    def report(self, tag: str, line: str) -> bool:
        """Was the line's usage never reported? From now on it was."""
        with self._changes():
            done = self._db.execute(
                "UPDATE rows SET reported = 1 WHERE tag = ? AND line = ? AND reported = 0",
                (tag, line),
            )
        return done.rowcount > 0

    def keep(self, tag: str, lines: Collection[str]) -> None:
        """The batch has ended with an answer to these lines; its others are to be sent anew."""
        with self._changes():
            every = self._db.execute("SELECT DISTINCT line FROM rows WHERE tag = ?", (tag,))
            lost = [(tag, line) for (line,) in every.fetchall() if line not in lines]
            self._db.executemany("DELETE FROM rows WHERE tag = ? AND line = ?", lost)
            self._close_empty([tag])

    def close_batches(self, tags: Iterable[str]) -> None:
        """All that these batches hold has been taken, or will never come."""
        with self._changes():
            self._close(tags)

    def take(self, places: Collection[Place]) -> None:
        """These rows have been taken; a batch with no other is closed."""
        with self._changes():
            self._db.executemany(
                "DELETE FROM rows WHERE tag = ? AND line = ? AND row = ?",
                (place[:3] for place in places),
            )
            self._close_empty({place.tag for place in places})

    def _close_empty(self, tags: Iterable[str]) -> None:
        left = "SELECT 1 FROM rows WHERE tag = ? LIMIT 1"
        self._close([tag for tag in tags if self._db.execute(left, (tag,)).fetchone() is None])

    def _close(self, tags: Iterable[str]) -> None:
        for tag in tags:
            self._db.execute("DELETE FROM rows WHERE tag = ?", (tag,))
            self._db.execute("UPDATE batches SET state = 'closed' WHERE tag = ?", (tag,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
