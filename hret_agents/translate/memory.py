"""What was paid for is kept: one SQLite file per user, keyed by the content of a unit.

The key holds all that a translation depends on, so an edited row, another model or another prompt
asks anew and everything else never does. A reply is committed before it is counted; a kill loses at
most what was under way (a power cut may take the last commits with it, and never harms the rest).
Several processes may share the file.

Entries are only ever added: a later one of the same key counts, the earlier one stays for runs that
took their snapshot before it (`last`, `pairs`). What people brought in stands in tables of its own:
`locked` wins over everything, `suggested` is shown to the model and never used by itself.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hret_agents.translate.memory_tables import COUNTS, ESTIMATED, MIGRATIONS, VERSION, bring
from hret_agents.translate.units import Unit
from llm_eval.errors import UserError
from llm_eval.records import Usage
from llm_eval.wal import shared, too_new, version_of

NONE_LOCKED = "0" * 32
_CHUNK = 500  # values in one query
_MOST_STALE = 20_000  # entries whose day of use is noted before it is written

CURRENT = (
    "NOT EXISTS (SELECT 1 FROM units AS newer"
    " WHERE newer.key = units.key AND newer.seq > units.seq AND newer.seq <= ?)"
)

_VOICE = "substr(prompt, instr(prompt || '|', '|') + 1)"  # what follows the prompt's version


@dataclass(frozen=True, slots=True)
class Entry:
    """What the memory knows of a key.

    `insisted`: the model was told that a text came back unchanged, and left it so.
    """

    texts: tuple[str, ...]
    insisted: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A translation to commit: `texts` are those of `unit`, in order."""

    key: str
    unit: Unit
    texts: Sequence[str]
    insisted: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request's record: `units` it asked for; `estimated` is what a dry run says of it."""

    model: str
    units: int
    usage: Usage
    seconds: float
    estimated: Usage = Usage()
    cost_usd: float | None = None


