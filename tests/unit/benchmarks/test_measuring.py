"""What the benchmarks say of a run is so: the proof of its rows, its memory, the baseline."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import baseline, memory, rerun
from benchmarks.common import TERM, Desk, Run, head, prove, verdict, word_problem, write_rows
from benchmarks.selfcheck import ask_all, ideal, requests
from benchmarks.simulator import Simulator, Stats
from tests.fakes.translit import back, forward


def ported(folder: Path, rows: list[dict[str, Any]]) -> Run:
    """A run whose port holds these rows, in two shards."""
    data = folder / "port" / "default"
    data.mkdir(parents=True)
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        pq.write_table(pa.Table.from_pylist(part), data / f"test-{number:05}-of-00002.parquet")
    return Run(wall=1.0, stats=Stats(), result={"data_path": str(data.parent)})


def translated(rows: int) -> list[dict[str, Any]]:
    """Word problems as a faultless port holds them."""
    problems = [word_problem(i) for i in range(rows)]
    return [{"질문": forward(p["question"]), "정답": p["answer"]} for p in problems]


def test_a_port_of_right_rows_is_proved(work: Path) -> None:
    """And the characters of its translated cells are counted, the kept ones' not."""
    source, rows = write_rows(work / "rows.jsonl", 7), translated(7)
    assert prove(ported(work, rows), source, cells=1) == sum(len(r["질문"]) for r in rows)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[3].update(질문=rows[2]["질문"]),
        lambda rows: rows[3].update(정답="0"),
        lambda rows: rows[3].update(질문=word_problem(3)["question"]),
        lambda rows: rows.pop(),
        lambda rows: rows.append(rows[0]),
        lambda rows: rows.reverse(),
    ],
    ids=["another row's", "a gold changed", "untranslated", "lost", "one too many", "order"],
)
def test_a_wrong_row_ends_the_benchmark(work: Path, spoil: Any) -> None:
    """Nothing is measured of a port that is not right."""
    source, rows = write_rows(work / "rows.jsonl", 7), translated(7)
    spoil(rows)
    with pytest.raises(SystemExit, match="row"):
        prove(ported(work, rows), source, cells=1)


def test_word_problems_differ_and_one_in_19_holds_the_term() -> None:
    """No row is another's equal, which would be asked for once only."""
    rows = [word_problem(i)["question"] for i in range(19_000)]
    assert len(set(rows)) == len(rows)
    assert sum(TERM in row for row in rows) == 1_000


def test_a_head_is_the_first_rows(work: Path) -> None:
    """And no number means the file itself."""
    source = write_rows(work / "rows.jsonl", 5)
    folder = work / "cut"
    folder.mkdir()
    assert head(source, None, folder) == source
    assert len(head(source, 2, folder).read_text().splitlines()) == 2


def test_a_verdict_says_ok_or_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the budget, beyond it, and for those that are a least."""
    assert verdict("ratio", 1.15, 1.15) and not verdict("ratio", 1.16, 1.15)
    assert verdict("share", 85.0, 85, least=True) and not verdict("share", 84.9, 85, least=True)
    ends = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert ends == ["ok", "OVER", "ok", "OVER"]


def test_the_baseline_asks_cell_by_cell_with_a_barrier() -> None:
    """Every cell in order, one request each, never more under way than a batch."""
    cells = [f"cell {i}" for i in range(23)]
    with Simulator(64, rate=1_000, first_token=0.05) as server:
        made, seconds = asyncio.run(baseline.translate(server.url, "prompt", cells, batch=5))
        stats = server.stats()
    assert [back(text) for text in made] == cells
    assert (stats.requests, stats.rows, stats.system) == (23, 23, "prompt")
    assert stats.peak <= 5 and seconds >= 5 * 0.05
    assert stats.source_chars == sum(map(len, cells))


def test_memory_is_that_of_the_whole_tree() -> None:
    """A child and its child, each with 60 MiB of its own; both count, and nothing else does."""
    hold = "import sys; b = bytearray(b'x') * (60 << 20); print(1, flush=True); sys.stdin.read()"
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {hold!r}], stdin=subprocess.PIPE)\n{hold}"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdin and child.stdout
        assert [child.stdout.readline() for _ in range(2)] == [b"1\n"] * 2
        found = memory.sampled(child.pid, 3.0)
        child.stdin.close()
    assert (found.seconds, found.processes) == (3.0, 2)
    assert 120 <= found.anonymous <= found.rss < 300
    assert 120 <= found.pss <= found.rss
    assert memory.sampled(child.pid, 4.0).rss == 0.0


def test_rows_asked_for_are_compared_with_those_that_hold_the_term(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right, one missing, one other, one twice."""
    source = write_rows(work / "rows.jsonl", 40)
    due = [[q] for i in range(40) if TERM in (q := word_problem(i)["question"])]
    other = [word_problem(1)["question"]]
    wrongs = []
    for asked in (due, due[1:], [*due, other], [*due, due[0]]):
        rerun.exactly(asked, source)
        said = capsys.readouterr().out.splitlines()
        wrongs.append([line.endswith("OVER") for line in said if "at most" in line])
    a, b = True, False
    assert wrongs == [[b, b, b], [a, b, b], [b, a, b], [b, b, a]]


def test_the_ideal_is_a_lower_bound_of_the_perfect_client() -> None:
    """No client is faster than ideal slots."""
    made = requests(40)
    with Simulator(8, rate=5_000, first_token=0.01) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        wall = asyncio.run(ask_all(port, [body for body, _ in made], 8))
    assert wall >= ideal([n for _, n in made], 8, rate=5_000, first_token=0.01)


def test_a_port_is_run_by_the_command_line_and_proved(work: Path) -> None:
    """The way that every benchmark goes, on a handful of rows."""
    source = work / "rows.jsonl"
    source.write_text("".join(json.dumps(word_problem(i)) + "\n" for i in range(6)), "utf-8")
    with Simulator(4, math.inf, 0.0) as server:
        run = Desk(work).port(server, source, "--concurrency=2")
    assert prove(run, source, cells=1) > 0
    assert run.stats.rows == 6 and run.wall > run.stats.wall > 0


def test_a_port_that_fails_ends_the_benchmark_with_what_it_said(work: Path) -> None:
    """No figure of a run that did not succeed."""
    said = pytest.raises(SystemExit, match=r"status 2(?s:.*)nothere")
    with Simulator(4, math.inf, 0.0) as server, said:
        Desk(work).port(server, work / "nothere.jsonl")
