"""The tables of the memory's file: how they came to be, and the rows that people bring in.

One sequence numbers units, locked entries and suggestions alike, so that a snapshot is one number.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping

COUNTS = ("requests", "prompt_tokens", "completion_tokens")
ESTIMATED = tuple(f"estimated_{name}" for name in COUNTS)


def _units(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE units (key TEXT PRIMARY KEY, source TEXT NOT NULL, target TEXT NOT NULL,"
        " model TEXT NOT NULL, insisted INTEGER NOT NULL DEFAULT 0,"
        " made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID"
    )


def _languages_locks_requests(db: sqlite3.Connection) -> None:
    """Units in order, with prompt and languages; what people bring in; requests; days of use.

    The languages of older units are not known. They count as used today: nobody noted when.
    """
    languages = "source_lang TEXT NOT NULL DEFAULT '', target_lang TEXT NOT NULL DEFAULT ''"
    made = "made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP"
    texts = "source TEXT NOT NULL, target TEXT NOT NULL"
    counts = ", ".join(f"{name} INTEGER NOT NULL" for name in ("units", *COUNTS, *ESTIMATED))
    for statement in (
        "ALTER TABLE units RENAME TO units_1",
        f"CREATE TABLE units (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, {texts},"
        f" model TEXT NOT NULL, prompt TEXT NOT NULL DEFAULT '', {languages},"
        f" insisted INTEGER NOT NULL DEFAULT 0, {made})",
        "INSERT INTO units (key, source, target, model, insisted, made)"
        " SELECT key, source, target, model, insisted, made FROM units_1 ORDER BY made, key",
        "DROP TABLE units_1",
        "CREATE INDEX units_key ON units (key)",
        "CREATE TABLE uses (seq INTEGER PRIMARY KEY, day TEXT NOT NULL)",  # narrow: written often
        "INSERT INTO uses SELECT seq, CURRENT_DATE FROM units",
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'units', 0"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'units')",
        *(
            f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY, {texts}, {languages}, {made},"
            " UNIQUE (target_lang, source))"
            for table in ("locked", "suggested")
        ),
        "CREATE TABLE locked_versions (target_lang TEXT PRIMARY KEY, version TEXT NOT NULL)",
        "CREATE TABLE divided (key TEXT PRIMARY KEY, chars INTEGER NOT NULL) WITHOUT ROWID",
        f"CREATE TABLE requests (id INTEGER PRIMARY KEY, model TEXT NOT NULL, {counts},"
        f" seconds REAL NOT NULL, cost_usd REAL, {made})",
    ):
        db.execute(statement)


def _locks_by_source_language(db: sqlite3.Connection) -> None:
    """What people bring in is told apart by the source's language too: `Gift` is no `gift`."""
    columns = "seq, source, target, source_lang, target_lang, made"
    texts = "source TEXT NOT NULL, target TEXT NOT NULL"
    languages = "source_lang TEXT NOT NULL DEFAULT '', target_lang TEXT NOT NULL DEFAULT ''"
    made = "made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP"
    for table in ("locked", "suggested"):
        for statement in (
            f"ALTER TABLE {table} RENAME TO {table}_2",
            f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY, {texts}, {languages}, {made},"
            " UNIQUE (target_lang, source, source_lang))",
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_2",
            f"DROP TABLE {table}_2",
        ):
            db.execute(statement)


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [
    _units, _languages_locks_requests, _locks_by_source_language
]  # fmt: skip
VERSION = len(MIGRATIONS)


def core_pair(source: str, target: str) -> tuple[str, str]:
    """Both without the outer spaces, if the source has any: a cell is looked up without them.

    >>> core_pair(" one", " 하나"), core_pair("one", " 하나")
    (('one', '하나'), ('one', ' 하나'))
    """
    core = source.strip()
    return (core, target) if core == source else (core, target.strip())


def bring(
    db: sqlite3.Connection, table: str, rows: Iterable[tuple[str, str, str, str]]
) -> tuple[int, int]:
    """Write (source, target, source_lang, target_lang) into `locked` or `suggested`.

    Returns (how many sources were new, how many have another target now).
    """
    (seq,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'units'").fetchone()
    new = changed = 0
    deltas: dict[str, int] = {}
    for source, target, source_lang, target_lang in rows:
        source, target = core_pair(source, target)
        query = (
            f"SELECT target FROM {table} WHERE target_lang = ? AND source = ? AND source_lang = ?"
        )
        old = db.execute(query, (target_lang, source, source_lang)).fetchone()
        if old is not None and old[0] == target:
            continue
        seq, new, changed = seq + 1, new + (old is None), changed + (old is not None)
        db.execute(
            f"INSERT OR REPLACE INTO {table} (seq, source, target, source_lang, target_lang)"
            " VALUES (?, ?, ?, ?, ?)",
            (seq, source, target, source_lang, target_lang),
        )
        delta = _digest(source, target) - (_digest(source, old[0]) if old else 0)
        deltas[target_lang] = deltas.get(target_lang, 0) + delta
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'units'", (seq,))
    if table == "locked":
        _reversion(db, deltas)
    return new, changed


def unlock(db: sqlite3.Connection, rows: Iterable[tuple[int, str, str, str]]) -> None:
    """Delete locked entries: (seq, source, target, target_lang) each."""
    deltas: dict[str, int] = {}
    for seq, source, target, target_lang in rows:
        db.execute("DELETE FROM locked WHERE seq = ?", (seq,))
        deltas[target_lang] = deltas.get(target_lang, 0) - _digest(source, target)
    _reversion(db, deltas)


def _reversion(db: sqlite3.Connection, deltas: Mapping[str, int]) -> None:
    """A language's version is the sum of its entries' hashes: cheap to keep, and of no order."""
    for lang, delta in deltas.items():
        query = "SELECT version FROM locked_versions WHERE target_lang = ?"
        old = db.execute(query, (lang,)).fetchone()
        version = (int(old[0] if old else "0", 16) + delta) % (1 << 128)
        values = (lang, f"{version:032x}")
        db.execute("INSERT OR REPLACE INTO locked_versions VALUES (?, ?)", values)


def _digest(source: str, target: str) -> int:
    content = json.dumps([source, target]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:16], "big")
