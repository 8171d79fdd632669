"""Requests that come one by one, asked of a backend in batches.

Who comes while the backend is at work goes into its next call; nobody waits for others to come.
Who is no longer waited for is not asked, and a call that nobody waits for is let go of.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models.base import BaseModel
from llm_eval.records import Prediction, Prompt

Way = Literal["generate", "prompt_logprobs"]


@dataclass(slots=True, eq=False)
class _Waiting:
    way: Way
    prompt: Prompt
    begun: Callable[[], None]
    reply: asyncio.Future[Prediction]


class Batches:
    """One backend, asked by many. A backend that takes one prompt a call is asked at once."""

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self._waiting: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None

    async def ask(self, way: Way, prompt: Prompt, begun: Callable[[], None]) -> Prediction:
        """What the backend has to say to `prompt`; `begun` is called when it is being asked."""
        if self.model.can.batch <= 1:
            begun()
            return (await self._told(way, [prompt]))[0]
        reply: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(way, prompt, begun, reply))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await reply

    async def _each(self, way: Way, prompts: Sequence[Prompt]) -> list[Prediction | Exception]:
        """What the backend has to say to each prompt, or the error that stands for it.

        One that the backend raises for several is divided until it is one prompt's, unless trying
        again may help.
        """
        error: Exception
        try:
            return list(await self._told(way, prompts))
        except UserError:
            raise
        except RunError as e:
            if e.retryable:
                return [e] * len(prompts)
            error = e
        except Exception as e:  # foreign code may raise anything; it is its requests' loss
            error = e
        if len(prompts) == 1:
            return [error]
        half = len(prompts) // 2
        return [*await self._each(way, prompts[:half]), *await self._each(way, prompts[half:])]

    async def _told(self, way: Way, prompts: Sequence[Prompt]) -> list[Prediction]:
        asked = self.model.generate if way == "generate" else self.model.prompt_logprobs
        found = await asked(prompts)
        if len(found) != len(prompts):
            said = f"{self.model.label} gave {len(found)} predictions for {len(prompts)} prompts"
            raise BackendError(said, kind="malformed")
        return found

    async def _run(self) -> None:
        """Call after call, until nobody waits."""
        await asyncio.sleep(0)  # who comes in the same breath is in the first call
        while batch := self._next():
            call = asyncio.create_task(self._each(batch[0].way, [w.prompt for w in batch]))
            for one in batch:
                one.reply.add_done_callback(partial(_let_go, call, batch))
                one.begun()
            await self._settle(call, batch)

    async def _settle(
        self, call: asyncio.Task[list[Prediction | Exception]], batch: Sequence[_Waiting]
    ) -> None:
        try:
            await asyncio.wait([call])
        finally:
            call.cancel()
        error = None if call.cancelled() else call.exception()
        found = [] if call.cancelled() or error else call.result()
        for place, one in enumerate(batch):
            if one.reply.done():
                continue
            told = error or (found[place] if found else None)
            if isinstance(told, Prediction):
                one.reply.set_result(told)
            elif told is not None:
                one.reply.set_exception(told)
            else:
                one.reply.cancel()

    def _next(self) -> list[_Waiting]:
        """Those who wait for the same thing as the first one, as many as one call takes."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        while self._waiting and len(batch) < self.model.can.batch:
            one = self._waiting.popleft()
            if one.reply.done():
                continue
            (batch if not batch or one.way == batch[0].way else later).append(one)
        self._waiting.extendleft(reversed(later))
        return batch


def _let_go(
    call: asyncio.Task[list[Prediction | Exception]],
    batch: Sequence[_Waiting],
    _: asyncio.Future[Prediction],
) -> None:
    """End a call that nobody waits for any longer."""
    if all(w.reply.cancelled() for w in batch):
        call.cancel()
