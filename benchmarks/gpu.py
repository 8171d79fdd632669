"""The huggingface backend against lm-evaluation-harness's `hf`, on a GPU, in one run.

    python -m venv PEER && PEER/bin/pip install 'lm-eval[hf]==0.4.13'
    python -m benchmarks.gpu --peer PEER/bin/python

One random Llama of about 1B parameters and 128k vocabulary in bf16; the same samples on both sides,
in turns, and the peer's best of its batch sizes counts. Without a GPU it says so and ends.
`--dry-run` goes the same way on the CPU with a tiny model; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import against_lm_eval
from benchmarks.against_lm_eval import Cases, Job, compared, made, sides, words
from benchmarks.common import machine, say


@dataclass(frozen=True)
class Setting:
    """Where, how large, and how much. bf16 keeps 8 bits: sums of a few log-probabilities differ by
    some hundredths from one batch to another, on either side (`near`, in nats)."""

    device: str
    dtype: str
    size: Mapping[str, Any]
    batches: tuple[int, ...]
    share: float
    near: float


GPU = Setting(
    "cuda", "bfloat16",
    {"vocabulary": 128_256, "context": 4096, "hidden": 2048, "layers": 10,
     "initializer_range": 0.02},
    (8, 32, 128), 1.0, 0.5,
)  # fmt: skip
DRY = Setting(
    "cpu", "float32", {"vocabulary": 4096, "context": 1024, "hidden": 64, "layers": 2},
    (1, 8), 0.01, 1e-3,
)  # fmt: skip


def jobs(cases: Cases, share: float) -> dict[str, Job]:
    """What is measured, by name."""

    def n(count: int) -> int:
        return max(2, int(count * share))

    return {
        "512-token prompts, 4 options of 4-12 tokens": cases.likelihood(
            n(512), (500, 512), (4, 12)
        ),
        "512-token prompts, letters": cases.likelihood(n(512), (500, 512), (1, 1)),
        "short prompts, 4 options of 2-10 tokens": cases.likelihood(n(2048), (10, 60), (2, 10)),
        "generation, 128 tokens each": cases.generation(n(256), (64, 256), [], 128),
    }


def has_gpu() -> bool:
    """Is there one that torch can use?"""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def main() -> int:
    """Run it all; 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer",
        default=os.environ.get("HRET_LM_EVAL_PYTHON"),
        help="the Python of an environment with lm-eval[hf] (HRET_LM_EVAL_PYTHON)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that each side is asked")
    parser.add_argument("--only", default="", help="a part of the case's name")
    parser.add_argument("--dry-run", action="store_true", help="tiny, and on the CPU")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return against_lm_eval.child(against_lm_eval.Ours())
    if not options.dry_run and not has_gpu():
        say("there is no GPU that torch can use: nothing measured (--dry-run tries the script)")
        return 0
    if not options.peer:
        raise SystemExit("name the peer's Python: --peer, or HRET_LM_EVAL_PYTHON")
    setting = DRY if options.dry_run else GPU
    say(f"{machine()}; {_name(setting.device)}, {setting.dtype}")
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as folder:
        known = words(2_000 if options.dry_run else 60_000)
        model = made(Path(folder), known, **setting.size)
        return 0 if measured(options, setting, model, Cases(model, known)) else 1


def measured(options: argparse.Namespace, setting: Setting, model: str, cases: Cases) -> bool:
    """Every case by turns; False where a budget is missed."""
    good = True
    threads = os.cpu_count() or 1
    with sides(options.peer, "benchmarks.gpu", threads) as pair:
        for side in pair:
            side.ask(
                do="load", model=model, threads=threads, device=setting.device,
                dtype=setting.dtype, batches=setting.batches,
            )  # fmt: skip
        for name, job in jobs(cases, setting.share).items():
            if options.only in name:
                good = compared(
                    name, pair, job, 0.0 if options.dry_run else 1.0, rounds=options.rounds,
                    batches=setting.batches, near=setting.near, close=max(1e-4, setting.near / 5),
                ) and good  # fmt: skip
    return good


def _name(device: str) -> str:
    if device == "cpu":
        return "a dry run on the CPU"
    import torch

    return str(torch.cuda.get_device_name())


if __name__ == "__main__":
    sys.exit(main())
