"""The other end of a `ChildModule`: a process that imports one module and answers about it.

Requests and replies are JSON lines over a pair of descriptors of its own; whatever the module
prints goes to stderr. It computes no verdict: those are the parent's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llm_eval.dataset.base import DATASETS, BaseDataset


class Module:
    """The imported module, and the dataset made of it."""

    def __init__(self) -> None:
        self.dataset: BaseDataset | None = None

    def open(self, path: str, subset: str | None, split: str | None) -> dict[str, Any]:
        """Import the module and make its dataset; what it registered and how many rows it has."""
        from llm_eval.dataset.ports import class_in

        kind = class_in(Path(path).read_bytes(), Path(path))
        registered = [n for n in DATASETS.names() if n in DATASETS and DATASETS.get(n) is kind]
        self.dataset = kind(subset=subset, split=split)
        return {"registered": registered, "rows": len(self.dataset)}

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """What `load()` gives for some rows, and `get_prompt` beside it."""
        loaded = self._dataset._rows()
        return [
            {
                "input": str(loaded[i].get("input")),
                "reference": loaded[i].get("reference"),
                "prompt": str(self._dataset.get_prompt(i)),
            }
            for i in range(start, min(stop, len(loaded)))
        ]

    def loaded(self) -> int:
        """How many rows `load()` gives."""
        return len(self._dataset._rows())

    def judge(self, items: list[list[Any]]) -> list[list[Any]]:
        """`evaluate_prediction` of each (row, reply)."""
        return [list(self._dataset.evaluate_prediction(i, reply)) for i, reply in items]

    @property
    def _dataset(self) -> BaseDataset:
        if self.dataset is None:
            raise RuntimeError("no module is open")
        return self.dataset


def main() -> None:
    """Serve until the parent closes the pipe."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.close(0)
    sys.stdin = open(os.devnull, encoding="utf-8")
    module = Module()
    calls: dict[str, Callable[..., Any]] = {
        "open": module.open,
        "rows": module.rows,
        "loaded": module.loaded,
        "judge": module.judge,
    }
    for line in requests:
        name, arguments = json.loads(line)
        try:
            reply = {"ok": calls[name](*arguments)}
        except Exception as e:  # the module's code may raise anything; the parent names it
            reply = {"error": f"{type(e).__name__}: {e}"}
        replies.write(json.dumps(reply, ensure_ascii=False, default=str) + "\n")
        replies.flush()
