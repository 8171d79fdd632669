"""The server is kept full from the first row to the last: shown in simulated time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from hret_agents.translate.packing import LEAST_CHARS, PACK_CHARS, Packer, packs_of
from llm_eval.models.limiter import Limiter
from tests.unit.virtual_time import now, run

FIRST, PER_CHAR, ENVELOPE = 0.2, 1 / 150, 25  # 50 tokens/s, three characters a token


@dataclass(frozen=True)
class Row:
    """A row of some length."""

    size: int


def benchmark(rows: int = 1319, seed: int = 0) -> list[Row]:
    """Rows as long as those of a word problem benchmark: 530 characters, long-tailed."""
    dice = random.Random(seed)
    return [Row(int(min(1800, max(150, dice.lognormvariate(6.2, 0.4))))) for _ in range(rows)]


class QueueingServer:
    """Works on so many requests at once; the others wait, first come, first served."""

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self.requests = 0

    async def serve(self, pack: list[Row]) -> None:
        self.requests += 1
        async with self._slots:
            await asyncio.sleep(FIRST + sum(r.size + ENVELOPE for r in pack) * PER_CHAR)


async def translate(rows: list[Row], server: QueueingServer, gate: Limiter) -> None:
    """What the engine does, without replies to judge."""
    packer: Packer[Row] = Packer(10)
    for row in rows:
        packer.add(row)
    packer.close()
    under_way: set[asyncio.Task[None]] = set()

    async def send(pack: list[Row]) -> None:
        async with gate.slot():
            started = now()
            await server.serve(pack)
            gate.succeeded(now() - started, sum(r.size for r in pack) // 3)

    while packer or under_way:
        while packer and len(under_way) < int(gate.limit):
            pack = packer.next(gate.slots or gate.limit, trying=gate.trying)
            under_way.add(asyncio.create_task(send(pack)))
        done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        assert all(task.exception() is None for task in done)


def ratio(slots: int, *, fixed: bool, rows: list[Row] | None = None) -> tuple[float, int]:
    """(time taken over the physical limit, requests)."""
    rows = benchmark() if rows is None else rows
    found: list[tuple[float, int]] = []

    async def scene() -> None:
        server = QueueingServer(slots)
        gate = Limiter(fixed=slots if fixed else None, clock=now)
        await translate(rows, server, gate)
        least = sum(r.size for r in rows) * PER_CHAR / slots
        found.append((now() / least, server.requests))

    run(scene)
    return found[0]


@pytest.mark.parametrize(("slots", "most"), [(1, 1.1), (8, 1.1), (32, 1.1), (256, 1.25)])
def test_with_a_known_number_of_slots_hardly_any_time_is_lost(slots: int, most: float) -> None:
    """Long units first and ever smaller packs: all slots end together. Source texts without masks
    are assumed, and each row's envelope counts as lost."""
    assert 1 <= ratio(slots, fixed=True)[0] <= most


@pytest.mark.parametrize(("slots", "most"), [(4, 1.2), (32, 1.25), (256, 2.2)])
def test_a_server_that_only_queues_is_filled_by_trying(slots: int, most: float) -> None:
    """It never says no, so room is found by how fast replies come."""
    assert 1 <= ratio(slots, fixed=False)[0] <= most


def test_few_requests_are_sent() -> None:
    """At 32 slots, under a tenth of what one cell per request takes (two cells a row)."""
    assert ratio(32, fixed=True)[1] <= 0.085 * 2 * 1319


def test_units_come_once_each_and_packs_keep_to_their_size() -> None:
    """Nothing is lost or doubled, whatever the mode; a unit too long for any pack goes alone."""
    rows = [*benchmark(500), Row(PACK_CHARS * 2)]
    packer: Packer[Row] = Packer(10)
    for row in rows:
        packer.add(row)
    out = [packer.next(4) for _ in range(3)]
    out += [packer.next(4, trying=True) for _ in range(3)]
    packer.close()
    while packer:
        out.append(packer.next(4, trying=len(out) % 5 == 0))
    assert sorted(r.size for pack in out for r in pack) == sorted(r.size for r in rows)
    assert all(len(p) == 1 or sum(r.size for r in p) <= PACK_CHARS for p in out)
    assert max(map(len, out)) == 10


def test_while_rows_still_come_packs_are_full() -> None:
    """Only the end is cut fine."""
    packer: Packer[Row] = Packer(10)
    for _ in range(100):
        packer.add(Row(100))
    assert [len(packer.next(64)) for _ in range(5)] == [10] * 5
    packer.close()
    assert len(packer.next(64)) == LEAST_CHARS // 100


def test_a_lowered_limit_holds() -> None:
    """When replies are cut, packs shrink to what fits."""
    packer: Packer[Row] = Packer(10)
    for _ in range(20):
        packer.add(Row(1000))
    packer.most = 2500
    assert len(packer.next(1)) == 2


def test_the_dry_run_counts_by_the_same_rule() -> None:
    """Its packs are those that a fixed number of slots gets."""
    sizes = [r.size for r in benchmark()]
    packs = packs_of(sizes, 10, 32)
    assert sorted(s for p in packs for s in p) == sorted(sizes)
    assert len(packs) == ratio(32, fixed=True)[1]
    assert packs_of([], 10, 32) == []
