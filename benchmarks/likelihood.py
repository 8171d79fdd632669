"""The huggingface backend against lm-evaluation-harness's `hf`, on the CPU, in one run.

    python -m venv PEER && PEER/bin/pip install 'lm-eval[hf]==0.4.13'
    python -m benchmarks.likelihood --peer PEER/bin/python

One random Llama of 6 layers, hidden 256 and 64k vocabulary, fp32, two threads; the same samples
on both sides, each side in a process of its own, models loaded and warm. The peer's best of batch
1, 8 and 32 counts. What is found is compared before any time is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import machine, say, verdict
from benchmarks.simulator import ROOT

VOCABULARY, CONTEXT, THREADS = 65_536, 2048, 2
BATCHES = (1, 8, 32)
LETTERS = "A B C D " * 1000  # a token each, with the space before it
Job = dict[str, Any]


def words(count: int, seed: int = 0) -> list[str]:
    """Made-up words, half of them in Hangul."""
    dice = random.Random(seed)
    latin = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    found: dict[str, None] = {}
    while len(found) < count:
        size = dice.randint(1, 4)
        hangul = "".join(chr(0xAC00 + 28 * dice.randrange(399)) for _ in range(size))
        found[hangul if dice.random() < 0.5 else "".join(dice.choices(latin, k=size))] = None
    return list(found)


def made(folder: Path, vocabulary: Sequence[str]) -> str:
    """The model's folder."""
    from tests.fakes.tiny_lm import make

    make(
        folder, vocabulary=VOCABULARY, context=CONTEXT, hidden=256, layers=6,
        lines=[*(" ".join(vocabulary[i : i + 50]) for i in range(0, len(vocabulary), 50)), LETTERS],
    )  # fmt: skip
    return str(folder)


