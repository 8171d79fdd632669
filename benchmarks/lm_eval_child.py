"""The peer's side of `benchmarks.likelihood`, run by an environment that has lm-eval[hf].

Reads a job (JSON) from its first argument's file, prints the result as JSON on its last line.
Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


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


def tasks(job: dict[str, Any]) -> dict[str, Any]:
    """Acc and acc_norm of tasks in YAML."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=job["tasks"], include_defaults=False)
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": job["model"], "dtype": "float32"},
        tasks=job["names"],
        task_manager=manager,
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
    """Do the job."""
    import torch

    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(job["threads"])
    if job["kind"] == "tasks":
        print(json.dumps(tasks(job)))
        return
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=job["model"], device="cpu", dtype="float32", batch_size=job["batch_size"])
    do = weighed if job["kind"] == "likelihood" else written
    do(lm, {**job, "samples": job["samples"][-2:]})
    walls, cpus = [], []
    for _ in range(job["times"]):
        started, cpu = time.perf_counter(), time.process_time()
        found = do(lm, job)
        walls.append(time.perf_counter() - started)
        cpus.append(time.process_time() - cpu)
    print(json.dumps({"seconds": min(walls), "cpu": min(cpus), "found": found}))


if __name__ == "__main__":
    main()
