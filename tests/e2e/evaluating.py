"""An evaluation as a child process: a module of the user's, a chat server, and the run's folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer, Record

SAMPLES, UNDER_WAY = 120, 4
MODULE = """
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


@register_dataset("sums")
class Sums(BaseDataset):
    def load(self):
        return [
            {"input": f"What is {i} plus {i % 7}?", "reference": str(i + i % 7),
             "_subset_name": "odd" if i % 2 else "even"}
            for i in range(COUNT)
        ]
"""


def right(messages: list[dict[str, Any]]) -> str:
    """What a model that errs on every fifth question says."""
    words = messages[-1]["content"].rstrip("?").split()
    number, more = int(words[2]), int(words[4])
    return f"정답: {number + more + (number % 5 == 0)}"


def machine_of(where: Path, chat: ChatServer, samples: int = SAMPLES) -> Machine:
    """A machine with the module `sums.py`."""
    chat.answer = right
    machine = Machine(where, chat=chat)
    (machine.work / "sums.py").write_text(MODULE.replace("COUNT", str(samples)), "utf-8")
    return machine


def command(*more: str, params: Mapping[str, Any] | None = None) -> list[str]:
    """`hret eval` on the module; the whole result goes to out.json."""
    told = {"concurrency": UNDER_WAY, "max_retries": 0, **(params or {})}
    return [
        *("-m", "hret", "eval", "--model", "openai", "--model-name", "fake-translator"),
        *("--dataset", "sums.py", "--output", "out.json"),
        *("--model-params", json.dumps(told), *more),
    ]


def started(machine: Machine, *arguments: str) -> subprocess.Popen[str]:
    """An evaluation under way."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def runs(machine: Machine) -> list[Path]:
    """The folders of runs that began, oldest first."""
    found = (machine.where / "hret-home" / "runs").glob("*/run.json")
    return sorted(path.parent for path in found)


def journaled(machine: Machine) -> set[str]:
    """The ids of the samples that the newest run's journal has whole lines of."""
    folders = runs(machine)
    path = folders[-1] / "journal.jsonl" if folders else Path("absent")
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    told = [json.loads(line) for line in lines]
    return {t["id"] for t in told if "id" in t and "failure" not in t["replies"][0]["prediction"]}


def asked(records: Sequence[Record]) -> Counter[str]:
    """How often each sample was asked for, by its id."""
    found: Counter[str] = Counter()
    for record in records:
        if isinstance(record.body, dict) and "messages" in record.body:
            number = int(record.body["messages"][-1]["content"].split()[2])
            found[f"{'odd' if number % 2 else 'even'}/{number}"] += 1
    return found


def result(machine: Machine) -> dict[str, Any]:
    """Metrics and samples of the result that was written."""
    found: dict[str, Any] = json.loads((machine.work / "out.json").read_text("utf-8"))
    return {"metrics": found["metrics"], "samples": found["samples"]}


def info(machine: Machine) -> dict[str, Any]:
    """Its record."""
    found: dict[str, Any] = json.loads((machine.work / "out.json").read_text("utf-8"))["info"]
    return found
