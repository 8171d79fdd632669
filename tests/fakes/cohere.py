"""A server that speaks Cohere's chat API on loopback: POST /v2/chat."""

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
    *("model", "messages", "stream", "tools", "documents", "response_format", "safety_mode"),
    *("max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "logprobs"),
    *("presence_penalty", "k", "p", "tool_choice", "thinking"),
}


class CohereServer(ProviderServer):
    """The server; `reason` is why the replies end that neither a stop nor the limit ends."""

    reason = "COMPLETE"

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ").removeprefix("bearer ")

    def error(self, trouble: Trouble) -> Body:
        return {"id": identity(), "message": trouble.message}

    def reply(self, asked: Asked) -> Body:
        body = asked.body
        if asked.path != "/v2/chat":
            raise Denied(404, f"page not found: {asked.path}")
        if unknown := sorted(set(body) - FIELDS):
            raise Denied(422, f"unknown field: parameter '{unknown[0]}' is not a valid field")
        if not body.get("model") or not body.get("messages"):
            raise Denied(400, "invalid request: model and messages are required")
        self.check_model(body["model"])
        text, reason = self.answer(last_text(body["messages"])), self.reason
        for stop in body.get("stop_sequences") or ():
            if stop in text:
                text, reason = text.partition(stop)[0], "STOP_SEQUENCE"
        text, cut = self.cut(text, body.get("max_tokens"))
        sent, made = tokens_in(body["messages"]), size(text)
        return {
            "id": identity(),
            "finish_reason": "MAX_TOKENS" if cut else reason,
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            "usage": {
                "billed_units": {"input_tokens": sent, "output_tokens": made},
                "tokens": {"input_tokens": sent + 60, "output_tokens": made},
            },
        }
