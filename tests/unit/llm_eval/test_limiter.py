"""How many requests may be under way: it grows, it halves, it pauses, and it loses no place."""

from __future__ import annotations

import asyncio
import random

import pytest

from llm_eval.models.limiter import START, Limiter, Limits, shared_limiter
from tests.unit.virtual_time import now, run


def limiter(*, fixed: int | None = None, start: int = 8, ceiling: int = 512) -> Limiter:
    """A limiter on the loop's clock."""
    return Limiter(fixed=fixed, start=start, ceiling=ceiling, clock=now)


class User:
    """Who uses an endpoint."""


async def settled() -> None:
    """Every task has gone as far as it can without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


class Guest:
    """Someone who enters, stays until told, and leaves."""

    def __init__(self, gate: Limiter) -> None:
        self.gate, self.inside, self.leave = gate, False, asyncio.Event()
        self.entered_at = -1.0
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self.gate.slot():
            self.inside, self.entered_at = True, now()
            await self.leave.wait()
        self.inside = False


async def guests(gate: Limiter, number: int) -> list[Guest]:
    """So many guests, of whom as many are inside as fit."""
    came = [Guest(gate) for _ in range(number)]
    await settled()
    return came


async def all_gone(came: list[Guest]) -> None:
    """Everyone leaves; nobody is stuck."""
    for guest in came:
        guest.leave.set()
    await asyncio.gather(*(g.task for g in came), return_exceptions=True)


async def is_whole(gate: Limiter, places: int) -> None:
    """No place is taken, and as many as ever can enter."""
    assert gate.in_flight == 0
    again = await guests(gate, places + 3)
    assert sum(g.inside for g in again) == places
    await all_gone(again)


def round_trip(gate: Limiter) -> None:
    """As many successes as there may be requests under way."""
    for _ in range(int(gate.limit)):
        gate.succeeded()


def test_it_starts_small_and_doubles_each_round_trip() -> None:
    """Until the first push-back room doubles, up to the ceiling and not beyond."""
    gate, seen = Limiter(start=8, ceiling=50, clock=lambda: 0.0), []
    for _ in range(4):
        seen.append(gate.limit)
        round_trip(gate)
    assert [*seen, gate.limit] == [8, 16, 32, 50, 50]


def test_a_push_back_halves_and_ends_the_doubling() -> None:
    """It doubles back to three quarters of where it was, and then grows by one a round trip."""
    gate = Limiter(start=64, clock=lambda: 10.0)
    gate.pushed_back(started=9.0)
    assert gate.limit == 32
    round_trip(gate)
    assert 48 <= gate.limit < 49
    round_trip(gate)
    assert 48.9 < gate.limit < 50


def test_one_jam_halves_once() -> None:
    """Requests sent before the halving tell of the same jam; one sent after it tells of another."""
    clock = [5.0]
    gate = Limiter(start=64, clock=lambda: clock[0])
    for started in (1.0, 2.0, 3.0, 4.9):
        gate.pushed_back(started=started)
    assert gate.limit == 32
    clock[0] = 6.0
    gate.pushed_back(started=5.5)
    assert gate.limit == 16


def test_there_is_always_room_for_one() -> None:
    """However often it is pushed back, the run goes on."""
    gate = Limiter(start=2, clock=lambda: 1.0)
    for _ in range(20):
        gate.pushed_back(started=1.0)
    assert (gate.limit, gate.room) == (1, 1)


def test_a_fixed_limit_stays() -> None:
    """What the user sets is neither grown nor halved."""
    gate = Limiter(fixed=4, clock=lambda: 1.0)
    round_trip(gate)
    gate.pushed_back(started=1.0)
    assert gate.limit == 4


def test_it_settles_where_the_server_does() -> None:
    """Against a server with room for 20 the limit stays about there, and no one starves."""
    limits: list[float] = []

    async def scene() -> None:
        gate, busy = limiter(), 0

        async def request() -> None:
            nonlocal busy
            while True:
                async with gate.slot():
                    started, busy = now(), busy + 1
                    limits.append(gate.limit)
                    full = busy > 20
                    await asyncio.sleep(0.1)
                    busy -= 1
                    if not full:
                        return gate.succeeded()
                    gate.pushed_back(started=started)

        await asyncio.gather(*(request() for _ in range(2000)))

    run(scene)
    assert 9 <= min(limits[300:]) <= max(limits[300:]) <= 23


@pytest.mark.parametrize("fixed", [1, 3])
def test_no_more_than_the_limit_are_inside(fixed: int) -> None:
    """The others wait, and enter in the order in which they came."""

    async def scene() -> None:
        gate = limiter(fixed=fixed)
        came = await guests(gate, fixed + 4)
        for first in range(5):
            inside = [i for i, g in enumerate(came) if g.inside]
            assert inside == list(range(first, first + fixed))
            came[first].leave.set()
            await settled()
        await all_gone(came)
        await is_whole(gate, fixed)

    run(scene)


def test_growing_lets_those_who_wait_in() -> None:
    """A success makes room at once, not only when someone leaves."""

    async def scene() -> None:
        gate = limiter(start=2)
        came = await guests(gate, 4)
        assert [g.inside for g in came] == [True, True, False, False]
        gate.succeeded()
        await settled()
        assert [g.inside for g in came] == [True, True, True, False]
        await all_gone(came)

    run(scene)


def test_shrinking_lets_nobody_in_until_there_is_room() -> None:
    """After a halving, those inside leave one by one before the next one enters."""

    async def scene() -> None:
        gate = limiter(start=4)
        came = await guests(gate, 5)
        gate.pushed_back(started=now())
        for guest in came[:2]:
            guest.leave.set()
        await settled()
        assert [g.inside for g in came[4:]] == [False]
        came[2].leave.set()
        await settled()
        assert [g.inside for g in came[4:]] == [True]
        await all_gone(came)

    run(scene)


def test_room_counts_those_inside_and_those_who_wait() -> None:
    """What could start now is what is left of the limit, never less than nothing."""

    async def scene() -> None:
        gate = limiter(fixed=3)
        assert gate.room == 3
        came = await guests(gate, 2)
        assert gate.room == 1
        came += await guests(gate, 4)
        assert gate.room == 0
        await all_gone(came)
        assert gate.room == 3

    run(scene)


def test_an_error_inside_gives_the_place_back() -> None:
    """A request that fails holds nothing."""

    async def scene() -> None:
        gate = limiter(fixed=1)
        for _ in range(3):
            with pytest.raises(OSError):
                async with gate.slot():
                    raise OSError
        await is_whole(gate, 1)

    run(scene)


@pytest.mark.parametrize("fixed", [None, 8])
def test_retry_after_pauses_everyone(fixed: int | None) -> None:
    """Nobody starts before the server said so, whether the limit is fixed or not."""

    async def scene() -> None:
        gate = limiter(fixed=fixed)
        gate.pushed_back(started=now(), retry_after=30)
        came = [Guest(gate) for _ in range(3)]
        await asyncio.sleep(29.9)
        assert not any(g.inside for g in came)
        await asyncio.sleep(0.2)
        assert [g.entered_at for g in came] == pytest.approx([30, 30, 30])
        await all_gone(came)

    run(scene)


@pytest.mark.parametrize(("second", "enters"), [(1, 30), (40, 45)])
def test_the_later_of_two_hours_counts(second: float, enters: float) -> None:
    """A shorter pause ends no longer one, and who waits already waits for a longer one too."""

    async def scene() -> None:
        gate = limiter()
        gate.pushed_back(started=now(), retry_after=30)
        guest = Guest(gate)
        await asyncio.sleep(5)
        gate.pushed_back(started=now(), retry_after=second)
        await asyncio.sleep(60)
        assert guest.entered_at == pytest.approx(enters)
        await all_gone([guest])

    run(scene)


def test_a_cancelled_waiter_loses_no_place() -> None:
    """Who gives up waiting is passed over, and the next one enters."""

    async def scene() -> None:
        gate = limiter(fixed=1)
        came = await guests(gate, 3)
        came[1].task.cancel()
        await settled()
        came[0].leave.set()
        await settled()
        assert came[2].inside
        await all_gone(came)
        await is_whole(gate, 1)

    run(scene)


@pytest.mark.parametrize("first", ["cancelled", "free"])
def test_a_waiter_cancelled_as_a_place_comes_free_is_cancelled(first: str) -> None:
    """Both at once, as when a whole run is stopped: no other error, no lost place."""

    async def scene() -> None:
        gate = limiter(fixed=1)
        came = await guests(gate, 3)
        if first == "free":
            came[0].leave.set()
        came[1].task.cancel()
        came[0].leave.set()
        (ended,) = await asyncio.gather(came[1].task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)
        await settled()
        assert came[2].inside
        await all_gone(came)
        await is_whole(gate, 1)

    run(scene)


def test_a_waiter_cancelled_with_a_place_given_to_it_hands_it_on() -> None:
    """The place that was kept for it is the next one's."""

    async def scene() -> None:
        gate = limiter(fixed=1)
        async with gate.slot():
            came = await guests(gate, 2)
        came[0].task.cancel()
        await settled()
        assert not came[0].inside and came[1].inside
        await all_gone(came)
        await is_whole(gate, 1)

    run(scene)


