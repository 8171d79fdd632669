"""`code`: is the program that a reply writes right? Its tests say so, in a sandbox (pass@k).

Each reply runs in a jail of its own, started by us: prompt and reply, then the tests. A reply
passes only if the process sends back a nonce that it is told after its tests have run; leaving
early, printing lookalikes or raising does not pass. An answer that searches its own interpreter
for our few lines there, or patches what the tests use, is beyond this: nothing in one process
can be kept from it.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluation.base import BaseEvaluator, Item
from llm_eval.evaluation.programs import candidates, judges_nothing
from llm_eval.records import Failure, Sample, Score
from llm_eval.sandbox import Jail, JailError, Limits, SandboxUnavailable, layers

MEMORY = 1 << 30
_CHILD = Path(__file__).with_name("code_child.py")
_CHECK = re.compile(r"^def check\(", re.MULTILINE)


class Code(BaseEvaluator):
    """The `code` method: a sample's `metadata` has "tests" (a list, or one text), "entry_point"
    where the tests define `check(candidate)`, and "prompt", the code that a reply goes on with.

    Args:
        k: pass@k is told for these.
        n: replies asked for per sample; the largest k when left out.
        timeout: seconds for one reply and all its tests.
    """

    name = "code"
    needs_reference = False

    def __init__(
        self, k: int | Sequence[int] = 1, n: int | None = None, timeout: float = 10.0
    ) -> None:
        listed = [k] if isinstance(k, int) else list(k)
        if not listed or not all(type(i) is int and i > 0 for i in listed):
            raise UserError(f"k={k!r} is no list of numbers from 1", hint="e.g. k=[1, 5], n=10")
        self.k = sorted(set(listed))
        self.replies = self.k[-1] if n is None else n
        if type(self.replies) is not int or self.replies < self.k[-1]:
            raise UserError(
                f"pass@{self.k[-1]} needs {self.k[-1]} replies or more a sample, not n={n!r}",
                hint="raise n, or lower k",
            )
        if not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
            raise UserError(
                f"timeout={timeout!r} is no number of seconds", hint="for example timeout=3.0"
            )
        self.least = self.k[-1]
        self.timeout = float(timeout)
        self._pool: ThreadPoolExecutor | None = None

    def fits(self, samples: Sequence[Sample]) -> None:
        """There are tests, and a sandbox to run them in.

        Raises:
            SandboxUnavailable: the kernel cannot hold code that a model wrote.
            UserError: no sample has tests, or one's tests cannot be called.
        """
        if not any(_tests(s) for s in samples):
            raise UserError(
                "code needs tests, and these samples have none",
                hint='load() gives {"metadata": {"tests": [...], "entry_point": ...}}',
            )
        for sample in samples:
            if _calls_check(sample) and not sample.metadata.get("entry_point"):
                raise UserError(f"sample {sample.id} has check() in its tests and no entry_point")
            if (tests := _tests(sample)) and all(map(judges_nothing, tests)):
                raise UserError(
                    f"the tests of sample {sample.id} define what nothing calls: "
                    "every program would pass them",
                    hint="write assertions that run, or def check(candidate)",
                )
        if not layers().enough:
            raise SandboxUnavailable(layers())

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """1 if every test held, else 0 and why; not scored where there are no tests."""
        tests = _tests(sample)
        if not tests:
            return Score(sample_id=sample.id, value=None, answered=None, why="it has no tests")
        told, entry_point = sample.metadata.get("prompt"), sample.metadata.get("entry_point")
        prompt = told if isinstance(told, str) else sample.input
        job = {
            "prompt": prompt,
            "candidates": candidates(prompt, reply, entry_point),
            "tests": tests,
            "entry_point": entry_point,
            "call_check": _calls_check(sample),
        }
        why = judged(job, self.timeout)
        return Score(
            sample_id=sample.id,
            value=float(not why),
            is_correct=not why,
            answered=not why.startswith("syntax"),
            why=why or None,
        )

    async def score_all(self, items: Sequence[Item], dataset: BaseDataset) -> list[Score | Failure]:
        """As many at once as there are cores, off the event loop."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(os.cpu_count(), "hret-code")
        loop = asyncio.get_running_loop()
        jobs = [
            loop.run_in_executor(self._pool, self._judged, sample, reply, dataset)
            for sample, reply in items
        ]
        return list(await asyncio.gather(*jobs))

    def measured(self, scores: Sequence[Score]) -> dict[str, float]:
        """pass@k for each k."""
        passed = sum(s.is_correct for s in scores)
        return {f"pass@{k}": pass_at_k(len(scores), passed, k) for k in self.k}


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that of `k` replies, drawn from `n` of which `c` pass, one passes (unbiased).

    >>> pass_at_k(10, 0, 5), pass_at_k(10, 10, 1), pass_at_k(10, 3, 1), pass_at_k(4, 1, 2)
    (0.0, 1.0, 0.3, 0.5)
    """
    return (math.comb(n, k) - math.comb(n - c, k)) / math.comb(n, k)


def judged(job: dict[str, Any], timeout: float) -> str:
    """Why a program does not pass; empty when it does.

    Raises:
        SandboxUnavailable: there is no sandbox here.
    """
    token, nonce = secrets.token_hex(16), secrets.token_hex(16)
    source = _CHILD.read_text("utf-8") + "\nmain()\n"
    limits = Limits(seconds=timeout, memory=MEMORY, disk=64 << 20, output=1 << 20)
    with Jail(source, limits=limits) as jail:
        try:
            jail.send(json.dumps({**job, "token": token}).encode())
            said = _report(jail.line())
            if said.get("passed") == token:
                jail.send(nonce.encode())
                if jail.line() == nonce.encode():
                    return ""
            why = _why(said)
        except JailError as e:
            why = e.message
        tried = jail.tried()
    return f"{why} ({'; '.join(tried[:3])})" if tried else why


def _report(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _why(said: dict[str, Any]) -> str:
    kind, text = str(said.get("kind") or ""), str(said.get("said") or "")
    if not kind:
        return "the answer spoke in place of its tests"
    return f"{kind[:80]}: {text[:300]}" if text else kind[:80]


def _tests(sample: Sample) -> list[str]:
    told = sample.metadata.get("tests")
    listed = [told] if isinstance(told, str) else told if isinstance(told, list | tuple) else []
    return [t for t in listed if isinstance(t, str) and t.strip()]


def _calls_check(sample: Sample) -> bool:
    return any(_CHECK.search(test) for test in _tests(sample))
