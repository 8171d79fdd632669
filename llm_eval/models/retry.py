"""Trying again: what for, how often and after how long; the same for whatever asks a model."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from llm_eval.errors import BackendError
from llm_eval.models.limiter import Limiter

R = TypeVar("R")
BACKOFF = 0.5  # seconds before the second attempt, at most; doubles with each


async def retried(
    once: Callable[[], Awaitable[R]],
    limiter: Limiter,
    *,
    max_retries: int,
    backoff: float = BACKOFF,
    lost: Callable[[], Awaitable[None]] | None = None,
) -> R:
    """What `once` returns; it is called again up to `max_retries` times where that may help.

    A 429 uses up no attempt as long as others get through: waiting is then all it takes.
    `lost` is told of every attempt that broke off without saying what it cost.
    """
    attempt, seen = 0, limiter.successes
    while True:
        try:
            return await once()
        except BackendError as e:
            if lost is not None and e.sent:
                await lost()
            through = limiter.successes
            waiting = e.kind == "rate_limit" and through > seen
            if not e.retryable or (attempt == max_retries and not waiting):
                raise
            wait = backoff * 2**attempt * random.uniform(0.5, 1.0)
            attempt, seen = attempt + (not waiting), through
            await asyncio.sleep(e.retry_after or wait)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server's headers (lower case) ask to wait; their date form is not read.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "120"})
    (2.0, 0.12)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) * unit
            return wait if 0 <= wait < math.inf else None
        except (KeyError, ValueError):
            continue
    return None
