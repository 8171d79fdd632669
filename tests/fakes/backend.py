"""A backend without a model: it translates as the fake server does, and writes modules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Failure, Prediction, Prompt, Token, Usage
from tests.fakes.translit import asked, terms_asked, translated

FORMATS = "this backend holds no reply to a response_format"


class FakeBackend(BaseModel):
    """Takes batches; `calls` holds the prompts of each, `made` all objects of this class.

    Args:
        model_name: whatever it is called.
        structured: does it take a response_format?
        longest: a longer prompt (in words) is over its context.
        refusing: is every prompt a failure of this kind?
    """

    name = "fake"
    can = Capabilities(chat=True, prompt_logprobs=True, batch=8)
    made: list[FakeBackend] = []
    answer: Callable[[Sequence[Any]], str] = staticmethod(lambda messages: "네.")

    def __init__(
        self,
        model_name: str = "m",
        *,
        structured: bool = False,
        longest: int | None = None,
        refusing: str = "",
        dtype: str = "auto",
    ) -> None:
        super().__init__(model_name=model_name, dtype=dtype)
        self.structured, self.longest, self.refusing = structured, longest, refusing
        self.calls: list[list[Prompt]] = []
        self.loaded = self.closed = 0
        self.gate = asyncio.Event()
        self.gate.set()
        FakeBackend.made.append(self)

    async def check(self) -> None:
        """It is loaded once."""
        self.loaded = 1

    async def close(self) -> None:
        """Count it."""
        self.closed += 1

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A reply to each, in order, once the gate is open."""
        self.loaded = 1
        self.calls.append(list(prompts))
        await self.gate.wait()
        return [self._reply(p) for p in prompts]

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Each word, or token id, is a token; the first has no log-probability."""
        self.calls.append(list(prompts))
        return [
            Prediction(sample_id=p.sample_id, detail=_tokens(p), usage=Usage(0, len(_tokens(p))))
            for p in prompts
        ]

    def _reply(self, prompt: Prompt) -> Prediction:
        words = len(prompt.text.split())
        failed: tuple[str, str] | None = None
        if "response_format" in prompt.params and not self.structured:
            failed = "bad_request", FORMATS
        elif self.longest is not None and words > self.longest:
            failed = "length", f"the prompt has {words} tokens; the model reads {self.longest}"
        elif self.refusing:
            failed = self.refusing, "it does not work"
        if failed:
            failure = Failure(where="generate", kind=failed[0], message=failed[1])
            return Prediction(sample_id=prompt.sample_id, failure=failure)
        text = self._said(prompt)
        told = text if "logprobs" in prompt.params else ""
        detail = tuple(Token(c, -0.5, ord(c), ((c, -0.5),)) for c in told)
        used = Usage(0, words, len(text))
        return Prediction(sample_id=prompt.sample_id, text=text, detail=detail, usage=used)

    def _said(self, prompt: Prompt) -> str:
        if not prompt.messages:
            return prompt.text.upper() or "ids"
        rows = asked(prompt.messages)
        if rows is None:
            return type(self).answer(prompt.messages)
        right = translated(rows, "ko", terms_asked(prompt.messages))
        return json.dumps({"rows": right}, ensure_ascii=False)


def _tokens(prompt: Prompt) -> tuple[Token, ...]:
    words = [str(i) for i in prompt.token_ids] or prompt.text.split(" ")
    return tuple(
        Token(w, None if i == 0 else -float(i), i, () if i == 0 else (("x", -0.25), (w, -float(i))))
        for i, w in enumerate(words)
    )