class Cases:
    """Samples whose prompts and options have as many tokens as asked for, about."""

    def __init__(self, model: str, vocabulary: Sequence[str]) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.words, self.dice = vocabulary, random.Random(1)

    def text(self, tokens: int) -> str:
        """A text of at least so many tokens."""
        text = ""
        while True:
            text += " ".join(self.dice.choices(self.words, k=max(1, tokens // 8))) + " "
            ids = self.tokenizer(text)["input_ids"]
            if len(ids) > tokens:
                return str(self.tokenizer.decode(ids[1 : tokens + 1])).strip()

    def likelihood(self, count: int, prompt: tuple[int, int], options: tuple[int, int]) -> Job:
        """Four options a sample; options of (1, 1) tokens are letters."""
        samples = []
        for _ in range(count):
            texts = [self.text(self.dice.randint(*options)) for _ in range(4)]
            shown = [f" {t}" for t in (texts if options[1] > 1 else "ABCD")]
            samples.append({"prompt": self.text(self.dice.randint(*prompt)), "options": shown})
        return {"kind": "likelihood", "samples": samples}

    def generation(self, count: int, prompt: tuple[int, int], stop: list[str]) -> Job:
        """Prompts to go on from."""
        samples = [{"prompt": self.text(self.dice.randint(*prompt))} for _ in range(count)]
        return {"kind": "generation", "samples": samples, "stop": stop, "max_new_tokens": 64}


def ours(job: Job) -> dict[str, Any]:
    """Our side of a job, in this process."""
    import torch

    from llm_eval.aio import run_sync
    from llm_eval.models import load_model
    from llm_eval.records import Prompt

    torch.set_num_threads(job["threads"])
    params: Job = {"stop": job["stop"]} if job.get("stop") else {}
    params |= {"max_new_tokens": job["max_new_tokens"]} if "max_new_tokens" in job else {}
    model: Any = load_model("huggingface", model_name_or_path=job["model"], device="cpu", **params)
    prompts = [
        Prompt(sample_id=str(i), text=s["prompt"], options=tuple(s.get("options", ())))
        for i, s in enumerate(job["samples"])
    ]
    do = model.likelihoods if job["kind"] == "likelihood" else model.generate
    run_sync(do(prompts[-2:]))
    walls, cpus = [], []
    for _ in range(job["times"]):
        started, cpu = time.perf_counter(), time.process_time()
        found = run_sync(do(prompts))
        walls.append(time.perf_counter() - started)
        cpus.append(time.process_time() - cpu)
    told = [[(o.logprob, o.greedy) for o in p.options] or p.text for p in found]
    return {"seconds": min(walls), "cpu": min(cpus), "found": told}


def child(python: str, script: Sequence[str], job: Job) -> dict[str, Any]:
    """A job's result, done by a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"}
        env |= {"TOKENIZERS_PARALLELISM": "true", "HF_DATASETS_OFFLINE": "1"}
        done = subprocess.run(
            [python, *script, file.name], cwd=ROOT, env=env, capture_output=True, text=True
        )
    if done.returncode:
        raise SystemExit(f"{script} ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def both(peer: str, job: Job) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """(ours, the peer's by batch size)."""
    mine = child(sys.executable, ["-m", "benchmarks.likelihood", "--child"], job)
    script = [str(ROOT / "benchmarks" / "lm_eval_child.py")]
    theirs = {b: child(peer, script, {**job, "batch_size": b}) for b in BATCHES}
    return mine, theirs


def compared(name: str, peer: str, job: Job, budget: float) -> bool:
    """Measure a job on both sides; print and judge."""
    mine, theirs = both(peer, job)
    best = min(theirs, key=lambda b: theirs[b]["seconds"])
    count = len(job["samples"])
    rates = ", ".join(f"batch {b} {count / t['seconds']:.2f}" for b, t in theirs.items())
    say(f"{name}: {count} samples; samples/s: ours {count / mine['seconds']:.2f}; peer {rates}")
    ratio = theirs[best]["seconds"] / mine["seconds"]
    say(f"  CPU seconds of the peer's best against ours {theirs[best]['cpu'] / mine['cpu']:.2f}")
    good = verdict(f"  samples/s against the peer's best ({best})", ratio, budget, least=True)
    if job["kind"] == "generation":
        same = [m == t for m, t in zip(mine["found"], theirs[best]["found"], strict=True)]
        return verdict("  share of equal replies", sum(same) / count, 0.99, least=True) and good
    worst = max(
        abs(m[0] - t[0])
        for told in theirs.values()
        for mines, its in zip(mine["found"], told["found"], strict=True)
        for m, t in zip(mines, its, strict=True)
    )
    flags = [
        m[1] != t[1]
        for mines, its in zip(mine["found"], theirs[best]["found"], strict=True)
        for m, t in zip(mines, its, strict=True)
    ]
    good = verdict("  greatest difference of a log-probability", worst, 1e-3) and good
    return verdict("  greedy flags that differ", sum(flags), 0) and good


SHAPES = {  # name: (prompt, options are letters)
    "letters": "질문: {question}\n{listed}\n정답:",
    "texts": "질문: {question}\n정답:",
    "endings": "{question}",
}


def accuracies(peer: str, model: str, cases: Cases, folder: Path, count: int) -> bool:
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
    job: Job = {"kind": "tasks", "model": model, "threads": THREADS, "names": names}
    theirs = child(
        peer, [str(ROOT / "benchmarks" / "lm_eval_child.py")], {**job, "tasks": str(folder)}
    )
    mine = child(
        sys.executable, ["-m", "benchmarks.likelihood", "--child"], {**job, "tasks": str(folder)}
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


def our_tasks(job: Job) -> dict[str, Any]:
    """The three shapes by our runner."""
    from llm_eval.dataset import BaseDataset
    from llm_eval.evaluator import Evaluator

    class Rows(BaseDataset):
        """A file of rows."""

        def load(self) -> list[dict[str, Any]]:
            lines = Path(job["tasks"], self.kwargs["file"]).read_text("utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            return [
                {"input": r["query"], "options": r["choices"], "reference": r["choices"][r["gold"]]}
                for r in rows
            ]

    found = {}
    for name in job["names"]:
        result = Evaluator().run(
            "huggingface",
            Rows,
            model_params={"model_name_or_path": job["model"], "device": "cpu"},
            dataset_params={"file": f"{name.removeprefix('bench_')}.jsonl"},
            evaluation_method="log_likelihood",
        )
        found[name] = {
            "acc": result.metrics["accuracy"],
            "acc_norm": result.metrics["accuracy_norm"],
            "logprobs": [s["logits"]["option_log_probs"] for s in result.samples],
        }
    return found


@contextmanager
def setting() -> Iterator[tuple[Path, str, Cases]]:
    """(a folder, the model's, the cases)."""
    with tempfile.TemporaryDirectory(prefix="hret-bench-") as name:
        folder, vocabulary = Path(name), words(60_000)
        model = made(folder / "model", vocabulary)
        (folder / "tasks").mkdir()
        yield folder / "tasks", model, Cases(model, vocabulary)


def main() -> int:
    """Run it all, or a part; 1 where a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="the Python of an environment with lm-eval[hf]")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the samples")
    parser.add_argument("--only", default="", help="a part of the case's name")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job = json.loads(Path(options.child).read_text("utf-8"))
        print(json.dumps(our_tasks(job) if job["kind"] == "tasks" else ours(job)))
        return 0
    if not options.peer:
        raise SystemExit("name the peer's Python by --peer (see the head of this file)")
    say(machine())
    good = True
    with setting() as (folder, model, cases):

        def n(count: int) -> int:
            return max(2, int(count * options.scale))

        jobs: dict[str, tuple[Job, float]] = {
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
        if options.only in "accuracy":
            good = accuracies(options.peer, model, cases, folder, n(100))
        for name, (job, budget) in jobs.items():
            if options.only in name:
                job |= {"model": model, "threads": THREADS, "times": 2}
                good = compared(name, options.peer, job, budget) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
