"""The rows of a finished port, read back: each beside its source, in order or by their numbers."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hret_agents.plan.records import Plan, Role, keys_of
from hret_agents.translate.write import BATCH_ROWS, tables
from llm_eval.dataset.spec import SplitRecord
from llm_eval.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]
FAILED, CHECKS = "failed.jsonl", "checks.jsonl"


@dataclass(slots=True)
class Part:
    """One split of a port in `folder`: its record, its source, and which of its rows failed.

    `data` is None where the source cannot be had.
    """

    subset: str
    split: str
    record: SplitRecord
    folder: Path
    data: Dataset | None
    failed: array[int] = field(default_factory=lambda: array("q"))

    @property
    def files(self) -> list[Path]:
        """Its shards, in order."""
        return [self.folder / "data" / self.subset / name for name in sorted(self.record.files)]

    def has_failed(self, row: int) -> bool:
        """Is a row one of those that failed?"""
        place = bisect_left(self.failed, row)
        return place < len(self.failed) and self.failed[place] == row

    def place_of(self, row: int) -> int:
        """The place of a row among those that passed."""
        return row - bisect_left(self.failed, row)


def parts_of(
    folder: Path,
    splits: Mapping[str, Mapping[str, SplitRecord]],
    data: Mapping[tuple[str, str], Dataset],
) -> dict[tuple[str, str], Part]:
    """The splits of the port in `folder`, by (subset, split)."""
    found = {
        (subset, split): Part(subset, split, record, folder, data.get((subset, split)))
        for subset, by_split in splits.items()
        for split, record in by_split.items()
    }
    for note in notes(folder / FAILED):
        found[note["subset"], note["split"]].failed.append(note["row"])
    return found


def notes(path: Path) -> Iterator[Row]:
    """The lines of `failed.jsonl` or `checks.jsonl`."""
    for _, note in raw_notes(path):
        yield note


def raw_notes(path: Path) -> Iterator[tuple[str, Row]]:
    """(line, what it says) for each line of `failed.jsonl` or `checks.jsonl`.

    Raises:
        UserError: somebody edited the file, and a line is no JSON any more.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield line, json.loads(line)
            except ValueError as e:
                raise UserError(f"{path}, line {number}: {e}", hint="port it again") from None


def place_of(note: Row) -> tuple[str, str, int]:
    """(subset, split, row) of a note."""
    return note["subset"], note["split"], note["row"]


def by_row(path: Path) -> Iterator[tuple[tuple[str, str, int], list[Row]]]:
    """The notes of each row together."""
    for place, found in groupby(notes(path), key=place_of):
        yield place, list(found)


def rows_of(
    part: Part, plan: Plan, wanted: Sequence[int] | None = None, *, whole: bool = False
) -> Iterator[tuple[int, Row | None, Row | None]]:
    """(number, row of the source, row of the port) of a split, columns named as in the source.

    The port's row is None where the row failed, the source's where there is no source. Columns that
    hold nothing to read (images, sound) are left out unless rows are wanted `whole`. `wanted` are
    numbers in ascending order.
    """
    columns = list(dict.fromkeys(keys_of(p)[0] for p in plan.roles)) if whole else _readable(plan)
    names = {plan.names.get(c, c): c for c in columns}
    target = _Shards(part.files, list(names))
    source = None
    if part.data is not None:
        source = part.data.select_columns(columns).with_format("arrow")
    for start in range(0, part.record.rows, BATCH_ROWS):
        numbers = _between(wanted, start, min(start + BATCH_ROWS, part.record.rows))
        if not numbers:
            continue
        old: Iterable[Row | None] = [None] * len(numbers)
        if source is not None:
            old = source[list(numbers)].to_pylist()
        for number, row in zip(numbers, old, strict=True):
            new = None if part.has_failed(number) else target.row(part.place_of(number))
            yield number, row, new and {names[key]: value for key, value in new.items()}


def source_rows(part: Part, plan: Plan) -> Iterator[Row]:
    """All rows of a split's source, as `rows_of` reads them."""
    if part.data is not None:
        for table in tables(part.data.select_columns(_readable(plan))):
            yield from table.to_pylist()


def _between(wanted: Sequence[int] | None, start: int, end: int) -> Sequence[int]:
    if wanted is None:
        return range(start, end)
    return wanted[bisect_left(wanted, start) : bisect_left(wanted, end)]


def _readable(plan: Plan) -> list[str]:
    """The columns that hold more than binary leaves."""
    return list(
        dict.fromkeys(keys_of(p)[0] for p, role in plan.roles.items() if role != Role.binary)
    )


class _Shards:
    """The rows of parquet files by their place in all of them; one row group is held at a time."""

    def __init__(self, files: Iterable[Path], columns: list[str]) -> None:
        import pyarrow.parquet as pq

        self._columns = columns
        self._groups: list[tuple[Any, int]] = []
        self._starts: list[int] = []
        self._held, self._rows = -1, list[Row]()
        start = 0
        for file in map(pq.ParquetFile, files):
            for group in range(file.metadata.num_row_groups):
                self._groups.append((file, group))
                self._starts.append(start)
                start += file.metadata.row_group(group).num_rows

    def row(self, place: int) -> Row:
        """The row at `place`."""
        group = bisect_right(self._starts, place) - 1
        if group != self._held:
            file, number = self._groups[group]
            self._rows = file.read_row_group(number, columns=self._columns).to_pylist()
            self._held = group
        return self._rows[place - self._starts[group]]
