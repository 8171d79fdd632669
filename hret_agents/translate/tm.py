"""The translator `memory`: answers from translation memories in JSON Lines, without any network.

A row with a text that no memory knows fails, and says which text it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hret_agents.translate.base import Answer, Ask, Reply
from llm_eval.errors import UserError
from llm_eval.records import Failure, Usage


class MemoryTranslator:
    """Exact translations by source text. `extra` is a user's own file, first in rank."""

    name = "memory"
    paid = False
    width = 1  # there is nothing to wait for
    slots = 1.0
    trying = False
    window = 20_000
    patient = False

    def __init__(self, target_lang: str, extra: Path | None = None) -> None:
        self.policy: Mapping[str, str] = {"model": "memory"}
        self._known = shipped_memory(target_lang)
        if extra is not None:
            self._known |= read_memory(extra)

    @property
    def usage(self) -> Usage:
        """Nothing is ever spent."""
        return Usage()

    def expected(self, asks: Sequence[Ask]) -> Usage:
        """Nothing is ever spent."""
        return Usage()

    def cost(self, usage: Usage) -> float | None:
        """Nothing is ever spent."""
        return 0.0

    def flush(self) -> None:
        """Nothing is collected."""

    def answering(self, task: asyncio.Task[Any]) -> bool:
        """There is no server."""
        return False

    async def check(self) -> None:
        """Always usable."""

    async def close(self, *, finished: bool = False) -> None:
        """Nothing to let go of."""

    async def translate(self, asks: Sequence[Ask]) -> Answer:
        """The known translation of each unit."""
        return Answer(tuple(self._one(ask) for ask in asks))

    def _one(self, ask: Ask) -> Reply:
        for text in ask.unit.texts:
            if text not in self._known:
                said = f"the memory has no translation of {text[:80]!r}"
                return Failure(where="translate", kind="unknown_text", message=said)
        return tuple(self._known[text] for text in ask.unit.texts)


def shipped_memory(lang: str) -> dict[str, str]:
    """The memory of the sample dataset; empty for a language it does not come in."""
    shipped = files("hret_agents") / "sample" / f"memory.{lang}.jsonl"
    return _pairs(shipped.read_text("utf-8"), str(shipped)) if shipped.is_file() else {}


def read_memory(path: Path) -> dict[str, str]:
    """A memory file: lines of {"source": ..., "target": ...}."""
    try:
        return _pairs(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(
            f"the memory {path} cannot be read: {e}", hint="--model memory:FILE.jsonl"
        ) from None


def _pairs(text: str, where: str) -> dict[str, str]:
    known = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            pair = json.loads(line)
            source, target = pair["source"], pair["target"]
            if not (isinstance(source, str) and isinstance(target, str)):
                raise TypeError
            known[source] = target
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f'{where}, line {number}: no {{"source": ..., "target": ...}}',
                hint="write each line so, as JSON",
            ) from None
    return known
