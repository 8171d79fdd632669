"""HumanEval by `evaluation_method="code"`: every solution passes, every wrong one fails."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from llm_eval.evaluator import Evaluator
from llm_eval.sandbox import layers
from tests.conftest import Cli

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not layers().enough, reason=layers().says),
]
MODULE = '''
"""HumanEval, read from its file."""

import json

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


@register_dataset("humaneval")
class HumanEval(BaseDataset):
    """164 programs to write, each with its tests."""

    def load(self):
        with open(FILE, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        return [
            {
                "input": "다음 함수를 완성하세요.\\n\\n" + row["prompt"],
                "reference": row["canonical_solution"],
                "metadata": {
                    "prompt": row["prompt"],
                    "tests": [row["test"]],
                    "entry_point": row["entry_point"],
                },
            }
            for row in rows
        ]

    def info(self):
        return {**super().info(), "evaluation_method": "code"}
'''


@pytest.fixture
def module(work: Path, shared_data: Path) -> str:
    """A module in HRET's style over the real file."""
    file = str(shared_data / "humaneval.jsonl")
    (work / "humaneval.py").write_text(MODULE.replace("FILE", repr(file)), "utf-8")
    return str(work / "humaneval.py")


def test_every_canonical_solution_passes(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All 164, by the method that the module names; wrong ones fail, all 164."""
    started = time.monotonic()
    found = Evaluator().run("oracle", module)
    passed = time.monotonic() - started
    assert [s["evaluation"].get("why") for s in found.samples] == [None] * 164
    assert (found.metrics["accuracy"], found.metrics["pass@1"]) == (1.0, 1.0)
    assert found.info["evaluation_method"] == "code"
    started = time.monotonic()
    found = Evaluator().run(lambda text: "    return None\n", module)
    failed = time.monotonic() - started
    assert (found.metrics["pass@1"], found.metrics["n"], found.metrics["failed"]) == (0.0, 164, 0)
    assert all(s["evaluation"]["why"] for s in found.samples)
    with capsys.disabled():
        print(f"\n164 solutions in {passed:.1f} s, 164 wrong ones in {failed:.1f} s")


def test_a_whole_function_in_a_fence_passes(module: str) -> None:
    """As a chat model answers: prose, a fence, the function anew."""

    def chatty(text: str) -> str:
        prompt = text.split("\n\n", 1)[1]
        return f"풀이입니다.\n```python\n{prompt}{known[prompt]}```\n끝."

    rows = Evaluator().run("oracle", module, limit=40).samples
    known = {s["metadata"]["prompt"]: s["reference"] for s in rows}
    found = Evaluator().run(chatty, module, limit=40)
    assert found.metrics["pass@1"] == 1.0


def test_the_command_shows_the_metrics(module: str, cli: Cli) -> None:
    """`hret eval` with parameters for the method: each metric on a line."""
    params = json.dumps({"k": [1, 2], "n": 3, "timeout": 20})
    done = cli("eval", "--model", "oracle", "--dataset", module, "--evaluation-method", "code",
               "--evaluator-params", params, "--limit", "4")  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    shown = {k: lines[k] for k in ("accuracy", "pass@1", "pass@2", "pass@2_stderr", "n")}
    assert shown == {"accuracy": "1.0000", "pass@1": "1.0000", "pass@2": "1.0000",
                     "pass@2_stderr": "0.0000", "n": "4"}  # fmt: skip
