"""A server that speaks Azure OpenAI's protocol on loopback: OpenAI's shapes behind deployments."""

import re
from collections.abc import Mapping

from tests.fakes import chat_protocol as protocol
from tests.fakes.chat_protocol import Body, Refused
from tests.fakes.provider import Asked, Denied, ProviderServer, Trouble, last_text

PATH = re.compile(r"/openai/deployments/([^/]+)/chat/completions")
SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}


class AzureServer(ProviderServer):
    """The server; `models` are its deployments."""

    def key_of(self, headers: Mapping[str, str]) -> str:
        return headers.get("api-key", "")

    def error(self, trouble: Trouble) -> Body:
        error: Body = {"code": trouble.kind or str(trouble.status), "message": trouble.message}
        if trouble.kind == "content_filter":
            error |= {"param": "prompt", "type": None, "status": 400}
            result = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
            error["innererror"] = inner
        if trouble.kind == "context_length_exceeded":
            error |= {"param": "messages", "type": "invalid_request_error"}
        return {"error": error}

    def reply(self, asked: Asked) -> Body:
        found = PATH.fullmatch(asked.path)
        if not found or "api-version" not in asked.query:
            raise Denied(404, "Resource not found", "404")
        if self.models and found[1] not in self.models:
            said = "The API deployment for this resource does not exist."
            raise Denied(404, said, "DeploymentNotFound")
        try:
            wanted = protocol.chat_ask({**asked.body, "model": found[1]}, structured=True)
        except Refused as no:
            error = no.body["error"]
            raise Denied(no.status, error["message"], error["type"]) from None
        replies = [wanted.cut(self.answer(last_text(wanted.body["messages"])))] * wanted.n
        scored = [
            [protocol.Scored(t, -0.5, []) for t in protocol.tokens(r.text or "")] for r in replies
        ]
        body = protocol.chat_reply(wanted, replies, scored)
        for choice in body["choices"]:
            choice["content_filter_results"] = SAFE
        body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": SAFE}]
        return body
