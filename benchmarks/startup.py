"""How long `import hret` and `hret --help` take, beside a bare interpreter, in one run.

`python -m benchmarks.startup` prints the median of 15 runs each, in turn, and what is over the
budget (0.05 s for the import, 0.3 s for the help).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import hret": ["-c", "import hret"],
    "hret --help": ["-m", "hret", "--help"],
    "hret port --help": ["-m", "hret", "port", "--help"],
}
BUDGETS = {"import hret": 0.05, "hret --help": 0.3, "hret port --help": 0.3}


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    bare = statistics.median(times["python -c pass"])
    for name, taken in times.items():
        median = statistics.median(taken)
        line = (
            f"{name:<18} {median:6.3f} s (median of {RUNS}), {median / bare:5.1f} x a bare python"
        )
        if name in BUDGETS:
            own = median - bare if name == "import hret" else median
            line += (
                f", {own:6.3f} s of {BUDGETS[name]} s: {'ok' if own <= BUDGETS[name] else 'OVER'}"
            )
        print(line)


if __name__ == "__main__":
    main()
