"""Runs that end at any moment, and runs that take them up: all is sent once, and read."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hret_agents.translate.batch_store import BatchStore, Place
from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.records import Usage
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_batch import Course
from tests.unit.hret_agents.test_batch import (
    ask,
    asked,
    batches,
    killed,
    kinds,
    once,
    open_rows,
    packs_of,
    right,
    run,
    store,
)


def test_a_killed_run_is_taken_up_whenever_it_ended(chat: ChatServer) -> None:
    """Ended at each of its calls in turn, and packed otherwise the next time: all is sent once."""
    for call in range(1, 40):
        chat.reset()
        rows = [ask(f"cup {'abcdefgh'[i]} {chr(0x3B1 + call % 24)}{call}") for i in range(8)]
        packs = [rows[i : i + 2] for i in range(0, 8, 2)]
        killed(chat, packs, lambda call=call: len(chat.requests) >= call)  # type: ignore[misc]
        ended_by_itself = len(chat.requests) < call
        others = [rows[5:], rows[2:5], rows[:2]]
        (replies,), _ = run(chat, others)
        assert replies == right(others), call
        assert chat.sources(batched=True) == once(packs), call
        left = store()
        assert left.open_batches(chat.url) == {}
        left.close()
        if ended_by_itself:
            break
    else:
        pytest.fail("a run never came to its end")
    assert call > 5


def test_a_batch_that_ran_on_is_read_with_its_usage_once(chat: ChatServer) -> None:
    """The first run that reads a line counts it; a run after that does not."""
    packs = packs_of(4)
    with chat.batches.held():
        killed(chat, packs, lambda: len(chat.batches.made) == 1)
    (replies,), usage = run(chat, packs, finished=False)
    assert replies == right(packs) and usage.requests == 4
    (replies,), usage = run(chat, packs, finished=True)
    assert replies == right(packs) and usage == Usage()
    assert chat.sources(batched=True) == once(packs)


def test_a_kill_between_making_and_recording_is_mended(chat: ChatServer) -> None:
    """The server made the batch, we never learned its id: the next run finds it by its tag."""
    packs = packs_of(3)
    chat.batches.trouble("POST batches", Fault.drop)
    chat.batches.trouble("GET batches", *[Fault.server_error] * 1000)
    killed(chat, packs, lambda: chat.count("batches") >= 2)
    (made,) = chat.batches.made
    assert open_rows() == 3
    chat.reset()
    (replies,), _ = run(chat, packs)
    assert replies == right(packs) and chat.batches.made[0]["id"] == made["id"]
    assert len(chat.batches.made) == 1


def test_a_batch_that_was_never_made_is_sent_anew(chat: ChatServer) -> None:
    """A run that ended after writing down what it was about to send, and before sending it."""
    packs = packs_of(3)
    chat.batches.trouble("POST batches", *[Fault.server_error] * 1000)
    killed(chat, packs, lambda: chat.count("batches") >= 3)
    assert chat.batches.made == [] and open_rows() == 3
    chat.reset()
    (replies,), _ = run(chat, packs)
    assert replies == right(packs) and chat.sources(batched=True) == once(packs)


def test_only_what_is_new_is_sent_beside_an_open_batch(chat: ChatServer) -> None:
    """One pack may hold rows of two batches and new ones; each gets its own."""
    rows = [a for pack in packs_of(9) for a in pack]
    with chat.batches.held():
        killed(chat, [rows[:2], rows[2:4]], lambda: len(chat.batches.made) == 1)
        killed(chat, [rows[:2], rows[4:6]], lambda: len(chat.batches.made) == 2)
    packs = [[rows[8], rows[5], rows[1]], [rows[3], rows[7], rows[0]], [rows[4], rows[2], rows[6]]]
    (replies,), _ = run(chat, packs)
    assert replies == right(packs) and chat.sources(batched=True) == once([rows])


def test_closing_early_leaves_the_batch_running(chat: ChatServer) -> None:
    """Ctrl-C cancels nothing at the server, and sends nothing that was only collected."""
    packs = packs_of(3)

    async def work() -> None:
        translator = batches(chat)
        first = asyncio.create_task(asked(translator, packs[:2]))
        while not chat.batches.made:
            await asyncio.sleep(0.001)
        late = asyncio.create_task(translator.translate(packs[2]))
        await asyncio.sleep(0)
        for task in (first, late):
            task.cancel()
        await translator.close()

    with chat.batches.held():
        asyncio.run(work())
    assert chat.count("batches/batch_000002/cancel") == 0
    (replies,), _ = run(chat, packs)
    assert replies == right(packs) and chat.sources(batched=True) == once(packs)


def test_a_finished_run_leaves_nothing_to_read(chat: ChatServer) -> None:
    """The same asks after a normal end are new ones."""
    packs = packs_of(2)
    run(chat, packs, finished=True)
    assert open_rows() == 0
    run(chat, packs, finished=True)
    assert set(chat.sources(batched=True).values()) == {2}


def test_another_job_takes_only_its_own_rows(chat: ChatServer) -> None:
    """What it does not ask for waits for the job that does."""
    packs = packs_of(4)
    with chat.batches.held():
        killed(chat, packs, lambda: len(chat.batches.made) == 1)
    run(chat, packs[:1])
    assert open_rows() == 3
    (replies,), _ = run(chat, packs[1:])
    assert replies == right(packs)[1:] and chat.sources(batched=True) == once(packs)
    assert open_rows() == 0


def test_a_lone_row_without_an_id_is_not_taken_for_another(chat: ChatServer) -> None:
    """A line of two rows whose reply tells one without saying which: alone, neither is read."""
    (pack,) = packs_of(1, 2)

    def one_row(record: Any) -> Any:
        body = answered(record)
        body["choices"][0]["message"]["content"] = '{"rows":[{"t":["하나"]}]}'
        return body

    answered, chat.batches._answered = chat.batches._answered, one_row
    with chat.batches.held():
        killed(chat, [pack], lambda: len(chat.batches.made) == 1)
    (replies,), _ = run(chat, [pack[:1], pack[1:]])
    assert kinds(replies) == ["json_ids"] * 2


def test_a_reply_that_was_not_good_enough_is_not_read_twice(chat: ChatServer) -> None:
    """A resumed run goes the way of the killed one: the bad reply, then the second one."""
    (pack,) = packs_of(1)
    again = [ask(*pack[0].unit.texts, because="it was cut")]
    chat.script(Fault.truncated)
    (first, second), _ = run(chat, [pack], [again], finished=False)
    assert kinds(first) == ["finish_reason"] and second == right([pack])
    (first, second, third), _ = run(chat, [pack], [again], [again])
    assert kinds(first) == ["finish_reason"] and second == third == right([pack])
    assert chat.sources(batched=True) == {pack[0].unit.texts[0]: 3}


def test_what_expired_in_an_open_batch_is_sent_anew(chat: ChatServer) -> None:
    """The next run after the one that saw it does not wait for it any more."""
    packs = packs_of(5)
    chat.batches.script(Course(expires_after=2))
    with chat.batches.held():
        killed(chat, packs, lambda: len(chat.batches.made) == 1)
    (replies,), _ = run(chat, packs, finished=False)
    assert kinds(replies) == ["ok"] * 2 + ["timeout"] * 3
    (replies,), _ = run(chat, packs)
    assert replies == right(packs)
    assert chat.sources(batched=True, answered=True) == once(packs)


@pytest.mark.parametrize("what", ["id", "output_file_id"])
def test_an_old_batch_that_vanished_is_sent_anew(chat: ChatServer, what: str) -> None:
    """A 404 closes it; its rows are a retryable failure, and then new ones."""
    packs = packs_of(2)
    run(chat, packs, finished=False)
    chat.batches.lose(chat.batches.made[0][what])
    (first, again), _ = run(chat, packs, packs)
    assert kinds(first) == ["server"] * 2 and again == right(packs)


def test_a_batch_cancelled_by_its_owner_ends_the_run(chat: ChatServer) -> None:
    """What it had done is kept; the rest is sent anew by the next run only."""
    packs = packs_of(4)
    with chat.batches.held():
        killed(chat, packs, lambda: len(chat.batches.made) == 1)

    async def work() -> list[Any]:
        translator = batches(chat)
        await translator._server._openai.batches.cancel(chat.batches.made[0]["id"])
        tasks = [asyncio.create_task(translator.translate(pack)) for pack in packs]
        translator.flush()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await translator.close()
        return found

    found = asyncio.run(work())
    assert [list(answer.replies) for answer in found[:2]] == right(packs)[:2]
    for error in found[2:]:
        assert isinstance(error, UserError) and "was cancelled" in error.message
    (replies,), _ = run(chat, packs)
    assert replies == right(packs)
    assert chat.sources(batched=True, answered=True) == once(packs)


# -- the store -------------------------------------------------------------------------------------


def test_a_store_of_a_newer_version_is_refused(chat: ChatServer) -> None:
    """As the memory is, with a sentence."""
    store().close()
    with sqlite3.connect(settings.home() / "batches.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(UserError, match="newer version"):
        store()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """With a sentence that names it."""
    path = tmp_path / "batches.sqlite"
    path.write_bytes(b"no database at all" * 99)
    with pytest.raises(UserError, match=r"batches\.sqlite cannot be used"):
        BatchStore(path)


def test_two_processes_share_the_store() -> None:
    """What one writes the other reads, of its own endpoint only."""
    one, other = store(), store()
    x, y = Place("t", "1", 1, 2), Place("t", "1", 2, 2)
    one.intend("t", "http://a", "file-1", [("x", x), ("y", y)])
    assert list(other.intents("http://a")) == ["t"] and other.intents("http://b") == {}
    assert other.places("http://a", ["x"]) == {}
    one.created("t", "batch-1")
    assert other.open_batches("http://a") == {"t": "batch-1"}
    assert other.places("http://a", ["x", "z"]) == {"x": [x]}
    assert other.report("t", "1") and not one.report("t", "1")
    other.take([x])
    assert one.places("http://a", ["x", "y"]) == {"y": [y]}
    other.take([y])
    assert one.open_batches("http://a") == {}
    one.close()
    other.close()
