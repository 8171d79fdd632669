"""A run leaves a few bytes a sample in memory, and the rest of it in its journal."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import ROOT
from tests.e2e.scenario import Machine

FEW, MANY = 2_000, 50_000
MORE_MB = 25.0  # a list of the rows alone would be over 60


def test_memory_hardly_grows_with_the_samples(tmp_path: Path) -> None:
    """Fifty thousand samples, each scored and written down, against two thousand."""
    path = f"{ROOT}:{ROOT / 'tests' / 'no_network'}"
    # as many arenas as threads met would be added to what is held
    machine = Machine(tmp_path, more={"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1"})
    peaks = []
    for samples in (FEW, MANY):
        done = machine.run("-m", "benchmarks.evaluation_child", "--samples", str(samples))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["log"] > 80 * samples
        peaks.append(found["rss"])
    assert peaks[1] - peaks[0] < MORE_MB
