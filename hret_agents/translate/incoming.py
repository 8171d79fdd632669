"""What an import has read so far: kept aside on the disk, and then brought in at one go.

So a bad line at the end brings in nothing, a large file needs little memory, and other processes
wait for the memory only while it is written.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from types import TracebackType
from typing import Any, Self

from hret_agents.translate.memory import Memory
from hret_agents.translate.memory_tables import bring, core_pair
from hret_agents.translate.tmx import LONGEST
from llm_eval.errors import UserError

_NAMED = 20  # conflicts that are named
_HALF = re.compile("[\ud800-\udfff]")
_MADE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_COLUMNS = (
    *("key", "source", "target", "model", "prompt"),
    *("source_lang", "target_lang", "insisted", "made"),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought, and what it left out.

    `there`: known already, and as they were; `changed`: sources whose translation is another one
    now; `conflicts`: how many translations in the files a later one replaced, the first ones named
    in `named`; `without_pair`: TMX units without a text in either language; `known`: pairs that are
    a model's as the memory holds them, no edits, and so not locked; `by_model`: other pairs of TMX
    files that say that a model made them.
    """

    units: int = 0
    units_there: int = 0
    locked: int = 0
    suggested: int = 0
    changed: int = 0
    there: int = 0
    divided: int = 0
    empty: int = 0
    duplicates: int = 0
    conflicts: int = 0
    without_pair: int = 0
    known: int = 0
    by_model: int = 0
    named: tuple[str, ...] = ()


@dataclass(slots=True)
class Incoming:
    """The lines of an import. `table` takes the pairs that are of no kind: locked or suggested."""

    table: str
    source_lang: str
    target_lang: str
    without_pair: int = 0
    _empty: int = 0
    _duplicates: int = 0
    _conflicts: int = 0
    _named: list[str] = field(default_factory=list)
    _db: sqlite3.Connection = field(
        default_factory=lambda: sqlite3.connect("", isolation_level=None)  # "": a file of its own
    )

    @property
    def languages(self) -> dict[str, str]:
        """The languages of a line that names none."""
        return {"source_lang": self.source_lang, "target_lang": self.target_lang}

    def __enter__(self) -> Self:
        for statement in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA cache_size=-65536",
            "CREATE TABLE read (kind, source, target, source_lang, target_lang, place, by_model,"
            " mark)",
            "CREATE TABLE pairs (kind, source, target, source_lang, target_lang,"
            " UNIQUE (kind, target_lang, source, source_lang))",
            f"CREATE TABLE units ({', '.join(_COLUMNS)}, UNIQUE (key))",
            "CREATE TABLE divided (key UNIQUE, chars)",
            "BEGIN",
        ):
            self._db.execute(statement)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._db.close()

    def pair(
        self,
        where: str,
        source: str,
        target: str,
        source_lang: str,
        target_lang: str,
        *,
        table: str | None = None,
        by_model: bool = False,
    ) -> None:
        """A source and its translation; of two translations of a source the later one counts.

        `by_model`: its file says that a model made it. A pair of no `table` that would be locked
        and is a model's, as the memory holds it, does not count.
        """
        if not source.strip() or not target.strip():
            self._empty += 1
            return
        source, target = core_pair(source, target)
        mark = hash(source) if table is None and self.table == "locked" else None
        pair = (source, target, source_lang, target_lang)
        row = (table or self.table, *pair, where, by_model, mark)
        with _disk():
            self._db.execute("INSERT INTO read VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def unit(self, where: str, row: tuple[Any, ...]) -> None:
        """A paid unit, as `unit_of_line` reads it."""
        key, source, target = row[:3]
        with _disk():
            old = self._db.execute("SELECT target FROM units WHERE key = ?", (key,)).fetchone()
            if self._is_new(where, source, target, old and old[0]):
                marks = ", ".join("?" * len(row))
                self._db.execute(f"REPLACE INTO units VALUES ({marks})", row)

    def divided(self, key: str, chars: int) -> None:
        """A unit that is too long for the model."""
        with _disk():
            self._db.execute("REPLACE INTO divided VALUES (?, ?)", (key, chars))

    def _is_new(self, where: str, source: str, target: str, old: str | None) -> bool:
        if old == target:
            self._duplicates += 1
            return False
        if old is not None:
            self._conflicts += 1
            if len(self._named) < _NAMED:
                self._named.append(
                    f"{where}: {_short(source)} → {_short(target)}, not {_short(old)}"
                )
        return True

    def commit(self, memory: Memory) -> Imported:
        """Bring everything into the memory, in one transaction. Its own units stay as they are."""
        with _disk():
            known = self._drop_known(memory)
            self._settle()
        pairs = "SELECT source, target, source_lang, target_lang FROM pairs WHERE kind = ?"
        brought: dict[str, tuple[int, int]] = {}
        with memory.writing() as db:
            units = self._bring_units(db)
            for table in ("locked", "suggested"):
                brought[table] = bring(
                    db, table, self._db.execute(f"{pairs} ORDER BY rowid", [table])
                )
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO divided VALUES (?, ?)",
                self._db.execute("SELECT key, chars FROM divided"),
            )
            divided = db.total_changes - before
        changed = sum(c for _, c in brought.values())
        new = sum(n for n, _ in brought.values())
        return Imported(
            units=units,
            units_there=self._count("units") - units,
            locked=brought["locked"][0],
            suggested=brought["suggested"][0],
            changed=changed,
            there=self._count("pairs") - new - changed,
            divided=divided,
            empty=self._empty,
            duplicates=self._duplicates,
            conflicts=self._conflicts,
            without_pair=self.without_pair,
            known=known,
            by_model=int(self._db.execute("SELECT total(by_model) FROM read").fetchone()[0]),
            named=tuple(self._named),
        )

    def _drop_known(self, memory: Memory) -> int:
        """How many pairs were a model's, word for word: they are no edits, and left out."""
        query = "SELECT DISTINCT source_lang, target_lang FROM read WHERE mark IS NOT NULL"
        langs = self._db.execute(query).fetchall()
        self._db.execute("CREATE INDEX marks ON read (mark)")
        same = "source = ? AND target = ? AND source_lang = ? AND target_lang = ?"
        units = "SELECT source, target FROM units WHERE source_lang = ? AND target_lang = ?"
        known = 0
        for pair in langs:
            marks = "SELECT mark FROM read WHERE source_lang = ? AND target_lang = ?"
            wanted = {mark for (mark,) in self._db.execute(marks, pair)}
            found = chain(memory.rows(units, pair), self._db.execute(units, pair))
            marked = _marked(memory, found, wanted, pair)
            dropped = self._db.executemany(f"DELETE FROM read WHERE mark = ? AND {same}", marked)
            known += dropped.rowcount
        return known

    def _settle(self) -> None:
        """Choose among the pairs that were read: of two of one source the later one."""
        columns = "kind, source, target, source_lang, target_lang"
        same = "kind = ? AND source = ? AND source_lang = ? AND target_lang = ?"
        query = f"SELECT target FROM pairs WHERE {same}"
        for *row, where in self._db.execute(f"SELECT {columns}, place FROM read ORDER BY rowid"):
            kind, source, target, *langs = row
            old = self._db.execute(query, (kind, source, *langs)).fetchone()
            if self._is_new(where, source, target, old and old[0]):
                self._db.execute("REPLACE INTO pairs VALUES (?, ?, ?, ?, ?)", row)

    def _bring_units(self, db: sqlite3.Connection) -> int:
        """How many units the memory did not know."""
        new = 0
        for row in self._db.execute("SELECT * FROM units ORDER BY rowid"):
            if db.execute("SELECT 1 FROM units WHERE key = ?", row[:1]).fetchone():
                continue
            marks = ", ".join("?" * len(row))
            done = db.execute(f"INSERT INTO units ({', '.join(_COLUMNS)}) VALUES ({marks})", row)
            db.execute("INSERT OR REPLACE INTO uses VALUES (?, CURRENT_DATE)", (done.lastrowid,))
            new += 1
        return new

    def _count(self, table: str) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as e:
        raise UserError(f"what is imported cannot be kept aside: {e}", hint="make room") from None


