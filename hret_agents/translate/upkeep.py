"""Looking after the memory's file: what is in it, and letting go of what is not used any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hret_agents.translate.memory import Memory
from hret_agents.translate.memory_tables import COUNTS, ESTIMATED, unlock
from llm_eval.errors import UserError

_DAY = "coalesce(day, date(made))"


def stats(memory: Memory) -> dict[str, Any]:
    """What the file holds, JSON-ready: units by languages and model, what people brought in,
    requests by model.

    `cost_usd` sums the requests whose price was known; `unpriced` counts the others.
    """
    pair = "source_lang, target_lang"
    by_pair = f"SELECT {pair}, count(*) AS entries FROM {{}} GROUP BY {pair} ORDER BY {pair}"
    sums = ", ".join(f"sum({name}) AS {name}" for name in ("units", *COUNTS, *ESTIMATED, "seconds"))
    return {
        "path": str(memory.path),
        "bytes": size(memory.path),
        "units": _table(
            memory,
            f"SELECT {pair}, model, count(DISTINCT key) AS entries, min(made) AS oldest,"
            f" max(made) AS newest FROM units GROUP BY {pair}, model ORDER BY {pair}, model",
        ),
        "locked": _table(memory, by_pair.format("locked")),
        "suggested": _table(memory, by_pair.format("suggested")),
        "requests": _table(
            memory,
            f"SELECT model, {sums}, sum(cost_usd) AS cost_usd,"
            " sum(cost_usd IS NULL) AS unpriced FROM requests GROUP BY model ORDER BY model",
        ),
    }


def _table(memory: Memory, query: str) -> list[dict[str, Any]]:
    return list(memory.records(query))


def size(path: Path) -> int:
    """Bytes that the memory takes on the disk, what is not yet written back included."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(f.stat().st_size for f in files if f.exists())


@dataclass(frozen=True, slots=True)
class Removed:
    """What was, or would be, removed. `freed`: bytes; of a dry run, those of the texts.

    `kept_space` says why the space did not come back, where it did not.
    """

    units: int
    locked: int
    suggested: int
    freed: int
    kept_space: str = ""


def collect(
    memory: Memory,
    *,
    older_than: int | None = None,
    model: str | None = None,
    locked: bool = False,
    locked_only: bool = False,
    dry_run: bool = False,
) -> Removed:
    """Remove entries last used more than `older_than` days ago (0: all), of `model`, or both.

    What people brought in goes only with `locked` and by its age (it has no model): locked entries
    by their last use, suggestions by the day they were brought in. With `locked_only` nothing that
    was paid for goes.

    Raises:
        UserError: neither age nor model is named, or a model with `locked_only`.
    """
    if older_than is None and model is None:
        raise UserError(
            "nothing says what to remove", hint="--older-than DAYS, --model NAME, or both"
        )
    if locked_only and model is not None:
        raise UserError(
            "what people brought in is no model's", hint="leave out --model or --locked-only"
        )
    conditions, values = ["1"], []
    if older_than:
        conditions.append(f"{_DAY} < date('now', ?)")
        values.append(f"-{older_than} days")
    aged = " AND ".join(conditions)
    chosen = {"units": (aged, list(values)), "locked": (aged, values), "suggested": (aged, values)}
    if model is not None:
        chosen["units"] = (f"{aged} AND model = ?", [*values, model])
    if not (locked or locked_only) or model is not None:
        del chosen["locked"], chosen["suggested"]
    if locked_only:
        del chosen["units"]
    if dry_run:
        return _counted(memory, chosen)
    before = size(memory.path)
    counts = _deleted(memory, chosen)
    said = _shrunk(memory) if sum(counts.values()) else ""
    freed = max(0, before - size(memory.path))
    return Removed(counts["units"], counts["locked"], counts["suggested"], freed, said)


_TABLES = ("units", "locked", "suggested")
_Chosen = dict[str, tuple[str, list[str]]]


def _counted(memory: Memory, chosen: _Chosen) -> Removed:
    counts, freed = dict.fromkeys(_TABLES, 0), 0
    for table, (condition, values) in chosen.items():
        query = (
            "SELECT count(*), coalesce(sum(length(CAST(source AS BLOB))"
            f" + length(CAST(target AS BLOB))), 0) FROM {table} LEFT JOIN uses USING (seq)"
            f" WHERE {condition}"
        )
        for count, texts in memory.rows(query, values):
            counts[table], freed = count, freed + texts
    return Removed(counts["units"], counts["locked"], counts["suggested"], freed)


def _deleted(memory: Memory, chosen: _Chosen) -> dict[str, int]:
    counts = dict.fromkeys(_TABLES, 0)
    with memory.writing() as db:
        for table, (condition, values) in chosen.items():
            source = f"FROM {table} LEFT JOIN uses USING (seq) WHERE {condition}"
            if table == "locked":
                rows = db.execute(f"SELECT seq, source, target, target_lang {source}", values)
                found = rows.fetchall()
                unlock(db, found)
                counts[table] = len(found)
            else:
                query = f"DELETE FROM {table} WHERE seq IN (SELECT seq {source})"
                counts[table] = db.execute(query, values).rowcount
        db.execute(
            "DELETE FROM uses WHERE seq NOT IN"
            " (SELECT seq FROM units UNION ALL SELECT seq FROM locked)"
        )
    return counts


def _shrunk(memory: Memory) -> str:
    """Give the space back to the disk; why not, where that cannot be done now."""
    try:
        list(memory.rows("VACUUM"))
        list(memory.rows("PRAGMA wal_checkpoint(TRUNCATE)"))
    except UserError as e:  # the entries are gone all the same
        return e.message
    return ""
