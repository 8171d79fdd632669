"""`--batch`: the same port by the Batch API, whatever becomes of the batches and of the run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.scenario import Machine
from tests.e2e.test_money_and_memory import Billing, priced
from tests.e2e.test_stop_and_resume import tree, wait_until
from tests.e2e.test_translation import Row, translations, written
from tests.fakes.chat import ChatServer
from tests.fakes.chat_batch import Course

ROWS = 12
PORT = ("--dataset", "quiz_test.jsonl", "--model", "fake", "--batch-size", "2")


def quiz() -> list[Row]:
    """Questions with choices, formulas in some of them."""
    return [
        {
            "question": f"What comes out of machine {i} when $x={i}$ and `go({i})` are put in?",
            "choices": [f"sparrow number {i}", f"two or {i + 3} loud geese"],
            "answer": i % 2,
        }
        for i in range(ROWS)
    ]


def machine_of(where: Path, chat: ChatServer) -> Machine:
    """A machine with the dataset, and a price for the model."""
    machine = priced(where, chat)
    written(machine, "quiz_test.jsonl", quiz())
    return machine


def files_of(machine: Machine) -> dict[str, bytes]:
    """The files of the finished port."""
    return tree(machine.work / "generated_datasets" / "quiz_test_ko")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int]:
    """The files of the port by live requests, and how many texts were sent for it."""
    with ChatServer() as chat:
        machine = machine_of(tmp_path_factory.mktemp("live"), chat)
        assert machine.ported(*PORT)["rows"]["passed"] == ROWS
        return files_of(machine), len(chat.sources())


def test_a_port_by_batches_is_the_live_one(
    live: tuple[dict[str, bytes], int], tmp_path: Path
) -> None:
    """Byte for byte, at half the price, each text sent once and none of them live."""
    files, texts = live
    with Billing() as chat:
        machine = machine_of(tmp_path, chat)
        said = machine.ported(*PORT, "--batch", "--dry-run")["estimate"]
        result = machine.ported(*PORT, "--batch", "--max-cost", "1")
        assert translations(chat) == []
        sent = chat.sources(batched=True)
        assert (set(sent.values()), len(sent)) == ({1}, texts)
        assert result["cost_usd"] == pytest.approx(chat.bill / 2, abs=1e-6)
        assert said["seconds"] is None and said["requests"] == len(chat.batches.requests)
        assert files_of(machine) == files
        chat.reset()
        machine.ported(*PORT)
        assert chat.requests == []


def test_a_kill_while_a_batch_is_held_sends_nothing_twice(
    live: tuple[dict[str, bytes], int], chat: ChatServer, tmp_path: Path
) -> None:
    """What is at the server is waited for by the next run, which ends as the first would."""
    machine = machine_of(tmp_path, chat)
    with chat.batches.held():
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "src" / "main.py"), *PORT, "--batch"],
            env=machine.environment,
            cwd=machine.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        try:
            wait_until(process, lambda: [b["status"] for b in chat.batches.made] == ["in_progress"])
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == -signal.SIGKILL
    paid = len(chat.batches.requests)
    assert paid >= ROWS // 2
    result = machine.ported(*PORT, "--batch")
    assert len(chat.batches.made) == 1 and translations(chat) == []
    assert set(chat.sources(batched=True).values()) == {1}
    assert result["usage"]["requests"] == len(chat.batches.requests) == paid
    assert files_of(machine) == live[0]


def test_of_an_expired_batch_only_the_rest_is_sent_again(
    live: tuple[dict[str, bytes], int], chat: ChatServer, tmp_path: Path
) -> None:
    """What it had answered is kept."""
    chat.batches.script(Course(polls=0, expires_after=2), Course(polls=0))
    machine = machine_of(tmp_path, chat)
    result = machine.ported(*PORT, "--batch")
    assert result["rows"]["passed"] == ROWS
    assert [b["status"] for b in chat.batches.made] == ["expired", "completed"]
    assert set(chat.sources(answered=True, batched=True).values()) == {1}
    assert set(chat.sources(batched=True).values()) == {1, 2}
    assert files_of(machine) == live[0]


def test_a_batch_that_fails_is_told_in_the_servers_words(
    live: tuple[dict[str, bytes], int], chat: ChatServer, tmp_path: Path
) -> None:
    """Exit status 2, nothing lost, and the next run sends what this one could not."""
    said = "Your organization has used up its bananas."
    chat.batches.script(Course(errors=[("billing_hard_limit_reached", said)]))
    machine = machine_of(tmp_path, chat)
    done = machine.main(*PORT, "--batch", "--json")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""
    assert machine.ported(*PORT, "--batch")["rows"]["passed"] == ROWS
    assert set(chat.sources(batched=True).values()) == {1}
    assert files_of(machine) == live[0]
