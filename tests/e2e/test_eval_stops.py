"""An evaluation that ends early says how to go on, and what was answered is never asked again."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.evaluating import (
    SAMPLES,
    UNDER_WAY,
    asked,
    command,
    info,
    journaled,
    machine_of,
    result,
    runs,
    started,
)
from tests.e2e.scenario import Machine, heard
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import filters

SLOWLY = 60.0  # tokens a second: a request takes about a tenth of a second


def wait_until(process: subprocess.Popen[Any], seen: Callable[[], bool]) -> None:
    """Wait for a condition while an evaluation runs; one that ends first fails the test."""
    deadline = time.monotonic() + 120
    while not seen():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)


def answered(chat: ChatServer) -> int:
    """How many requests were answered."""
    return sum(r.status == 200 for r in chat.requests if r.path.endswith("/chat/completions"))


def resumed(machine: Machine, chat: ChatServer, *more: str) -> set[str]:
    """Go on to the end; the ids of the samples that were asked for."""
    before = len(chat.requests)
    done = machine.run(*command("--resume", "last", *more))
    assert done.returncode == 0, done.stderr
    assert result(machine)["metrics"]["n"] == SAMPLES
    return set(asked(chat.requests[before:]))


@pytest.mark.parametrize(
    ("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_keeps_what_is_being_answered(
    sign: signal.Signals, status: int, tmp_path: Path, chat: ChatServer, hangups: None
) -> None:
    """The command that goes on without the key in it, and no answered request asked again."""
    machine = machine_of(tmp_path, chat)
    chat.slot_rate, chat.key = SLOWLY, "sk-test-key"
    process = started(machine, *command("--api-key", "sk-test-key"))
    with chat.held(after=10):
        wait_until(process, lambda: chat.count() == 10 + UNDER_WAY)
        process.send_signal(sign)
        said = heard(process, "waiting for")
    _, err = process.communicate(timeout=60)
    err = said + err
    assert process.returncode == status, err
    (run,) = runs(machine)
    assert f"--resume {run.name}" in err and "hret eval" in err
    assert "sk-test-key" not in err and "Traceback" not in err
    first = {i for i, n in asked([r for r in chat.requests if r.status == 200]).items()}
    assert journaled(machine) == first, "all that was answered is written down"
    assert len(first) == 10 + UNDER_WAY
    assert resumed(machine, chat, "--api-key", "sk-test-key") == set(asked(chat.requests)) - first
    assert max(asked(chat.requests).values()) == 1
    assert info(machine)["usage"]["requests"] == SAMPLES


def test_a_terminal_that_is_closed_costs_nothing(
    tmp_path: Path, chat: ChatServer, hangups: None
) -> None:
    """As when an ssh connection breaks: there is nothing left to write to, and what is being
    answered is kept all the same."""
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)

    def seen() -> bool:
        with suppress(BlockingIOError):
            os.read(ours, 1 << 16)
        return answered(chat) >= 10

    process = subprocess.Popen(
        [sys.executable, *command()],
        env=machine.environment,
        cwd=machine.work,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    with chat.held(after=10):
        wait_until(process, seen)
        os.close(ours)
        chat.slot_rate = SLOWLY / 10  # the other answers take far longer than to be told
    assert process.wait(60) == 129
    chat.slot_rate = SLOWLY
    first = {i for i, n in asked([r for r in chat.requests if r.status == 200]).items()}
    assert journaled(machine) == first
    assert resumed(machine, chat) == set(asked(chat.requests)) - first
    assert max(asked(chat.requests).values()) == 1


def test_the_command_that_is_printed_goes_on(tmp_path: Path, chat: ChatServer) -> None:
    """It is pasted as it stands."""
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    process = started(machine, *command())
    with chat.held(after=3):
        wait_until(process, lambda: chat.count() > answered(chat) == 3)
        process.send_signal(signal.SIGINT)
        heard(process, "waiting for")
    _, err = process.communicate(timeout=60)
    line = next(line for line in err.splitlines() if line.startswith("To go on: hret "))
    chat.slot_rate = None
    shell = line.removeprefix("To go on: hret ")
    done = subprocess.run(
        f"{sys.executable} -m hret {shell}",
        shell=True,
        env=machine.environment,
        cwd=machine.work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert max(asked(chat.requests).values()) == 1


def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path: Path, chat: ChatServer) -> None:
    """What was written before the disk was full is there; with room, the run goes on."""
    machine = machine_of(tmp_path, chat)
    small = 9_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, small))

    done = subprocess.run(
        [sys.executable, *command()],
        env=machine.environment,
        cwd=machine.work,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr and "--resume" in done.stderr
    assert done.stderr.count("what was answered is kept") == 1
    assert "Traceback" not in done.stderr
    known = journaled(machine)
    assert 0 < len(known) < SAMPLES
    assert not known & resumed(machine, chat)


def test_a_server_that_vanishes_ends_the_run(tmp_path: Path, free_port: int) -> None:
    """Not one failure for each of the samples left; back again, it is asked for those alone."""
    with ChatServer(slot_rate=SLOWLY, port=free_port) as chat:
        machine = machine_of(tmp_path, chat)
        process = started(machine, *command())
        wait_until(process, lambda: answered(chat) >= 10)
    _, err = process.communicate(timeout=120)
    known = asked(chat.requests)
    assert process.returncode == 2, err
    assert "stopped answering" in err and "--resume" in err
    (run,) = runs(machine)
    lines = (run / "journal.jsonl").read_text("utf-8").splitlines()
    assert len([line for line in lines if '"failure"' in line]) < SAMPLES // 2
    kept = journaled(machine)
    assert len(kept) >= 10 - UNDER_WAY
    with ChatServer(port=free_port) as back:
        machine = machine_of(tmp_path, back)
        later = resumed(machine, back)
    assert not kept & later and kept | later == {*known, *later}
    assert len(kept | later) == SAMPLES


def test_what_failed_in_transport_is_asked_again(tmp_path: Path, chat: ChatServer) -> None:
    """And nothing else is: not what was answered, and not what a filter refused."""
    machine = machine_of(tmp_path, chat)
    chat.rules.append(filters("What is 0 plus 0?"))
    chat.script(Fault.server_error, Fault.server_error)
    done = machine.run(*command())
    assert done.returncode == 1, done.stderr
    assert result(machine)["metrics"]["failed"] == 3
    chat.reset()
    done = machine.run(*command("--resume", "last"))
    assert done.returncode == 1, done.stderr
    assert chat.count() == 2
    metrics = result(machine)["metrics"]
    assert (metrics["failed"], metrics["n"]) == (1, SAMPLES - 1)


def test_max_failures_ends_the_run(tmp_path: Path, chat: ChatServer) -> None:
    """The one more than may fail ends it, and the sentence says how to go on."""
    machine = machine_of(tmp_path, chat)
    chat.rules.append(filters(*(f"What is {i} plus {i}?" for i in range(7)), "is 7 plus 0?"))
    done = machine.run(*command("--max-failures", "0.05"))  # 6 of 120
    assert done.returncode == 2
    assert "7 of 120 samples failed" in done.stderr and "--resume" in done.stderr
    done = machine.run(*command("--max-failures", "20", "--resume", "last"))
    assert done.returncode == 1, done.stderr
    assert result(machine)["metrics"]["n"] >= SAMPLES - 8
    assert max(asked(chat.requests).values()) == 1, "what a filter refused is not asked again"


def test_another_question_is_no_resume(tmp_path: Path, chat: ChatServer) -> None:
    """Other parameters, another model, another method, other samples: each is named."""
    machine = machine_of(tmp_path, chat)
    assert machine.run(*command("--limit", "8")).returncode == 0
    chat.reset()
    changed = {
        "max_tokens": command("--limit", "8", params={"max_tokens": 7}),
        "model": command("--limit", "8", "--model-name", "other"),
        "evaluation_method": command("--limit", "8", "--evaluation-method", "dataset"),
        "samples": command("--limit", "9"),
        "prompts": [],
    }
    for what, arguments in changed.items():
        if what == "prompts":
            text = (machine.work / "sums.py").read_text("utf-8")
            (machine.work / "sums.py").write_text(text.replace("plus", "and"), "utf-8")
            arguments = command("--limit", "8")
        done = machine.run(*arguments, "--resume", "last")
        assert done.returncode == 2, (what, done.stderr)
        assert "cannot go on with this" in done.stderr and what in done.stderr
    assert chat.count() == 0


def test_two_processes_do_not_write_one_run(tmp_path: Path, chat: ChatServer) -> None:
    """The second is told, and may not disturb the first."""
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    process = started(machine, *command())
    with chat.held(after=3):
        wait_until(process, lambda: answered(chat) == 3)
        done = machine.run(*command("--resume", "last"))
    assert done.returncode == 2
    assert "another process is writing the run" in done.stderr
    chat.slot_rate = None
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert max(asked(chat.requests).values()) == 1


def test_two_runs_at_once_are_two_runs(tmp_path: Path, chat: ChatServer) -> None:
    """Each with a folder of its own, and one reply cache for both."""
    machine = machine_of(tmp_path, chat)
    arguments = command(params={"temperature": 0})
    both = [started(machine, *arguments) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(runs(machine)) == 2
    chat.reset()
    assert machine.run(*arguments).returncode == 0
    assert chat.count() == 0
    assert info(machine)["cached"] == SAMPLES
    assert info(machine)["usage"]["requests"] == 0


def test_the_record_holds_no_key(tmp_path: Path, chat: ChatServer) -> None:
    """In no file of the run, nor in the cache."""
    machine = machine_of(tmp_path, chat)
    chat.key = "sk-hidden-key"
    params = {"temperature": 0, "api_key": "sk-hidden-key"}
    assert machine.run(*command("--limit", "3", params=params)).returncode == 0
    home = machine.where / "hret-home"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"run.json", "journal.jsonl", "result.json", "replies.sqlite"} <= {f.name for f in files}
    assert not [f for f in files if b"sk-hidden-key" in f.read_bytes()]


def test_the_script_stops_alike(tmp_path: Path, chat: ChatServer) -> None:
    """`python llm_eval/evaluator.py` on a SIGTERM."""
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    params = json.dumps({"model_name": "m", "api_base": chat.url, "concurrency": UNDER_WAY})
    script = [str(ROOT / "llm_eval" / "evaluator.py"), "--model", "openai", "--dataset", "sums.py"]
    process = started(machine, *script, "--model_params", params)
    with chat.held(after=3):
        wait_until(process, lambda: answered(chat) == 3)
        process.send_signal(signal.SIGTERM)
        chat.slot_rate = SLOWLY / 10  # the other answers take far longer than to be told
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "Stopped." in err and "resume=" in err and "Traceback" not in err
    assert journaled(machine) == set(asked([r for r in chat.requests if r.status == 200]))


def test_the_script_resumes_too(tmp_path: Path, chat: ChatServer) -> None:
    """`python llm_eval/evaluator.py --resume last`."""
    machine = machine_of(tmp_path, chat)
    params = json.dumps({"model_name": "m", "api_base": chat.url, "max_retries": 0})
    chat.script(Fault.server_error)
    script = [str(ROOT / "llm_eval" / "evaluator.py"), "--model", "openai", "--dataset", "sums.py"]
    first = machine.run(*script, "--model_params", params)
    assert first.returncode == 1, first.stderr
    chat.reset()
    second = machine.run(*script, "--model_params", params, "--resume", "last")
    assert second.returncode == 0, second.stderr
    assert chat.count() == 1
    shown = json.loads(second.stdout)
    assert shown["info"]["run"] == json.loads(first.stdout)["info"]["run"]
    assert shown["info"]["usage"]["requests"] == SAMPLES
