"""The shortest ways to ask the `openai` backend, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Prompt

How = Literal["generate", "likelihoods", "prompt_logprobs", "probe", "check"]


def made(url: str, **params: Any) -> OpenAIModel:
    """The backend `m` at an address, its retries soon over."""
    return OpenAIModel("m", api_base=url, **{"max_retries": 0, **params})


def asked(
    model: OpenAIModel, *prompts: Prompt, how: How = "generate", within: float = 60
) -> list[Prediction]:
    """What a backend answers; its connections closed."""

    async def work() -> Any:
        try:
            call = getattr(model, how)
            return await asyncio.wait_for(call(prompts) if prompts else call(), within)
        finally:
            await model.close()

    found: list[Prediction] = asyncio.run(work())
    return found


def one(text: str = "2+2?", sample: str = "s", **fields: Any) -> Prompt:
    """A prompt."""
    return Prompt(sample_id=sample, text=text, **fields)


def with_options(text: str, options: Sequence[str]) -> Prompt:
    """A prompt with options."""
    return Prompt(sample_id="s", text=text, options=tuple(options))
