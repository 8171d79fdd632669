"""A run that must stop (a dead server, a Ctrl-C, an empty account) keeps what was answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

import pytest

from hret_agents.translate.engine import GIVE_UP_AFTER, GRACE, Outcome
from hret_agents.translate.memory import Memory, unit_key
from hret_agents.translate.units import Unit
from llm_eval.errors import UserError
from tests.fakes.chat import ChatServer, Fault, Record
from tests.fakes.chat_protocol import Ask, Body, Refused
from tests.unit.hret_agents.test_engine import Lab, failed, lab, rows_of, serve, unit, units_of

__all__ = ["lab", "serve"]


class Broke(ChatServer):
    """Refuses whatever holds the last straw, for want of credit."""

    async def _route(self, method: str, record: Record) -> tuple[Body, bool]:
        if "straw" in json.dumps(record.body):
            raise Refused(429, "You exceeded your quota.", code="insufficient_quota")
        return await super()._route(method, record)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def collected(lab: Lab, url: str, units: Sequence[Unit], **options: int) -> list[Outcome]:
    """All outcomes, within a loop."""
    return [o async for o in lab.outcomes(url, units, **options)]


def test_a_server_that_dies_is_one_error(lab: Lab) -> None:
    """When the server goes away midway the run ends in one sentence, after blaming a row or two at
    most; going on asks no row again that was answered."""
    units = sorted(units_of(60), key=lambda u: -u.size)  # the order in which they are sent

    async def dies() -> list[Outcome]:
        chat = ChatServer().__enter__()
        seen, stopped = [], False
        with pytest.raises(UserError, match=r"stopped answering.*\n.*kept"):
            async for outcome in lab.outcomes(chat.url, units, batch_size=2, transport_retries=0):
                seen.append(outcome)
                if len(seen) == 6:
                    await asyncio.to_thread(chat.__exit__, None, None, None)
                    stopped = True
        assert stopped and 6 <= len(seen) < 60
        answered.update(chat.sources(answered=True))
        return seen

    answered: set[str] = set()
    seen = asyncio.run(dies())
    assert len(failed(seen, units[: len(seen)])) < GIVE_UP_AFTER
    assert {o.failure.kind for o in seen if o.failure} <= {"connection"}
    with ChatServer() as chat:
        assert failed(lab.run(chat, units), units) == []
        assert answered and not answered & set(chat.sources())


def test_a_server_that_was_never_there_fails_no_row(lab: Lab) -> None:
    """An address that nobody answers at is told at once, not row by row."""
    with ChatServer() as gone:
        pass
    with pytest.raises(UserError, match="stopped answering"):
        lab.run(gone, units_of(500), batch_size=5, transport_retries=0)


def test_trouble_of_one_request_is_not_a_dead_server(
    lab: Lab, serve: Callable[..., ChatServer]
) -> None:
    """A row that always breaks the server fails alone, however many others come and go."""

    class Allergic(ChatServer):
        def _chat(self, ask: Ask, fault: Fault | None) -> Body:
            if "poison" in json.dumps(ask.body["messages"]):
                raise Refused(500, "crashed")
            return super()._chat(ask, fault)

    units = [*units_of(30), unit("How is poison made?"), *units_of(60)[30:]]
    outcomes = lab.run(serve(Allergic), units, batch_size=8, transport_retries=0)
    assert failed(outcomes, units) == [units[30]]


@pytest.mark.parametrize("straw_first", [True, False])
def test_an_empty_account_keeps_what_is_being_answered(
    lab: Lab, serve: Callable[..., ChatServer], straw_first: bool
) -> None:
    """When one request ends the run, the replies under way are waited for and kept."""
    chat = serve(Broke)
    units = units_of(3)
    units.insert(0 if straw_first else 3, unit("The last straw."))

    async def work() -> None:
        with chat.held():
            task = asyncio.create_task(collected(lab, chat.url, units, batch_size=1))
            await until(lambda: chat.count() == 4 and any(r.status == 429 for r in chat.requests))
        with pytest.raises(UserError, match="quota"):
            await task

    asyncio.run(work())
    chat.reset()
    with pytest.raises(UserError, match="quota"):
        lab.run(chat, units, batch_size=1)
    assert list(chat.sources()) == ["The last straw."]


def test_a_cancelled_run_keeps_what_was_under_way(lab: Lab, chat: ChatServer) -> None:
    """Ctrl-C waits for the packs that were sent, commits them, and sends no other."""
    units = units_of(40)

    async def work() -> None:
        with chat.held():
            task = asyncio.create_task(collected(lab, chat.url, units, batch_size=2))
            await until(lambda: chat.count() == 4)
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    sent = set(chat.sources())
    assert chat.count() == 4 and len(sent) == 8
    chat.reset()
    assert failed(lab.run(chat, units), units) == []
    assert not sent & set(chat.sources())


def test_a_consumer_that_stops_keeps_what_was_under_way(lab: Lab, chat: ChatServer) -> None:
    """When whoever takes the outcomes fails (a full disk, say), sent packs are still kept."""
    units = units_of(8)

    async def work() -> None:
        chat.script(None, Fault.slow, Fault.slow, Fault.slow)
        with pytest.raises(OSError, match="full"):
            async with aclosing(lab.outcomes(chat.url, units, batch_size=2)) as outcomes:
                with chat.held():
                    first = asyncio.ensure_future(anext(outcomes))
                    await until(lambda: chat.count() == 4)
                await first
                raise OSError("the disk is full")

    asyncio.run(work())
    sent = set(chat.sources())
    assert len(sent) == 8
    chat.reset()
    assert failed(lab.run(chat, units), units) == []
    assert not sent & set(chat.sources())


def test_a_reply_is_kept_before_it_is_counted(lab: Lab, chat: ChatServer) -> None:
    """Whenever an outcome is seen, another process finds it in the memory already."""
    units = units_of(30)

    async def work() -> None:
        index = 0
        async for outcome in lab.outcomes(chat.url, units, batch_size=4):
            with Memory(lab.path) as memory:
                found = memory.get([unit_key(units[index], policy)])
            assert [entry.texts for entry in found.values()] == [outcome.texts]
            index += 1
        assert index == 30

    policy = lab.policy()
    asyncio.run(work())


def test_a_rate_limit_slows_and_loses_nothing(lab: Lab, serve: Callable[..., ChatServer]) -> None:
    """A server that takes few requests a second is obeyed: every row comes, none is sent twice
    but those that it turned away."""
    chat = serve(rate_cap=60)
    units = units_of(90)
    outcomes = lab.run(chat, units, batch_size=1, transport_retries=8, concurrency=None)
    assert failed(outcomes, units) == []
    assert set(chat.sources(answered=True).values()) == {1}
    assert all(len(rows_of(r)) == 1 for r in chat.requests)


def test_a_stop_sends_nothing_more(lab: Lab, chat: ChatServer) -> None:
    """Packs that wait for their turn are let go of at once; the one at the server is waited for."""
    units = units_of(40)

    async def stopped() -> None:
        stream = lab.outcomes(chat.url, units, batch_size=2, rpm=30)
        task = asyncio.ensure_future(anext(stream))
        with chat.held():
            await until(lambda: chat.count() == 1)
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()

    begun = time.monotonic()
    asyncio.run(stopped())
    assert chat.count() == 1 and time.monotonic() - begun < GRACE
    assert sum(chat.sources(answered=True).values()) == 2
    lab.run(chat, units)
    assert max(chat.sources().values()) == 1


def test_replies_that_come_while_stopping_are_kept_one_by_one(
    lab: Lab, serve: Callable[..., ChatServer]
) -> None:
    """A second Ctrl-C, or a kill, loses only what had not come by then."""
    chat = serve(slots=1, slot_rate=400)
    units = units_of(40)

    async def stopped_twice() -> None:
        stream = lab.outcomes(chat.url, units, batch_size=2, concurrency=8)
        task = asyncio.ensure_future(anext(stream))
        await until(lambda: chat.count() == 8)
        task.cancel()
        await until(lambda: len(chat.sources(answered=True)) >= 6)
        answered.update(chat.sources(answered=True))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()

    answered: set[str] = set()
    asyncio.run(stopped_twice())
    with Memory(lab.path) as memory:
        kept = [u for u in units if memory.get([unit_key(u, lab.policy())])]
    assert len(answered) - 2 <= len(kept) and len(kept) >= 4