def test_a_pause_can_be_cancelled() -> None:
    """Who is cancelled while the server makes everyone wait gives its place back."""

    async def scene() -> None:
        gate = limiter(fixed=2)
        gate.pushed_back(started=now(), retry_after=600)
        came = await guests(gate, 3)
        for guest in came:
            guest.task.cancel()
        ends = await asyncio.gather(*(g.task for g in came), return_exceptions=True)
        assert [type(e) for e in ends] == [asyncio.CancelledError] * 3
        await asyncio.sleep(3600)
        await is_whole(gate, 2)

    run(scene)


@pytest.mark.parametrize("seed", range(5))
def test_no_storm_of_cancellations_loses_a_place(seed: int) -> None:
    """Whoever is cancelled, wherever they stood, ends cancelled, and the gate is whole after it."""

    async def scene() -> None:
        dice, gate = random.Random(seed), limiter(fixed=5)
        came = await guests(gate, 60)
        for guest in dice.sample(came, 60):
            if dice.random() < 0.5:
                guest.task.cancel()
            guest.leave.set()
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        ends = await asyncio.gather(*(g.task for g in came), return_exceptions=True)
        assert {type(e) for e in ends} <= {type(None), asyncio.CancelledError}
        await is_whole(gate, 5)

    run(scene)


