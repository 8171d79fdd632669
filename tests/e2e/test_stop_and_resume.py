"""A port stopped at any moment, by Ctrl-C or by kill -9, goes on as if it had never stopped."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hret_agents.job import Listener, PortJob
from hret_agents.port import port_dataset
from hret_agents.steps.prepare import prepare
from hret_agents.steps.state import Port
from hret_agents.translate.engine import GRACE
from llm_eval.secret import Secret
from tests.conftest import ROOT
from tests.e2e.scenario import Machine, heard
from tests.fakes.chat import ChatServer

ROWS = 60
SLOWLY = 200.0  # tokens a second: a request takes about half a second
UNDER_WAY = 4
TOLD = (str(ROOT / "src" / "main.py"), "--dataset", "quiz.jsonl", "--model", "fake-translator",
        "--batch-size", "2", "--concurrency", str(UNDER_WAY))  # fmt: skip
PORT = (*TOLD, "--json")  # which says nothing on the way


def machine_of(where: Path, chat: ChatServer, *, within: bool = True) -> Machine:
    """A machine with a dataset of sixty different rows."""
    machine = Machine(where, chat=chat, within=within)
    rows = [
        {"question": f"How is the number {i} written in words?", 
         "choices": [f"first {i}", f"no {i}"], "answer": i % 2}
        for i in range(ROWS)
    ]  # fmt: skip
    (machine.work / "quiz.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return machine


@contextmanager
def started(machine: Machine, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A port under way; it is dead when the block ends."""
    process = subprocess.Popen(
        [sys.executable, *(command or PORT)],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(process: subprocess.Popen[str], seen: Callable[[], bool]) -> None:
    """Wait for a condition while the port runs; a port that ends first fails the test."""
    deadline = time.monotonic() + 60
    while not seen():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)


def answered(chat: ChatServer) -> int:
    """How many translation requests were answered."""
    return sum(r.status == 200 for r in chat.requests if r.path.endswith("/chat/completions"))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def port_of(machine: Machine) -> Path:
    """The finished port's folder."""
    return machine.work / "generated_datasets" / "quiz_ko"


