"""What a server of OpenAI's protocol offers: `python -m tests.live.check_server URL [--model M]`.

For servers that no test can start (FastChat, TGI, SGLang, a provider): about a dozen short requests
and a line for each feature, "yes" or why not. The key is read from OPENAI_API_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from llm_eval.errors import HretError
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Prompt

ASK = Prompt(sample_id="0", text="The capital of Korea is", params={"max_tokens": 16})


def offers(url: str, model: str | None) -> dict[str, str]:
    """A server's features, each "yes" or why not. Without a `model` the first listed is asked."""
    name = model or _first_model(url)
    return {"model": name, **asyncio.run(_told(url, name))}


async def _told(url: str, name: str) -> dict[str, str]:
    chat = OpenAIModel(name, api_base=url, max_retries=1, timeout=120)
    text = OpenAIModel(name, api_base=url, max_retries=1, timeout=120, endpoint="completions")
    checks: Mapping[str, Callable[[], Awaitable[str]]] = {
        "list of models, and the key": lambda: _quiet(chat.check()),
        "chat": lambda: _reply(chat, ASK),
        "completions": lambda: _reply(text, ASK),
        "usage": lambda: _usage(chat),
        "several choices in one request (n)": lambda: _several(chat),
        "stop sequences": lambda: _reply(chat, ASK, stop=["\n"]),
        "seed": lambda: _reply(chat, ASK, seed=1),
        "log-probabilities of a chat's reply": lambda: _reply(chat, ASK, logprobs=1),
        "log-probabilities of a completion": lambda: _reply(text, ASK, logprobs=1),
        "likelihoods (echo)": lambda: _quiet(text.probe()),
        "token ids as a prompt": lambda: _reply(
            text, Prompt(sample_id="0", text="", token_ids=(5, 6, 7))
        ),
        "replies held to a choice": lambda: _choice(chat),
        "a prompt over the context": lambda: _long(chat),
    }
    try:
        return {what: await _answer(ask) for what, ask in checks.items()}
    finally:
        await chat.close()
        await text.close()


async def _answer(ask: Callable[[], Awaitable[str]]) -> str:
    try:
        return await ask()
    except HretError as e:
        return f"no: {e.message}"


async def _quiet(work: Awaitable[None]) -> str:
    await work
    return "yes"


async def _one(model: OpenAIModel, prompt: Prompt, **params: Any) -> Prediction:
    prompt = Prompt(**{**_fields(prompt), "params": {**prompt.params, **params}})
    return (await model.generate([prompt]))[0]


async def _reply(model: OpenAIModel, prompt: Prompt, **params: Any) -> str:
    found = await _one(model, prompt, **params)
    return f"no: {found.failure.message}" if found.failure else "yes"


async def _usage(model: OpenAIModel) -> str:
    told = (await _one(model, ASK)).usage
    return "yes" if told.prompt_tokens and told.completion_tokens else "no: none is told"


async def _several(model: OpenAIModel) -> str:
    before = model.usage.requests
    found = await model.generate([ASK, ASK])
    if failed := [p.failure for p in found if p.failure]:
        return f"no: {failed[0].message}"
    sent = model.usage.requests - before
    return "yes" if sent == 1 else "no: one choice comes; the others are asked for one by one"


async def _choice(model: OpenAIModel) -> str:
    said = await _reply(model, ASK, choice=["Seoul", "Busan"], max_tokens=64)
    return f"yes, by {await model.constraint()}" if said == "yes" else said


async def _long(model: OpenAIModel) -> str:
    found = await _one(model, Prompt(sample_id="0", text="word " * 300_000))
    if found.failure is None:
        return "taken: 300,000 words fit, or were cut without a word"
    kind = found.failure.kind
    return "yes" if kind == "length" else f"not understood ({kind}): {found.failure.message}"


def _fields(prompt: Prompt) -> dict[str, Any]:
    return {name: getattr(prompt, name) for name in Prompt.__slots__}


def _first_model(url: str) -> str:
    with urllib.request.urlopen(f"{url.rstrip('/')}/models", timeout=30) as reply:
        return str(json.load(reply)["data"][0]["id"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url", help="its address, mostly ending in /v1")
    parser.add_argument("--model", help="the model to ask for; default: the first that it lists")
    options = parser.parse_args()
    try:
        told = offers(options.url, options.model)
    except (HretError, OSError) as e:
        sys.exit(str(e))
    for what, found in told.items():
        print(f"{what:<38} {found}")


if __name__ == "__main__":
    main()
