"""Progress of an evaluation: a bar on a terminal, nothing where stderr is none."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from llm_eval.runs.work import Progress


class EvaluationProgress:
    """What an evaluation is told to report to; it draws on stderr, and remembers the run."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.run: str | None = None
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._task: TaskID | None = None
        self._bar = Bar(
            TextColumn("evaluating"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples, {task.fields[said]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )

    def __call__(self, now: Progress) -> None:
        """Show how far it is."""
        self.run = now.run
        said = described(now)
        if self._task is None:
            self._task = self._bar.add_task("", total=now.total, said=said)
        self._bar.update(self._task, completed=now.done, said=said)
        if now.stage == "begun" and now.earlier and not self._quiet:
            self._say(f"{now.earlier:,} of {now.total:,} samples were done before")
        if now.stage == "stopping":
            self._say("waiting for what is being answered; Ctrl-C stops at once")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bar.stop()


def described(now: Progress) -> str:
    """The rates, what was spent and what failed, in a few words."""
    seconds = max(now.seconds, 1e-6)
    tokens = now.usage.prompt_tokens + now.usage.completion_tokens
    parts = [f"{(now.done - now.earlier) / seconds:,.1f}/s"]
    if tokens:
        parts.append(f"{tokens / seconds:,.0f} tokens/s")
    if now.cost_usd:
        parts.append(f"{now.cost_usd:.4f} USD")
    return ", ".join([*parts, f"{now.failed:,} failed"])
