"""What a server of OpenAI's protocol turns out to know, found by asking, once."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from llm_eval.errors import BackendError
from llm_eval.models import openai_wire as wire
from llm_eval.models.transport import Transport

T = TypeVar("T")
WORDS = ("teal-4821", "umber-7730")  # no model says either of itself
ROOM = 512  # tokens for a probe's reply, some models' thoughts included


class Once(Generic[T]):
    """An answer that is asked for once, however many wait for it; asked again where it failed."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask, self._task = ask, None

    _task: asyncio.Task[T] | None

    async def __call__(self) -> T:
        """The answer, or the error that asking for it ended in."""
        task = self._task
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            nobodys = contextvars.Context()  # no call's siblings: others wait for it too
            task = self._task = asyncio.create_task(self._ask(), context=nobodys)
        return await asyncio.shield(task)


class Server:
    """One endpoint of a server, and what it was found to refuse.

    Args:
        plain: the request of a short question, as it would be sent, for asking what is held to.
    """

    def __init__(
        self, transport: Transport, endpoint: wire.Endpoint, plain: Callable[[], dict[str, Any]]
    ) -> None:
        self.transport, self.path, self.plain = transport, wire.PATHS[endpoint], plain
        self.several = True  # as far as is known, `n` is honoured
        self.limit = ""  # how it calls the limit of a reply, where a request was refused for that
        self.constraint = Once(self._constraint)

    async def post(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The reply. Where the name of the reply's limit is refused, the other one is tried."""
        given = next((n for n in wire.LIMITS if n in payload), "")
        if not given or self.path != wire.PATHS["chat"]:
            return await self.transport.post(self.path, payload)
        name = self.limit or given
        try:
            return await self.transport.post(self.path, _renamed(payload, given, name))
        except BackendError as e:
            if self.limit or not wire.is_about(e, name):
                raise
            refused = e
        other = next(n for n in wire.LIMITS if n != name)
        try:
            reply = await self.transport.post(self.path, _renamed(payload, given, other))
        except BackendError as e:
            raise (refused if wire.is_about(e, other) else e) from None
        self.limit = other
        return reply

    async def _constraint(self) -> str:
        """How this server is told to hold a reply to a choice: the first way that it keeps to.

        Raises:
            BackendError: it keeps to none.
        """
        for way in wire.CONSTRAINTS:
            plain = self.plain()
            limit = next((n for n in wire.LIMITS if n in plain), wire.LIMITS[0])
            asked = {**plain, limit: ROOM, **wire.constraint(way, WORDS)}
            try:
                reply = wire.reply_of(wire.choices(await self.post(asked))[0])
            except BackendError as e:
                if e.retryable:
                    raise
                continue
            if wire.chosen(way, reply.text, WORDS) is not None:
                return way
        ways = ", ".join(wire.CONSTRAINTS)
        raise wire.bad(f"the server holds no reply to a choice: it was asked by {ways}")


def _renamed(payload: Mapping[str, Any], given: str, name: str) -> Mapping[str, Any]:
    if given == name:
        return payload
    return {name if k == given else k: v for k, v in payload.items()}
