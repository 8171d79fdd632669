"""A plain function as a model: `Evaluator().run(model=my_function, ...)`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llm_eval.errors import BackendError, HretError
from llm_eval.models.asks import stopped, unable
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Failure, Prediction, Prompt


class FunctionModel(BaseModel):
    """Calls `function(input_text) -> str`, plain or async, for each sample.

    Plain functions are called one after another in one thread, since a model object is seldom
    thread-safe; `concurrency` > 1 says that this one is. An exception costs its sample alone.
    """

    can = Capabilities(batch=1)

    def __init__(self, function: Callable[[str], Any], concurrency: int = 1) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.concurrency = max(1, concurrency)
        self._gate = asyncio.Semaphore(self.concurrency)

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The function's returns, in order."""
        return [await self._ask(p) for p in prompts]

    async def _ask(self, prompt: Prompt) -> Prediction:
        if refused := unable(prompt, self.name, ["stop"]):
            return refused
        async with self._gate:
            try:
                reply = await asyncio.to_thread(self._call, prompt.text)
                if inspect.isawaitable(reply):
                    reply = await reply
                if not isinstance(reply, str):
                    raise BackendError(
                        f"{self.name} returned {type(reply).__name__}, not str", kind="malformed"
                    )
            except HretError as e:
                return self._failed(prompt, e)
            except (
                Exception
            ) as e:  # the user's function may raise anything; it is one sample's loss
                error = BackendError(
                    f"{self.name} raised {type(e).__name__}: {e}", kind="bad_request"
                )
                return self._failed(prompt, error)
        return Prediction(sample_id=prompt.sample_id, text=stopped(reply, prompt))

    def _call(self, text: str) -> Any:
        try:
            return self.function(text)
        except StopIteration as e:  # no future can carry it
            raise RuntimeError(f"StopIteration: {e}") from e

    @staticmethod
    def _failed(prompt: Prompt, error: HretError) -> Prediction:
        return Prediction(sample_id=prompt.sample_id, failure=Failure.of(error, "generate"))
