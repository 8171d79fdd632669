"""GSM8K's test split on a simulated server: the wall against the server's own limit.

`python -m benchmarks.throughput` ports all 1,319 rows by the command line for S = 256 and 32 slots
of 50 tokens a second and 0.2 s to first token: with `--concurrency S`, and letting the limiter find
S. Then the baseline in the same run: one cell per request, in batches of 50 with a barrier, under
the system prompt that our own requests carried. About 17 minutes; `--quick` takes 200 rows and says
nothing about the budgets, for a short run is all tail. `--baseline 32` measures the baseline's wall
for S = 32 alone (elsewhere its requests and tokens are counted without latency), `--baseline none`
nowhere.

The limit is `tokens of the translated cells in the port / (S x rate)`, a token being three
characters: whatever else a reply holds, the time to first token, the start and the end of the
process all count against us. Beside it the same with the cells as the server wrote them (marks in
place of what was masked), which is stricter still.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import baseline
from benchmarks.common import (
    GSM8K,
    Run,
    desk,
    gsm8k,
    head,
    machine,
    prove,
    say,
    tokens,
    verdict,
)
from benchmarks.simulator import Simulator, Stats
from tests.fakes.translit import back

RATE, FIRST_TOKEN = 50.0, 0.2
FIXED = {32: 1.15, 256: 1.5}
FOUND = {32: 1.3, 256: 2.5}
SHARE = 10.0  # per cent of the baseline, for requests and for input tokens besides the source text


@dataclass(frozen=True, slots=True)
class Measured:
    """The two ports of one S."""

    slots: int
    fixed: Run
    found: Run


def ported(source: Path, slots: int) -> Measured:
    """Port twice on fresh homes, prove the rows, print the ratios."""
    runs = []
    for found in (False, True):
        say(f"S={slots}, {'S found by the limiter' if found else f'--concurrency {slots}'}")
        options = () if found else (f"--concurrency={slots}",)
        with Simulator(slots, RATE, FIRST_TOKEN) as server, desk() as here:
            run = here.port(server, source, *options)
            cells = tokens(prove(run, source, cells=2))
        _print_wall(run, cells / (slots * RATE), slots, (FOUND if found else FIXED).get(slots))
        runs.append(run)
    return Measured(slots, *runs)


def _print_wall(run: Run, limit: float, slots: int, budget: float | None) -> None:
    stats = run.stats
    say(
        f"    limit {limit:.2f} s; whole process {run.wall:.2f} s; first request to last reply "
        f"{stats.wall:.2f} s, the slots {stats.busy / (slots * stats.wall):.1%} busy"
    )
    say(
        f"    {stats.requests} requests, at most {stats.peak} under way; "
        f"{stats.completion_tokens:,} tokens out, {tokens(stats.cell_chars):,.0f} of cells"
    )
    if budget is None:
        say(f"    whole process / limit {run.wall / limit:.3f}, server {stats.wall / limit:.3f}")
        return
    verdict("    whole process / limit (judged)", run.wall / limit, budget)
    verdict("    first request to last reply / limit", stats.wall / limit, budget)
    strict = tokens(stats.cell_chars) / (slots * RATE)
    verdict("    whole process / limit of the cells as sent", run.wall / strict, budget)


def cell_by_cell(cells: Sequence[str], slots: int, system: str, *, real: bool) -> Stats:
    """The baseline, proved; with the server's real pace, or without latency for its counts."""
    say(f"S={slots}, baseline: one cell per request{'' if real else ', counted without latency'}")
    pace = (RATE, FIRST_TOKEN) if real else (math.inf, 0.0)
    with Simulator(slots, *pace) as server:
        made, wall = asyncio.run(baseline.translate(server.url, system, cells))
        stats = server.stats()
    if [back(text) for text in made] != list(cells):
        raise SystemExit("the baseline's cells are wrong")
    if real:
        limit = tokens(sum(map(len, made))) / (slots * RATE)
        say(f"    wall {wall:.2f} s, {wall / limit:.2f} x the limit; {stats.requests} requests")
    return stats


def _compare(ours: Measured, theirs: Stats) -> None:
    """Requests and tokens besides the source text, as a share of the baseline's."""
    for name, run in (("fixed", ours.fixed), ("found", ours.found)):
        say(f"S={ours.slots}, {name}, against one cell per request")
        stats = run.stats
        share = 100 * stats.requests / theirs.requests
        verdict(f"    requests, {stats.requests} of {theirs.requests}, %", share, SHARE)
        mine, base = _besides(stats), _besides(theirs)
        verdict(
            f"    tokens in besides the text, {mine:,.0f} of {base:,.0f}, %",
            100 * mine / base,
            SHARE,
        )


def _besides(stats: Stats) -> float:
    return stats.prompt_tokens - tokens(stats.source_chars)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--slots", type=_numbers, default=[256, 32])
    parser.add_argument("--baseline", type=_numbers, help="measure its wall for these S")
    parser.add_argument("--data", type=Path, default=GSM8K)
    parser.add_argument("--quick", action="store_true", help="200 rows; proves nothing")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [] if text == "none" else [int(part) for part in text.split(",")]


def main() -> None:
    """Measure and print."""
    options = _options()
    say(machine())
    with desk() as here:
        source = head(gsm8k(options.data), 200 if options.quick else None, here.folder)
        rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
        cells = [text for row in rows for text in row.values()]
        say(f"{len(rows):,} rows of {source.name}, {RATE:g} tokens/s, {FIRST_TOKEN} s to the first")
        measured = [ported(source, slots) for slots in options.slots]
        real = options.slots if options.baseline is None else options.baseline
        for one in measured:
            system = one.fixed.stats.system
            _compare(one, cell_by_cell(cells, one.slots, system, real=one.slots in real))


if __name__ == "__main__":
    main()
