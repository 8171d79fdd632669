"""kill -9 in the midst of a pack: what was finished is in the journal, and is not asked again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import BaseDataset
from llm_eval.evaluator import Evaluator
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.results import EvaluationResult
from tests.unit.llm_eval.hf.tools import counting, forward_of, loaded

ROOT = Path(__file__).parents[4]
SIZE = 8
PARAMS: dict[str, Any] = {"batch_size": 2, "max_new_tokens": 30, "stop": list("aeiou가정서을")}
CHILD = """
import sys, threading
from tests.unit.llm_eval.hf import test_kill

test_kill.hang(*sys.argv[1:])
"""


class Short(BaseDataset):
    """Questions, each longer than the one before."""

    def load(self) -> list[dict[str, Any]]:
        rows = (f"question{' and more' * i}" for i in range(SIZE))
        return [{"input": row, "options": ["A", "B"], "reference": "A"} for row in rows]


def run(model: HuggingFaceModel, method: str, **options: Any) -> EvaluationResult:
    """An evaluation of all samples in one pack."""
    return Evaluator().run(model, Short, evaluation_method=method, cache=False, **options)


def hang(folder: str, method: str, passes: str) -> None:
    """In a process of its own: an evaluation on a device that hangs after so many passes."""
    import threading

    import torch

    torch.set_num_threads(1)
    fed: list[Any] = []

    def forward(go: Any, given: Any) -> Any:
        fed.append(given)
        if len(fed) > int(passes):
            print("hangs", flush=True)
            threading.Event().wait()
        return go()

    model = loaded(Path(folder), **PARAMS)
    with forward_of(model, forward):
        run(model, method)


def journaled() -> Counter[str]:
    """How often each sample stands in the run's journal."""
    (path,) = Path(os.environ["HRET_HOME"]).glob("runs/*/journal.jsonl")
    lines = path.read_bytes().split(b"\n")[:-1]
    return Counter(told["id"] for told in map(json.loads, lines) if "id" in told)


@pytest.mark.parametrize("method", ["string_match", "log_likelihood"])
def test_a_kill_loses_nothing_that_was_finished(method: str, tiny_lm: Path) -> None:
    """Not even of a pack whose other samples are still at work."""
    model = loaded(tiny_lm, **PARAMS)
    passes: list[Any] = []
    with forward_of(model, counting(passes)):
        whole = run(model, method, journal=False)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tiny_lm), method, str(len(passes) // 2)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "hangs\n"
        deadline = time.monotonic() + 60
        while len(journaled()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)  # the other process says nothing more: its journal is looked at
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    kept = journaled()
    assert 2 <= len(kept) < SIZE
    again: list[Any] = []
    with forward_of(model, counting(again)):
        found = run(model, method, resume="last")
    assert journaled() == Counter({str(i): 1 for i in range(SIZE)})
    assert len(again) < len(passes)
    assert found.metrics == whole.metrics
    for one, other in zip(found.to_dict()["samples"], whole.to_dict()["samples"], strict=True):
        assert one["prediction"] == other["prediction"]
