"""The requests of one call: an error that ends the run loses none of those that are answered.

Who is at the server then is waited for; who is not sent yet is not sent any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from llm_eval.errors import UserError
from llm_eval.records import Prediction

R = TypeVar("R")
_current: ContextVar[Siblings | None] = ContextVar("siblings", default=None)


class Unsent(Exception):
    """A request that is not sent, for a sibling's error has ended the call."""


class Siblings:
    """What the requests of a call share.

    Attributes:
        error: the first one that no further request can mend.
    """

    def __init__(self) -> None:
        self.error: UserError | None = None
        self._asking: dict[asyncio.Task[object], AbstractSet[asyncio.Task[object]]] = {}
        self._called_off: set[asyncio.Task[object]] = set()

    async def kept(self, work: Awaitable[R]) -> R | None:
        """What `work` returns; None where it ended in such an error, or was not sent for one."""
        try:
            return await work
        except Unsent:
            return None
        except UserError as e:
            self.stop(e)
            return None

    def whole(self, found: Sequence[Prediction | None]) -> list[Prediction]:
        """All predictions.

        Raises:
            UserError: the first error, whose `finished` has what there is, in the same order.
        """
        if self.error is not None:
            self.error.finished = list(found)
            raise self.error
        return [prediction for prediction in found if prediction is not None]

    def stop(self, error: UserError) -> None:
        """Note the error; those that are not at a server are called off."""
        if self.error is not None:
            return
        self.error = error
        for task, answering in self._asking.items():
            if task not in answering and task is not asyncio.current_task():
                self._called_off.add(task)
                task.cancel()

    def go_on(self) -> None:
        """Raise `Unsent` where no further request is to be sent."""
        if self.error is not None:
            raise Unsent

    @contextmanager
    def asking(self, answering: AbstractSet[asyncio.Task[object]]) -> Iterator[None]:
        """Around all attempts of a request. `answering`: the tasks whose request is at a server."""
        task = asyncio.current_task()
        assert task is not None
        self._asking[task] = answering
        try:
            yield
        except asyncio.CancelledError:
            if task in self._called_off and task.uncancel() == 0:
                raise Unsent from None
            raise
        except UserError as e:
            self.stop(e)
            raise
        finally:
            del self._asking[task]


def current() -> Siblings:
    """Those of the call under way; of no call: some that nobody else is among."""
    return _current.get() or Siblings()


@contextmanager
def siblings() -> Iterator[Siblings]:
    """One call: all requests that are sent inside the block are siblings."""
    mine = Siblings()
    token = _current.set(mine)
    try:
        yield mine
    finally:
        _current.reset(token)
