"""The huggingface backend beside lm-evaluation-harness's `hf`: same model, same samples, in turns.

Each side is a process of its own with its model loaded and warm. A round asks ours once and the
peer once with every batch size; several rounds follow one another, so that what else the machine
does falls on both. What is found is compared before any time is.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import say, verdict
from benchmarks.simulator import ROOT

BATCHES = (1, 8, 32)
NEAR = 1e-4  # two best logits this close: rounding may take either
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


def made(folder: Path, known: Sequence[str], **size: Any) -> str:
    """The folder of a random Llama whose tokenizer knows these words."""
    from tests.fakes.tiny_lm import make

    lines = [" ".join(known[i : i + 50]) for i in range(0, len(known), 50)]
    return str(make(folder, lines=[*lines, LETTERS], **size))


class Cases:
    """Samples whose prompts and options have as many tokens as asked for, about."""

    def __init__(self, model: str, vocabulary: Sequence[str]) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.words, self.dice = vocabulary, random.Random(1)

    def text(self, tokens: int) -> str:
        """A text of about so many tokens."""
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

    def generation(
        self, count: int, prompt: tuple[int, int], stop: Sequence[str], most: int = 64
    ) -> Job:
        """Prompts to go on from."""
        samples = [{"prompt": self.text(self.dice.randint(*prompt))} for _ in range(count)]
        return {
            "kind": "generation", "samples": samples, "stop": list(stop), "max_new_tokens": most,
        }  # fmt: skip


class Side:
    """A process that does a job as often as it is asked to."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        env |= {"TOKENIZERS_PARALLELISM": "true", "HF_DATASETS_OFFLINE": "1"}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors,
        )  # fmt: skip

    def ask(self, **question: Any) -> Any:
        """One question, one answer. Ends the benchmark if the process has ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(ANSWER):
                return json.loads(line.removeprefix(ANSWER))
        self.errors.seek(0)
        raise SystemExit(f"{self.process.args!r} ended:\n{self.errors.read()[-3000:]}")

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.errors.close()


ANSWER = "answer: "


@contextmanager
def sides(peer: str, module: str, threads: int) -> Iterator[tuple[Side, Side]]:
    """(ours, the peer's), both ended behind."""
    mine = Side([sys.executable, "-m", module, "--child"], threads)
    theirs = Side([peer, str(ROOT / "benchmarks" / "lm_eval_child.py")], threads)
    try:
        yield mine, theirs
    finally:
        for side in (mine, theirs):
            side.close()


def child(ours: Ours) -> int:
    """Our side: questions on standard input, answers on standard output."""
    for line in sys.stdin:
        question = json.loads(line)
        print(ANSWER + json.dumps(getattr(ours, question.pop("do"))(**question)), flush=True)
    return 0


class Ours:
    """Our side's process."""

    def load(self, model: str, threads: int, device: str, dtype: str, batches: Any) -> None:
        """Load the model."""
        import torch

        del batches
        torch.set_num_threads(threads)
        self.model, self.device, self.dtype = model, device, dtype
        self.backends: dict[str, Any] = {}

    def time(self, job: str, batch: int, warm: bool = False) -> dict[str, Any]:
        """Do the job in this file once."""
        from llm_eval.aio import run_sync
        from llm_eval.models import load_model
        from llm_eval.records import Prompt

        del batch
        told = json.loads(Path(job).read_text("utf-8"))
        params = {k: told[k] for k in ("stop", "max_new_tokens") if told.get(k)}
        if (name := json.dumps(params)) not in self.backends:
            self.backends.clear()
            self.backends[name] = load_model(
                "huggingface", model_name_or_path=self.model, device=self.device,
                dtype=self.dtype, **params,
            )  # fmt: skip
            run_sync(self.backends[name].check())
        backend = self.backends[name]
        samples = told["samples"][-2:] if warm else told["samples"]
        prompts = [
            Prompt(sample_id=str(i), text=s["prompt"], options=tuple(s.get("options", ())))
            for i, s in enumerate(samples)
        ]
        do = backend.likelihoods if told["kind"] == "likelihood" else backend.generate
        started, cpu = time.perf_counter(), time.process_time()
        found = run_sync(do(prompts))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        return {
            "seconds": wall,
            "cpu": cpu,
            "found": [[(o.logprob, o.greedy) for o in p.options] or p.text for p in found],
        }

    def gaps(self, job: str, texts: Sequence[str]) -> list[float]:
        """For each sample and the peer's reply to it: by how much its first token that is not the
        likeliest is less likely than that, by one plain pass; 0 where all are the likeliest."""
        import torch

        told = json.loads(Path(job).read_text("utf-8"))
        (backend,) = self.backends.values()
        engine, tokenizer = backend._worker.loaded.engine, backend._worker.loaded.texts.tokenizer
        found = []
        for sample, text in zip(told["samples"], texts, strict=True):
            head = tokenizer(sample["prompt"])["input_ids"]
            tail = tokenizer(text, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                ids = torch.tensor([head + tail], device=engine.device)
                logits = engine.model(ids).logits[0, len(head) - 1 : -1].float()
            below = (logits.max(-1).values - logits[range(len(tail)), tail]).tolist()
            found.append(next((gap for gap in below if gap > 0), 0.0))
        return found


@dataclass(frozen=True)
class Timed:
    """What a side needed, round by round, and what it found; `differing`: for each reply of the
    peer's that is not ours, how far the two best logits are apart where it leaves the likeliest."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    found: list[Any] = field(default_factory=list)
    differing: list[float] = field(default_factory=list)


def timed(
    pair: tuple[Side, Side], job: Job, rounds: int, batches: Sequence[int]
) -> tuple[Timed, dict[int, Timed]]:
    """(ours, the peer's by batch size), measured in turns."""
    mine, theirs = pair
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        runners = {0: mine, **dict.fromkeys(batches, theirs)}
        told: dict[int, Timed] = {}
        for b, side in runners.items():
            side.ask(do="time", job=file.name, batch=b, warm=True)
            told[b] = Timed()
        for _ in range(rounds):
            for b, side in runners.items():
                answer = side.ask(do="time", job=file.name, batch=b)
                told[b].walls.append(answer["seconds"])
                told[b].cpus.append(answer["cpu"])
                told[b].found[:] = answer["found"]
        if job["kind"] == "generation":
            for b, its in told.items():
                odd = [i for i, t in enumerate(its.found) if t != told[0].found[i]]
                its.differing[:] = _gaps(mine, job, its, odd) if b and odd else []
    return told.pop(0), told


def _gaps(mine: Side, job: Job, its: Timed, odd: Sequence[int]) -> list[float]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump({**job, "samples": [job["samples"][i] for i in odd]}, file)
        file.flush()
        found: list[float] = mine.ask(do="gaps", job=file.name, texts=[its.found[i] for i in odd])
    return found


def compared(
    name: str,
    pair: tuple[Side, Side],
    job: Job,
    budget: float,
    *,
    rounds: int,
    batches: Sequence[int] = BATCHES,
    near: float = 1e-3,
    close: float = NEAR,
) -> bool:
    """Measure a job on both sides; print and judge."""
    mine, theirs = timed(pair, job, rounds, batches)
    count = len(job["samples"])
    best = min(theirs, key=lambda b: min(theirs[b].walls))
    rates = ", ".join(f"batch {b} {count / min(t.walls):.2f}" for b, t in theirs.items())
    say(f"{name}: {count} samples, {rounds} rounds")
    say(f"  samples/s, best round: ours {count / min(mine.walls):.2f}; peer {rates}")
    paired = [
        min(t.walls[i] for t in theirs.values()) / mine.walls[i] for i in range(len(mine.walls))
    ]
    cpu = min(min(t.cpus) for t in theirs.values()) / min(mine.cpus)
    say(f"  walls in turns: {statistics.median(paired):.2f} x (median of the rounds)")
    say(f"  CPU seconds: ours {min(mine.cpus):.2f}; {cpu:.2f} x in the peer's best round")
    ratio = min(theirs[best].walls) / min(mine.walls)
    good = verdict(f"  samples/s against the peer's best (batch {best})", ratio, budget, least=True)
    if job["kind"] == "likelihood":
        return _alike(mine, theirs, best, near) and good
    return _written(mine, theirs[best], close) and good


def _alike(mine: Timed, theirs: Mapping[int, Timed], best: int, near: float) -> bool:
    worst = max(abs(m[0] - t[0]) for told in theirs.values() for m, t in _pairs(mine, told))
    flags = sum(m[1] != t[1] for m, t in _pairs(mine, theirs[best]))
    good = verdict("  greatest difference of a log-probability", worst, near)
    if near > 1e-3:  # in bf16 two logits may be equal, and either of them the greatest
        say(f"  greedy flags that differ: {flags}")
        return good
    return verdict("  greedy flags that differ", flags, 0) and good


def _written(mine: Timed, theirs: Timed, near: float) -> bool:
    odd = sum(m != t for m, t in zip(mine.found, theirs.found, strict=True))
    say(
        f"  replies: {len(mine.found)}, of which {odd} differ where two logits are as good as equal"
    )
    return verdict("  greatest gap of two such logits", max(theirs.differing, default=0.0), near)


def _pairs(mine: Timed, theirs: Timed) -> Iterator[tuple[Any, Any]]:
    for ours, its in zip(mine.found, theirs.found, strict=True):
        yield from zip(ours, its, strict=True)
