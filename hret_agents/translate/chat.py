"""A chat model as translator: packs of rows as JSON, by id, structured where the server can.

What is sent goes through the one `Transport`, or to a backend behind `Served`; replies are read by
`hret_agents.translate.reply`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hret_agents.backends import checked
from hret_agents.money import Budget
from hret_agents.request_params import RequestParams
from hret_agents.tokens import Meter
from hret_agents.translate.base import Answer, Ask
from hret_agents.translate.masks import mask
from hret_agents.translate.reply import decode
from llm_eval import prompts
from llm_eval.errors import BackendError
from llm_eval.models.openai import reply_text
from llm_eval.models.prices import cost, rates_of
from llm_eval.models.served import Served
from llm_eval.models.transport import Transport
from llm_eval.records import Failure, Usage

PROMPT = "translate.j2"
LANGUAGES = {
    "ko": "Korean",
    "en": "English",
    "ja": "Japanese",
    "zh": "Chinese",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "ru": "Russian",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "th": "Thai",
    "id": "Indonesian",
    "hi": "Hindi",
    "ar": "Arabic",
    "pt": "Portuguese",
    "it": "Italian",
    "tr": "Turkish",
    "pl": "Polish",
}
REGISTERS = {
    None: "formal (합쇼체, -습니다)",
    "formal": "formal (합쇼체, -습니다)",
    "polite": "polite (해요체, -아요)",
    "plain": "plain (해라체, -다)",
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "t": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["id", "t"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["rows"],
    "additionalProperties": False,
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "translations", "strict": True, "schema": SCHEMA},
}
OPTIONAL: dict[str, Any] = {"temperature": 0, "response_format": FORMAT}
PATH = "/chat/completions"
MARGIN, LEAST = 4, 500  # a reply may be so many times the estimate, and tokens more, under a budget
_TOO_LARGE = ("length", "memory")  # failures that a smaller pack may not have


class ChatTranslator:
    """Translates by an OpenAI-compatible chat endpoint, or by a backend as one.

    Args:
        register: `formal`, `polite` or `plain` Korean; style: a sentence for the prompt.
        budget: reserved from before each request; without one nothing is limited.
        params: what decides a reply of a backend besides, as one text; for the memory's keys.
        reply_tokens: most tokens of a reply. A backend in this process, whose own default may be
            too short, is always told some: what the pack is thought to need where this is None.
    """

    paid = True
    window = 20_000
    patient = False

    def __init__(
        self,
        transport: Transport | Served,
        model: str,
        source_lang: str,
        target_lang: str,
        register: str | None = None,
        style: str = "",
        *,
        budget: Budget | None = None,
        params: str = "",
        reply_tokens: int | None = None,
    ) -> None:
        self.transport, self.model, self.name, self.budget = transport, model, model, budget
        self.policy: Mapping[str, str] = policy_of(
            model, source_lang, target_lang, register, style, params
        )
        self.reply_tokens = reply_tokens
        self.system = system_prompt(source_lang, target_lang, register, style)
        self._meter = Meter(target_lang, rates_of(model))
        self.params = RequestParams(OPTIONAL)

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self.transport.usage

    @property
    def http(self) -> Transport:
        """The transport; a backend in this process has none, and no Batch API."""
        assert isinstance(self.transport, Transport)
        return self.transport

    @property
    def width(self) -> int:
        """As many packs as the limiter lets through."""
        return int(self.transport.limiter.limit)

    @property
    def slots(self) -> float:
        """What the limiter has seen of the server, or else takes it for."""
        limiter = self.transport.limiter
        return limiter.slots or limiter.limit

    @property
    def trying(self) -> bool:
        """Is the limiter still finding out?"""
        return self.transport.limiter.trying

    def expected(self, asks: Sequence[Ask]) -> Usage:
        """What a request for `asks` is estimated to cost, by the dry run's formula."""
        return self._meter.request(
            self.system,
            [(ask.unit.texts, ask.because, ask.like) for ask in asks],
            _terms(asks),
        )

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`; None where the model's price is unknown."""
        return cost(self.model, usage)

    def flush(self) -> None:
        """Nothing is collected: every pack goes out at once."""

    def answering(self, task: asyncio.Task[Any]) -> bool:
        """Has its request left, and no reply come?"""
        return task in self.transport.answering

    async def check(self) -> None:
        """Does the endpoint answer, and take the key?"""
        await checked(self.transport, self.model)

    async def close(self, *, finished: bool = False) -> None:
        """Close the connections."""
        await self.transport.close()

    async def translate(self, asks: Sequence[Ask]) -> Answer:
        """One request for all of `asks`; what the transport gives up on fails all of them.

        Raises:
            UserError: no retry can help, or the budget has no room for this request.
        """
        started, usage = time.monotonic(), Usage()
        payload, spans = self._prepared(asks)
        try:
            body = await self._send(payload, asks)
            usage = Usage.of(body)
            text, finish = reply_text(body)
            replies = tuple(decode(text, finish, spans))
        except BackendError as e:
            replies = (failure_of(e),) * len(asks)
        return Answer(replies, usage, time.monotonic() - started)

    def payload(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """The body of the request for `asks`, as it would be sent now; without a budget's limit."""
        return self._prepared(asks)[0] | self.params.optional

    def _prepared(self, asks: Sequence[Ask]) -> tuple[dict[str, Any], list[list[list[str]]]]:
        content, spans = encode(asks)
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": content},
        ]
        return {"model": self.model, "messages": messages}, spans

    async def _send(self, payload: dict[str, Any], asks: Sequence[Ask]) -> Mapping[str, Any]:
        """Send; a parameter that this server refuses is left out from then on."""
        while True:
            more, limit = dict(self.params.optional), self.limit(asks)
            if self.budget is not None or self._is_told_a_limit:
                more |= [limit]
            try:
                if self.budget is None:
                    return await self.transport.post(PATH, payload | more)
                return await self._within(self.budget, payload | more, limit[1])
            except BackendError as e:
                if not self.params.adapted(e, more):
                    raise

    async def _within(
        self, budget: Budget, payload: Mapping[str, Any], limit: int
    ) -> Mapping[str, Any]:
        """Send what the budget has room for at its worst: every byte a token, the longest reply."""
        size = len(json.dumps(payload, ensure_ascii=False).encode())
        async with budget.reserved(Usage(1, size, limit)) as reserved:
            body = await self.transport.post(PATH, payload, lost=reserved.lost)
            reserved.told(Usage.of(body))
            return body

    @property
    def _is_told_a_limit(self) -> bool:
        in_process = isinstance(self.transport, Served) and self.transport.in_process
        return in_process or self.reply_tokens is not None

    def limit(self, asks: Sequence[Ask]) -> tuple[str, int]:
        """Tokens that a reply may have, so that the worst case is known; and their name."""
        most = self.reply_tokens or MARGIN * self.expected(asks).completion_tokens + LEAST
        return self.params.limit(most)


def failure_of(error: BackendError) -> Failure:
    """The failure of a request; one that was too large is as good as a reply that was cut."""
    found = Failure.of(error, "translate")
    if error.kind in _TOO_LARGE:
        return replace(found, kind="finish_reason", retryable=True)
    return found


def policy_of(
    model: str,
    source_lang: str,
    target_lang: str,
    register: str | None = None,
    style: str = "",
    params: str = "",
) -> dict[str, str]:
    """What a translation depends on besides the text: it stands in the memory's keys."""
    policy = {
        "model": model,
        "prompt": prompts.version(PROMPT),
        "temperature": "0",
        "source_lang": source_lang,
        "target_lang": target_lang,
    }
    said = {
        "register": None if register == "formal" else register,
        "style": _one_line(style),
        "params": params,
    }
    return policy | {key: value for key, value in said.items() if value}


def system_prompt(
    source_lang: str, target_lang: str, register: str | None = None, style: str = ""
) -> str:
    """The system prompt: one text for all requests of a run."""
    return prompts.rendered(
        PROMPT,
        source_lang=LANGUAGES.get(source_lang, source_lang),
        target_lang=LANGUAGES.get(target_lang, target_lang),
        register=REGISTERS[register] if target_lang == "ko" else "",
        style=_one_line(style),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def encode(asks: Sequence[Ask]) -> tuple[str, list[list[list[str]]]]:
    """The user message, and each text's protected spans by row. Rows are numbered from 1."""
    rows, spans = [], []
    for number, ask in enumerate(asks, 1):
        masked = [mask(text) for text in ask.unit.texts]
        row: dict[str, Any] = {"id": number, "t": [text for text, _ in masked]}
        if ask.because:
            row["because"] = ask.because
        if like := [pair for pair in map(_example, ask.like) if pair]:
            row["like"] = like
        rows.append(row)
        spans.append([found for _, found in masked])
    terms = [[term, text.split("|")[0].strip()] for term, text in _terms(asks)]
    message = {"terms": terms, "rows": rows} if terms else {"rows": rows}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")), spans


def _terms(asks: Sequence[Ask]) -> list[tuple[str, str]]:
    return sorted({pair for ask in asks for pair in ask.terms})


def _example(pair: tuple[str, str]) -> list[str] | None:
    """A text and its translation with the same marks; None where they do not hold the same."""
    source, translation = pair
    masked, spans = mask(source)
    parts, marks = mask(translation)
    if sorted(spans) != sorted(marks):
        return None
    places = {span: f"⟦{number}⟧" for number, span in enumerate(spans, 1)}
    for number, span in sorted(enumerate(marks, 1), reverse=True):
        parts = parts.replace(f"⟦{number}⟧", places[span].replace("⟦", "\0"))
    return [masked, parts.replace("\0", "⟦")]
