"""Memory over time while 1,000,000 short rows are ported.

`python -m benchmarks.memory` samples the whole process tree every half second from /proc and prints
a line every 10 s. Judged is the sum of the processes' resident set sizes (RSS): pages of mapped
files count, and pages that two processes share count twice. PSS, which shares them out, and the
anonymous part, which cannot be dropped, stand beside it. Budget: 1 GiB at the peak. Every row is
proved right by transliterating back. The server runs without latency, outside the tree.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import desk, machine, prove, say, verdict, write_rows
from benchmarks.simulator import Simulator

ROWS, EVERY, LINE_EVERY, BUDGET_MIB = 1_000_000, 0.5, 10.0, 1_024.0


class Sample(NamedTuple):
    """A process tree at one moment: seconds since the start, and MiB."""

    seconds: float
    processes: int
    rss: float
    pss: float
    anonymous: float


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def sampled(pid: int, seconds: float) -> Sample:
    """The memory of a process tree now; one that ends meanwhile counts as far as it was read."""
    pids = tree(pid)
    sums = dict.fromkeys(("Rss", "Pss", "Anonymous"), 0.0)
    for one in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0]) / 1024
    return Sample(seconds, len(pids), *sums.values())


@dataclass
class Watch:
    """Samples a process tree whenever it is called with the id of its root."""

    server: Simulator
    started: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    highest: float = 0.0
    _told: float = 0.0

    def __call__(self, pid: int) -> None:
        """Sample, and print a line now and then."""
        now = sampled(pid, time.monotonic() - self.started)
        self.samples.append(now)
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            line = next(line for line in status if line.startswith("VmHWM"))
            self.highest = int(line.split()[1]) / 1024
        if now.seconds - self._told >= LINE_EVERY:
            self._told = now.seconds
            say(
                f"    {now.seconds:5.0f} s: RSS {now.rss:5.0f}, PSS {now.pss:5.0f}, anonymous "
                f"{now.anonymous:5.0f} MiB in {now.processes} processes; "
                f"{self.server.stats().rows:,} rows asked for"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    rows: int = parser.parse_args().rows
    say(f"{machine()}; {rows:,} rows")
    with Simulator(1_024, math.inf, 0.0) as server, desk() as here:
        source = write_rows(here.folder / "rows.jsonl", rows)
        watch = Watch(server)
        run = here.port(server, source, watch=watch, every=EVERY)
        say(
            f"    {run.wall:.0f} s, {rows / run.wall:,.0f} rows/s, "
            f"{run.stats.requests:,} requests; source of {source.stat().st_size / 2**20:.0f} MiB"
        )
        prove(run, source, cells=1)
    peak = max(watch.samples, key=lambda s: s.rss)
    quarters = [_peak(watch.samples, i * run.wall / 4, (i + 1) * run.wall / 4) for i in range(4)]
    say(f"    peak RSS in each quarter of the run: {', '.join(quarters)} MiB")
    say(
        f"    at the peak, {peak.seconds:.0f} s: {peak.processes} processes, PSS {peak.pss:.0f}, "
        f"anonymous {peak.anonymous:.0f} MiB; the main process's own high-water mark (VmHWM) "
        f"{watch.highest:.0f} MiB"
    )
    verdict("    peak RSS of the tree, MiB", max(peak.rss, watch.highest), BUDGET_MIB)


def _peak(samples: list[Sample], begin: float, end: float) -> str:
    inside = [s.rss for s in samples if begin <= s.seconds < end]
    return f"{max(inside):.0f}" if inside else "-"


if __name__ == "__main__":
    main()
