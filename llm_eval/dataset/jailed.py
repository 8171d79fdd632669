"""A dataset whose module always runs in the sandbox: a child process answers, in batches.

What the module says is checked here: rows, prompts and verdicts have the shape that they must have,
or they are a `DatasetError` of the samples concerned.
"""

from __future__ import annotations

import json
import math
import operator
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from llm_eval.dataset import ports
from llm_eval.dataset.base import BaseDataset, Row
from llm_eval.dataset.process import ChildModule, ModuleRaised
from llm_eval.dataset.spec import MODULE
from llm_eval.errors import DatasetError, UserError
from llm_eval.sandbox import SandboxUnavailable

Verdict = tuple[bool, float | None]
BATCH = 500
RESTARTS = 3  # a module that ends its process more often is given up
LIFETIME = 7 * 24 * 3600.0  # seconds; each question has a deadline of its own
_MOST_ROWS = 100_000_000


class JailedDataset(BaseDataset):
    """A port's module in the sandbox, used like any other dataset; from several threads, too.

    Its process is started at once, and again (a few times) after it has ended; it ends with this
    object, by `close()`, or with the program.
    """

    patience = 600.0
    """Seconds that the module may take for one question, be it its rows or 500 verdicts."""

    def __init__(
        self,
        port: ports.Port,
        dataset_name: str,
        subset: Any = None,
        split: str | None = None,
        **params: Any,
    ) -> None:
        """Start the module.

        Raises:
            UserError: it cannot be made with these arguments, or this machine has no sandbox.
        """
        super().__init__(dataset_name, split, subset)
        self.port = port
        self.kwargs = params
        self._lock = threading.RLock()
        self._starts = 0
        self._prompts: dict[int, str] = {}
        self._holder: list[ChildModule] = []
        self._end = weakref.finalize(self, _close, self._holder)
        try:
            json.dumps(params)
        except (TypeError, ValueError) as e:
            raise UserError(f"{port.manifest.slug} runs in the sandbox: {e}") from None
        try:
            self._count = self._started()
            told = self._ask("info")
        except DatasetError as e:
            self.close()
            hint = "read the module, or port it again"
            if isinstance(e, ModuleRaised):
                hint = "check subset and split; hret datasets show SLUG says what a port has"
            slug = port.manifest.slug
            raise UserError(f"{slug} could not be made: {e.message}", hint=hint) from None
        self._told = told if isinstance(told, dict) else {}

    def load(self) -> list[Row]:
        """Every row, fetched in slices."""
        rows: list[Row] = []
        try:
            for start in range(0, self._count, BATCH):
                stop = min(start + BATCH, self._count)
                piece = self._again("load", start, stop)
                if not isinstance(piece, list) or len(piece) != stop - start:
                    raise DatasetError(f"load() gave no list of rows for {start} to {stop}")
                rows += piece
        except DatasetError as e:
            raise UserError(
                f"{self.port.manifest.slug} could not load its rows: {e.message}"
            ) from None
        return rows

    def get_prompt(self, index: int) -> str:
        """The text a model is shown for row `index`; a batch of them is fetched at once."""
        place, known = self._place(index), self._prompts
        if place not in known:
            start = place // BATCH * BATCH
            stop = min(start + BATCH, self._count)
            found = self._again("prompts", start, stop)
            if not _texts(found, stop - start):
                raise DatasetError(f"get_prompt() gave no texts for rows {start} to {stop}")
            self._prompts = known = dict(enumerate(found, start))
        return known[place]

    def evaluate_prediction(self, index: int, prediction: str) -> Verdict:
        """(is it right, its score), as the module says."""
        (found,) = self.judge_many([(index, prediction)])
        if isinstance(found, DatasetError):
            raise found
        return found

    def judge_many(self, items: Sequence[tuple[int, str]]) -> list[Verdict | DatasetError]:
        """A verdict, or the error in its place, of each (row, reply), in order.

        Where a batch fails its items are asked one by one, so that an error costs its own alone.
        """
        found: list[Verdict | DatasetError] = []
        for start in range(0, len(items), BATCH):
            batch = [(self._place(i), reply) for i, reply in items[start : start + BATCH]]
            try:
                found += self._judged(batch)
            except DatasetError as e:
                found += [e] if len(batch) == 1 else [self._alone(item) for item in batch]
        return found

    def info(self) -> dict[str, Any]:
        """What the module says of itself."""
        return dict(self._told)

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """End the module's process; the next question starts it again."""
        with self._lock:
            _close(self._holder)

    def _judged(self, batch: Sequence[tuple[int, str]]) -> list[Verdict | DatasetError]:
        said = self._ask("judge", [list(item) for item in batch])
        if not isinstance(said, list) or len(said) != len(batch):
            raise DatasetError("evaluate_prediction() gave no verdict for each reply")
        return [_verdict(index, v) for (index, _), v in zip(batch, said, strict=True)]

    def _alone(self, item: tuple[int, str]) -> Verdict | DatasetError:
        try:
            return self._judged([item])[0]
        except DatasetError as e:
            return e

    def _again(self, name: str, *arguments: Any) -> Any:
        """The module's answer; asked once more if its process ended over it."""
        try:
            return self._ask(name, *arguments)
        except DatasetError as e:
            if isinstance(e, ModuleRaised):
                raise
            return self._ask(name, *arguments)

    def _ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            if not self._holder:
                self._started()
            child = self._holder[0]
            late = f"took longer than {self.patience:g} s over one question"
            watch = threading.Timer(self.patience, child.stop, [late])
            watch.daemon = True
            watch.start()
            try:
                return child.ask(name, *arguments)
            except DatasetError as e:
                if not isinstance(e, ModuleRaised):
                    _close(self._holder)
                raise
            finally:
                watch.cancel()

    def _started(self) -> int:
        """Start the module's process; how many rows it has."""
        if self._starts > RESTARTS:
            raise DatasetError(f"the module's process ended {self._starts} times: it is given up")
        self._starts += 1
        port = self.port
        code = port.folder / MODULE
        repos = {name: port.folder for name in (port.manifest.repo, port.hub_name) if name}
        try:
            child = ChildModule(code, timeout=LIFETIME, enforce=True, repos=repos)
        except SandboxUnavailable:
            raise ports.without_sandbox(port) from None
        self._holder.append(child)
        subset = self.subset if isinstance(self.subset, str | None) else list(self.subset)
        made = self._ask("make", str(code), self.dataset_name, subset, self.split, self.kwargs)
        if type(made) is not int or not 0 <= made <= _MOST_ROWS:
            raise DatasetError(f"the module says that it has {str(made)[:80]} rows")
        if self._starts > 1 and made != self._count:
            raise DatasetError(f"the module had {self._count} rows, and now {made}")
        return made

    def _place(self, index: int) -> int:
        place = operator.index(index)
        if not -self._count <= place < self._count:
            raise IndexError(f"row {place} of {self._count}")
        return place % self._count


def _close(holder: list[ChildModule]) -> None:
    while holder:
        holder.pop().close()


def _texts(found: Any, count: int) -> bool:
    return isinstance(found, list) and len(found) == count and all(type(t) is str for t in found)


def _verdict(index: int, said: Any) -> Verdict | DatasetError:
    if isinstance(said, list) and len(said) == 2 and type(said[0]) is bool:
        right, value = said
        if value is None:
            return right, None
        if isinstance(value, int | float) and abs(value) < math.inf:
            try:
                return right, float(value)
            except OverflowError:
                pass
    shown = repr(said)[:200]
    return DatasetError(f"evaluate_prediction({index}, ...) returned {shown}, not (bool, score)")
