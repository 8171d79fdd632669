"""The last check, on what was written: the port's parquet against the source, row by row.

It knows nothing of how the rows were made: it reads both sides anew. A difference here is a bug of
ours or a disk's, so it ends the port instead of failing a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from hret_agents.checks.row import row_fault
from hret_agents.plan.records import EACH, Plan, Role, keys_of
from hret_agents.translate.write import tables
from llm_eval.errors import HretError

Row = Mapping[str, Any]
Types = Mapping[str, Any]
"""A type by column: anything that can be compared and shown."""


class AuditError(HretError):
    """What was written is not what it must be."""


def audit(data: Any, files: Sequence[Path], failed: set[int], plan: Plan, where: str) -> None:
    """Compare a split's `files` with its source `data`, whose rows `failed` are left out.

    Raises:
        AuditError: naming the check and the row.
    """
    expected = _types(data.features.arrow_schema)
    for file in files:
        if said := features_fault(expected, _types(_schema(file)), plan):
            raise AuditError(f"{where}: {said}")
    source = (row for table in tables(data) for row in table.to_pylist())
    if said := rows_fault(source, _rows(files), failed, plan):
        raise AuditError(f"{where}: {said}")


def split_fault(
    source_rows: Iterable[Row],
    target_rows: Iterable[Row],
    failed: Collection[int],
    plan: Plan,
    source_schema: Types,
    target_schema: Types,
) -> str:
    """What is wrong with a split, as `check: message`; empty when nothing is.

    Args:
        target_rows: the rows of the port, columns named as in the port.
        failed: the places of source rows that are left out.
        source_schema: the source's column types, by its own names; `target_schema` by the port's.
    """
    return features_fault(source_schema, target_schema, plan) or rows_fault(
        source_rows, target_rows, failed, plan
    )


def features_fault(source: Types, target: Types, plan: Plan) -> str:
    """A column that is missing, added or of another type; the order of columns does not matter."""
    expected = {plan.names.get(name, name): kind for name, kind in source.items()}
    said = [f"{name!r} is missing" for name in expected if name not in target]
    said += [f"{name!r} was added" for name in target if name not in expected]
    said += [
        f"{name!r} is {target[name]}, not {kind}"
        for name, kind in expected.items()
        if name in target and target[name] != kind
    ]
    return f"features_equal: {'; '.join(said)}" if said else ""


def rows_fault(
    source_rows: Iterable[Row], target_rows: Iterable[Row], failed: Collection[int], plan: Plan
) -> str:
    """Compare row by row, in flat memory; behind the first row that differs, see what happened."""
    left_out = set(failed)
    sources = _passed(source_rows, left_out)
    targets = iter(target_rows)
    for number, source in sources:
        target = next(targets, None)
        if target is None:
            return f"row_count: row {number} and what follows are missing"
        named = {old: target.get(plan.names.get(old, old)) for old in source}
        if said := row_fault(source, named, plan):
            rest = (row for _, row in sources)
            return _shifted(
                chain([source], rest), chain([target], targets), number, plan
            ) or _placed(said, number)
    if left_out:
        return f"row_count: the source has no row {min(left_out)}, which is said to have failed"
    more = sum(1 for _ in targets)
    return f"row_count: there are {more} more rows than the source has" if more else ""


def _passed(rows: Iterable[Row], left_out: set[int]) -> Iterator[tuple[int, Row]]:
    """The rows that did not fail, with their places; the places met are taken from `left_out`."""
    for number, row in enumerate(rows):
        if number in left_out:
            left_out.remove(number)
        else:
            yield number, row


def _placed(said: str, number: int) -> str:
    check, _, message = said.partition(": ")
    return f"{check}: row {number}: {message}"


def _shifted(sources: Iterable[Row], targets: Iterable[Row], number: int, plan: Plan) -> str:
    """Is it the rows' number or order that is wrong from row `number` on, by what they keep?"""
    loose = {p for span in plan.spans for p in (span.text, span.start)}
    kept = [
        keys_of(path)
        for path, role in plan.roles.items()
        if not (role.translated or role is Role.answer_text or path in loose)
    ]
    old = [_print(row, kept, {}) for row in sources]
    new = [_print(row, kept, plan.names) for row in targets]
    if len(old) != len(new):
        return (
            f"row_count: from row {number} on there are {len(new)} rows, "
            f"and the source has {len(old)}"
        )
    if old == new:
        return ""
    known, there = Counter(old), Counter(new)
    if known == there:
        return f"row_order: the rows from {number} on are not in the source's order"
    if len(known) == len(old) and all(key in known for key in there - known):
        return f"row_count: from row {number} on a row is missing, and another stands twice"
    return ""


def _print(row: Row, kept: Iterable[Sequence[str]], names: Mapping[str, str]) -> int:
    """A number for what a row keeps: equal where that is equal."""
    values = (_value(row.get(names.get(keys[0], keys[0])), keys[1:]) for keys in kept)
    return hash(tuple(map(repr, values)))


def _value(value: Any, keys: Sequence[str]) -> Any:
    for place, key in enumerate(keys):
        if key == EACH:
            below = keys[place + 1 :]
            return [_value(item, below) for item in value] if isinstance(value, list) else value
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()


def _schema(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_schema(path)


def _types(schema: Any) -> dict[str, Any]:
    return dict(zip(schema.names, schema.types, strict=True))