def _marked(
    memory: Memory, units: Iterable[tuple[str, str]], wanted: set[int], langs: tuple[str, str]
) -> Iterator[tuple[int | str, ...]]:
    """The pairs of texts of the `wanted` units, as `pair` reads and marks them: (mark, *pair)."""
    for stored_source, stored_target in units:
        sources = memory.texts(stored_source)
        marks = [hash(source.strip()) for source in sources]
        if not wanted.isdisjoint(marks):
            targets = memory.texts(stored_target)
            for mark, source, target in zip(marks, sources, targets, strict=True):
                yield mark, *core_pair(source, target), *langs


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def text_of(found: dict[str, Any], name: str) -> str:
    """A text of a line.

    Raises:
        ValueError: it is missing, no text, too long, or holds half a character.
    """
    return _text(found.get(name), name)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is missing or no text")
    if len(value) > LONGEST:
        raise ValueError(f"{name} is longer than {LONGEST:,} characters")
    if _HALF.search(value):
        raise ValueError(f"{name} holds half a character")
    return value


def unit_of_line(found: dict[str, Any]) -> tuple[Any, ...]:
    """A paid unit as the memory keeps it.

    Raises:
        ValueError: a part is missing or not as it should be.
    """
    lists = {}
    for name in ("source", "target"):
        if not isinstance(found.get(name), list) or not found[name]:
            raise ValueError(f"{name} is no list of texts")
        lists[name] = [_text(text, name) for text in found[name]]
    if len(lists["source"]) != len(lists["target"]):
        raise ValueError("source and target are of different length")
    texts = {
        name: text_of(found, name)
        for name in ("key", "model", "prompt", "source_lang", "target_lang", "made")
    }
    if not texts["key"]:
        raise ValueError("key is empty")
    if not _MADE.fullmatch(texts["made"]):
        raise ValueError("made is no time like 2025-01-31 23:59:59")
    if not isinstance(found.get("insisted"), bool):
        raise ValueError("insisted is neither true nor false")
    stored = {
        name: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in lists.items()
    }
    row = texts | stored | {"insisted": int(found["insisted"])}
    return tuple(row[name] for name in _COLUMNS)
