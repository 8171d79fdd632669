"""How fast requests may start: the user's `rpm` and `tpm`, and a rate learned from 429s.

A server that caps requests a second is no server with few slots: halving what is under way makes
room that is not needed, and waits. So a 429 teaches the rate that was getting through just before
it, which is then held, a little below, and tried again ever more rarely.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

BURST = 0.02  # seconds of delay that may be caught up on at once
HOLD = 10.0  # seconds that a learned rate is held before more is tried; doubles each time
BELOW = 0.96  # a learned rate is this share of what got through
PROBE = 0.01  # growth of a learned rate each second that it is tried for more
WINDOW = 1.0  # seconds over which it is counted what got through
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(slots=True)
class Pace:
    """Starts spread evenly, `rate` a second (a virtual-scheduling leaky bucket, ITU-T I.371)."""

    rate: float
    at: float = 0.0

    def reserve(self, now: float, amount: float = 1.0) -> float:
        """When `amount` may start; what comes next starts after it."""
        start = max(self.at, now - BURST)
        self.at = start + amount / self.rate
        return start


@dataclass(slots=True)
class LearnedPace:
    """The rate at which a server with a cap lets requests through; free until it has said 429."""

    pace: Pace | None = None
    _started: deque[float] = field(default_factory=deque)
    _told: float = -math.inf
    _grown: float = 0.0
    _hold: float = HOLD / 2

    def started(self, now: float) -> None:
        """A request is being sent."""
        self._started.append(now)
        while self._started[0] < now - 2 * WINDOW:
            self._started.popleft()

    def reserve(self, now: float) -> float:
        """When the next request may be sent."""
        if self.pace is None:
            return now
        if now > self._grown:
            self.pace.rate *= 1 + PROBE * (now - self._grown)
            self._grown = now
        return self.pace.reserve(now)

    def refused(self, started: float, now: float, resume_at: float) -> bool:
        """A request sent at `started` was answered 429, and nobody starts before `resume_at`.

        Requests sent before the last lesson, or while what it was about still counts, teach
        nothing new. True when nobody had gone faster than was learned: pace was not the reason.
        """
        if started in self._started:
            self._started.remove(started)
        if started < self._told + WINDOW:
            return False
        rate = BELOW * max(1, sum(started - WINDOW < t <= started for t in self._started)) / WINDOW
        held = self.pace is not None and now < self._grown
        if self.pace is not None and held:
            rate = min(rate, BELOW * self.pace.rate)
        waiting = now if self.pace is None else self.pace.at
        self.pace = Pace(rate, resume_at if resume_at > now else max(now, waiting))
        self._hold = min(2 * self._hold, 300.0)
        self._told, self._grown = now, now + self._hold
        return held


def reset_after(headers: Mapping[str, str]) -> float:
    """Seconds until there is room again, as `x-ratelimit-*` headers (lower case) tell; 0: now.

    >>> reset_after({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"})
    62.5
    >>> reset_after({"x-ratelimit-remaining-tokens": "9000", "x-ratelimit-reset-tokens": "1s"})
    0.0
    """
    waits = [0.0]
    for kind in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
            waits.append(_seconds(headers.get(f"x-ratelimit-reset-{kind}", "")))
    return max(waits)


def _seconds(text: str) -> float:
    """
    >>> _seconds("6m0s"), _seconds("120ms"), _seconds("1.5"), _seconds("soon")
    (360.0, 0.12, 1.5, 0.0)
    """
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    total = sum((float(number) * _UNITS[unit] for number, unit in parts), 0.0)
    return total if math.isfinite(total) else 0.0
