"""Trying again: what for, how often and after how long; the same for whatever asks a model."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from llm_eval.errors import BackendError, UserError
from llm_eval.models.limiter import LONGEST_PAUSE, Limiter
from llm_eval.models.siblings import current

R = TypeVar("R")
BACKOFF = 0.5  # seconds before the second attempt, at most; doubles with each


async def retried(
    once: Callable[[], Awaitable[R]],
    limiter: Limiter,
    *,
    max_retries: int,
    answering: AbstractSet[asyncio.Task[Any]] = frozenset(),
    backoff: float = BACKOFF,
    lost: Callable[[], Awaitable[None]] | None = None,
) -> R:
    """What `once` returns; it is called again up to `max_retries` times where that may help.

    A 429 uses up no attempt as long as others get through: waiting is then all it takes.
    `lost` is told of every attempt that broke off without saying what it cost. `answering` are the
    tasks whose request is at the server: after a sibling's `UserError` they alone go on.

    Raises:
        UserError: a server asks to wait for longer than anybody sits by (`LONGEST_PAUSE`).
    """
    attempt, seen, siblings = 0, limiter.successes, current()
    with siblings.asking(answering):
        while True:
            siblings.go_on()
            try:
                return await once()
            except BackendError as e:
                if lost is not None and e.sent:
                    await lost()
                through = limiter.successes
                waiting = e.kind == "rate_limit" and through > seen
                if e.retryable:
                    _worth_waiting(e)
                if not e.retryable or (attempt == max_retries and not waiting):
                    raise
                siblings.go_on()
                wait = backoff * 2**attempt * random.uniform(0.5, 1.0)
                attempt, seen = attempt + (not waiting), through
                await asyncio.sleep(e.retry_after or wait)


def _worth_waiting(error: BackendError) -> None:
    """Raise a `UserError` where a server asks to wait for hours."""
    seconds = error.retry_after or 0.0
    if seconds <= LONGEST_PAUSE:
        return
    wait = timedelta(seconds=min(round(seconds), 10**8))
    until = datetime.now().astimezone() + wait
    raise UserError(
        f"{error.message}; it asks to wait for {wait}, until {until:%Y-%m-%d %H:%M %Z}",
        hint="run this again then: what is done is kept",
        caller_only=True,
    ) from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server's headers (lower case) ask to wait, or that are left until a date.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "120"})
    (2.0, 0.12)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) * unit
            return wait if 0 <= wait < math.inf else None
        except (KeyError, ValueError):
            continue
    until = _date(headers.get("retry-after"))
    now = _date(headers.get("date")) or datetime.now(UTC)  # by the server's clock, if it tells
    return None if until is None else max(0.0, (until - now).total_seconds())


def _date(told: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(told or "").replace(tzinfo=UTC)  # HTTP knows GMT alone
    except ValueError:
        return None
