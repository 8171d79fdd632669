"""The vllm backend against the huggingface backend: likelihoods and replies, in one run.

    .venv-vllm/bin/python -m benchmarks.vllm_likelihood

One random Llama in fp32 (bf16 on a GPU), the same samples on both sides, ours in turns with theirs;
the best of three rounds counts. The first line says which device it was: figures of the CPU build
of vLLM tell nothing about a GPU.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.common import machine, say
from llm_eval.aio import run_sync
from llm_eval.models.base import BaseModel
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.models.vllm import VLLMModel
from llm_eval.records import Prediction, Prompt

ROUNDS = 3
WORDS = "capital Korea Seoul which right answer four question more say true false".split()


def prompts(count: int, words: int, options: int, length: int) -> list[Prompt]:
    """Random prompts of `words` words, each with options of `length` words."""
    dice = random.Random(0)

    def said(n: int) -> str:
        return " ".join(dice.choice(WORDS) for _ in range(n))

    return [
        Prompt(
            sample_id=str(i),
            text=f"{said(words)} {i} Answer:",
            options=tuple(f" {said(length)} {n}" for n in range(options))
            if length
            else tuple("ABCD"[:options]),
        )
        for i in range(count)
    ]


def rate(ask: Callable[[list[Prompt]], Awaitable[list[Prediction]]], asked: list[Prompt]) -> float:
    """Samples a second; every one has to be answered."""

    async def timed() -> float:
        began = time.perf_counter()
        found = await ask(asked)
        assert not any(p.failure for p in found)
        return len(asked) / (time.perf_counter() - began)

    return run_sync(timed())


def compared(ours: BaseModel, theirs: BaseModel, count: int, words: int) -> None:
    """Print a line for each shape of work."""
    shapes = {
        "4 one-token options": (prompts(count, words, 4, 0), "likelihoods"),
        "4 options of about 6 words": (prompts(count, words, 4, 6), "likelihoods"),
        "replies of 32 tokens": (prompts(count // 4, words, 0, 0), "generate"),
    }
    for name, (asked, way) in shapes.items():
        best: dict[str, float] = {"vllm": 0.0, "huggingface": 0.0}
        for _ in range(ROUNDS):
            for model in (ours, theirs):
                best[model.name] = max(best[model.name], rate(getattr(model, way), asked))
        say(
            f"{name}: vllm {best['vllm']:.1f} samples/s, huggingface {best['huggingface']:.1f} "
            f"({best['vllm'] / best['huggingface']:.2f} ×)"
        )


def main() -> None:
    """Make the model, load it twice, and compare."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--samples", type=int, default=64)
    options.add_argument("--words", type=int, default=200, help="words of a prompt")
    given = options.parse_args()
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    import torch

    from tests.fakes.tiny_lm import make

    gpu = torch.cuda.is_available()
    say(f"{machine()}; {torch.cuda.get_device_name() if gpu else 'CPU'}")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), vocabulary=8192, context=2048, hidden=256, layers=6)
        same: dict[str, Any] = {"dtype": "bfloat16" if gpu else "float32"}
        same |= {"max_new_tokens": 32, "apply_chat_template": False}
        room: dict[str, Any] = (
            {} if gpu else {"kv_cache_memory_bytes": 1 << 30, "enforce_eager": True}
        )
        ours = VLLMModel(folder, gpu_memory_utilization=0.4, **room, **same)
        theirs = HuggingFaceModel(folder, **same)
        run_sync(ours.check())
        run_sync(theirs.check())
        compared(ours, theirs, given.samples, given.words)
        say(f"likelihoods by: {ours.told['likelihood_by']}")


if __name__ == "__main__":
    main()
