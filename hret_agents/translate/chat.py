"""A chat model as translator: packs of rows as JSON, by id, structured where the server can.

`encode` and `decode` are pure and stand beside each other; what is sent goes through the one
`Transport`. A reply is taken id by id: what is valid in it counts, whatever else it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
    return error.param == parameter if error.param else parameter in error.message


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
    if finish == "length":
        missing = _failed("finish_reason", "the reply was cut at the length limit")
    else:
        missing = _failed("json_ids", "its id is missing from the reply")
    rows = _rows(text)
    if rows is None and finish != "length":
        missing = _failed("malformed", "the reply is no JSON of the shape asked for")
    by_id: dict[int, list[Any]] = {}
    for row in rows or ():
        number = row.get("id") if isinstance(row, dict) else None
        if isinstance(number, int) and not isinstance(number, bool):
            by_id.setdefault(number, []).append(row.get("t"))
    return [_texts(by_id[i], found) if i in by_id else missing for i, found in enumerate(spans, 1)]


def _rows(text: str) -> list[Any] | None:
    """The rows of a reply; of a broken one, those that are whole; None if there are none."""
    loose = []
    for found in objects_in(text):
        if isinstance(found.get("rows"), list):
            return list(found["rows"])
        if "id" in found and "t" in found:
            loose.append(found)
    return loose or None


def _texts(given: Sequence[Any], spans: Sequence[Sequence[str]]) -> Reply:
    if len(given) != 1:
        return _failed("json_ids", "its id stands twice in the reply")
    texts = given[0]
    if not isinstance(texts, list) or not all(isinstance(t, str) and _whole(t) for t in texts):
        return _failed("malformed", "its texts are no list of texts")
    if len(texts) != len(spans):
        return _failed("list_len", f"{len(spans)} texts were sent and {len(texts)} came back")
    whole = [unmask(t, s) for t, s in zip(texts, spans, strict=True)]
    if None in whole:
        place = whole.index(None)
        return _failed("placeholder_multiset", _marks_fault(place + 1, len(spans[place])))
    return tuple(t for t in whole if t is not None)


def _marks_fault(place: int, count: int) -> str:
    if not count:
        return f"text {place} must hold no mark like ⟦1⟧"
    return f"text {place} must hold each of the marks ⟦1⟧ to ⟦{count}⟧ once"


def _whole(text: str) -> bool:
    """Half a character (a lone surrogate) can be written nowhere."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _failed(kind: str, message: str) -> Failure:
    return Failure(where="translate", kind=kind, message=message, retryable=True)


def json_in(text: str) -> Any:
    """The first JSON object in a reply, fences and words around it aside; None if there is none.

    >>> json_in('Here you are:\\n```json\\n{"rows": []}\\n```')
    {'rows': []}
    """
    return next(objects_in(text), None)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a reply, one after another; of a broken one, the whole ones in it."""
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    start = text.find("{")
    while start >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(text, start)
            yield found
        except ValueError:
            end = start + 1
        except RecursionError:
            return
        start = text.find("{", end)
