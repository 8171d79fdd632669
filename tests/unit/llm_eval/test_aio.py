"""One loop behind every synchronous call: it works anywhere, stops on Ctrl-C, and keeps order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_eval.aio import in_order, loop, run_sync

CTRL_C = """
import asyncio
import sys
from llm_eval.aio import run_sync

async def work():
    print("ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(20):
            await asyncio.sleep(0)
        print("put away", flush=True)

try:
    run_sync(work())
except KeyboardInterrupt:
    print("stopped", flush=True)
    sys.exit(130)
"""
FORK = """
import asyncio
import os
from llm_eval.aio import run_sync

async def one():
    return await asyncio.sleep(0, 1)

assert run_sync(one()) == 1
child = os.fork()
if not child:
    os._exit(run_sync(one()) + 6)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert run_sync(one()) == 1
print("both")
"""


async def later(value: int, turns: int = 1) -> int:
    """`value`, some turns of the loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def failing(error: BaseException) -> int:
    """Raise at the next turn."""
    await asyncio.sleep(0)
    raise error


def test_the_result_comes_back() -> None:
    """A plain program calls, and has what the coroutine returned."""
    assert run_sync(later(3)) == 3


def test_an_error_comes_back_as_it_is() -> None:
    """The very exception is raised where the call was made."""
    error = ValueError("mine")
    with pytest.raises(ValueError) as caught:
        run_sync(failing(error))
    assert caught.value is error


def test_it_works_inside_a_running_loop() -> None:
    """In a notebook, where a loop runs already, a synchronous call returns as anywhere."""

    async def cell() -> int:
        return run_sync(later(4))

    assert asyncio.run(cell()) == 4


def test_threads_share_the_loop() -> None:
    """Many threads may call at once, each has its own result, and one loop serves them all."""

    async def where(value: int) -> tuple[int, int]:
        return await later(value), id(asyncio.get_running_loop())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: run_sync(where(i)), range(40)))
    assert found == [(i, id(loop())) for i in range(40)]


def test_a_call_inside_our_own_loop_is_refused() -> None:
    """It would wait for itself for ever: a sentence instead."""

    async def inner() -> str:
        try:
            run_sync(later(1))
        except RuntimeError as e:
            return str(e)
        return "returned"

    assert "await its async form" in run_sync(inner())


def test_the_loop_is_no_reason_to_stay_alive() -> None:
    """The loop's thread does not keep a program from ending."""
    run_sync(later(1))
    threads = {t.name: t.daemon for t in threading.enumerate()}
    assert threads["hret-loop"]


def test_ctrl_c_cancels_and_waits_for_the_tidying_up(environment: dict[str, str]) -> None:
    """The work is cancelled, may still put away what it holds, and only then is it interrupted."""
    child = subprocess.Popen(
        [sys.executable, "-c", CTRL_C], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=30)
    assert (rest.split("\n"), child.returncode) == (["put away", "stopped", ""], 130)


def test_a_forked_child_has_a_loop_of_its_own(environment: dict[str, str]) -> None:
    """After a fork both processes can call; neither waits for a thread that is not there."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "both\n", done.stderr


def test_results_are_in_the_order_given() -> None:
    """What ends first does not come first."""
    assert run_sync(in_order(later(i, turns=20 - i) for i in range(20))) == list(range(20))
    assert run_sync(in_order([])) == []


def test_everything_runs_at_once() -> None:
    """No coroutine waits for the one before it."""

    async def meeting() -> list[None]:
        barrier = asyncio.Barrier(5)

        async def guest() -> None:
            await barrier.wait()

        return await asyncio.wait_for(in_order(guest() for _ in range(5)), 10)

    assert run_sync(meeting()) == [None] * 5


@pytest.mark.parametrize("nested", [False, True])
def test_the_first_error_is_raised_bare(nested: bool) -> None:
    """No group hides it, not even one inside another, and no chain drags the group along."""
    error = KeyError("first")

    async def work() -> list[int]:
        first: Awaitable[object] = in_order([failing(error)]) if nested else failing(error)

        async def one() -> int:
            await first
            return 0

        return await in_order([later(1), one(), later(2, turns=50)])

    with pytest.raises(KeyError) as caught:
        run_sync(work())
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_the_first_error_ends_the_others() -> None:
    """When it is raised, the others have been cancelled and have put away what they held."""
    ended = []

    async def held() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("put away")
        return 0

    with pytest.raises(OSError):
        run_sync(in_order([held(), failing(OSError()), held()]))
    assert ended == ["put away", "put away"]


def test_a_cancelled_call_is_cancelled_and_nothing_else() -> None:
    """Whoever cancels the whole gets a cancellation, and every part had one."""
    ended = []

    async def held() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(1)
            raise
        return 0

    async def work() -> None:
        async def patient() -> None:
            await in_order(held() for _ in range(3))

        task = asyncio.create_task(patient())
        await later(0, turns=5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_sync(work())
    assert ended == [1, 1, 1]
