"""The peer's side of `benchmarks.evaluation_overhead`, run by an environment that has lm-eval.

A dummy model and a local task of the same questions, log-likelihood of four options each as its
multiple choice has it, with samples logged and saved. Imports nothing of ours; prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASK = """task: sums
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{input}}}}"
doc_to_choice: "{{{{options}}}}"
doc_to_target: "{{{{options.index(reference)}}}}"
metric_list:
  - metric: acc
"""


def main() -> None:
    """Evaluate the questions in the JSON Lines file that is named."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Dummy(LM):
        def loglikelihood(self, requests: Any, **_: Any) -> Any:
            return [(-float(len(r.args[0]) % 7), False) for r in requests]

        def loglikelihood_rolling(self, requests: Any, **_: Any) -> Any:
            raise NotImplementedError

        def generate_until(self, requests: Any, **_: Any) -> Any:
            raise NotImplementedError

    with tempfile.TemporaryDirectory() as here:
        Path(here, "sums.yaml").write_text(TASK.format(data=sys.argv[1]))
        manager = TaskManager(include_path=here, include_defaults=False)
        tracker = EvaluationTracker(output_path=here)
        cpu, wall = time.process_time(), time.perf_counter()
        found = simple_evaluate(
            model=Dummy(),
            tasks=["sums"],
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
            evaluation_tracker=tracker,
        )
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        tracker.save_results_samples(task_name="sums", samples=samples["sums"])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        log = sum(p.stat().st_size for p in Path(here).rglob("samples_*"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"cpu": cpu, "wall": wall, "rss": peak, "log": log, "n": len(samples["sums"])}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
