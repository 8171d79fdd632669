"""A server that speaks Anthropic's Messages API on loopback: POST /v1/messages."""

from collections.abc import Mapping

from tests.fakes.chat_protocol import Body, size
from tests.fakes.provider import (
    Asked,
    Denied,
    ProviderServer,
    Trouble,
    identity,
    last_text,
    tokens_in,
)

FIELDS = {
    *("model", "max_tokens", "messages", "system", "metadata", "stop_sequences", "stream"),
    *("temperature", "thinking", "tool_choice", "tools", "top_k", "top_p", "output_config"),
}
MEDIA = ("image/jpeg", "image/png", "image/gif", "image/webp")


class AnthropicServer(ProviderServer):
    """The server; `thought` is what the model thinks aloud before it answers."""

    thought = ""

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "")

    def error(self, trouble: Trouble) -> Body:
        inner = {"type": trouble.kind or "api_error", "message": trouble.message}
        return {"type": "error", "error": inner, "request_id": identity()}

    def reply(self, asked: Asked) -> Body:
        body = asked.body
        if asked.path != "/v1/messages":
            raise Denied(404, f"Not found: {asked.path}", "not_found_error")
        if "anthropic-version" not in asked.headers:
            raise _bad("anthropic-version: header is required")
        _check(body)
        self.check_model(body["model"])
        if body["messages"][-1]["role"] != "user":
            raise _bad("This model does not support assistant message prefill.")
        text = self.answer(last_text(body["messages"]))
        for stop in body.get("stop_sequences") or ():
            text = text.partition(stop)[0]
        text, cut = self.cut(text, body["max_tokens"])
        thought = {"type": "thinking", "thinking": self.thought, "signature": "c2ln"}
        said = {"type": "text", "text": text}
        return {
            "id": f"msg_{identity()}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [thought, said] if self.thought else [said],
            "stop_reason": "max_tokens" if cut else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": tokens_in(body["messages"]),
                "output_tokens": size(text),
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        }


def _check(body: Body) -> None:
    if unknown := sorted(set(body) - FIELDS):
        raise _bad(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        if not body.get(name):
            raise _bad(f"{name}: Field required")
    for i, turn in enumerate(body["messages"]):
        if turn.get("role") not in ("user", "assistant"):
            raise _bad(f"messages.{i}.role: Input should be 'user' or 'assistant'")
        for part in turn["content"] if isinstance(turn["content"], list) else ():
            _check_part(part)


def _check_part(part: Body) -> None:
    if part.get("type") == "text" and not part["text"].strip():
        raise _bad("messages: text content blocks must contain non-whitespace text")
    if part.get("type") != "image":
        return
    source = part["source"]
    if source["type"] == "base64" and source["media_type"] not in MEDIA:
        raise _bad(f"messages: image media type {source['media_type']} is not supported")
    if source["type"] == "url" and not source["url"].startswith("https://"):
        raise _bad("messages: Only HTTPS URLs are supported.")


def _bad(message: str) -> Denied:
    return Denied(400, message, "invalid_request_error")
