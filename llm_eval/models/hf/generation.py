"""Writing: rows come and go while others go on.

Prompts are read a batch at a time; each row then writes a token a step until it ends by itself, by
a stop text, or by its limit. Its place goes to the next prompt. Where memory runs out the rows go
back to the queue with what they have written, fewer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from llm_eval.models.hf.batching import Size, Stopped, let_go
from llm_eval.models.hf.cache import ROOM, aligned
from llm_eval.models.hf.engine import Engine, ran_out
from llm_eval.models.hf.rows import Decode, Ended, Row, see_stops
from llm_eval.models.hf.sampling import draw

READ = 8192  # tokens of prompts that are read at once
REFILL = 4  # new rows are taken in when a quarter of the places is free


class Writer:
    """Writes rows with an engine; `decode` turns tokens to text.

    `ended` is called with each row, once, when it is at its end.
    """

    def __init__(
        self,
        engine: Engine,
        size: Size,
        decode: Decode,
        stopped: Callable[[], bool],
        ended: Ended,
    ) -> None:
        self.engine, self.size, self.decode, self.stopped = engine, size, decode, stopped
        self.ended = ended
        self.rows: list[Row] = []
        self.cache: Any = None

    def write(self, rows: Sequence[Row]) -> None:
        """Write every row to its end.

        Raises:
            Stopped: `stopped()` said so between two steps.
        """
        queue = sorted(rows, key=_most, reverse=True)
        with torch.inference_mode():
            while queue or self.rows:
                if self.stopped():
                    raise Stopped
                try:
                    if not self._refilled(queue):
                        self._step()
                    continue
                except RuntimeError as e:
                    if not ran_out(e):
                        raise
                self._again(queue)

    def _refilled(self, queue: list[Row]) -> bool:
        """Take in rows where enough places are free for it to be worth its while."""
        if not queue:
            return False
        places = self.size.fitting(max(r.most for r in (queue[0], *self.rows)))
        free = places - len(self.rows)
        if free < max(1, min(len(queue), places // REFILL)):
            return False
        old, new = list(self.rows), queue[:free]
        del queue[: len(new)]
        self.rows += new  # from here on they are given back if memory runs out
        parts = [(self.cache, old, [self.cache.get_seq_length()] * len(old))] if old else []
        while new:
            longest = max(len(r.prompt) + len(r.written) for r in new)
            batch = new[: max(1, READ // longest)]
            new = new[len(batch) :]
            texts = [[*r.prompt, *r.written] for r in batch]
            ends = [(i, len(t) - 1) for i, t in enumerate(texts)]
            logits, cache = self.engine.read(texts, ends, keep=True)
            self._note(batch, logits)
            parts.append((cache, batch, [len(t) for t in texts]))
        self._keep(parts)
        if queue:
            self.size.fitted()
        return True

    def _step(self) -> None:
        """One more token for every row."""
        ends = [(i, 0) for i in range(len(self.rows))]
        last = [r.written[-1:] for r in self.rows]
        logits = self.engine.go_on(last, ends, self.cache, [r.read for r in self.rows])
        self._note(self.rows, logits)
        if any(r.end for r in self.rows):
            self._keep([(self.cache, self.rows, [self.cache.get_seq_length()] * len(self.rows))])

    def _keep(self, parts: Sequence[tuple[Any, Sequence[Row], Sequence[int]]]) -> None:
        """One cache of several: of each its rows, where they end in it; rows at their end go."""
        pieces = []
        for cache, rows, ends in parts:
            going = [i for i, r in enumerate(rows) if not r.end]
            pieces.append((cache, going, [ends[i] for i in going]))
        self.rows = [r for _, rows, _ in parts for r in rows if not r.end]
        self.cache = None
        if self.rows:
            room = max(r.limit - len(r.written) for r in self.rows)
            pieces = [piece for piece in pieces if piece[1]]
            self.cache = aligned(pieces, max(r.read for r in self.rows), min(ROOM, room))

    def _note(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Draw a token for each row, write it down, and tell of the rows that it ends."""
        ends = self.engine.end_tokens
        for row, token, told, top in zip(rows, *draw(logits, rows, ends), strict=True):
            row.add(token, told, top, ends)
        see_stops(rows, self.decode)
        for row in rows:
            if row.end:
                self.ended(row)

    def _again(self, queue: list[Row]) -> None:
        """Memory ran out: every row that is not at its end goes back, to go with fewer others."""
        rows, self.rows, self.cache = [r for r in self.rows if not r.end], [], None
        let_go()
        longest = max((r.most for r in rows), default=1)
        if not self.size.shrink(len(rows), longest):
            for row in rows:
                row.end = "memory"
                self.ended(row)
        queue[:] = sorted((r for r in (*rows, *queue) if not r.end), key=_most, reverse=True)


def _most(row: Row) -> int:
    return row.most
