"""A test's body for a real server of a model that is also here: `openai` against `huggingface`.

check_served("http://127.0.0.1:8000/v1", folder, name="tiny")
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llm_eval.models import load_model
from llm_eval.models.base import BaseModel
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prediction, Prompt

OPTIONS = [
    ("한국의 수도는 어디입니까? 정답:", (" 서울", " 부산광역시", " 대구, 인천")),
    ("Question: what is two and two? Answer:", (" four", " 4", " five, then more")),
    ("정답:\n\n", ("A", "B", "가나다", "😀 웃음")),
]
TEXTS = ["물은 섭씨 몇 도에서 끓습니까? 정답:", "The capital of Korea is"]


def check_served(
    url: str, folder: Path, *, name: str, chat: bool = True, echo: bool = True, near: float = 1e-2
) -> None:
    """Chat, completions and, with `echo`, likelihoods of the server are those of the model here.

    Args:
        url: the server's address, ending in /v1; name: what it calls the model.
        folder: the model and tokenizer that it serves, in float32.
        chat: the tokenizer has a chat template, and the server answers chats.
        near: how far log-probabilities may be apart, in nats.
    """
    here = load_model(
        "huggingface", model_name_or_path=str(folder), dtype="float32", apply_chat_template=False
    )
    served = OpenAIModel(name, api_base=url, endpoint="completions", temperature=0, max_tokens=8)
    _same_texts(asked(served, TEXTS), asked(here, TEXTS, max_tokens=8))
    if echo:
        _same_likelihoods(weighed(served), weighed(here), near)
        told = _run(served, served.prompt_logprobs([Prompt(sample_id="0", text=TEXTS[1])]))[0]
        assert len(told.detail) > 3 and all(t.logprob is not None for t in told.detail[1:])
    if chat:
        talking = load_model("huggingface", model_name_or_path=str(folder), dtype="float32")
        asks = OpenAIModel(name, api_base=url, temperature=0, max_tokens=8)
        _same_texts(asked(asks, TEXTS), asked(talking, TEXTS, max_tokens=8))


def asked(model: BaseModel, texts: list[str], **params: Any) -> list[Prediction]:
    """What a model writes behind some texts."""
    prompts = [Prompt(sample_id=str(i), text=t, params=params) for i, t in enumerate(texts)]
    return _run(model, model.generate(prompts))


def weighed(model: BaseModel) -> list[Prediction]:
    """How likely it finds the options."""
    prompts = [
        Prompt(sample_id=str(i), text=text, options=options)
        for i, (text, options) in enumerate(OPTIONS)
    ]
    return _run(model, model.likelihoods(prompts))


def _run(model: BaseModel, work: Any) -> list[Prediction]:
    async def whole() -> list[Prediction]:
        try:
            found: list[Prediction] = await work
            return found
        finally:
            await model.close()

    return asyncio.run(whole())


def _same_texts(served: list[Prediction], here: list[Prediction]) -> None:
    assert [p.failure for p in served] == [None] * len(served)
    assert [(p.text, p.finish_reason) for p in served] == [(p.text, p.finish_reason) for p in here]


def _same_likelihoods(served: list[Prediction], here: list[Prediction], near: float) -> None:
    for told, wanted in zip(served, here, strict=True):
        assert told.failure is None
        assert [o.logprob for o in told.options] == [
            pytest.approx(o.logprob, abs=near) for o in wanted.options
        ]
        assert [o.tokens for o in told.options] == [o.tokens for o in wanted.options]
