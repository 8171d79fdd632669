"""kill -9 at random moments of a whole port: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.scenario import Machine
from tests.e2e.test_stop_and_resume import tree
from tests.fakes.chat import ChatServer, Record
from tests.fakes.translit import asked

ROWS, UNDER_WAY, KILLS = 300, 4, 20
SLOWLY = 4000.0  # tokens a second and request: translating takes about as long as all the rest
PORT = (str(ROOT / "src" / "main.py"), "--dataset", "quiz.jsonl", "--model", "fake-translator",
        "--batch-size", "5", "--concurrency", str(UNDER_WAY), "--json")  # fmt: skip


def machine_of(where: Path, chat: ChatServer) -> Machine:
    """A machine with a dataset of three hundred different rows, some like others."""
    machine = Machine(where, chat=chat)
    dice = random.Random(7)
    rows = [
        {
            "question": f"How many {dice.choice(['pears', 'stones', 'boats'])} are left when "
            f"{i + 3} were there and {i} of them were taken away by night?",
            "choices": [f"first {i}", f"no {i}", f"all but {i + 1} of them"],
            "answer": i % 3,
        }
        for i in range(ROWS)
    ]
    (machine.work / "quiz.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return machine


def started(machine: Machine) -> subprocess.Popen[bytes]:
    """A port under way."""
    return subprocess.Popen(
        [sys.executable, *PORT],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )


def texts(record: Record) -> set[str]:
    """What a request wanted translated."""
    body = record.body if isinstance(record.body, dict) else {}
    return {text for row in asked(body.get("messages", [])) or () for text in row["t"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a port that nobody stopped, and how long it took."""
    with ChatServer(slot_rate=SLOWLY) as chat:
        machine = machine_of(tmp_path_factory.mktemp("whole"), chat)
        begun = time.monotonic()
        assert started(machine).wait(120) == 0
        took = time.monotonic() - begun
        assert max(chat.sources().values()) == 1
    return tree(machine.work / "generated_datasets" / "quiz_ko"), took


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_kill_at_any_moment_changes_nothing(
    kill: int, tmp_path: Path, chat: ChatServer, whole: tuple[dict[str, bytes], float]
) -> None:
    """From the first import to the last move: the next run ends with the very same bytes, and only
    packs that were in flight are sent again."""
    files, took = whole
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    process = started(machine)
    try:
        process.wait(took * random.Random(kill).random())
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait() in (0, -signal.SIGKILL)
    before = len(chat.requests)
    done = replace(machine, within=True).main(*PORT[1:])
    assert done.returncode == 0, done.stderr
    assert tree(machine.work / "generated_datasets" / "quiz_ko") == files
    first, second = chat.requests[:before], chat.requests[before:]
    later = set().union(*map(texts, second)) if second else set()
    assert sum(bool(texts(r) & later) for r in first) <= UNDER_WAY
    assert max(chat.sources().values()) <= 2
    assert len(chat.sources()) == 4 * ROWS


def examples(records: list[Record]) -> dict[str, list[object]]:
    """What was sent beside each text as examples, whenever it was sent."""
    found: dict[str, list[object]] = {}
    for record in records:
        body = record.body if isinstance(record.body, dict) else {}
        for row in asked(body.get("messages", [])) or ():
            found.setdefault(row["t"][0], []).append(row.get("like"))
    return found


def boats(machine: Machine, name: str, rows: range) -> tuple[str, ...]:
    """A dataset of rows like one another; the command that ports it."""
    (machine.work / name).write_text(
        "".join(
            json.dumps({"question": f"How many boats come back when {i} of them sail?", "id": i})
            + "\n"
            for i in rows
        )
    )
    return (PORT[0], "--dataset", name, *PORT[3:])


def test_a_resumed_run_shows_the_model_the_same_examples(tmp_path: Path) -> None:
    """They come from what the memory held when the job first started: never from the rows that the
    job itself translated before it was killed."""
    seen = []
    for killed in (False, True):
        with ChatServer() as chat:
            machine = Machine(tmp_path / str(killed), chat=chat, within=True)
            assert machine.main(*boats(machine, "old.jsonl", range(10, 14))[1:]).returncode == 0
            command = boats(machine, "new.jsonl", range(50, 80))
            chat.reset()
            if killed:
                chat.slot_rate = 100.0
                process = subprocess.Popen(
                    [sys.executable, *command],
                    env=machine.environment,
                    cwd=machine.work,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                deadline = time.monotonic() + 60
                while chat.count() < UNDER_WAY + 2:  # the first ones are in the memory by then
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.002)
                process.kill()
                process.wait()
                chat.slot_rate = None
            assert machine.main(*command[1:]).returncode == 0
            seen.append(examples(chat.requests))
    whole, resumed = seen
    assert len(whole) == 30 and all(like[0] for like in whole.values())
    assert {1, 2} == {len(likes) for likes in resumed.values()}
    assert {text: like[0] for text, like in whole.items()} == {
        text: like[-1] for text, like in resumed.items()
    }
