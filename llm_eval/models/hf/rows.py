"""A reply while it is being written: its tokens, what ends it, and what it may become.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from llm_eval.models.hf.asking import GenerationParams

Top = list[tuple[int, float]]  # the likeliest tokens of a place, with their log-probabilities
Decode = Callable[[Sequence[Sequence[int]]], list[str]]
Ended = Callable[["Row"], None]


@dataclass(eq=False)
class Row:
    """A prompt's tokens, and what was written behind them.

    `key` decides what is drawn: the same key, the same reply, whatever stands beside it and however
    often it had to begin again. `choice` are the tokens of the texts that it may still become;
    empty where it is free. `ends` are the tokens that end it besides the model's own. `inputs` are
    what a processor made of the prompt, where it has images.

    `end` is empty while the row is being written; then "stop" (an end token, a stop text, a text of
    the choice), or "length" (`limit` tokens), or "memory" (it does not fit alone). `told` and `top`
    are of every token written, the end token too; `top` is empty unless asked for.
    """

    prompt: Sequence[int]
    limit: int
    asked: GenerationParams
    key: str = ""
    choice: list[list[int]] = field(default_factory=list)
    ends: frozenset[int] = frozenset()
    inputs: Mapping[str, Any] | None = None
    written: list[int] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)
    end: str = ""

    @property
    def read(self) -> int:
        """Tokens that the model has read: all but the one it wrote last."""
        return len(self.prompt) + len(self.written) - 1

    @property
    def most(self) -> int:
        """Tokens it may come to have."""
        return len(self.prompt) + self.limit

    def unit(self) -> float:
        """The number in [0, 1) that draws its next token."""
        drawn = blake2b(f"{self.key}/{len(self.written)}".encode(), digest_size=8).digest()
        return (int.from_bytes(drawn) >> 11) / (1 << 53)

    def allowed(self, ends: frozenset[int]) -> list[int] | None:
        """The tokens that may come next; None where any may."""
        if not self.choice:
            return None
        place = len(self.written)
        more = {o[place] for o in self.choice if len(o) > place}
        return sorted(more | ends if any(len(o) == place for o in self.choice) else more)

    def add(self, token: int, told: float, top: Top | None, ends: frozenset[int]) -> None:
        """Write a token down, and see whether it ends the row."""
        self.written.append(token)
        self.told.append(told)
        if top is not None:
            self.top.append(top)
        if self.choice:
            self._narrow(token, ends)
        elif token in ends or token in self.ends:
            self.end = "stop"
        if not self.end and len(self.written) >= self.limit:
            self.end = "length"

    def _narrow(self, token: int, ends: frozenset[int]) -> None:
        place = len(self.written)
        kept = [o for o in self.choice if len(o) >= place and o[place - 1] == token]
        if not kept and token in ends:  # the text of the choice that is whole, and no longer one
            kept = [o for o in self.choice if len(o) == place - 1]
            self.end = "stop"
        self.choice = kept
        if not self.end and max(map(len, kept)) == place:
            self.end = "stop"


def see_stops(rows: Sequence[Row], decode: Decode) -> None:
    """End every row whose text has come to hold one of its stops."""
    open_to = [r for r in rows if r.asked.stop and not r.choice and r.end != "stop"]
    if not open_to:
        return
    windows = [max(len(s.encode()) for s in r.asked.stop) + 4 for r in open_to]
    tails = decode([r.written[-w:] for r, w in zip(open_to, windows, strict=True)])
    for row, tail in zip(open_to, tails, strict=True):
        if any(s in tail for s in row.asked.stop) and has_stop(row, decode):
            row.end = "stop"


def has_stop(row: Row, decode: Decode) -> bool:
    """Is one of its stops in what it has written?"""
    (text,) = decode([row.written])
    return any(s in text for s in row.asked.stop)
