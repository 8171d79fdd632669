"""The backends that every contract is held to, each made to be seen through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.models import BaseModel, as_backend, load_model
from llm_eval.models.function import FunctionModel
from llm_eval.records import Prediction, Prompt
from tests.fakes.chat import ChatServer

OPTIONS = ("A", "B", "C", "D")
KEY = "sk-very-secret-key"
BAD = "fail here"


def reply(text: str) -> str:
    """What every model here answers to a text, so that a mixed-up order is seen."""
    return f"reply to {text}"


def prompts(*texts: str) -> list[Prompt]:
    """Prompts with options and a reference each."""
    return [
        Prompt(sample_id=f"s{i}", text=t, options=OPTIONS, reference=OPTIONS[i % 4])
        for i, t in enumerate(texts)
    ]


def plain(text: str) -> str:
    """A function as a model; it fails where the text says so."""
    if text == BAD:
        raise RuntimeError("the function's own")
    return reply(text)


async def awaited(text: str) -> str:
    """An asynchronous function as a model."""
    await asyncio.sleep(0)
    return plain(text)


class Theirs:
    """A backend of haerae-evaluation-toolkit's kind: it fills its dicts in place."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key

    def generate_batch(
        self,
        inputs: list[dict[str, Any]],
        return_logits: bool = False,
        until: list[str] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """The reply to each; likelihoods of options where they are asked for."""
        for item in inputs:
            text = plain(item["input"])
            for end in until or []:
                text = text.partition(end)[0]
            item["prediction"] = text
            if return_logits:
                item["logits"] = {"option_log_probs": [-1.0 - i for i in range(len(OPTIONS))]}
        return inputs


def served(chat: ChatServer, **params: Any) -> BaseModel:
    """The `openai` backend on a server."""
    return load_model("openai", model_name="m", api_base=chat.url, api_key=KEY, **params)


Make = Callable[[ChatServer], BaseModel]
BACKENDS: dict[str, Make] = {
    "openai chat": lambda chat: served(chat),
    "openai completions": lambda chat: served(chat, endpoint="completions"),
    "openai by spec": lambda chat: load_model("openai:m", api_base=chat.url),
    "multi": lambda chat: load_model("multi", generate_model=served(chat), judge_model="first"),
    "theirs": lambda chat: as_backend(Theirs, {"api_key": KEY}),
    "oracle": lambda chat: load_model("oracle"),
    "first": lambda chat: load_model("first"),
    "random": lambda chat: load_model("random", seed=3),
    "function": lambda chat: FunctionModel(plain),
    "async function": lambda chat: FunctionModel(awaited, concurrency=4),
}
SERVED = [name for name in BACKENDS if name.startswith("openai") or name == "multi"]
TALKING = [*SERVED, "theirs", "function", "async function"]


def generated(model: BaseModel, asked: Sequence[Prompt]) -> list[Prediction]:
    """What a backend makes of some prompts; its connections closed."""

    async def work() -> list[Prediction]:
        try:
            return await model.generate(asked)
        finally:
            await model.close()

    return run_sync(work())
