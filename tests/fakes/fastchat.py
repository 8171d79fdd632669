"""FastChat's API server as its clients see it (fastchat.serve.openai_api_server).

Errors are `{"object": "error", "message", "code"}` under status 400, whatever they are; `n` is
honoured; log-probs are none; `echo` repeats the prompt in the text. Fields that it does not know
are passed over.
"""

from typing import Any

from tests.fakes.chat_protocol import Body, Refused, models_reply, size
from tests.fakes.small import SmallServer
from tests.fakes.translit import text_of

CONTEXT = 2048
INVALID_MODEL, OUT_OF_RANGE, OVERFLOW, INTERNAL = 40301, 40302, 40303, 50001


class FastChat(SmallServer):
    """The server, as a context manager. `troubles` are the codes of the next errors."""

    def __init__(self, model: str = "vicuna-7b-v1.5", says: str = "정답은 4입니다.") -> None:
        super().__init__()
        self.model, self.says = model, says
        self.troubles: list[int] = []

    def answer(self, method: str, path: str, body: Any) -> Body:
        """The reply to a request."""
        if path == "/v1/models":
            return models_reply([self.model])
        if path not in ("/v1/chat/completions", "/v1/completions"):
            raise Refused.saying(404, {"detail": "Not Found"})
        self._check(body)
        chat = "chat" in path
        prompt = _prompt(body)
        most = 512 if body.get("max_tokens") is None else body["max_tokens"]
        if size(prompt) + most > CONTEXT:
            said = (
                f"This model's maximum context length is {CONTEXT} tokens. However, you requested "
                f"{size(prompt) + most} tokens ({size(prompt)} in the messages, {most} in the "
                "completion). Please reduce the length of the messages or completion."
            )
            raise _error(said, OVERFLOW)
        text = self.says if chat or not body.get("echo") else prompt + self.says
        choices = [_choice(i, text, chat) for i in range(body.get("n") or 1)]
        made = len(choices) * size(self.says)
        given = len(choices) * size(prompt)
        usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
        kind = "chat.completion" if chat else "text_completion"
        return {"object": kind, "model": body["model"], "choices": choices, "usage": usage}

    def _check(self, body: Any) -> None:
        if self.troubles:
            raise _error("NETWORK ERROR DUE TO HIGH TRAFFIC.", self.troubles.pop(0))
        if body["model"] != self.model:
            only = f"Only {self.model} allowed now, your model {body['model']}"
            raise _error(only, INVALID_MODEL)
        if (most := body.get("max_tokens")) is not None and most <= 0:
            raise _error(f"{most} is less than the minimum of 1 - 'max_tokens'", OUT_OF_RANGE)


def _prompt(body: Body) -> str:
    if "messages" in body:
        return "\n".join(text_of(m.get("content")) for m in body["messages"])
    return str(body["prompt"])


def _choice(index: int, text: str, chat: bool) -> Body:
    if chat:
        message = {"role": "assistant", "content": text}
        return {"index": index, "message": message, "finish_reason": "stop"}
    return {"index": index, "text": text, "logprobs": None, "finish_reason": "stop"}


def _error(message: str, code: int) -> Refused:
    return Refused.saying(400, {"object": "error", "message": message, "code": code})
