"""The other end of a `ChildModule`: a process that imports one module and answers about it.

Requests and replies are JSON lines over a pair of descriptors of its own; whatever the module
prints goes to stderr. Each request has a key, which its reply repeats. No verdict is computed here:
those are the parent's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llm_eval.dataset import offline
from llm_eval.dataset.base import DATASETS, BaseDataset


class Module:
    """The imported module, and the dataset made of it."""

    def __init__(self) -> None:
        self.dataset: BaseDataset | None = None

    def open(
        self, path: str, subset: Any, split: str | None, bare: bool = False, template: str = ""
    ) -> dict[str, Any]:
        """Import the module and make its dataset; what it registered and how many rows it has.

        `bare`: what is None is not passed at all, as in `load_datasets`. `template`: the
        `base_prompt_template`, passed where there is one.
        """
        from llm_eval.dataset.ports import class_in

        kind = class_in(Path(path).read_bytes(), Path(path))
        registered = [n for n in DATASETS.names() if n in DATASETS and DATASETS.get(n) is kind]
        chosen = {"subset": subset, "split": split}
        told = {k: v for k, v in chosen.items() if v is not None or not bare}
        self.dataset = kind(**told, **({"base_prompt_template": template} if template else {}))
        return {"registered": registered, "rows": len(self.dataset)}

    def make(self, path: str, name: str, subset: Any, split: str | None, params: Any) -> int:
        """Import the module and make its dataset as `load_datasets` would; how many rows it has."""
        from llm_eval.dataset.ports import class_in
        from llm_eval.dataset.resolve import made

        kind = class_in(Path(path).read_bytes(), Path(path))
        self.dataset = made(kind, name, subset, split, params)
        return len(self.dataset)

    def load(self, start: int, stop: int) -> list[Any]:
        """What `load()` gives for some rows, whole."""
        return self._dataset._rows()[start:stop]

    def prompts(self, start: int, stop: int) -> list[Any]:
        """The prompts of some rows."""
        return [self._dataset.get_prompt(i) for i in range(start, stop)]

    def again(self, start: int, stop: int) -> list[Any]:
        """The prompts of some rows, from the last to the first."""
        return [self._dataset.get_prompt(i) for i in reversed(range(start, stop))]

    def info(self) -> dict[str, Any]:
        """What the dataset says of itself."""
        return self._dataset.info()

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """What `load()` gives for some rows, and what `get_prompt` gives beside it."""
        loaded = self._dataset._rows()
        return [
            {**loaded[i], "get_prompt": self._dataset.get_prompt(i)}
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
    """Serve until the parent closes the pipe; the argument names the ports for `load_dataset`."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.close(0)
    sys.stdin = open(os.devnull, encoding="utf-8")
    offline.install(json.loads(sys.argv[1]))
    module = Module()
    calls: dict[str, Callable[..., Any]] = {
        "open": module.open,
        "make": module.make,
        "load": module.load,
        "prompts": module.prompts,
        "again": module.again,
        "info": module.info,
        "rows": module.rows,
        "loaded": module.loaded,
        "judge": module.judge,
    }
    for line in requests:
        key, name, arguments = json.loads(line)
        try:
            reply = _line({"key": key, "ok": calls[name](*arguments)})
        except Exception as e:  # the module's code may raise anything; the parent names it
            said = f"{type(e).__name__}: {e}".encode("utf-8", "replace").decode()
            reply = _line({"key": key, "error": said})
        replies.write(reply)
        replies.flush()


def _line(reply: dict[str, Any]) -> bytes:
    return json.dumps(reply, ensure_ascii=False, default=str).encode() + b"\n"
