"""What benchmarks share: rows, a port as a child process, the proof of its rows, verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.simulator import MODEL, ROOT, Simulator, Stats
from tests.fakes.chat_protocol import TOKEN
from tests.fakes.translit import back

GSM8K = ROOT.parent / "shared" / "data" / "gsm8k_test.jsonl"
TERM = "quince"
_NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon", "Kim")
_THINGS = (
    *(TERM, "lemon", "brick", "lamp", "drum", "kettle", "ribbon", "spoon", "violin", "wheel"),
    *("anchor", "basket", "candle", "doll", "engine", "feather", "glove", "hammer", "iron"),
)
_OURS = ("OPENAI_", "HF_", "HRET_", "BATCH_SIZE", "MAX_RETRIES")
SAY_EVERY = 15.0  # seconds between two lines of progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished port: seconds from its start to its exit, what the server saw, what it printed."""

    wall: float
    stats: Stats
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder with a home of its own: memory, caches and ports of earlier runs do not count."""

    folder: Path

    def port(
        self,
        server: Simulator,
        source: Path,
        *options: str,
        watch: Callable[[int], None] | None = None,
        every: float = SAY_EVERY,
    ) -> Run:
        """Port `source` by the command line; `watch` is called with the process's id meanwhile.

        The server's counts begin anew. Ends the benchmark if the port fails.
        """
        command = [sys.executable, str(ROOT / "src" / "main.py"), "--dataset", str(source)]
        command += ["--model", MODEL, "--output-dir", str(self.folder / "out"), "--json", *options]
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_OURS)}
        kept = {k: v for k, v in kept.items() if not k.upper().endswith("_PROXY")}
        own = {
            "HRET_HOME": str(self.folder / "home"),
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": server.url,
        }
        server.reset()
        out, err = self.folder / "stdout", self.folder / "stderr"
        with out.open("w") as stdout, err.open("w") as stderr:
            started = time.monotonic()
            child = subprocess.Popen(
                command, cwd=self.folder, env=kept | own, stdout=stdout, stderr=stderr
            )
            try:
                while not _ended(child, every):
                    watch(child.pid) if watch else progress(server, time.monotonic() - started)
            finally:
                child.kill()
            wall = time.monotonic() - started
        if child.returncode:
            said = err.read_text("utf-8")[-2_000:] or out.read_text("utf-8")[-2_000:]
            raise SystemExit(f"the port ended with status {child.returncode}:\n{said}")
        result = json.loads(out.read_text("utf-8"))
        return Run(wall=wall, stats=server.stats(), result=result)


def _ended(child: subprocess.Popen[bytes], within: float) -> bool:
    try:
        child.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextmanager
def desk() -> Iterator[Desk]:
    """A fresh desk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as folder:
        yield Desk(Path(folder))


def progress(server: Simulator, seconds: float) -> None:
    """One line of what the server has seen."""
    s = server.stats()
    say(
        f"    {seconds:5.0f} s: {s.rows:,} rows asked for in {s.requests:,} requests, "
        f"{s.under_way} under way"
    )


def say(line: str) -> None:
    """Print a line now."""
    print(line, flush=True)


def verdict(what: str, value: float, budget: float, *, least: bool = False) -> bool:
    """Print a measured value against its budget (the most, or the `least`), `ok` or `OVER`."""
    good = value >= budget if least else value <= budget
    side = "at least" if least else "at most"
    say(f"{what:<52} {value:9.3f}  {side} {budget:g}: {'ok' if good else 'OVER'}")
    return good


def machine() -> str:
    """What this machine is, for the head of a report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = ".".join(map(str, sys.version_info[:3]))
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {version}, load {load:.1f} at the start"
    )


def gsm8k(path: Path) -> Path:
    """The file of GSM8K's test split, or the end of the benchmark."""
    if not path.is_file():
        raise SystemExit(
            f"there is no {path}: pass GSM8K's test split as JSON lines by --data FILE"
        )
    return path


def head(path: Path, rows: int | None, into: Path) -> Path:
    """`path`, or a file of its first `rows` rows in the folder `into`."""
    if rows is None:
        return path
    with path.open(encoding="utf-8") as lines:
        chosen = [line for line, _ in zip(lines, range(rows), strict=False)]
    cut = into / path.name
    cut.write_text("".join(chosen), encoding="utf-8")
    return cut


def word_problem(number: int) -> dict[str, str]:
    """A short row, different for every number; one in 19 holds `TERM`."""
    name, thing = _NAMES[number % len(_NAMES)], _THINGS[number % len(_THINGS)]
    boxes, pins = number % 97 + 2, number // 97 % 89 + 2
    return {
        "question": f"{name} puts one {thing} and {pins} pins in each of {boxes} boxes of lot "
        f"{number}. How many pins is that?",
        "answer": str(boxes * pins),
    }


def write_rows(path: Path, rows: int) -> Path:
    """A file of word problems 0, 1, ..."""
    with path.open("w", encoding="utf-8") as out:
        for number in range(rows):
            out.write(json.dumps(word_problem(number)) + "\n")
    return path


def prove(run: Run, source: Path, *, cells: int) -> int:
    """Characters of the translated cells, once every row is proved by transliterating back.

    Ends the benchmark if a row is missing, wrong, or has not `cells` translated cells.
    """
    chars = rows = 0
    with source.open(encoding="utf-8") as lines:
        for row, line in zip_longest(_ported(Path(run.result["data_path"])), lines):
            if row is None or line is None:
                raise SystemExit(
                    f"the port has {'fewer' if row is None else 'more'} rows than its source"
                )
            changed = 0
            for now, was in zip(row.values(), json.loads(line).values(), strict=True):
                if now == was:
                    continue
                if not isinstance(now, str) or back(now) != was:
                    raise SystemExit(f"row {rows} is wrong: {now!r} is not {was!r}")
                changed += 1
                chars += len(now)
            if changed != cells:
                raise SystemExit(f"row {rows}: {changed} translated cells, not {cells}: {row}")
            rows += 1
    say(f"    {rows:,} rows proved right by transliterating back")
    return chars


def _ported(folder: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*/*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(10_000):
            yield from batch.to_pylist()


def tokens(chars: int) -> float:
    """Tokens of that many characters, not rounded up cell by cell: the smaller, stricter count."""
    return chars / TOKEN
