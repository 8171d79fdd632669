"""Rewriting the shards of a split in which rows changed, as a port of the same rows would."""

from __future__ import annotations

import os
import shutil
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from hret_agents.plan.records import Plan
from hret_agents.review.rows import Part, Row, rows_of
from hret_agents.translate import write
from hret_agents.translate.write import BATCH_ROWS, SplitWriter
from llm_eval.dataset import expect
from llm_eval.dataset.spec import SplitRecord, sha256_of

Rebuild = Callable[[int, Row, Row | None], Row]
"""(row's number, its source, what the port had) → what the port has now."""


def layout(passed: Sequence[int]) -> list[list[int]]:
    """The batches that go into each shard, of how many rows passed in each batch.

    >>> layout([1000] * 3), layout([0, 0])
    ([[0, 1, 2]], [[]])
    """
    shards: list[list[int]] = []
    held = write.SHARD_ROWS
    for batch, count in enumerate(passed):
        if count:
            if held >= write.SHARD_ROWS:
                shards.append([])
                held = 0
            shards[-1].append(batch)
            held += count
    return shards or [[]]


def rewrite(
    part: Part, failed: array[int], changed: array[int], plan: Plan, folder: Path, new: Rebuild
) -> SplitRecord:
    """Write the shards of a split into `folder`, those that stay the same as links; its record.

    Args:
        failed: the numbers of the rows that fail now, `changed` of those that `new` gives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before, now = (layout(_passed(part.record.rows, numbers)) for numbers in (part.failed, failed))
    files = part.files
    fits = [expect.rows_of([f]) for f in files] == [
        sum(_passed(part.record.rows, part.failed)[batch] for batch in shard) for shard in before
    ]
    known = {tuple(shard): file for shard, file in zip(before, files, strict=False)} if fits else {}
    hashes = {}
    for number, shard in enumerate(now):
        path = folder / f"{part.split}-{number:05d}-of-{len(now):05d}.parquet"
        old = known.get(tuple(shard))
        if old is not None and not any(_holds(changed, batch) for batch in shard):
            _link(old, path)
            hashes[path.name] = part.record.files[old.name]
            continue
        _write(part, shard, failed, changed, plan, path, new)
        hashes[path.name] = sha256_of(path)
    return SplitRecord(
        rows=part.record.rows,
        passed=part.record.rows - len(failed),
        failed=len(failed),
        kept=part.record.kept,
        files=hashes,
    )


def _write(
    part: Part,
    shard: Sequence[int],
    failed: array[int],
    changed: array[int],
    plan: Plan,
    path: Path,
    new: Rebuild,
) -> None:
    """Write one shard, a batch at a time, by the writer that ports are written by."""
    assert part.data is not None
    aside = path.parent / ".rewritten"
    writer = SplitWriter(aside, part.split, part.data.features, plan)
    arrow = part.data.with_format("arrow")
    numbers = chain.from_iterable(
        range(batch * BATCH_ROWS, min((batch + 1) * BATCH_ROWS, part.record.rows))
        for batch in shard
    )
    rows = rows_of(part, plan, array("q", numbers), whole=True)
    for batch in shard:
        start = batch * BATCH_ROWS
        table = arrow[start : start + BATCH_ROWS]
        out: list[Row | None] = []
        for _ in range(len(table)):
            number, old, present = next(rows)
            assert old is not None
            if _in(failed, number):
                out.append(None)
            else:
                out.append(new(number, old, present) if _in(changed, number) else present)
        writer.write(table, out)
    (made,) = writer.close()
    made.replace(path)
    shutil.rmtree(aside)


def _passed(rows: int, failed: array[int]) -> list[int]:
    """How many rows passed in each batch."""
    out: list[int] = []
    for start in range(0, rows, BATCH_ROWS):
        end = min(start + BATCH_ROWS, rows)
        out.append(end - start - (bisect_left(failed, end) - bisect_left(failed, start)))
    return out


def _holds(numbers: array[int], batch: int) -> bool:
    start = batch * BATCH_ROWS
    return bisect_left(numbers, start) < bisect_left(numbers, start + BATCH_ROWS)


def _in(numbers: array[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copy2(old, new)
