"""A backend as an OpenAI-compatible endpoint in this process.

`Served` has the face of `Transport`, so that whoever asks a server can ask any backend; `hret
serve` is an HTTP server around one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from llm_eval.aio import in_order
from llm_eval.models.base import BaseModel
from llm_eval.models.served_asks import ServedRequest, read, refused
from llm_eval.models.served_batches import Batches, Way
from llm_eval.models.served_replies import body_of, checked
from llm_eval.records import Prediction, Prompt, Usage

AT_ONCE = 64  # requests that a backend which takes batches is offered at a time
ONE_BY_ONE = 16  # requests under way at a backend that takes one a call


@dataclass(frozen=True, slots=True)
class Room:
    """How many requests may be under way; what a `Limiter` tells of itself."""

    limit: float
    slots: float = 0.0
    trying: bool = False


class Served:
    """A backend behind `post`. Used inside the event loop.

    Requests under way are put together into as few calls as the backend takes them in.

    Args:
        model: the backend.
        concurrency: requests that its users should keep under way; what suits it when left out.

    Attributes:
        usage: requests and tokens so far.
        answering: the tasks whose request the backend is at work on.
        users: those beside it that are not closed yet.
    """

    def __init__(self, model: BaseModel, *, concurrency: int | None = None) -> None:
        self.model, self.concurrency = model, concurrency
        self.usage = Usage()
        self.answering: set[asyncio.Task[Any]] = set()
        self.users = 0
        self._batches = Batches(model)
        self._lender: Served | None = None

    def beside(self, *, concurrency: int | None = None) -> Served:
        """The same backend for another user, who has a usage of their own."""
        other = Served(self.model, concurrency=concurrency)
        other._batches, other._lender = self._batches, self
        self.users += 1
        return other

    @property
    def in_process(self) -> bool:
        """Does the model run here, and not behind an API of its own?"""
        return self.model.in_process or self.model.can.batch > 1

    @property
    def limiter(self) -> Any:
        """How many requests to keep under way: the backend's own limiter, if it has one."""
        if self.concurrency is not None:
            return Room(self.concurrency)
        own = getattr(getattr(self.model, "transport", self.model), "limiter", None)
        batch = self.model.can.batch
        return own or Room(min(batch, AT_ONCE) if batch > 1 else ONE_BY_ONE)

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        lost: Callable[[], Awaitable[None]] | None = None,
    ) -> Mapping[str, Any]:
        """The body of the reply to `payload`; `path` is "/chat/completions" or "/completions".

        Raises:
            BackendError: the backend failed, or cannot do what is asked ("bad_request", with the
                parameter that it is about). Never retried here: backends do that themselves.
            UserError: the backend cannot be used at all.
        """
        asked = read(path, payload, images=self.model.can.images)
        task = asyncio.current_task()
        assert task is not None
        try:
            body = await self._replied(asked, lambda: self.answering.add(task))
        finally:
            self.answering.discard(task)
        self.usage += Usage.of(body)
        return body

    async def check(self, model: str | None = None) -> None:
        """Load the model, or see whether it can be asked; a `UserError` says why not."""
        await self.model.check()

    async def close(self) -> None:
        """Let go of the backend; one that was got by `beside` is left to whom it is of."""
        if self._lender is None:
            await self.model.close()
        elif self._lender is not self:
            self._lender.users -= 1
            self._lender = self  # a second close is none

    async def _replied(self, asked: ServedRequest, begun: Callable[[], None]) -> dict[str, Any]:
        read_again = asked.echo and (asked.top is not None or any(self._ids(asked)))
        if read_again and not self.model.can.prompt_logprobs:
            raise refused("echo", f"{self.model.label} does not tell the tokens of a prompt")
        echoed = asked.prompts if read_again else ()
        copies = asked.copies() if asked.write else ()
        found = await in_order(
            chain(
                (self._one("prompt_logprobs", p, begun) for p in echoed),
                (self._one("generate", p, begun) for p in copies),
            )
        )
        read: Sequence[Prediction | None] = found[: len(echoed)] or [None] * len(asked.prompts)
        told: Sequence[Prediction | None] = found[len(echoed) :]
        return body_of(
            asked, self.model.label, read, told or [None] * (len(asked.prompts) * asked.n)
        )

    async def _one(self, way: Way, prompt: Prompt, begun: Callable[[], None]) -> Prediction:
        return checked(prompt, await self._batches.ask(way, prompt, begun))

    @staticmethod
    def _ids(asked: ServedRequest) -> list[bool]:
        return [bool(p.token_ids) for p in asked.prompts]
