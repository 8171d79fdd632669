"""Text Generation Inference's Messages API as its clients see it.

Errors are `{"error", "error_type"}` under 422, 424 and 429; `n`, `echo` and, for completions,
`logprobs` are passed over; a reply ends by "eos_token" before version 2.3 and by "stop" after it.
"""

from typing import Any

from tests.fakes.chat import hashed_logprob
from tests.fakes.chat_protocol import TOKEN, Body, Refused, size, tokens
from tests.fakes.small import SmallServer
from tests.fakes.translit import text_of


class TGI(SmallServer):
    """The server, as a context manager. `troubles` are the next errors: (status, error, type)."""

    def __init__(
        self, says: str = "정답은 4입니다.", ends: str = "eos_token", context: int = 1024
    ) -> None:
        super().__init__()
        self.says, self.ends, self.context = says, ends, context
        self.bare = False
        """Replies without `usage`, `index` and `logprobs`, as gateways before it make them."""
        self.troubles: list[tuple[int, str, str]] = []

    def answer(self, method: str, path: str, body: Any) -> Body:
        """The reply to a request."""
        if path == "/v1/models":
            return {"object": "list", "data": [{"id": "org/m", "object": "model", "created": 0}]}
        chat = path == "/v1/chat/completions"
        if not chat and path != "/v1/completions":
            raise Refused.saying(404, {})
        if self.troubles:
            status, error, kind = self.troubles.pop(0)
            raise Refused.saying(status, {"error": error, "error_type": kind})
        said = [text_of(m.get("content")) for m in body["messages"]] if chat else [body["prompt"]]
        given, most = sum(map(size, said)), body.get("max_tokens")
        self._check(given, most)
        text, ends = self.says, self.ends
        if most is not None and size(text) > most:
            text, ends = text[: most * TOKEN], "length"
        told = _logprobs(text, body.get("top_logprobs") or 0) if body.get("logprobs") else None
        choice: Body = {"index": 0, "finish_reason": ends, "logprobs": told if chat else None}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        reply: Body = {"object": "chat.completion", "id": "", "model": "org/m", "choices": [choice]}
        if self.bare:
            del choice["index"], choice["logprobs"]
            return reply
        made = size(text)
        usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
        return reply | {"usage": usage}

    def _check(self, given: int, most: int | None) -> None:
        why = ""
        if most is not None and most < 1:
            why = "`max_new_tokens` must be strictly positive"
        elif given >= self.context:
            why = f"`inputs` must have less than {self.context} tokens. Given: {given}"
        elif most is not None and given + most > self.context:
            why = (
                f"`inputs` tokens + `max_new_tokens` must be <= {self.context}. Given: {given} "
                f"`inputs` tokens and {most} `max_new_tokens`"
            )
        if why:
            error = f"Input validation error: {why}"
            raise Refused.saying(422, {"error": error, "error_type": "validation"})


def _logprobs(text: str, top: int) -> Body:
    content, prefix = [], ""
    for token in tokens(text):
        value = hashed_logprob(prefix, token)
        best = [{"token": token, "logprob": value}][:top]
        content.append({"token": token, "logprob": value, "top_logprobs": best})
        prefix += token
    return {"content": content}
