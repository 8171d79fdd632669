"""One side of `benchmarks.api_overhead`, run by its own environment's Python: NAME JOB (JSON).

Prints one line of JSON last: score, CPU and wall seconds of the evaluation, CPU seconds and peak
memory (MB) of the whole process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Run = Callable[[], float]

TASK = """
task: overhead
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{file}"}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{reference}}}}"
generation_kwargs: {{until: [], max_gen_toks: 512, temperature: 0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def ours(job: Job) -> Run:
    """`Evaluator().run` with its journal."""
    from llm_eval.dataset import BaseDataset
    from llm_eval.evaluator import Evaluator

    class Overhead(BaseDataset):
        def load(self) -> list[dict[str, Any]]:
            lines = Path(job["file"]).read_text("utf-8").splitlines()
            return [json.loads(line) for line in lines]

    def run() -> float:
        params = {"model_name": "sim", "api_base": job["url"], "temperature": 0}
        params |= {"concurrency": job["concurrency"], "max_tokens": 512}
        result = Evaluator().run(
            "openai", Overhead, model_params=params, evaluation_method="string_match"
        )
        return float(result.metrics["accuracy"])

    return run


def lm_eval(job: Job) -> Run:
    """`simple_evaluate` with local-chat-completions, its samples written."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    folder = Path("tasks")
    folder.mkdir()
    (folder / "overhead.yaml").write_text(TASK.format(file=job["file"]), encoding="utf-8")

    def run() -> float:
        address = f"{job['url']}/chat/completions"
        found: Any = simple_evaluate(
            model="local-chat-completions",
            model_args={
                "model": "sim",
                "base_url": address,
                "num_concurrent": job["concurrency"],
                "tokenized_requests": False,
                "max_retries": 3,
            },
            tasks=["overhead"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            apply_chat_template=True,
            log_samples=True,
            bootstrap_iters=0,
        )
        with open("log.jsonl", "w", encoding="utf-8") as out:
            for sample in found["samples"]["overhead"]:
                out.write(json.dumps(sample, default=str, ensure_ascii=False) + "\n")
        return float(found["results"]["overhead"]["exact_match,none"])

    return run


def inspect_ai(job: Job) -> Run:
    """`eval` with openai-api and its log."""
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import exact
    from inspect_ai.solver import generate

    def run() -> float:
        rows = map(json.loads, Path(job["file"]).read_text("utf-8").splitlines())
        samples = [Sample(input=r["input"], target=r["reference"]) for r in rows]
        (log,) = evaluate(
            Task(dataset=MemoryDataset(samples), solver=generate(), scorer=exact()),
            model="openai-api/sim/sim",
            max_connections=job["concurrency"],
            temperature=0,
            max_tokens=512,
            display="none",
            log_realtime=False,
            log_dir="logs",
        )
        if log.status != "success":
            raise SystemExit(str(log.error))
        (score,) = log.results.scores
        return float(score.metrics["mean"].value)

    return run


def main() -> None:
    """Prepare, run, say."""
    sides = {"ours": ours, "lm-eval": lm_eval, "inspect_ai": inspect_ai}
    run = sides[sys.argv[1]](json.loads(sys.argv[2]))
    wall, cpu = time.perf_counter(), time.process_time()
    score = run()
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "score": score,
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "process": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
