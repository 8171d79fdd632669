"""Memory over time while 1,000,000 samples are evaluated.

`python -m benchmarks.evaluation_memory` evaluates questions that are made as they are asked for by
a model that answers at once, and samples the process tree every half second from /proc. Budget:
400 MB at the peak, and no more in the last quarter than in the second: a sample leaves some 50
bytes in memory (where its line is, its score), and all else of it in the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.common import machine, say, verdict
from benchmarks.memory import Sample, sampled

SAMPLES, EVERY, LINE_EVERY, BUDGET = 1_000_000, 0.5, 10.0, 400.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    samples: int = parser.parse_args().samples
    say(f"{machine()}; {samples:,} samples")
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.evaluation_child", "--samples", str(samples)],
            env={**os.environ, "HRET_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
        )
        found, started, told = list[Sample](), time.monotonic(), 0.0
        while process.poll() is None:
            found.append(sampled(process.pid, time.monotonic() - started))
            if found[-1].seconds - told >= LINE_EVERY:
                told = found[-1].seconds
                say(f"    {told:5.0f} s: RSS {found[-1].rss:5.0f} MiB")
            time.sleep(EVERY)
        out, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the evaluation failed")
    record = json.loads(out.strip().splitlines()[-1])
    quarter = max(1, len(found) // 4)
    peaks = [max(s.rss for s in found[i : i + quarter]) for i in range(0, 4 * quarter, quarter)]
    say(f"    peak RSS in each quarter: {', '.join(f'{p:.0f}' for p in peaks)} MiB")
    say(
        f"    {record['wall']:.0f} s, {samples / record['wall']:,.0f} samples/s, "
        f"{1000 * record['cpu'] / samples:.3f} ms of CPU each, log of {record['log'] >> 20} MiB"
    )
    verdict("    peak RSS, MB", record["rss"], BUDGET)


if __name__ == "__main__":
    main()
