"""The command of document 001, §3.2, as it stands: only model and dataset are others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llm_eval.aio import run_sync
from llm_eval.records import Prompt
from tests.conftest import ROOT
from tests.vllm.conftest import Made

DATASET = """
from llm_eval.datasets import BaseDataset, register_dataset


@register_dataset("haerae_bench")
class Geography(BaseDataset):
    def load(self):
        questions = ["대한민국의 수도는?", "The capital of Korea is", "물은 몇 도에서 끓습니까?"]
        return [
            {"input": f"{q} 정답:", "options": ["(A)", "(B)", "서울입니다."], "reference": "(B)",
             "_subset_name": "csat_geo"}
            for q in questions
        ]
"""


def test_log_likelihood_from_the_command_line(
    folder: Path, hf: Made, environment: dict[str, str], work: Path
) -> None:
    """It writes the result: the options' log-probabilities, and which way they were found."""
    (work / "haerae.py").write_text(DATASET, "utf-8")
    params = {
        "model_name_or_path": str(folder),
        "tensor_parallel_size": 1,
        "max_num_seqs": 128,
        "max_num_batched_tokens": 4096,
        "dtype": "float32",
        "apply_chat_template": False,
        "enforce_eager": True,  # compiling takes minutes on two cores
    }
    arguments = [
        *("--model", "vllm", "--evaluation_method", "log_likelihood"),
        *("--dataset", "haerae.py", "--subset", "csat_geo"),
        *("--model_params", json.dumps(params, indent=4)),
        *("--evaluator_params", '{"return_logits": true}'),
        *("--output_file", "vllm_logprob_results.json"),
    ]
    small = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "llm_eval" / "evaluator.py"), *arguments],
        env=environment | small,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((work / "vllm_logprob_results.json").read_text("utf-8"))
    assert told["metrics"]["n"] == 3
    prompts = [
        Prompt(sample_id=str(i), text=s["input"], options=tuple(s["options"]))
        for i, s in enumerate(told["samples"])
    ]
    for sample, other in zip(told["samples"], run_sync(hf().score_options(prompts)), strict=True):
        found = sample["logits"]["option_log_probs"]
        assert found == pytest.approx([o.logprob for o in other.options], abs=1e-2)


def test_a_model_that_is_none_is_one_sentence(environment: dict[str, str], work: Path) -> None:
    """Exit status 2, before vLLM is imported where a parameter is misspelled."""
    for params, said in (
        ({"model_name_or_path": "m", "tensor_paralel_size": 2}, "tensor_parallel_size"),
        ({"model_name_or_path": "m", "data_parallel_size": 2}, "data_parallel_size"),
    ):
        done = subprocess.run(
            [
                *(sys.executable, str(ROOT / "llm_eval" / "evaluator.py"), "--model", "vllm"),
                *("--dataset", "sample", "--model_params", json.dumps(params)),
            ],
            env=environment,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