def finished(machine: Machine) -> dict[str, bytes]:
    """Port to the end; the port's files. Nothing else is left beside it."""
    done = machine.main(*PORT[1:])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["passed"] == ROWS
    root = machine.work / "generated_datasets"
    assert {p.name for p in root.iterdir()} <= {"quiz_ko", ".work"}
    assert not [p for p in (root / ".work").iterdir() if p.is_dir()]
    return tree(port_of(machine))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a port that nobody stopped."""
    with ChatServer() as chat:
        files = finished(machine_of(tmp_path_factory.mktemp("whole"), chat, within=False))
        assert set(chat.sources().values()) == {1}
    named = {"port.json", "dataset.py", "plan.yaml", "checks.jsonl", "failed.jsonl", "README.md"}
    assert named < set(files)
    assert [name for name in files if name.endswith(".parquet")]
    return files


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_paid_for(
    sign: signal.Signals,
    status: int,
    tmp_path: Path,
    chat: ChatServer,
    uninterrupted: dict[str, bytes],
) -> None:
    """It says how to go on; the next run asks only what has no answer yet."""
    machine = machine_of(tmp_path, chat)
    with started(machine, *TOLD) as process:
        with chat.held(after=3):
            wait_until(process, lambda: chat.count() > answered(chat) == 3)
            process.send_signal(sign)
            said = heard(process, "waiting for")
        out, err = process.communicate(timeout=60)
    err = said + err
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert "run the same command again" in err
    assert out == ""
    assert not port_of(machine).exists()
    known = set(chat.sources(answered=True))
    assert 0 < len(known) < 3 * ROWS
    chat.reset()
    assert finished(machine) == uninterrupted
    assert known.isdisjoint(chat.sources())
    assert set(chat.sources().values()) == {1}


def test_ctrl_c_takes_in_the_answers_under_way(tmp_path: Path, chat: ChatServer) -> None:
    """Requests that are being answered when Ctrl-C comes are waited for and never asked again."""
    machine = machine_of(tmp_path, chat)
    with started(machine, *TOLD) as process:
        with chat.held():
            wait_until(process, lambda: chat.count() == UNDER_WAY)
            process.send_signal(signal.SIGINT)
            said = heard(process, "waiting for")
            assert process.poll() is None
        _, err = process.communicate(timeout=60)
    assert f"waiting for {UNDER_WAY} replies" in said
    assert process.returncode == 130, err
    paid = set(chat.sources(answered=True))
    assert paid
    chat.reset()
    finished(machine)
    assert paid.isdisjoint(chat.sources())


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, chat: ChatServer) -> None:
    """Whoever presses Ctrl-C twice does not wait for a server that never answers."""
    machine = machine_of(tmp_path, chat)
    with chat.held(), started(machine, *TOLD) as process:
        wait_until(process, lambda: chat.count() >= 1)
        process.send_signal(signal.SIGINT)
        heard(process, "waiting for")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=GRACE - 1)
    assert process.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.parametrize("after", [1, 10, 20])
def test_a_kill_loses_nothing(
    after: int, tmp_path: Path, chat: ChatServer, uninterrupted: dict[str, bytes]
) -> None:
    """After a kill -9 the next run ends with the very bytes of a run that was never stopped.

    What was in flight at the kill is asked a second time, and nothing else.
    """
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    with chat.held(after), started(machine) as process:
        wait_until(process, lambda: answered(chat) == after)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    chat.slot_rate, asked = None, chat.count()
    assert finished(machine) == uninterrupted
    assert chat.count() - asked <= ROWS // 2 - after // 2
    assert len(chat.sources()) == 3 * ROWS
    assert max(chat.sources().values()) <= 2


def test_kills_in_a_row(tmp_path: Path, chat: ChatServer, uninterrupted: dict[str, bytes]) -> None:
    """Killed after each few answers, a port still gets on, and ends as if it never was."""
    machine = machine_of(tmp_path, chat, within=False)
    chat.slot_rate = SLOWLY
    for _ in range(2):
        before = answered(chat)
        with chat.held(after=4), started(machine) as process:
            wait_until(process, lambda: answered(chat) == before + 4)  # noqa: B023
            process.kill()
    chat.slot_rate = None
    assert finished(machine) == uninterrupted
    assert max(chat.sources().values()) <= 3
    chat.reset()
    assert finished(machine) == uninterrupted
    assert chat.count() == 0


def test_a_kill_between_the_two_moves(
    tmp_path: Path, chat: ChatServer, uninterrupted: dict[str, bytes]
) -> None:
    """A port that was set aside when its successor was killed is put back, and is whole."""
    machine = machine_of(tmp_path, chat)
    finished(machine)
    work = machine.work / "generated_datasets" / ".work"
    port_of(machine).rename(work / "quiz_ko.old")
    chat.reset()
    assert finished(machine) == uninterrupted
    assert chat.count() == 0


def test_the_old_port_stands_while_a_new_one_is_made(tmp_path: Path, chat: ChatServer) -> None:
    """A port that is made anew and killed leaves the finished one untouched and usable."""
    machine = machine_of(tmp_path, chat)
    before = finished(machine)
    source = machine.work / "quiz.jsonl"
    source.write_text(source.read_text().replace("written", "spelled"))
    with chat.held(), started(machine) as process:
        wait_until(process, lambda: chat.count() > ROWS // 2)
        process.kill()
    assert tree(port_of(machine)) == before
    done = machine.run("-m", "hret", "eval", "--model", "oracle", "--dataset", "quiz_ko", "--json")
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr


def test_two_at_once(tmp_path: Path, chat: ChatServer) -> None:
    """A second process that ports the same thing is told so, and does the first no harm."""
    machine = machine_of(tmp_path, chat)
    with started(machine) as process:
        with chat.held():
            wait_until(process, lambda: chat.count() >= 1)
            sent = chat.count()
            second = machine.main(*PORT[1:])
            assert second.returncode == 2, second.stderr
            assert "another process is porting quiz_ko" in second.stderr
            assert "Traceback" not in second.stderr
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["rows"]["passed"] == ROWS
    assert sent <= chat.count() <= ROWS // 2
    assert set(chat.sources().values()) == {1}


def test_what_another_process_is_moving_is_left_alone(tmp_path: Path, chat: ChatServer) -> None:
    """While another process swaps a port's folders, a second one touches none of them."""
    machine = machine_of(tmp_path, chat)
    finished(machine)
    work = machine.work / "generated_datasets" / ".work"
    port_of(machine).rename(work / "quiz_ko.old")
    with (work / "quiz_ko.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = machine.main(*PORT[1:])
        assert second.returncode == 2, second.stderr
        assert (work / "quiz_ko.old").is_dir()
        assert not port_of(machine).exists()


def test_a_split_that_was_ported_meanwhile_is_kept(work: Path, chat: ChatServer) -> None:
    """A split that another process finishes while this one prepares is no reason to lose it."""
    (work / "quiz").mkdir()
    for split in ("train", "test"):
        (work / "quiz" / f"{split}.jsonl").write_text(json.dumps({"question": f"Is it {split}?"}))

    def port(split: str) -> PortJob:
        return PortJob(dataset="quiz", splits=(split,), model="fake-translator",
                       api_base=chat.url, api_key=Secret("sk"))  # fmt: skip

    def overtaken(job: PortJob, listener: Listener) -> Port:
        prepared = prepare(job, listener)
        port_dataset(port("train"))
        return prepared

    result = port_dataset(port("test"), download=overtaken)
    files = {p.name.split("-")[0] for p in Path(result.data_path).rglob("*.parquet")}
    assert files == {"train", "test"}
