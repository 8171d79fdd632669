"""Translated rows to parquet shards, failed ones and findings to JSON Lines, as they come."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from hret_agents.checks import Finding
from hret_agents.plan.records import Plan, keys_of
from llm_eval.records import Failure

SHARD_ROWS = 100_000
BATCH_ROWS = 1_000


def renamed_features(features: Any, plan: Plan) -> Any:
    """The features of the port: the source's, with the plan's column names."""
    from datasets import Features

    return Features({plan.names.get(name, name): feature for name, feature in features.items()})


class SplitWriter:
    """Writes one split: `<split>-0000i-of-0000n.parquet` under `folder`.

    Columns without a translated leaf are written as the Arrow data they were.
    """

    def __init__(self, folder: Path, split: str, features: Any, plan: Plan) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.split = folder, split
        self._schema = renamed_features(features, plan).arrow_schema
        self._names = {plan.names.get(n, n): n for n in features}
        touched = [*plan.translated, *(p for p, r in plan.roles.items() if r == "answer_text")]
        touched += [span.start for span in plan.spans]
        self._touched = {keys_of(path)[0] for path in touched}
        self._shards: list[Path] = []
        self._writer: Any = None
        self._in_shard = 0

    def write(self, table: Any, rows: Sequence[Mapping[str, Any] | None]) -> None:
        """Append `rows` (None: left out) that came of the Arrow table `table`."""
        import pyarrow as pa

        passed = [r for r in rows if r is not None]
        if not passed:
            return
        mask = pa.array([r is not None for r in rows])
        columns = []
        for field in self._schema:
            source = self._names[field.name]
            if source in self._touched:
                columns.append(pa.array([r[source] for r in passed], type=field.type))
            else:
                columns.append(table.column(source).filter(mask).cast(field.type))
        if self._writer is None or self._in_shard >= SHARD_ROWS:
            self._next_shard()
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._in_shard += len(passed)

    def close(self) -> list[Path]:
        """Finish; the shards by their final names (one, without rows, if none was written)."""
        if self._writer is None:
            self._next_shard()
        self._writer.close()
        final = []
        for i, path in enumerate(self._shards):
            name = f"{self.split}-{i:05d}-of-{len(self._shards):05d}.parquet"
            final.append(path.replace(self.folder / name))
        return final

    def _next_shard(self) -> None:
        import pyarrow.parquet as pq

        if self._writer is not None:
            self._writer.close()
        path = self.folder / f".{self.split}-{len(self._shards):05d}.part"
        self._shards.append(path)
        self._writer = pq.ParquetWriter(path, self._schema)
        self._in_shard = 0


class Notes:
    """`failed.jsonl` and `checks.jsonl` of a port, and the counts of what stands in them."""

    def __init__(self, folder: Path) -> None:
        self.failed_path, self.checks_path = folder / "failed.jsonl", folder / "checks.jsonl"
        self._failed: TextIO = self.failed_path.open("w", encoding="utf-8")
        self._checks: TextIO = self.checks_path.open("w", encoding="utf-8")
        self.counts: Counter[str] = Counter()
        self.named: list[str] = []

    def failed(
        self, subset: str, split: str, row: int, source: Mapping[str, Any], failure: Failure
    ) -> None:
        """A row that is not in the split: its source and the reason."""
        place = {"subset": subset, "split": split, "row": row}
        self._line(self._failed, {**place, "error": failure.to_dict(), "source": source})
        self._line(
            self._checks,
            {
                **place,
                "check": failure.kind,
                "severity": "gate",
                "path": "",
                "message": failure.message,
            },
        )
        self.counts[failure.kind] += 1
        if len(self.named) < 20:
            self.named.append(f"{subset}/{split} row {row}: {failure.kind}: {failure.message}")

    def found(self, subset: str, split: str, row: int, findings: Iterable[Finding]) -> None:
        """What is to be reviewed in a row that passed."""
        for finding in findings:
            place = {"subset": subset, "split": split, "row": row}
            self._line(self._checks, {**place, **finding.to_dict()})
            self.counts[finding.check] += 1

    def carried(self, old: Path, keep: set[tuple[str, str]]) -> None:
        """Take over what an earlier port's files say of the splits in `keep`."""
        for name, file in (("failed.jsonl", self._failed), ("checks.jsonl", self._checks)):
            path = old / name
            for line in path.read_text("utf-8").split("\n") if path.is_file() else ():
                if not line:
                    continue
                note = json.loads(line)
                if (note["subset"], note["split"]) in keep:
                    file.write(line + "\n")
                    if file is self._checks:
                        self.counts[note["check"]] += 1

    def close(self) -> None:
        """Close both files."""
        self._failed.close()
        self._checks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def _line(file: TextIO, value: Mapping[str, Any]) -> None:
        file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def tables(data: Any) -> Iterator[Any]:
    """The Arrow tables of a `datasets.Dataset`, `BATCH_ROWS` rows each."""
    arrow = data.with_format("arrow")
    for start in range(0, len(data), BATCH_ROWS):
        yield arrow[start : start + BATCH_ROWS]
