"""What an evaluation over HTTP costs besides the model: CPU seconds a sample, ours and two peers'.

    python -m benchmarks.api_overhead --lm-eval PYTHON --inspect PYTHON

A server without latency in a process of its own, 10,000 samples, 64 requests at once. Ours is
`Evaluator().run("openai", ...)` with its journal on; the peers are lm-evaluation-harness
(local-chat-completions, samples logged) and inspect_ai (openai-api, its log written), each by the
Python of an environment that has it. What is judged is the process's CPU time from the call to the
written result, imports left out; all of the process stands beside it. A peer that is not named is
not measured, and its budget is not judged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import machine, say, verdict
from benchmarks.simulator import ROOT, Simulator

CHILD = Path(__file__).with_name("api_overhead_child.py")
SHARE = 0.1  # of inspect_ai's CPU seconds a sample


def questions(samples: int, path: Path) -> Path:
    """A file of samples: a text that the server answers with its transliteration."""
    from tests.fakes.translit import forward

    with path.open("w", encoding="utf-8") as out:
        for i in range(samples):
            text = f"Question {i}: how many pins are in {i % 97 + 2} boxes of {i % 89 + 2}?"
            out.write(json.dumps({"input": text, "reference": forward(text)}) + "\n")
    return path


def measured(who: str, python: str, options: argparse.Namespace) -> dict[str, Any]:
    """What one side says of its run; ends the benchmark if it fails, or a score is not 1."""
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as folder:
        file = questions(options.samples, Path(folder) / "samples.jsonl")
        with Simulator(1024, math.inf, 0.0) as server:
            job = {"url": server.url, "file": str(file), "concurrency": options.concurrency}
            done = subprocess.run(
                [python, str(CHILD), who, json.dumps(job)],
                env=_environment(Path(folder), server.url),
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            requests = server.stats().requests
    if done.returncode:
        raise SystemExit(f"{who} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if requests < options.samples or found["score"] != 1:
        raise SystemExit(f"{who}: {requests} requests, score {found['score']}")
    per = 1000 * found["cpu"] / options.samples
    say(
        f"{who:<12} {per:7.3f} ms CPU a sample, {found['wall']:7.1f} s wall; whole process "
        f"{found['process']:6.1f} s CPU, {found['memory']:4.0f} MB"
    )
    return found


def _environment(folder: Path, url: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
    return kept | {
        "HOME": str(folder),
        "HRET_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": "sk-bench",
        "SIM_API_KEY": "sk-bench",
        "SIM_BASE_URL": url,
        "PYTHONPATH": str(ROOT),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lm-eval", metavar="PYTHON", help="of an environment with lm-eval[api]")
    parser.add_argument("--inspect", metavar="PYTHON", help="of one with inspect-ai and openai")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    say(f"{machine()}\n{options.samples:,} samples, {options.concurrency} at once")
    ours = measured("ours", sys.executable, options)["cpu"]
    if options.lm_eval:
        theirs = measured("lm-eval", options.lm_eval, options)["cpu"]
        verdict("ours / lm-eval, CPU seconds a sample", ours / theirs, 1.0)
    if options.inspect:
        theirs = measured("inspect_ai", options.inspect, options)["cpu"]
        verdict("ours / inspect_ai, CPU seconds a sample", ours / theirs, SHARE)


if __name__ == "__main__":
    main()
