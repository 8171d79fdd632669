"""kill -9 at random moments of an evaluation: no reply is lost, none is paid for twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
from tests.fakes.chat import ChatServer

KILLS = 20
SLOWLY = 150.0  # tokens a second and request: asking takes about as long as all the rest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """The result of an evaluation that nobody stopped, and how long it took."""
    with ChatServer(slot_rate=SLOWLY) as chat:
        machine = machine_of(tmp_path_factory.mktemp("whole"), chat)
        begun = time.monotonic()
        process = started(machine, *command())
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        took = time.monotonic() - begun
        assert set(asked(chat.requests).values()) == {1}
    assert len(result(machine)["samples"]) == SAMPLES
    return result(machine), took


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_kill_at_any_moment_changes_nothing(
    kill: int, tmp_path: Path, chat: ChatServer, whole: tuple[dict[str, Any], float]
) -> None:
    """From the first import to the last line: the resumed run ends with the same result, asks for
    nothing that was written down, and again only for what was in flight."""
    expected, took = whole
    machine = machine_of(tmp_path, chat)
    chat.slot_rate = SLOWLY
    process = started(machine, *command())
    try:
        process.communicate(timeout=took * random.Random(kill).uniform(0.1, 1.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    known, before = journaled(machine), len(chat.requests)
    more = ["--resume", "last"] if runs(machine) else []
    done = replace(machine, within=True).hret(*command(*more)[2:])
    assert done.returncode == 0, done.stderr
    assert result(machine) == expected
    later = asked(chat.requests[before:])
    assert not known & set(later)
    assert len(runs(machine)) == 1
    counts = asked(chat.requests)
    assert len(counts) == SAMPLES and max(counts.values()) <= 2
    # in flight, or come back and not written down yet when it died
    assert sum(n - 1 for n in counts.values()) <= 4 * UNDER_WAY
    assert info(machine)["usage"]["requests"] >= len(known)
