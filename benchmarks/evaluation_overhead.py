"""What the runner itself costs a sample, where a model answers at once; the log is written.

`python -m benchmarks.evaluation_overhead --peer PYTHON` measures lm-eval on the same questions in
the same run; PYTHON (or HRET_LM_EVAL_PYTHON) is that of an environment that has lm-eval. CPU
seconds of the evaluation alone count, imports do not: what grows with the number of samples is
taken from two sizes, so that what is paid once counts for nobody. Budgets: 0.2 x lm-eval's CPU
seconds a sample, 200 MB at the peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import machine, say, verdict
from benchmarks.evaluation_child import question

SAMPLES, FEWER, TIMES = 20_000, 2_000, 3
BUDGET, MEMORY = 0.2, 200.0


def child(python: str, arguments: list[str], home: Path) -> dict[str, Any]:
    """What one child says of itself."""
    done = subprocess.run(
        [python, *arguments],
        env={**os.environ, "HRET_HOME": str(home), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{python} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measured(python: str, arguments: list[list[str]], home: Path) -> tuple[float, dict[str, Any]]:
    """(CPU milliseconds a sample, the larger size's record), the best of a few runs of each."""
    few, many = (
        min((child(python, a, home) for _ in range(TIMES)), key=lambda found: float(found["cpu"]))
        for a in arguments
    )
    return 1000 * (many["cpu"] - few["cpu"]) / (SAMPLES - FEWER), many


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", default=os.environ.get("HRET_LM_EVAL_PYTHON"))
    peer: str | None = parser.parse_args().peer
    say(f"{machine()}; {SAMPLES:,} questions with four choices, a model that answers at once")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        arguments = [
            ["-m", "benchmarks.evaluation_child", "--listed", "--samples", str(n)]
            for n in (FEWER, SAMPLES)
        ]
        ours, whole = measured(sys.executable, arguments, home)
        say(
            f"    ours: {ours:.3f} ms of CPU a sample, {whole['wall']:.1f} s, peak "
            f"{whole['rss']:.0f} MB, log of {whole['log'] / 2**20:.1f} MiB"
        )
        verdict("    peak RSS, MB", whole["rss"], MEMORY)
        if peer is None:
            say("    lm-eval: not measured; name its Python by --peer or HRET_LM_EVAL_PYTHON")
            return
        script = str(Path(__file__).with_name("evaluation_lm_eval.py"))
        files = []
        for count in (FEWER, SAMPLES):
            files.append(home / f"{count}.jsonl")
            lines = (json.dumps(question(i)) + "\n" for i in range(count))
            files[-1].write_text("".join(lines), "utf-8")
        theirs, other = measured(peer, [[script, str(path)] for path in files], home)
        say(
            f"    lm-eval: {theirs:.3f} ms of CPU a sample, {other['wall']:.1f} s, peak "
            f"{other['rss']:.0f} MB, log of {other['log'] / 2**20:.1f} MiB"
        )
        verdict("    CPU a sample, of lm-eval's", ours / theirs, BUDGET)


if __name__ == "__main__":
    main()
