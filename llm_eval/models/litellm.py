"""The `litellm` backend: any provider that LiteLLM speaks to, under this project's own policy.

LiteLLM turns a request into what the provider's wire wants and its reply into OpenAI's shape; the
limiter, the retries and the errors are ours. It is imported at first use, in a thread.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl

from llm_eval import settings
from llm_eval.aio import in_order
from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models import litellm_library as library
from llm_eval.models import openai_wire as wire
from llm_eval.models import prices
from llm_eval.models.asks import PARAMS, unable
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.models.endpoint import DEFAULT_BASE, Endpoint, hashed
from llm_eval.models.limiter import Limiter, Limits, shared_limiter
from llm_eval.models.litellm_errors import error_of, headers_of
from llm_eval.models.litellm_library import Provider
from llm_eval.models.litellm_reply import prediction_of
from llm_eval.models.pace import reset_after
from llm_eval.models.retry import retried
from llm_eval.models.siblings import siblings
from llm_eval.models.transport import BYTES_PER_TOKEN
from llm_eval.records import Failure, Prediction, Prompt, Sample, Usage
from llm_eval.secret import Secret, is_secret, parted, secret, secrets_in, tellable

OURS = {  # what litellm calls what this backend does itself
    "num_retries": "max_retries",
    "retry_policy": "max_retries",
    "stream": "",
    "messages": "",
}
IN_ENVIRONMENT = 8  # characters of a secret there; many a short one is none
TAKEN = (*PARAMS, "response_format", "messages", "images")  # of a prompt


class LiteLLMModel(BaseModel):
    """A model of any of LiteLLM's providers.

    Args:
        model_name: "gpt-4", "anthropic/claude-3-opus-20240229", ... (`model` is taken too).
        provider: "anthropic", "azure", ..., where model_name does not begin with it.
        api_key: the provider's own variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...) otherwise.
        api_base, api_version: as in LiteLLM, which reads the provider's variables otherwise.
        system_message: put before each chat.
        concurrency: requests under way to this provider; found by trying when left out.
        rpm, tpm: most requests and tokens a minute to this provider.
        max_retries: further attempts of a request that failed in transport.
        timeout: seconds for one request.
        drop_params: leave out what a provider does not take, instead of refusing it.
        params: all else goes to LiteLLM (`max_tokens`, `temperature`, `aws_region_name`...).
    """

    name = "litellm"
    can = Capabilities(chat=True, images=True)

    def __init__(
        self,
        model_name: str | None = None,
        *,
        model: str | None = None,
        provider: str | None = None,
        api_key: str | Secret | None = None,
        api_base: str | None = None,
        api_version: str | None = None,
        system_message: str | None = None,
        concurrency: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        max_retries: int | None = None,
        timeout: float = 600.0,
        drop_params: bool = False,
        **params: Any,
    ) -> None:
        if not (chosen := model_name or model):
            raise UserError(
                "model 'litellm' needs model_name", hint='e.g. "anthropic/claude-3-opus-20240229"'
            )
        for name in OURS.keys() & params.keys():
            raise UserError(
                f"model 'litellm' takes no {name!r}",
                hint=f"use {OURS[name]}" if OURS[name] else "requests are made from the dataset",
            )
        library.installed()
        prefix = f"{provider}/" if provider else ""
        self.model = chosen if chosen.startswith(prefix) else prefix + chosen
        self.api_base, self.api_version, self.drop_params = api_base, api_version, drop_params
        self.system_message = system_message
        self.params = {k: v for k, v in params.items() if not is_secret(k, v)}
        self._own = dict(self.params)
        if isinstance(top := self.params.get("logprobs"), int) and not isinstance(top, bool):
            self._own |= wire.logprobs("chat", top)
        self._hidden = {k: v for k, v in params.items() if is_secret(k, v)}
        self._settings = settings.load()
        self._endpoint = Endpoint(  # which checks what it is given
            base_url=api_base or DEFAULT_BASE,
            api_key=secret(api_key),
            timeout=timeout,
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            max_retries=self._settings.max_retries if max_retries is None else max_retries,
        )
        self._usage, self._images = Usage(), False
        self.answering: set[asyncio.Task[Any]] = set()  # whose request is at the provider
        self._litellm: Any = None
        self._place: int | None = None
        self._provider: Provider | None = None
        self._vetted: set[tuple[Any, ...]] = set()  # names of parameters that go together

    @property
    def label(self) -> str:
        """Backend, provider and model."""
        return f"litellm:{self.model}"

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self._usage

    @property
    def about(self) -> Mapping[str, Any]:
        """What decides a reply, besides the prompt; never a key."""
        told = {
            "api_base": parted(self._base or "")[0],
            **self._chosen_by,
            "environment": {} if self._base else library.addresses(self._whose),
            "api_version": self.api_version,
            "system_message": self.system_message,
            "drop_params": self.drop_params,
        }
        return {
            "model": self.model,
            **{name: value for name, value in told.items() if value},
            **tellable(self.params),
            "litellm": version("litellm"),
        }

    @property
    def _chosen_by(self) -> dict[str, str]:
        """Hashes of the headers and of the query that go with each request."""
        given = [self._hidden.get(name) for name in ("extra_headers", "headers")]
        headers = {
            str(k): str(v) for one in given if isinstance(one, Mapping) for k, v in one.items()
        }
        query = parse_qsl(parted(self._base or "")[1], keep_blank_values=True)
        return hashed(headers=headers.items(), query=query)

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`: by our prices, else by the list inside LiteLLM, once that is loaded."""
        for name in (self.label, self.model):
            if (found := prices.cost(name, usage)) is not None:
                return found
        if self._litellm is None or self._provider is None:
            return None
        if self._is_openai:
            if (found := prices.cost(self._provider.model, usage)) is not None:
                return found
        if prices.untold(usage):
            return None
        sent, made = usage.prompt_tokens, usage.completion_tokens
        return library.price(self._litellm, self._provider, sent, made)

    def fits(self, samples: Sequence[Sample]) -> None:
        """Remember whether there are images; `check` knows whether the model sees."""
        self._images = any(sample.images for sample in samples)

    async def check(self) -> None:
        """Are the provider, its key and the parameters known? Nothing is asked of anybody."""
        litellm, provider = await self._ready()
        if self._images and not self.api_base and library.sees(litellm, provider) is False:
            raise UserError(
                f"{self.label} takes no images", hint="choose a model that sees, or other samples"
            )
        try:
            self._vet(self._own)
        except BackendError as e:
            raise UserError(e.message, hint=e.hint) from None

    async def close(self) -> None:
        """Let go of connections, if no other backend shares them."""
        self.limiter.left(self)
        place, self._place = self._place, None
        if place is not None:
            await library.closed(self._litellm, place)

    async def probe(self) -> None:
        """Raise: no provider tells, through LiteLLM, how likely a given text is."""
        raise UserError(
            "model 'litellm' does not tell how likely options are",
            hint=self.instead("logprobs"),
        )

    def instead(self, feature: str) -> str:
        """Other backends."""
        if "logprobs" not in feature:
            return ""
        return (
            'use model "openai" with endpoint="completions" and a server that echoes '
            'log-probabilities (vLLM), or model "huggingface" or "vllm"'
        )

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A request per prompt, all at once (the limiter holds them back), results in order.

        Raises:
            UserError: no further request can be answered; `finished` has the predictions that
                there are, None for the others.
        """
        if prompts:
            await self._ready()
        with siblings() as call:
            return call.whole(await in_order(call.kept(self._ask(p)) for p in prompts))

    async def _ask(self, prompt: Prompt) -> Prediction:
        if failed := unable(prompt, self.label, TAKEN):
            return failed
        try:
            if prompt.images:  # which are read, and perhaps made smaller, here
                request = await asyncio.to_thread(self._request, prompt)
            else:
                request = self._request(prompt)
            entered = _size(request["messages"]) // BYTES_PER_TOKEN
            reply = await retried(
                lambda: self._once(request, entered),
                self.limiter,
                max_retries=self._endpoint.max_retries,
                answering=self.answering,
                backoff=self._endpoint.backoff,
            )
            if self.drop_params:  # so that one reply is not fewer than were asked for
                request.pop("n", None)
            return prediction_of(prompt.sample_id, reply, request, self._whose)
        except RunError as e:
            return Prediction(sample_id=prompt.sample_id, failure=Failure.of(e, "generate"))

    async def _once(self, request: Mapping[str, Any], entered: int) -> Mapping[str, Any]:
        """One attempt, as a dict in OpenAI's shape."""
        limiter = self.limiter
        async with limiter.slot(entered):
            started, task = limiter.now(), asyncio.current_task()
            assert task is not None
            self.answering.add(task)
            try:
                asked = _copied({**request, **self._asked_as()})
                reply = await self._litellm.acompletion(**asked)
            except Exception as e:  # a provider's code in litellm may raise anything
                error = self._error(e)
                if isinstance(error, BackendError) and error.kind == "rate_limit":
                    limiter.refused(started=started, retry_after=error.retry_after)
                elif isinstance(error, BackendError) and error.kind == "timeout":
                    limiter.pushed_back(started=started)
                raise error from None
            finally:
                self.answering.discard(task)
            body: dict[str, Any] = reply.model_dump(warnings=False)
            used = Usage.of(body)
            self._usage += used
            limiter.corrected(used.prompt_tokens + used.completion_tokens - entered)
            limiter.succeeded(limiter.now() - started, used.completion_tokens)
            if wait := reset_after(headers_of(reply)):
                limiter.pause(wait)
        return body

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        """The request of one prompt, in OpenAI's shape."""
        turn = prompt.turn * int(self.params.get("n") or 1)
        prompt = replace(prompt, turn=turn)
        asked = wire.request("chat", self.model, prompt, self.system_message, self._own)
        if not _is_text(asked["messages"]):
            raise wire.bad("the prompt holds half of a surrogate pair, which no provider reads")
        self._vet({k: v for k, v in asked.items() if k not in ("model", "messages")})
        return asked

    def _asked_as(self) -> dict[str, Any]:
        """Where a request goes, as whom, and that litellm tries once."""
        key = self._key
        given = {
            "api_key": key.reveal() if key else None,
            "api_base": self._base,
            "api_version": self.api_version,
            "drop_params": self.drop_params,
        }
        return {
            **self._hidden,
            **{name: value for name, value in given.items() if value},
            "timeout": self._endpoint.timeout,
            "num_retries": 0,
            "max_retries": 0,
        }

    @property
    def _key(self) -> Secret | None:
        """OpenAI's also stands in the settings, as for every part of this project."""
        if self._endpoint.api_key or not self._is_openai:
            return self._endpoint.api_key
        return self._settings.openai_api_key

    @property
    def _base(self) -> str | None:
        if self.api_base or not self._is_openai:
            return self.api_base
        return self._settings.openai_base_url

    @property
    def _whose(self) -> str:
        """The provider's name; until litellm is loaded, what the model's name begins with."""
        if self._provider is not None:
            return self._provider.called
        prefix, slash, _ = self.model.partition("/")
        return prefix if slash else "openai"

    @property
    def _is_openai(self) -> bool:
        return self._whose == "openai"

    async def _ready(self) -> tuple[Any, Provider]:
        """litellm, and whom it will ask. Raises a `UserError` where it could not."""
        if self._litellm is None or self._provider is None:
            litellm = await asyncio.to_thread(library.load)
            found = library.provider_of(litellm, self.model, self.api_base)
            self._provider = found
            key = self._key
            given = {**self.params, **self._hidden, "api_version": self.api_version}
            given["api_base"] = self._base
            library.check_key(litellm, found, key.reveal() if key else None, given)
            self._litellm = litellm
        if self._place is None:
            self._place = library.opened()
        return self._litellm, self._provider

    def _vet(self, asked: Mapping[str, Any]) -> None:
        """Raise a `BackendError` for a parameter that would be refused, or silently left out."""
        assert self._provider is not None
        shape = asked.get("response_format")
        kind = shape.get("type") if isinstance(shape, Mapping) else type(shape).__name__
        known = (*sorted(asked), kind)
        if self.drop_params or known in self._vetted:
            return
        given = {**asked, **({"api_version": self.api_version} if self.api_version else {})}
        if bad := library.refused(self._litellm, self._provider, given):
            raise BackendError(
                f"{self.label} does not take {', '.join(bad)}",
                kind="bad_request",
                hint="leave it out, or pass drop_params=True to have it left out",
            )
        self._vetted.add(known)

    def _error(self, error: Exception) -> BackendError | UserError:
        key = self._key
        hidden = secrets_in({**self.params, **self._hidden, "api_base": self._base})
        hidden |= {v for v in secrets_in(dict(os.environ)) if len(v) >= IN_ENVIRONMENT}
        hidden |= {key.reveal()} if key else set()
        return error_of(error, self._litellm, self._whose, hidden)

    @property
    def limiter(self) -> Limiter:
        """The limiter that all users of this provider (at this address) share."""
        place = self._base or (DEFAULT_BASE if self._is_openai else f"litellm:{self._whose}")
        told = self._endpoint
        limits = Limits(told.concurrency, told.rpm, told.tpm)
        return shared_limiter(place, id(asyncio.get_running_loop()), self, limits)


def _copied(value: Any) -> Any:
    """The value, with dicts and lists of its own: litellm writes into them, the key among else."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _is_text(messages: Any) -> bool:
    """Can it be written as UTF-8, as litellm will?"""
    try:
        json.dumps(messages, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(messages: Sequence[Mapping[str, Any]]) -> int:
    """Bytes of the texts in a chat: images count by another measure everywhere."""
    total = 0
    for turn in messages:
        content = turn.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        total += sum(len(str(part.get("text") or "").encode()) for part in parts)
    return total
