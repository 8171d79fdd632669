"""The last check, on what was written: the port's parquet against the source, row by row.

It knows nothing of how the rows were made: it reads both sides anew. A difference here is a bug of
ours or a disk's, so it ends the port instead of failing a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hret_agents.plan.look import STEPS
from hret_agents.plan.records import EACH, LeafPath, Plan, Role, keys_of, path_of
from hret_agents.plan.schema import replaced, values
from hret_agents.translate.checks import collapsed
from hret_agents.translate.units import answer_texts
from hret_agents.translate.write import renamed_features, tables
from llm_eval.errors import HretError


class AuditError(HretError):
    """What was written is not what it must be."""


def audit(data: Any, files: Sequence[Path], failed: set[int], plan: Plan, where: str) -> None:
    """Compare a split's `files` with its source `data`, whose rows `failed` are left out.

    Raises:
        AuditError: naming the check and the row.
    """
    written = _rows(files)
    expected = renamed_features(data.features, plan).arrow_schema
    schema = _schema(files[0])
    if not schema.equals(expected, check_metadata=False):
        raise AuditError(f"{where}: features_equal: {schema} is not {expected}")
    index = 0
    for table in tables(data):
        for source in table.to_pylist():
            if index not in failed:
                target = next(written, None)
                if target is None:
                    raise AuditError(
                        f"{where}: row_count: row {index} and what follows are missing"
                    )
                by_source = {old: target.get(plan.names.get(old, old)) for old in source}
                if said := row_fault(source, by_source, plan):
                    raise AuditError(f"{where}, row {index}: {said}")
            index += 1
    if next(written, None) is not None:
        raise AuditError(f"{where}: row_count: there are more rows than the source has")


def row_fault(source: Mapping[str, Any], target: Mapping[str, Any], plan: Plan) -> str:
    """What is wrong with a row's port, columns named as in the source; empty when nothing is."""
    touched = [*plan.translated, *answer_texts(plan)]
    if not _same(_without(source, touched), _without(target, touched)):
        return "immutable_leaf: a leaf that is kept differs, or the rows are out of order"
    for path in touched:
        old, new = values(source, path), values(target, path)
        if len(old) != len(new):
            return f"list_len: {path} holds {len(new)} values, not {len(old)}"
        if [_blank(v) for v in old] != [_blank(v) for v in new]:
            return f"empty: {path} was blank and is not, or the other way round"
        if plan.roles[path] is Role.answer_steps and _golds(old) != _golds(new):
            return f"gold_numeric_equal: {path} ends in {_golds(new)}, not {_golds(old)}"
    return _choices_fault(source, target, plan)


def _choices_fault(source: Mapping[str, Any], target: Mapping[str, Any], plan: Plan) -> str:
    old, new = ([v for p in plan.task.choices for v in values(r, p)] for r in (source, target))
    pairs = list(zip(map(str, old), map(str, new), strict=True))
    for i, (was, now) in enumerate(pairs):
        for j, (other, other_now) in enumerate(pairs[:i]):
            if collapsed(other, was, other_now, now):
                return f"option_distinct: choices {j + 1} and {i + 1} are both {now!r}"
    for path in answer_texts(plan):
        for was, now in zip(values(source, path), values(target, path), strict=True):
            if was in old and now != new[old.index(was)]:
                return f"gold_equal: {path} is not its choice any more"
    return ""


def _blank(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip()


def _golds(texts: Sequence[Any]) -> list[str | None]:
    return [m[3] if isinstance(t, str) and (m := STEPS.match(t)) else None for t in texts]


def _without(row: Mapping[str, Any], paths: Sequence[LeafPath]) -> Mapping[str, Any]:
    """The row without what may change: the texts at `paths`.

    Of a list only the texts go: what else stands in its items is compared.
    """
    out: Mapping[str, Any] = row
    for path in paths:
        keys = keys_of(path)
        if EACH not in keys:
            out = replaced(out, path, _nothing)
        else:
            place = keys.index(EACH)
            out = replaced(out, path_of(tuple(keys[:place])), _emptied(keys[place + 1 :]))
    return out


def _same(one: Any, other: Any) -> bool:
    """Equality, a float that is no number being equal to itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (one != one and other != other)


def _nothing(_: Any) -> None:
    return None


def _emptied(rest: Sequence[str]) -> Callable[[Any], Any]:
    def items(value: Any) -> Any:
        if value is None or not rest:
            return None if value is None else []
        return [replaced(item, path_of(tuple(rest)), _nothing) for item in value]

    return items


def _rows(files: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()


def _schema(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_schema(path)
