"""The journal of a run: a line per finished sample, only ever added to.

Lines go to the system as they are written and are synced every 0.2 s, so that a killed process
loses nothing and a power cut next to nothing. A line that a kill has torn is dropped when the
journal is read again, and a later line of a sample counts in place of an earlier one.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from llm_eval.records import Sample
from llm_eval.results import Lazily, Reply, Row
from llm_eval.runs import codec
from llm_eval.runs.meter import Spent


class Entry(NamedTuple):
    """A finished sample: its place, its replies, and how many of them came from the cache."""

    place: int
    replies: Sequence[Reply]
    cached: int = 0


class Journal:
    """The journal of `samples`; places are theirs. `append` may run in another thread."""

    def __init__(self, path: Path, samples: Sequence[Sample], least: int = 1) -> None:
        """Open it, dropping a torn end. `least` replies must have come to a sample that counts.

        Raises:
            OSError: the file cannot be opened for writing.
        """
        self.path, self._samples, self._least = path, samples, least
        self._offsets = array("q", [-1]) * len(samples)
        self._lengths = array("q", [0]) * len(samples)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = _whole(self._file)
        os.ftruncate(self._file, self._end)
        self.earlier = Spent()
        """What earlier sessions of this run have spent, as `replay` found it."""

    def replay(self) -> Iterator[Entry]:
        """Every sample's line that can be read, in the order in which they were written."""
        last = Spent()
        for offset, line in self._lines():
            try:
                told = json.loads(line)
                if "begun" in told:
                    self.earlier, last = self.earlier + last, Spent()
                    continue
                if "spent" in told:
                    last = Spent(codec.usage_of(told["spent"]), told["cost_usd"])
                    continue
                entry = self._entry(told)
            except (ValueError, KeyError, TypeError, IndexError):
                continue  # a line that a power cut has spoilt: its sample is asked again
            self._offsets[entry.place], self._lengths[entry.place] = offset, len(line)
            yield entry
        self.earlier += last

    def begin(self) -> None:
        """Begin a session of this process."""
        begun = datetime.now(UTC).isoformat()
        self._write([codec.encoded({"begun": begun}) + b"\n"])

    def append(self, entries: Sequence[Entry], spent: Spent) -> None:
        """Write finished samples. `spent` is all that this session has spent so far.

        Raises:
            OSError: the disk is full, or the like; a line may be torn then.
        """
        lines, places = [], []
        for place, replies, cached in entries:
            told: dict[str, Any] = {"place": place, "id": self._samples[place].id}
            told["replies"] = [codec.of_reply(r) for r in replies]
            if cached:
                told["cached"] = cached
            lines.append(codec.encoded(told) + b"\n")
            places.append(place)
        if spent != Spent():
            told = {"spent": codec.usage_list(spent.usage), "cost_usd": spent.cost_usd}
            lines.append(codec.encoded(told) + b"\n")
        at = self._end
        self._write(lines)
        for place, line in zip(places, lines, strict=False):
            self._offsets[place], self._lengths[place] = at, len(line)
            at += len(line)

    def sync(self) -> None:
        """Have what was written on the disk; may run in another thread.

        Raises:
            OSError: the disk would not take it.
        """
        os.fsync(self._file)

    def close(self) -> None:
        """Write no more. Reading goes on."""
        os.close(self._file)

    def rows(self) -> Sequence[Row]:
        """Every sample's row, read from the file as it is asked for."""
        count = len(self._samples)
        return Lazily(count, lambda place: self._row(self.entry(place)), self._all)

    def entry(self, place: int) -> Entry:
        """What became of the sample at a place; IndexError where nothing has yet."""
        return next(self._read([place]))

    def _all(self) -> Iterator[Row]:
        return map(self._row, self._read(range(len(self._samples))))

    def _read(self, places: Sequence[int]) -> Iterator[Entry]:
        with self.path.open("rb", buffering=0) as file:
            for place in places:
                if self._offsets[place] < 0:
                    raise IndexError(f"sample {place} is not done")
                line = os.pread(file.fileno(), self._lengths[place], self._offsets[place])
                yield self._entry(json.loads(line))

    def _entry(self, told: Mapping[str, Any]) -> Entry:
        place = int(told["place"])
        if told["id"] != (own := self._samples[place].id):
            raise ValueError(f"{told['id']} is not {own}")
        replies = [codec.reply(own, each) for each in told["replies"]]
        return Entry(place, replies, told.get("cached", 0))

    def _row(self, entry: Entry) -> Row:
        return Row.of(self._samples[entry.place], entry.replies, self._least)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        offset = 0
        with self.path.open("rb") as file:
            for line in file:
                yield offset, line
                offset += len(line)

    def _write(self, lines: Sequence[bytes]) -> None:
        data = memoryview(b"".join(lines))
        at = self._end
        while data:
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written
        self._end = at


def _whole(file: int) -> int:
    """Where the last whole line of a file ends."""
    end = os.fstat(file).st_size
    step = 1 << 16
    while end:
        start = max(0, end - step)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class Listed:
    """What a journal is, in memory alone: for a run that is to leave nothing, or cannot."""

    def __init__(self, samples: Sequence[Sample], least: int = 1) -> None:
        self._samples, self._least = samples, least
        self._rows: dict[int, Row] = {}
        self.earlier = Spent()

    def append(self, entries: Sequence[Entry], spent: Spent) -> None:
        """Keep finished samples."""
        for place, replies, _ in entries:
            self._rows[place] = Row.of(self._samples[place], replies, self._least)

    def rows(self) -> Sequence[Row]:
        """Every sample's row."""
        return [self._rows[place] for place in range(len(self._samples))]

    def sync(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
