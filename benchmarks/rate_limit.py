"""A server that allows 100 requests a second and answers 429 beyond: how much of that is used.

`python -m benchmarks.rate_limit` ports 3,300 generated rows with one row per request against a
server that never queues (0.2 s to first token, 50 tokens/s), twice: with `Retry-After` in whole
seconds alone, and with `retry-after-ms` beside it. Sustained = accepted requests a second between
the first and the last accepted one, as a share of the cap (budget: at least 85 %). Every row is
proved right by transliterating back.
"""

from __future__ import annotations

import argparse

from benchmarks.common import desk, machine, prove, say, verdict, write_rows
from benchmarks.simulator import Simulator

ROWS, CAP, SLOTS = 3_300, 100, 4_096


def measure(rows: int, cap: int, *, whole_seconds: bool) -> None:
    """One port against one kind of 429, printed."""
    say("Retry-After in whole seconds alone" if whole_seconds else "retry-after-ms beside it")
    server = Simulator(SLOTS, per_second=cap, whole_seconds=whole_seconds)
    with server, desk() as here:
        source = write_rows(here.folder / "rows.jsonl", rows)
        run = here.port(server, source, "--batch-size=1")
        prove(run, source, cells=1)
    stats = run.stats
    seconds = stats.last_asked - (stats.first_asked or 0.0)
    say(
        f"    {stats.requests:,} accepted in {seconds:.2f} s, {stats.statuses.get('429', 0):,} x "
        f"429, at most {stats.peak} under way, {run.wall:.2f} s in all"
    )
    say(f"    accepted in each second: {' '.join(map(str, stats.per_second))}")
    verdict("    sustained, % of the cap", 100 * stats.requests / seconds / cap, 85, least=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--cap", type=int, default=CAP)
    options = parser.parse_args()
    say(f"{machine()}; {options.rows:,} rows, {options.cap} requests/s allowed")
    for whole_seconds in (False, True):
        measure(options.rows, options.cap, whole_seconds=whole_seconds)


if __name__ == "__main__":
    main()
