"""A finished port run again, then with one row more, then with one glossary term edited.

`python -m benchmarks.rerun` ports 100,000 generated rows with a glossary on a server without
latency, and runs the same command again: 0 requests and at most 3 s for the whole process. Then
one row is appended to the source (1 request), then the translation of one term is edited (exactly
the rows with it are asked for). Every run's rows are proved right, and its wall stands as a share
of the first run's.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from benchmarks.common import (
    TERM,
    Desk,
    Run,
    desk,
    machine,
    prove,
    say,
    verdict,
    word_problem,
    write_rows,
)
from benchmarks.simulator import Simulator
from tests.fakes.translit import forward

ROWS, BUDGET = 100_000, 3.0


def write_glossary(path: Path, said: str) -> None:
    """A glossary of two terms, the first of them translated as `said`."""
    path.write_text(json.dumps({TERM: said, "lemon": forward("lemon")}), encoding="utf-8")


def _port(server: Simulator, here: Desk, what: str) -> Run:
    source, glossary = here.folder / "rows.jsonl", here.folder / "glossary.json"
    say(what)
    run = here.port(server, source, f"--glossary={glossary}")
    say(f"    {run.wall:.2f} s, {run.stats.requests:,} requests for {run.stats.rows:,} rows")
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    rows: int = parser.parse_args().rows
    say(f"{machine()}; {rows:,} rows")
    with Simulator(1_024, math.inf, 0.0, record=True) as server, desk() as here:
        source, glossary = here.folder / "rows.jsonl", here.folder / "glossary.json"
        write_rows(source, rows)
        write_glossary(glossary, forward(TERM))

        first = _port(server, here, "the first run")
        prove(first, source, cells=1)

        again = _port(server, here, "the same command again")
        verdict("    requests, the model list's included", _asked(again), 0)
        verdict("    wall of the whole process, s", again.wall, BUDGET)
        _against(again, first)
        prove(again, source, cells=1)

        with source.open("a", encoding="utf-8") as out:
            out.write(json.dumps(word_problem(rows)) + "\n")
        more = _port(server, here, "one row more")
        verdict("    requests", more.stats.requests, 1)
        verdict("    rows asked for", more.stats.rows, 1)
        _against(more, first)
        prove(more, source, cells=1)

        write_glossary(glossary, forward(TERM[:-1]))  # what the server writes complies with both
        edited = _port(server, here, f"the term {TERM!r} edited")
        exactly(server.asked(), source)
        _against(edited, first)
        prove(edited, source, cells=1)


def _asked(run: Run) -> int:
    return run.stats.requests + run.stats.model_lists


def _against(run: Run, first: Run) -> None:
    say(f"    {run.wall / first.wall:.4f} x the first run's wall")


def exactly(asked: list[list[str]], source: Path) -> None:
    """Were the rows with the term asked for, each once, and no other?"""
    lines = source.read_text("utf-8").splitlines()
    due = {text for line in lines if TERM in (text := json.loads(line)["question"])}
    texts = [texts[0] for texts in asked]
    missing, others = len(due - set(texts)), len(set(texts) - due)
    say(f"    {len(due):,} rows hold it")
    verdict("    rows with it that were not asked for", missing, 0)
    verdict("    rows without it that were asked for", others, 0)
    verdict("    rows asked for more than once", len(texts) - len(set(texts)), 0)


if __name__ == "__main__":
    main()
