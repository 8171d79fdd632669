"""The shortest ways to ask litellm's providers, for the tests here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llm_eval.aio import run_sync
from llm_eval.models import load_model
from llm_eval.models.litellm import LiteLLMModel
from llm_eval.records import Failure, Prediction, Prompt
from tests.fakes.chat import ChatServer
from tests.fakes.provider import ProviderServer

KEY = "provider-key-0123456789"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MODELS = {
    "anthropic": "anthropic/claude-3-opus-20240229",
    "azure": "azure/ours",
    "cohere": "cohere/command-r-08-2024",
    "openai": "gpt-4",
}
PATHS = {"cohere": "/v2/chat"}  # litellm wants the whole address of it


def model_of(name: str, server: ProviderServer | ChatServer, **params: Any) -> LiteLLMModel:
    """A backend for one of `MODELS` at a server; no retries, but where a test says so."""
    given: dict[str, Any] = {
        "model_name": MODELS[name],
        "api_key": KEY,
        "api_base": server.url + PATHS.get(name, ""),
        "max_retries": 0,
    }
    if name == "azure":
        given["api_version"] = "2024-10-21"
    return cast(LiteLLMModel, load_model("litellm", **given | params))


def prompts(*texts: str) -> list[Prompt]:
    """A prompt for each text."""
    return [Prompt(sample_id=f"s{i}", text=text) for i, text in enumerate(texts)]


def generated(model: LiteLLMModel, asked: Sequence[Prompt]) -> list[Prediction]:
    """What the backend makes of prompts; its connections closed."""

    async def work() -> list[Prediction]:
        try:
            return await model.generate(asked)
        finally:
            await model.close()

    return run_sync(work())


def one(model: LiteLLMModel, text: str = "hello", **more: Any) -> Prediction:
    """What it makes of one text."""
    return generated(model, [Prompt(sample_id="s", text=text, **more)])[0]


def failure(model: LiteLLMModel, text: str = "hello", **more: Any) -> Failure:
    """Why it made nothing of it."""
    found = one(model, text, **more)
    assert found.failure is not None and found.text is None
    return found.failure


def checked(model: LiteLLMModel) -> None:
    """Check it, as a run does before its first sample."""

    async def work() -> None:
        try:
            await model.check()
        finally:
            await model.close()

    run_sync(work())
