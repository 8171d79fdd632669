"""The peer's side of `benchmarks.likelihood` and `.gpu`, run by an environment with lm-eval[hf].

Questions (JSON) on standard input, one answer each on standard output. Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

ANSWER = "answer: "


def instance(kind: str, arguments: tuple[Any, ...]) -> Any:
    """A request as lm-eval makes it."""
    from lm_eval.api.instance import Instance

    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def weighed(lm: Any, job: dict[str, Any]) -> list[Any]:
    """[[(sum, greedy), ...], ...]"""
    asked = [(s["prompt"], o) for s in job["samples"] for o in s["options"]]
    told = iter(lm.loglikelihood([instance("loglikelihood", a) for a in asked], disable_tqdm=True))
    return [[next(told) for _ in s["options"]] for s in job["samples"]]


def written(lm: Any, job: dict[str, Any]) -> list[Any]:
    """The replies."""
    how = {"until": job["stop"], "max_gen_toks": job["max_new_tokens"], "do_sample": False}
    asked = [instance("generate_until", (s["prompt"], how)) for s in job["samples"]]
    return list(lm.generate_until(asked, disable_tqdm=True))


class Theirs:
    """The peer's process."""

    def load(self, model: str, threads: int, device: str, dtype: str, batches: list[int]) -> None:
        """Load the model, once for every batch size."""
        import torch
        from lm_eval.models.huggingface import HFLM

        torch.set_num_threads(threads)
        self.lms = {
            b: HFLM(pretrained=model, device=device, dtype=dtype, batch_size=b) for b in batches
        }

    def time(self, job: str, batch: int, warm: bool = False) -> dict[str, Any]:
        """Do the job in this file once."""
        told = json.loads(Path(job).read_text("utf-8"))
        if warm:
            told["samples"] = told["samples"][-2:]
        do = weighed if told["kind"] == "likelihood" else written
        started, cpu = time.perf_counter(), time.process_time()
        found = do(self.lms[batch], told)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        return {"seconds": wall, "cpu": cpu, "found": found}

    def tasks(self, model: str, folder: str, names: list[str]) -> dict[str, Any]:
        """Acc and acc_norm of tasks in YAML."""
        import lm_eval
        from lm_eval.tasks import TaskManager

        found = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": model, "dtype": "float32"},
            tasks=names,
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            device="cpu",
            batch_size=8,
            bootstrap_iters=0,
            log_samples=True,
        )
        return {
            name: {
                "acc": told["acc,none"],
                "acc_norm": told["acc_norm,none"],
                "logprobs": [
                    [float(r[0][0]) for r in sample["resps"]]
                    for sample in sorted(found["samples"][name], key=lambda s: s["doc_id"])
                ],
            }
            for name, told in found["results"].items()
        }


def main() -> None:
    """Answer until nothing is asked any more."""
    theirs = Theirs()
    for line in sys.stdin:
        question = json.loads(line)
        answer = getattr(theirs, question.pop("do"))(**question)
        print(ANSWER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