def test_all_who_use_an_endpoint_share_its_limiter() -> None:
    """Translator and judge on one server push each other back; another server has its own."""
    first, second = User(), User()
    one = shared_limiter("http://a/v1", 1, first, Limits())
    assert shared_limiter("http://a/v1", 1, second, Limits(fixed=4, rpm=60)) is one
    assert (one.fixed, one.limit) == (4, 4)
    others = [("http://b/v1", 1), ("http://a/v1", 2)]
    assert all(shared_limiter(*other, first, Limits()) is not one for other in others)


@pytest.mark.parametrize("how", ["left", "gone"])
def test_limits_hold_as_long_as_who_asked_for_them(how: str) -> None:
    """The lowest of all who are there; a user who is gone slows nobody down."""
    place = f"http://{how}/v1", 1
    users = {name: User() for name in ("slow", "narrow", "free")}
    gate = shared_limiter(*place, users["slow"], Limits(rpm=60, tpm=600))
    shared_limiter(*place, users["narrow"], Limits(fixed=2, rpm=120))
    shared_limiter(*place, users["free"], Limits())

    def held() -> tuple[int | None, float, float | None, float | None]:
        shared_limiter(*place, users["free"], Limits())
        paces = (gate._requests, gate._tokens)
        rpm, tpm = (None if p is None else p.rate * 60 for p in paces)
        return gate.fixed, gate.limit, rpm, tpm

    assert held() == (2, 2, 60, 600)
    for name, after in (("slow", (2, 2, 120, None)), ("narrow", (None, START, None, None))):
        if how == "left":
            gate.left(users[name])
        del users[name]
        assert held() == after
    assert gate.trying
