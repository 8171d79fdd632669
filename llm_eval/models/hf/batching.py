"""How many rows go through the model at once: found by trying, and never at the cost of work."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")
START = 4096  # tokens in the first batch
MOST = {"cpu": 4096, "cuda": 1 << 18}  # more than that at once is no faster
ANY = 1 << 40
EVEN = {"cpu": 1024}  # tokens of a batch from which on padding costs more than another batch
PADDED = 0.85  # of the longest row: a shorter one is better read in the next batch
SHARE = 0.25  # of the free memory that keys and values may take by themselves
log = logging.getLogger("llm_eval.huggingface")


class Stopped(Exception):
    """Nobody waits for the rest."""


@dataclass
class Size:
    """The size of batches: `rows` at most, and `tokens` at most, padding and all.

    "auto" begins small and doubles while all goes well; where memory runs out the size is halved,
    kept, and the same rows go again. A number of rows is kept to, but where memory runs out. Beyond
    `even` tokens a batch takes no rows that would be padding for a good part.
    """

    rows: int
    tokens: int
    most: int
    auto: bool
    even: int = ANY

    @classmethod
    def of(
        cls, asked: int | Literal["auto"], engine: Any, most: int | None = None, start: int = START
    ) -> Size:
        """The size to begin with, for this device and model."""
        kind = engine.device.type
        limit = most or MOST.get(kind, MOST["cuda"])
        if engine.token_bytes:
            limit = min(limit, int(SHARE * free_memory(engine.device) / engine.token_bytes))
        limit = max(1, limit)
        if asked == "auto":
            return cls(
                rows=ANY, tokens=min(start, limit), most=limit, auto=True, even=EVEN.get(kind, ANY)
            )
        return cls(rows=asked, tokens=ANY, most=ANY, auto=False)

    def fitting(self, longest: int) -> int:
        """How many rows of at most `longest` tokens go at once."""
        return max(1, min(self.rows, self.tokens // max(1, longest)))

    def taken(self, lengths: Sequence[int]) -> int:
        """How many of these rows, the longest first, go at once."""
        longest = max(1, lengths[0])
        most = min(len(lengths), self.fitting(longest))
        least = min(most, -(-self.even // longest))
        short = (i for i in range(least, most) if lengths[i] < PADDED * longest)
        return next(short, most)

    def fitted(self) -> None:
        """A full batch went through."""
        self.tokens = min(2 * self.tokens, self.most)

    def shrink(self, rows: int, longest: int) -> bool:
        """Memory ran out at so many rows; False where there is nothing to shrink."""
        if rows <= 1:
            return False
        if self.auto:
            self.most = self.tokens = rows * longest // 2
        else:
            self.rows = rows // 2
        log.warning("out of memory at %d rows: going on with %d", rows, self.fitting(longest))
        return True


def free_memory(device: Any) -> float:
    """Bytes that are free there; a guess of 4 GiB where nobody says."""
    import torch

    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        told = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float(4 << 30)
    return float(told) * 1024


def let_go() -> None:
    """Give back what a batch that did not fit has left in memory."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_batches(
    items: Sequence[T],
    length: Callable[[T], int],
    work: Callable[[Sequence[T]], None],
    lost: Callable[[T], None],
    size: Size,
    stopped: Callable[[], bool],
) -> None:
    """Give `work` all items, the longest first, in batches that fit.

    An item that does not fit alone is given to `lost`.

    Raises:
        Stopped: between two batches, once `stopped()` says so.
    """
    from llm_eval.models.hf.engine import ran_out

    queue = sorted(items, key=length, reverse=True)
    while queue:
        if stopped():
            raise Stopped
        longest = max(1, length(queue[0]))
        most = size.fitting(longest)
        batch = queue[: size.taken([length(item) for item in queue[:most]])]
        fits = True
        try:
            work(batch)
        except RuntimeError as e:
            if not ran_out(e):
                raise
            fits = False
        if fits:
            full = len(batch) == most < len(queue)
            queue = queue[len(batch) :]
            if full:
                size.fitted()
            continue
        let_go()
        if not size.shrink(len(batch), longest):
            lost(queue.pop(0))
