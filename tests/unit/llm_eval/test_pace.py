"""How fast requests start: caps that the user sets, and caps that 429s teach."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque

import pytest

from llm_eval.models.limiter import Limiter
from llm_eval.models.pace import LearnedPace, Pace, reset_after
from tests.unit.virtual_time import now, run


class CappedServer:
    """Takes so many requests in any second, and answers the others 429."""

    def __init__(self, cap: int, latency: float, retry_after: float | None) -> None:
        self.cap, self.latency, self.retry_after = cap, latency, retry_after
        self.taken: deque[float] = deque()
        self.times: list[float] = []
        self.refused = 0

    async def takes(self) -> bool:
        while self.taken and self.taken[0] <= now() - 1:
            self.taken.popleft()
        if len(self.taken) >= self.cap:
            self.refused += 1
            await asyncio.sleep(0.01)
            return False
        self.taken.append(now())
        self.times.append(now())
        await asyncio.sleep(self.latency)
        return True


async def ask(server: CappedServer, gate: Limiter) -> None:
    """One request, asked until it is taken."""
    while True:
        async with gate.slot():
            started = now()
            if await server.takes():
                return gate.succeeded(now() - started, 100)
            gate.refused(started=started, retry_after=server.retry_after)
        await asyncio.sleep(server.retry_after or 0.2)


def sustained(cap: int, latency: float, retry_after: float | None, requests: int) -> float:
    """The share of a server's cap that was used, from the first request taken to the last."""
    found: list[float] = []

    async def scene() -> None:
        server, gate = CappedServer(cap, latency, retry_after), Limiter(clock=now)
        await asyncio.gather(*(ask(server, gate) for _ in range(requests)))
        assert len(server.times) == requests
        found.append(requests / (server.times[-1] - server.times[0]) / cap)
        assert server.refused < requests / 10

    run(scene)
    return found[0]


@pytest.mark.parametrize("latency", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("retry_after", [None, 0.05, 1.0])
def test_a_cap_on_requests_a_second_is_nearly_reached(
    latency: float, retry_after: float | None
) -> None:
    """However long a reply takes, and whatever the server says of when to come again."""
    requests = 4000 if latency < 1 else 10_000  # finding room takes some round trips
    assert sustained(100, latency, retry_after, requests) >= 0.85


def test_requests_a_minute_are_kept_to() -> None:
    """600 a minute: ten a second, evenly, however many wait."""

    async def scene() -> None:
        gate, starts = Limiter(fixed=50, rpm=600, clock=now), []

        async def one() -> None:
            async with gate.slot():
                starts.append(now())

        await asyncio.gather(*(one() for _ in range(100)))
        gaps = [b - a for a, b in itertools.pairwise(starts)]
        assert min(gaps[1:]) >= 0.09 and starts[-1] == pytest.approx(9.9, abs=0.2)

    run(scene)


def test_tokens_a_minute_are_kept_to_and_corrected() -> None:
    """What a request really cost is counted once it is known."""

    async def scene() -> None:
        gate, starts = Limiter(fixed=1, tpm=6000, clock=now), []
        for _ in range(4):
            async with gate.slot(100):
                starts.append(now())
                gate.corrected(100)  # it cost twice what was expected
        assert starts == pytest.approx([0, 2, 4, 6], abs=0.2)

    run(scene)


def test_asking_for_the_same_cap_again_does_not_reset_it() -> None:
    """Every user of an endpoint names its caps; the count goes on."""
    gate = Limiter(rpm=60, clock=lambda: 0.0)
    before = gate._requests
    gate.set(fixed=None, rpm=60, tpm=None)
    assert gate._requests is before
    gate.set(fixed=None, rpm=120, tpm=None)
    assert gate._requests is not before


def test_a_pace_catches_up_on_a_short_delay_only() -> None:
    """A loop that was busy for a moment loses nothing; an idle minute earns no burst."""
    pace = Pace(10.0)
    assert pace.reserve(100.0) == pytest.approx(99.98)
    assert pace.reserve(100.0) == pytest.approx(100.08)
    pace = Pace(10.0)
    pace.reserve(0.0)
    assert sum(pace.reserve(60.0) <= 60.0 for _ in range(20)) == 1


def test_a_lesson_is_held_and_then_more_is_tried() -> None:
    """The rate of what got through, a little below; after a while it grows again."""
    learned = LearnedPace()
    assert learned.reserve(5.0) == 5.0
    for i in range(100):
        learned.started(4.0 + i / 100)
    learned.started(5.0)
    learned.refused(5.0, 5.1, 5.1)
    assert learned.pace is not None and 90 <= learned.pace.rate <= 100
    rate = learned.pace.rate
    learned.refused(4.5, 5.2, 5.2)  # sent before the lesson: nothing new
    learned.reserve(12.0)
    assert learned.pace.rate == rate
    learned.reserve(25.0)
    assert rate < learned.pace.rate < 1.2 * rate


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, 0.25),
        ({"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "9s"}, 0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "nonsense"}, 0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2",
            },
            2,
        ),
    ],
)
def test_headers_say_when_there_is_room_again(headers: dict[str, str], seconds: float) -> None:
    """The longer wait counts; what cannot be read is no wait."""
    assert reset_after(headers) == pytest.approx(seconds)


def test_a_server_that_queues_ends_the_doubling() -> None:
    """Slower replies and no more of them: the queue is not made longer."""
    clock = [0.0]
    gate = Limiter(clock=lambda: clock[0])
    while gate.trying and clock[0] < 1000:
        room = int(gate.limit)
        busy = min(room, 20)  # slots
        for _ in range(room):
            clock[0] += 2.0 / busy
            gate.succeeded(2.0 * room / busy, 100)
    assert 20 <= gate.limit <= 80
    assert 15 <= gate.slots <= 25


def test_a_server_that_batches_is_given_more() -> None:
    """Slower replies and many more of them: doubling goes on."""
    clock = [0.0]
    gate = Limiter(clock=lambda: clock[0], ceiling=256)
    while gate.trying:
        room = int(gate.limit)
        seconds = 2.0 * room**0.3
        for _ in range(room):
            clock[0] += seconds / room
            gate.succeeded(seconds, 100)
    assert gate.limit == 256