class Memory:
    """The translation memory in one file. One thread at a time may use an object of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stale: set[int] = set()
        try:
            self._db = shared(path)
        except (sqlite3.DatabaseError, OSError) as e:
            raise self._unusable(e) from None
        try:
            self._set_up()
        except BaseException as e:
            self._db.close()
            if isinstance(e, sqlite3.DatabaseError):
                raise self._unusable(e) from None
            raise

    def _set_up(self) -> None:
        """Bring the tables up to date."""
        self._db.execute("PRAGMA cache_size=-32768")  # KiB: keys lie anywhere in their index
        while (found := version_of(self._db)) < VERSION:
            with self.writing() as db:
                if version_of(db) == found:  # else another process was faster
                    MIGRATIONS[found](db)
                    db.execute(f"PRAGMA user_version={found + 1}")
        if found > VERSION:
            raise too_new(self.path)

    def _unusable(self, error: Exception) -> UserError:
        said = str(error)
        hint = "move the file away, or set HRET_HOME to another folder"
        if "locked" in said:
            hint = "another process is writing to it: run this again when it has finished"
        elif "full" in said:
            hint = "make room on the disk; what was kept until now is kept"
        elif "malformed" in said:
            hint = f"`sqlite3 {self.path} .recover` may save what was paid for; after that, {hint}"
        return UserError(
            f"the translation memory {self.path} cannot be used: {said}",
            hint=hint,
            caller_only=True,
        )

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is done in it is kept, or none of it."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise
        except sqlite3.DatabaseError as e:
            raise self._unusable(e) from None

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of one query, as they are read."""
        try:
            with closing(self._db.execute(query, values)) as cursor:
                yield from cursor
        except sqlite3.DatabaseError as e:
            raise self._unusable(e) from None

    def records(self, query: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The rows of one query, by the names of its columns."""
        try:
            with closing(self._db.execute(query, values)) as cursor:
                names = [column[0] for column in cursor.description]
                yield from (dict(zip(names, row, strict=True)) for row in cursor)
        except sqlite3.DatabaseError as e:
            raise self._unusable(e) from None

    def get(self, keys: Sequence[str]) -> dict[str, Entry]:
        """What is known of `keys`; the others are left out."""
        found: dict[str, Entry] = {}
        for part, marks in _chunks(keys):
            query = (
                "SELECT key, target, insisted, max(seq), coalesce(day, date(made))"  # the newest's
                f" FROM units LEFT JOIN uses USING (seq) WHERE key IN ({marks}) GROUP BY key"
            )
            for key, target, insisted, seq, day in self.rows(query, part):
                found[key] = Entry(self.texts(target), bool(insisted))
                self._note_use(seq, day)
        self._flush_if_many()
        return found

    def texts(self, stored: str) -> tuple[str, ...]:
        """The texts of a unit, as its row holds them."""
        try:
            return tuple(json.loads(stored))
        except ValueError as e:
            raise self._unusable(e) from None

    def put(
        self,
        entries: Iterable[Kept],
        policy: Mapping[str, str],
        request: Request | None = None,
    ) -> None:
        """Commit translations made under `policy`, and the record of the request, at once."""
        columns = ("model", "prompt", "source_lang", "target_lang")
        under = [policy[name] for name in columns]
        if voice := voice_of(policy):
            under[1] += f"|{voice}"
        rows = [
            (kept.key, _json(kept.unit.texts), _json(kept.texts), int(kept.insisted), *under)
            for kept in entries
        ]
        with self.writing() as db:
            db.executemany(
                f"INSERT INTO units (key, source, target, insisted, {', '.join(columns)})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            if request is not None:
                _record(db, request)
            self._write_uses(db)

    def divided(self, keys: Sequence[str]) -> dict[str, int]:
        """Which of `keys` were too long for the model: into pieces of how many characters."""
        found: dict[str, int] = {}
        for part, marks in _chunks(keys):
            query = f"SELECT key, chars FROM divided WHERE key IN ({marks})"
            found.update(self.rows(query, part))
        return found

    def put_divided(self, key: str, chars: int) -> None:
        """Note that a unit is too long for the model, and goes in pieces of `chars` characters."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO divided VALUES (?, ?)", (key, chars))

    def locked(self, texts: Collection[str], source_lang: str, target_lang: str) -> dict[str, str]:
        """People's translations of `texts` of a language; they win over everything.

        Those of no known language are of any.
        """
        found: dict[str, str] = {}
        for source, target, seq, day in self._locked(texts, source_lang, target_lang, self.last()):
            found[source] = target
            self._note_use(seq, day)
        self._flush_if_many()
        return found

    def _locked(
        self, texts: Collection[str], source_lang: str, target_lang: str, upto: int
    ) -> Iterator[tuple[Any, ...]]:
        """(source, target, seq, day of use); of a source the entry of the nearest language last."""
        langs = [source_lang, source_lang.partition("-")[0]]
        for part, marks in _chunks(list(texts)):
            query = (
                "SELECT source, target, seq, coalesce(day, date(made))"
                " FROM locked LEFT JOIN uses USING (seq)"
                f" WHERE source_lang IN (?, ?, '') AND target_lang = ? AND seq <= ?"
                f" AND source IN ({marks}) ORDER BY length(source_lang)"
            )
            yield from self.rows(query, [*langs, target_lang, upto, *part])

    def lock(self, pairs: Iterable[tuple[str, str]], source_lang: str, target_lang: str) -> int:
        """Lock people's translations, (source, target) each; how many were new or changed."""
        rows = [(source, target, source_lang, target_lang) for source, target in pairs]
        with self.writing() as db:
            return sum(bring(db, "locked", rows))

    def locked_version(self, target_lang: str) -> str:
        """Changes whenever a locked entry of the language does; equal entries, equal version."""
        query = "SELECT version FROM locked_versions WHERE target_lang = ?"
        return next((str(v) for (v,) in self.rows(query, [target_lang])), NONE_LOCKED)

    def last(self) -> int:
        """The newest entry's sequence number: a snapshot's bound. It never goes back."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'units'"
        return next((int(seq) for (seq,) in self.rows(query)), 0)

    def pairs(
        self,
        source_lang: str,
        target_lang: str,
        upto: int,
        *,
        newest: int | None = None,
        voice: str = "",
    ) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Units as they were when `last()` was `upto`: (sources, targets), oldest first.

        What people brought in comes too, each pair as a unit of one text; a text that a person
        has translated comes with that translation wherever it stands. `newest`: of the entries up
        to the bound, no more than the last so many. `voice`: only units made in it (`voice_of`).
        """
        of = "source_lang = ? AND target_lang = ? AND seq > ? AND seq <= ?"
        query = (
            f"SELECT seq, source, target, 1 FROM units WHERE {of} AND {CURRENT} AND {_VOICE} = ?"
            f" UNION ALL SELECT seq, source, target, 0 FROM locked WHERE {of}"
            f" UNION ALL SELECT seq, source, target, 0 FROM suggested WHERE {of} ORDER BY 1"
        )
        bound = [source_lang, target_lang, 0 if newest is None else upto - newest, upto]
        found = self.rows(query, [*bound, upto, voice, *bound, *bound])
        any_locked = self.locked_version(target_lang) != NONE_LOCKED
        while part := list(islice(found, _CHUNK)):
            units = [
                (self.texts(s), self.texts(t)) if listed else ((s,), (t,))
                for _, s, t, listed in part
            ]
            texts = {text for sources, _ in units for text in sources} if any_locked else ()
            human = {row[0]: row[1] for row in self._locked(texts, source_lang, target_lang, upto)}
            for sources, targets in units:
                texts_of = zip(sources, targets, strict=True)
                yield sources, tuple(human.get(s, t) for s, t in texts_of)

    def _note_use(self, seq: int, day: str) -> None:
        if day < _today():
            self._stale.add(seq)

    def _flush_if_many(self) -> None:
        if len(self._stale) >= _MOST_STALE:
            with self.writing() as db:
                self._write_uses(db)

    def _write_uses(self, db: sqlite3.Connection) -> None:
        """Set the day of use of what was found since the last time."""
        rows = [(seq, _today()) for seq in self._stale]
        db.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", rows)
        self._stale.clear()

    def close(self) -> None:
        """Close the file."""
        try:
            if self._stale:
                with self.writing() as db:
                    self._write_uses(db)
        except UserError:
            pass  # only days of use are lost, and the file's fault was told where it mattered
        finally:
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


