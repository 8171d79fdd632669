"""One evaluation of a dummy model, in a process of its own, for the benchmarks of the runner.

Prints what it took as JSON: CPU seconds of the run alone, wall, peak RSS in MB, bytes of the log.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_eval.dataset import BaseDataset
from llm_eval.models import BaseModel
from llm_eval.models.base import Capabilities
from llm_eval.records import Prediction, Prompt

OPTIONS = ["A", "B", "C", "D"]


def question(number: int) -> dict[str, Any]:
    """A question with four choices, different for each number."""
    words = f"{number} boxes hold {number % 89 + 2} pins and {number % 7} nails each"
    choices = [f"{(number % 89 + 2) * number + k} pins" for k in range(4)]
    shown = "\n".join(f"{o}. {c}" for o, c in zip(OPTIONS, choices, strict=True))
    return {
        "input": f"Question: {words}; how many pins are that?\n{shown}\nAnswer:",
        "reference": OPTIONS[number % 4],
        "options": OPTIONS,
    }


class Questions(BaseDataset):
    """So many questions, each made as it is asked for."""

    count = 0

    def get_sample(self, index: int) -> dict[str, Any]:
        """Question `index`."""
        return question(index)

    def __len__(self) -> int:
        return self.count


class Listed(BaseDataset):
    """The same as a list, as most modules have them."""

    count = 0

    def load(self) -> list[dict[str, Any]]:
        """All of them."""
        return [question(i) for i in range(self.count)]


class Dummy(BaseModel):
    """Answers at once."""

    name = "dummy"
    can = Capabilities(batch=1 << 20)

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The letter A or B."""
        return [Prediction(sample_id=p.sample_id, text="AB"[len(p.text) % 2]) for p in prompts]


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--listed", action="store_true")
    options = parser.parse_args()
    from llm_eval.evaluator import Evaluator

    kind = Listed if options.listed else Questions
    kind.count = options.samples
    cpu, wall = time.process_time(), time.perf_counter()
    result = Evaluator().run(Dummy(), kind, evaluation_method="string_match")
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    log = (Path(result.info["folder"]) / "journal.jsonl").stat().st_size
    if result.metrics["n"] != options.samples:
        raise SystemExit(f"{result.metrics}: not every sample was scored")
    if result.samples[-1]["input"] != question(options.samples - 1)["input"]:
        raise SystemExit("the samples are not in order")
    print(json.dumps({"cpu": cpu, "wall": wall, "rss": peak, "log": log}))


if __name__ == "__main__":
    main()
