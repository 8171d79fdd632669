"""Any server that speaks the OpenAI protocol: OpenAI itself, vLLM, FastChat, TGI, llama.cpp.

`encode` and `decode` are pure; the one line that sends is `Transport.post`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llm_eval import settings
from llm_eval.aio import in_order
from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.models.transport import DEFAULT_BASE, Endpoint, Transport
from llm_eval.records import Failure, Prediction, Prompt, Usage
from llm_eval.secret import Secret, secret


def endpoint_of(
    *,
    api_base: str | None = None,
    api_key: str | Secret | None = None,
    concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_retries: int | None = None,
    timeout: float = 600.0,
) -> Endpoint:
    """Where to send, from arguments first and the settings after them.

    Without a key, OpenAI's own address is refused; a server of one's own may need none.
    """
    found = settings.load()
    base = api_base or found.openai_base_url or DEFAULT_BASE
    key = secret(api_key) or found.openai_api_key
    if key is None and base == DEFAULT_BASE:
        raise UserError(
            "no API key for OpenAI",
            hint="set OPENAI_API_KEY, pass api_key (--api-key), "
            "or name your own server by api_base (--api-base)",
        )
    return Endpoint(
        base_url=base,
        api_key=key,
        timeout=timeout,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        max_retries=found.max_retries if max_retries is None else max_retries,
    )


class OpenAIModel(BaseModel):
    """The `openai` backend.

    Args:
        model_name: the model to ask for (`model` is taken too).
        api_base, api_key: default to OPENAI_BASE_URL and OPENAI_API_KEY.
        endpoint: "chat" or "completions".
        system_message: put before each chat.
        concurrency: requests under way; found by trying when left out.
        max_retries: further attempts of a request that failed in transport.
        timeout: seconds for one request.
        params: all else goes into the request (`max_tokens`, `temperature`, `seed`, `stop`...).
    """

    name = "openai"
    can = Capabilities(chat=True)

    def __init__(
        self,
        model_name: str | None = None,
        *,
        model: str | None = None,
        api_base: str | None = None,
        api_key: str | Secret | None = None,
        endpoint: Literal["chat", "completions"] = "chat",
        system_message: str | None = None,
        concurrency: int | None = None,
        max_retries: int | None = None,
        timeout: float = 600.0,
        **params: Any,
    ) -> None:
        if not (chosen := model_name or model):
            raise UserError("model 'openai' needs model_name", hint='e.g. "gpt-4o-mini"')
        if endpoint not in ("chat", "completions"):
            raise UserError(f"endpoint {endpoint!r} is neither 'chat' nor 'completions'")
        self.model, self.endpoint, self.params = chosen, endpoint, params
        self.system_message = system_message
        self.transport = Transport(
            endpoint_of(
                api_base=api_base,
                api_key=api_key,
                concurrency=concurrency,
                max_retries=max_retries,
                timeout=timeout,
            )
        )

    @property
    def label(self) -> str:
        """Backend and model."""
        return f"openai:{self.model}"

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self.transport.usage

    async def check(self) -> None:
        """Does the endpoint answer, and take the key?"""
        await self.transport.check(self.model)

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A request per prompt, all at once (the limiter holds them back), results in order."""
        return await in_order(self._ask(p) for p in prompts)

    async def _ask(self, prompt: Prompt) -> Prediction:
        path = "/chat/completions" if self.endpoint == "chat" else "/completions"
        try:
            body = await self.transport.post(path, self.encode(prompt))
            return decode(prompt.sample_id, body)
        except RunError as e:
            return Prediction(sample_id=prompt.sample_id, failure=Failure.of(e, "generate"))

    def encode(self, prompt: Prompt) -> dict[str, Any]:
        """The request of one prompt."""
        if self.endpoint == "completions":
            return {"model": self.model, "prompt": prompt.text, **self.params}
        messages = [{"role": "user", "content": prompt.text}]
        if self.system_message:
            messages.insert(0, {"role": "system", "content": self.system_message})
        return {"model": self.model, "messages": messages, **self.params}


def decode(sample_id: str, body: Mapping[str, Any]) -> Prediction:
    """The prediction in a reply; a missing field is a `BackendError` naming it."""
    text, finish = reply_text(body)
    return Prediction(sample_id=sample_id, text=text, finish_reason=finish, usage=Usage.of(body))


def reply_text(body: Mapping[str, Any]) -> tuple[str, str | None]:
    """(text, finish_reason) of a chat or completion reply.

    Raises:
        BackendError: nothing usable: `refusal`, `content_filter`, or `malformed`.
    """
    try:
        choice = body["choices"][0]
        finish = choice.get("finish_reason")
        message = choice.get("message") or {}
        text = choice["text"] if "text" in choice else message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise BackendError("the reply holds no choices", kind="malformed") from None
    if finish == "content_filter":
        raise BackendError("the provider's content filter stopped the reply", kind="content_filter")
    if refusal := message.get("refusal"):
        raise BackendError(f"the model refused: {refusal}", kind="refusal")
    if not isinstance(text, str):
        raise BackendError("the reply's message has no content", kind="malformed")
    return text, finish
