"""`hret serve` under lm-evaluation-harness: the same numbers as its own `hf` on the same model.

Runs where HRET_LM_EVAL_PYTHON names a Python that has lm-eval, torch and transformers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import child_environment
from tests.fakes.tiny_lm import make

PYTHON = os.environ.get("HRET_LM_EVAL_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="HRET_LM_EVAL_PYTHON names no Python with lm-eval"
)
ROWS = [
    {
        "q": f"Question {i}: what is {i} and {i}? Answer:",
        "choices": [" four", " two and two", " 서울", " Seoul"],
        "gold": i % 4,
    }
    for i in range(12)
]
TASK = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
doc_to_text: "{{{{q}}}}"
"""
CHOICE = """output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: gold
target_delimiter: ""
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WRITE = """output_type: generate_until
doc_to_target: "{{choices[gold]}}"
generation_kwargs: {until: ["Q"], max_gen_toks: 8, do_sample: false}
metric_list: [{metric: exact_match}]
"""


@contextmanager
def served(model: Path, home: Path) -> Iterator[str]:
    """`hret serve` with a model; its address, without /v1."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hret", "serve", "--model", f"huggingface:{model}", "--port", "0"],
        env=child_environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("Serving "):
                break
        else:
            pytest.fail("".join(said))
        yield line.split(" at ")[1].split("/v1")[0]
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, rest
    finally:
        process.kill()
        process.wait()


def evaluated(folder: Path, name: str, tasks: str, backend: str, *more: str) -> list[Any]:
    """What lm-eval got of each sample, in order: (log-probability, greedy), or texts."""
    where = "--include_path", str(folder), "--output_path", str(folder / name), "--log_samples"
    done = subprocess.run(
        [PYTHON, "-m", "lm_eval", "--model", backend, "--tasks", tasks, *where, *more],
        env=child_environment(folder) | {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (folder / name).rglob(f"samples_{tasks}_*.jsonl")
    samples = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [s["resps"] for s in sorted(samples, key=lambda s: s["doc_id"])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two tasks."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS), "utf-8")
    for name, more in (("quiz_choice", CHOICE), ("quiz_write", WRITE)):
        text = TASK.format(name=name, rows=rows) + more
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path


def test_local_completions_gives_what_hf_gives(folder: Path) -> None:
    """The log-probability of every choice to 1e-3, its greedy flag, and every text."""
    model = make(folder / "model", begins=False)  # of a token that begins texts lm-eval sends none
    direct = "--model_args", f"pretrained={model},dtype=float32"
    with served(model, folder) as address:
        told = f"model={model},tokenizer={model},num_concurrent=4,max_length=256"
        through = "--model_args", f"{told},base_url={address}/v1/completions"
        ours = evaluated(folder, "ours", "quiz_choice", "local-completions", *through)
        texts = evaluated(folder, "texts", "quiz_write", "local-completions", *through)
    theirs = evaluated(folder, "theirs", "quiz_choice", "hf", *direct, "--device", "cpu")
    assert len(ours) == len(theirs) == len(ROWS)
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) == 4
        for ((logprob, greedy),), ((expected, was),) in zip(one, other, strict=True):
            assert float(logprob) == pytest.approx(float(expected), abs=1e-3)
            assert str(greedy) == str(was)
    assert texts == evaluated(folder, "hf", "quiz_write", "hf", *direct, "--device", "cpu")


def test_local_chat_completions_gives_what_hf_gives(folder: Path) -> None:
    """Every text, through the model's chat template."""
    model = make(folder / "model", chat=True, begins=False)
    chat = ("--apply_chat_template",)
    with served(model, folder) as address:
        told = f"model={model},num_concurrent=4,base_url={address}/v1/chat/completions"
        args = ("--model_args", told, *chat)
        ours = evaluated(folder, "ours", "quiz_write", "local-chat-completions", *args)
    direct = ("--model_args", f"pretrained={model},dtype=float32", "--device", "cpu", *chat)
    assert ours == evaluated(folder, "theirs", "quiz_write", "hf", *direct)
