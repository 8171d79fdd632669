"""The huggingface backend against lm-evaluation-harness's `hf`, on the CPU, in one run.

    python -m venv PEER && PEER/bin/pip install 'lm-eval[hf]==0.4.13'
    python -m benchmarks.likelihood --peer PEER/bin/python

One random Llama of 6 layers, hidden 256 and 64k vocabulary, fp32, two threads; the same samples
on both sides, in turns. The peer's best of batch 1, 8 and 32 counts. HRET_LM_EVAL_PYTHON names the
peer's Python too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import against_lm_eval
from benchmarks.against_lm_eval import BATCHES, Cases, Job, Side, compared, made, sides, words
from benchmarks.common import machine, say, verdict

VOCABULARY, CONTEXT, THREADS = 65_536, 2048, 2


class Ours(against_lm_eval.Ours):
    """Our side's process, which runs tasks too."""

    def tasks(self, model: str, folder: str, names: list[str]) -> dict[str, Any]:
        """The three shapes by our runner."""
        from llm_eval.dataset import BaseDataset
        from llm_eval.evaluator import Evaluator

        class Rows(BaseDataset):
            """A file of rows."""

            def load(self) -> list[dict[str, Any]]:
                lines = Path(folder, self.kwargs["file"]).read_text("utf-8").splitlines()
                rows = [json.loads(line) for line in lines]
                return [
                    {
                        "input": r["query"],
                        "options": r["choices"],
                        "reference": r["choices"][r["gold"]],
                    }
                    for r in rows
                ]

        found = {}
        for name in names:
            result = Evaluator().run(
                "huggingface",
                Rows,
                model_params={"model_name_or_path": model, "device": "cpu"},
                dataset_params={"file": f"{name.removeprefix('bench_')}.jsonl"},
                evaluation_method="log_likelihood",
            )
            found[name] = {
                "acc": result.metrics["accuracy"],
                "acc_norm": result.metrics["accuracy_norm"],
                "logprobs": [s["logits"]["option_log_probs"] for s in result.samples],
            }
        return found


SHAPES = {  # name: (prompt, options are letters)
    "letters": "질문: {question}\n{listed}\n정답:",
    "texts": "질문: {question}\n정답:",
    "endings": "{question}",
}


def accuracies(pair: tuple[Side, Side], model: str, cases: Cases, folder: Path, count: int) -> bool:
    """Acc and acc_norm of three task shapes, by the peer's own tasks and by our runner."""
    names = []
    for shape, template in SHAPES.items():
        rows = []
        for _ in range(count):
            texts = [cases.text(cases.dice.randint(2, 9)) for _ in range(4)]
            listed = "\n".join(f"{a}. {t}" for a, t in zip("ABCD", texts, strict=True))
            query = template.format(question=cases.text(cases.dice.randint(10, 60)), listed=listed)
            shown = list("ABCD") if shape == "letters" else texts
            rows.append({"query": query, "choices": shown, "gold": cases.dice.randrange(4)})
        data = folder / f"{shape}.jsonl"
        data.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
        names.append(f"bench_{shape}")
        (folder / f"{shape}.yaml").write_text(
            f"task: {names[-1]}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
            f"    test: {data}\ntest_split: test\noutput_type: multiple_choice\n"
            'doc_to_text: "{{query}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: "{{gold}}"\n'
            "metric_list:\n  - metric: acc\n  - metric: acc_norm\n",
            "utf-8",
        )
    mine, theirs = (
        side.ask(do="tasks", model=model, folder=str(folder), names=names) for side in pair
    )
    good = True
    for name in names:
        for metric in ("acc", "acc_norm"):
            gap = abs(mine[name][metric] - theirs[name][metric])
            what = f"  {name}: {metric} {mine[name][metric]:.3f}, the peer's less ours"
            good = verdict(what, gap, 0) and good
        worst = max(
            abs(m - t)
            for mines, its in zip(mine[name]["logprobs"], theirs[name]["logprobs"], strict=True)
            for m, t in zip(mines, its, strict=True)
        )
        good = verdict(f"  {name}: greatest difference", worst, 1e-3) and good
    return good


@contextmanager
def setting() -> Iterator[tuple[Path, str, Cases]]:
    """(a folder for tasks, the model's, the cases)."""
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as name:
        folder, vocabulary = Path(name), words(60_000)
        model = made(
            folder / "model", vocabulary,
            vocabulary=VOCABULARY, context=CONTEXT, hidden=256, layers=6,
        )  # fmt: skip
        (folder / "tasks").mkdir()
        yield folder / "tasks", model, Cases(model, vocabulary)


def jobs(cases: Cases, scale: float) -> dict[str, tuple[Job, float]]:
    """What is measured, by name, with the least that it is to be times as fast."""

    def n(count: int) -> int:
        return max(2, int(count * scale))

    return {
        "512-token prompts, 4 options of 4-12 tokens": (
            cases.likelihood(n(32), (500, 512), (4, 12)), 4.0,
        ),
        "512-token prompts, letters": (cases.likelihood(n(32), (500, 512), (1, 1)), 2.0),
        "short prompts, 4 options of 2-10 tokens": (
            cases.likelihood(n(256), (10, 60), (2, 10)), 2.0,
        ),
        "short prompts, letters": (cases.likelihood(n(256), (10, 60), (1, 1)), 2.0),
        "generation, 64 tokens each": (cases.generation(n(64), (10, 80), []), 1.2),
        "generation, stops": (cases.generation(n(64), (10, 80), ["ka", "na", "가"]), 1.2),
    }  # fmt: skip


def main() -> int:
    """Run it all, or a part; 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer",
        default=os.environ.get("HRET_LM_EVAL_PYTHON"),
        help="the Python of an environment with lm-eval[hf] (HRET_LM_EVAL_PYTHON)",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the samples")
    parser.add_argument("--rounds", type=int, default=3, help="times that each side is asked")
    parser.add_argument("--only", default="", help="a part of the case's name")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return against_lm_eval.child(Ours())
    if not options.peer:
        raise SystemExit("name the peer's Python: --peer, or HRET_LM_EVAL_PYTHON")
    say(machine())
    good = True
    with (
        setting() as (folder, model, cases),
        sides(options.peer, "benchmarks.likelihood", THREADS) as pair,
    ):
        for side in pair:
            side.ask(
                do="load", model=model, threads=THREADS, device="cpu", dtype="float32",
                batches=BATCHES,
            )  # fmt: skip
        if options.only in "accuracy":
            good = accuracies(pair, model, cases, folder, max(2, int(100 * options.scale)))
        for name, (job, budget) in jobs(cases, options.scale).items():
            if options.only in name:
                good = compared(name, pair, job, budget, rounds=options.rounds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
