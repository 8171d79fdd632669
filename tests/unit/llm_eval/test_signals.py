"""SIGTERM and SIGHUP as Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from llm_eval.signals import as_ctrl_c

pytestmark = pytest.mark.usefixtures("hangups")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_one_interrupts(sign: signal.Signals) -> None:
    """Those that follow do not: a hangup and `timeout` send two. Then all is as before."""
    with as_ctrl_c() as came:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(sign)
        signal.raise_signal(sign)
        assert came == [sign]
    assert signal.getsignal(sign) is signal.SIG_DFL


def test_what_is_ignored_stays_ignored() -> None:
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with as_ctrl_c() as came:
            signal.raise_signal(signal.SIGHUP)
            assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_changes_nothing() -> None:
    """Only the main one can."""
    found: list[object] = []

    def work() -> None:
        with as_ctrl_c():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_a_fork_ends_as_it_would_have() -> None:
    """By the signal itself; nothing of it is raised there."""
    with as_ctrl_c() as came:
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert (os.WTERMSIG(status), came) == (signal.SIGTERM, [])