def _record(db: sqlite3.Connection, request: Request) -> None:
    spent, estimated = request.usage.to_dict(), request.estimated.to_dict()
    columns = ("model", "units", "seconds", "cost_usd", *COUNTS, *ESTIMATED)
    db.execute(
        f"INSERT INTO requests ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        (
            *(request.model, request.units, request.seconds, request.cost_usd),
            *(spent[name] for name in COUNTS),
            *(estimated[name] for name in COUNTS),
        ),
    )


def _chunks(values: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Parts of `values` that fit into one query, with a mark for each."""
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        yield part, ",".join("?" * len(part))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def voice_of(policy: Mapping[str, str]) -> str:
    """The register and style that a policy asks for, as one text; "" for neither.

    >>> voice_of({"model": "m", "register": "formal"}), voice_of({"model": "m"})
    ('formal|', '')
    """
    register, style = policy.get("register", ""), policy.get("style", "")
    return f"{register}|{style}" if register or style else ""


def unit_key(unit: Unit, policy: Mapping[str, str], terms: Sequence[tuple[str, str]] = ()) -> str:
    """The key of a unit under a policy (languages, prompt version, model, parameters).

    `terms` are the glossary's terms that occur in the unit: another translation of one asks anew.
    """
    content: dict[str, object] = {
        "texts": unit.texts,
        "fields": unit.fields,
        "policy": dict(sorted(policy.items())),
    }
    if terms:
        content["terms"] = sorted(terms)
    return hashlib.sha256(_json(content).encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
