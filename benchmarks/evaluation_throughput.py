"""An evaluation against a simulated server's own limit: 64 slots, wall at most 1.1 times the limit.

`python -m benchmarks.evaluation_throughput` asks 3,200 questions of a server that works on 64
requests at once, 50 tokens a second and 0.2 s to the first token each: by `concurrency=64`, and
with the limiter finding the slots. The limit is what the slots were busy with, divided by their
number; the wall is the whole of `Evaluator().run`, the journal and the loading of rows included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.api_overhead import questions
from benchmarks.common import machine, say, verdict
from benchmarks.simulator import ROOT, Simulator

BUDGET = 1.1
FOUND = 1.3  # where the limiter has to find out how many slots there are
RUN = """
import json, sys, time
from pathlib import Path
from llm_eval.dataset import BaseDataset
from llm_eval.evaluator import Evaluator
job = json.loads(sys.argv[1])

class Questions(BaseDataset):
    def load(self):
        return [json.loads(line) for line in Path(job["file"]).read_text("utf-8").splitlines()]

started = time.monotonic()
result = Evaluator().run("openai", Questions, model_params=job["params"],
                         evaluation_method="string_match")
print(json.dumps([time.monotonic() - started, result.metrics["accuracy"]]))
"""


def measured(options: argparse.Namespace, concurrency: int | None) -> float:
    """Wall divided by limit; ends the benchmark if an answer is missing."""
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as folder:
        file = questions(options.samples, Path(folder) / "samples.jsonl")
        kept = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        own = {"HRET_HOME": str(Path(folder) / "home"), "PYTHONPATH": str(ROOT)}
        with Simulator(options.slots, options.rate, options.first_token) as server:
            params = {"model_name": "sim", "api_base": server.url, "temperature": 0}
            params |= {"concurrency": concurrency} if concurrency else {}
            job = json.dumps({"file": str(file), "params": params})
            done = subprocess.run(
                [sys.executable, "-c", RUN, job],
                env=kept | own,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            stats = server.stats()
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    wall, score = json.loads(done.stdout.strip().splitlines()[-1])
    if score != 1 or stats.requests != options.samples:
        raise SystemExit(f"{stats.requests} requests, score {score}")
    limit = stats.busy / options.slots
    say(
        f"    limit {limit:.2f} s, wall {wall:.2f} s; first request to last reply "
        f"{stats.wall:.2f} s, at most {stats.peak} under way"
    )
    return float(wall / limit)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=3200)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--first-token", type=float, default=0.2)
    options = parser.parse_args()
    say(f"{machine()}\n{options.samples:,} samples, {options.slots} slots")
    fixed = measured(options, options.slots)
    verdict(f"wall / limit, concurrency={options.slots}", fixed, BUDGET)
    verdict("wall / limit, slots found by the limiter", measured(options, None), FOUND)


if __name__ == "__main__":
    main()
