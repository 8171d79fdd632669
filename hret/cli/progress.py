"""Progress on a terminal: stages as lines, rows as a bar with requests, tokens and time to go."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from hret_agents.job import Event, Rows, Stage


class Progress:
    """A listener that draws on stderr; where that is no terminal, stages are plain lines."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live = not quiet and sys.stderr.isatty()
        self._task: TaskID | None = None
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows, {task.fields[spent]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._quiet:
            return
        match event:
            case Stage(name="done"):
                return
            case Stage(name=name, what=what):
                self._console.print(f"{name}: {what}", markup=False, highlight=False)
            case Rows():
                self._rows(event)

    def _rows(self, event: Rows) -> None:
        used = event.usage
        tokens = used.prompt_tokens + used.completion_tokens
        spent = f"{event.failed:,} failed, {used.requests:,} requests, {tokens:,} tokens"
        if event.cost_usd is not None:
            spent += f", {event.cost_usd:.4f} USD"
        if self._task is None:
            self._task = self._bar.add_task("translating", total=event.total, spent=spent)
        self._bar.update(self._task, completed=event.done, spent=spent)

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
