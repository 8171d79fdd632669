"""A chat model as translator: packs of rows as JSON, by id, structured where the server can.

`encode` and `decode` are pure and stand beside each other; what is sent goes through the one
`Transport`. A reply is taken id by id: what is valid in it counts, whatever else it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hret_agents.translate.base import Ask, Reply
from hret_agents.translate.masks import mask, unmask
from llm_eval import prompts
from llm_eval.errors import BackendError
from llm_eval.models.openai import reply_text
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


class ChatTranslator:
    """Translates by an OpenAI-compatible chat endpoint."""

    paid = True

    def __init__(
        self, transport: Transport, model: str, source_lang: str, target_lang: str
    ) -> None:
        self.transport, self.model = transport, model
        self.name = model
        names = {"source_lang": source_lang, "target_lang": target_lang}
        self.policy: Mapping[str, str] = {
            "model": model,
            "prompt": prompts.version(PROMPT),
            "temperature": "0",
            **names,
        }
        self.system = prompts.rendered(
            PROMPT, **{key: LANGUAGES.get(lang, lang) for key, lang in names.items()}
        )
        self._optional: dict[str, Any] = {"temperature": 0, "response_format": FORMAT}

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self.transport.usage

    def room(self, packs: int) -> bool:
        """As many packs as the limiter lets through."""
        return packs < int(self.transport.limiter.limit)

    async def check(self) -> None:
        """Does the endpoint answer, and take the key?"""
        await self.transport.check(self.model)

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def translate(self, asks: Sequence[Ask]) -> list[Reply]:
        """One request for all of `asks`; what the transport gives up on fails all of them."""
        content, spans = encode(asks)
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": content},
        ]
        try:
            text, finish = reply_text(await self._send({"model": self.model, "messages": messages}))
        except BackendError as e:
            return [Failure.of(e, "translate")] * len(asks)
        return decode(text, finish, spans)

    async def _send(self, payload: dict[str, Any]) -> Mapping[str, Any]:
        """Send; a parameter that this server refuses is left out from then on."""
        while True:
            optional = dict(self._optional)
            try:
                return await self.transport.post("/chat/completions", payload | optional)
            except BackendError as e:
                refused = [p for p in optional if e.kind == "bad_request" and _is_about(e, p)]
                if not refused:
                    raise
                self._optional.pop(refused[0], None)


def _is_about(error: BackendError, parameter: str) -> bool:
    return error.param == parameter or parameter in error.message


def encode(asks: Sequence[Ask]) -> tuple[str, list[list[list[str]]]]:
    """The user message, and each text's protected spans by row."""
    rows, spans = [], []
    for number, ask in enumerate(asks, 1):
        masked = [mask(text) for text in ask.unit.texts]
        row: dict[str, Any] = {"id": number, "t": [text for text, _ in masked]}
        if ask.because:
            row["because"] = ask.because
        rows.append(row)
        spans.append([found for _, found in masked])
    return json.dumps({"rows": rows}, ensure_ascii=False, separators=(",", ":")), spans


def decode(text: str, finish: str | None, spans: Sequence[Sequence[Sequence[str]]]) -> list[Reply]:
    """What a reply holds for each row: its texts with the spans put back, or why not."""
    cut = finish == "length"
    body = json_in(text)
    rows = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        if cut:
            failure = _failed("finish_reason", "the reply was cut at the length limit")
        else:
            failure = _failed("malformed", "the reply is no JSON of the shape asked for")
        return [failure] * len(spans)
    by_id: dict[int, list[Any]] = {}
    for row in rows:
        if (
            isinstance(row, dict)
            and isinstance(row.get("id"), int)
            and not isinstance(row["id"], bool)
        ):
            by_id.setdefault(row["id"], []).append(row.get("t"))
    return [_texts(by_id.get(i, []), found) for i, found in enumerate(spans, 1)]


def _texts(given: Sequence[Any], spans: Sequence[Sequence[str]]) -> Reply:
    if len(given) != 1:
        return _failed("json_ids", "its id is missing" if not given else "its id stands twice")
    texts = given[0]
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        return _failed("malformed", "its texts are no list of texts")
    if len(texts) != len(spans):
        return _failed("list_len", f"{len(spans)} texts were sent and {len(texts)} came back")
    whole = [unmask(t, s) for t, s in zip(texts, spans, strict=True)]
    if None in whole:
        place = whole.index(None)
        return _failed(
            "placeholder_multiset",
            f"text {place + 1} must hold each of the marks ⟦1⟧ to ⟦{len(spans[place])}⟧ once",
        )
    return tuple(t for t in whole if t is not None)


def _failed(kind: str, message: str) -> Failure:
    return Failure(where="translate", kind=kind, message=message, retryable=True)


def json_in(text: str) -> Any:
    """The JSON object in a reply, fences and words around it aside; None if there is none.

    >>> json_in('Here you are:\\n```json\\n{"rows": []}\\n```')
    {'rows': []}
    """
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    start = text.find("{")
    while start >= 0:
        try:
            return json.JSONDecoder().raw_decode(text, start)[0]
        except ValueError:
            start = text.find("{", start + 1)
    return None
