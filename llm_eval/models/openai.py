"""Any server that speaks the OpenAI protocol: OpenAI itself, vLLM, FastChat, TGI, llama.cpp.

What is sent and what is read stands in `openai_wire`; the one line that sends is `Transport.post`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from llm_eval.aio import in_order
from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models import openai_wire as wire
from llm_eval.models import prices
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.models.endpoint import by_name, endpoint_of, hashed
from llm_eval.models.openai_likelihood import INSTEAD, Echo
from llm_eval.models.openai_server import Server
from llm_eval.models.openai_wire import decode, reply_text
from llm_eval.models.siblings import current, siblings
from llm_eval.models.transport import Transport
from llm_eval.records import Failure, Prediction, Prompt, Sample, Usage
from llm_eval.secret import Secret, secrets_in, tellable

__all__ = ["OpenAIModel", "decode", "endpoint_of", "reply_text"]

MOST = 128  # choices of one request, the most that OpenAI gives


class OpenAIModel(BaseModel):
    """The `openai` backend.

    Likelihoods and prompt log-probabilities come from a completions endpoint that echoes; a chat
    endpoint tells none. See `llm_eval.models.openai_likelihood` for where an option's tokens begin.
    Prompts of one sample that follow each other go out as one request for several choices, where
    the server gives as many.

    Args:
        model_name: the model to ask for (`model` is taken too).
        api_base, api_key: default to OPENAI_BASE_URL (or OPENAI_API_BASE) and OPENAI_API_KEY.
        endpoint: "chat" or "completions".
        system_message: put before each chat; before the text, for completions.
        concurrency: requests under way; found by trying when left out.
        rpm, tpm: requests and tokens a minute.
        max_retries: further attempts of a request that failed in transport.
        timeout: seconds for one request.
        extra_body: goes into each request as it stands, likelihoods included.
        extra_headers: go with each request.
        params: all else goes into the request (`max_tokens`, `temperature`, `seed`, `stop`, `n`,
            `reasoning_effort`, `response_format`, ...). Of `logprobs`, as in a prompt's parameters:
            how many of the likeliest tokens to tell; True is what the endpoint makes of it.
    """

    name = "openai"
    can = Capabilities(constrained=True, chat=True, images=True)

    def __init__(
        self,
        model_name: str | None = None,
        *,
        model: str | None = None,
        api_base: str | None = None,
        api_key: str | Secret | None = None,
        endpoint: wire.Endpoint = "chat",
        system_message: str | None = None,
        concurrency: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        max_retries: int | None = None,
        timeout: float = 600.0,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> None:
        if not (chosen := model_name or model):
            raise UserError("model 'openai' needs model_name", hint='e.g. "gpt-4o-mini"')
        if endpoint not in wire.PATHS:
            raise UserError(
                f"endpoint {endpoint!r} is neither 'chat' nor 'completions'",
                hint="leave it out for chat",
            )
        self.model, self.endpoint, self.params = chosen, endpoint, params
        self.system_message, self.extra = system_message, by_name("extra_body", extra_body)
        self._own = _sent(endpoint, params) | self.extra
        if self._own.get("stream"):
            raise UserError("model 'openai' reads no stream", hint="leave 'stream' out")
        self._served: dict[str, str] = {}
        where = endpoint_of(
            api_base=api_base,
            api_key=api_key,
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            max_retries=max_retries,
            timeout=timeout,
            extra_headers=extra_headers,
        )
        hidden = frozenset(secrets_in({**params, "extra_body": self.extra}))
        self.transport = Transport(replace(where, hidden=hidden))
        if endpoint == "completions":
            self.can = Capabilities(logprobs=True, prompt_logprobs=True, constrained=True)
        self._server = Server(self.transport, endpoint, self._question)
        self._echo = Echo(self._server, chosen, self.extra)

    @property
    def label(self) -> str:
        """Backend and model."""
        return f"openai:{self.model}"

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self.transport.usage

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, address, endpoint and what goes into each request; no key, nor what is named like
        one. Headers and the address's query, by which a gateway may choose the model, are hashed.

        `served` is what stands behind the model's name, where the server says it, as vLLM does: the
        same name for other weights is another model.
        """
        where = self.transport.endpoint
        return {
            "model": self.model,
            **({"served": self._served} if self._served else {}),
            "api_base": where.base_url,
            **hashed(headers=where.headers, query=where.query_params.items()),
            "endpoint": self.endpoint,
            "system_message": self.system_message,
            "params": tellable({**self.params, **self.extra}),
        }

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`; None where the model's price is unknown."""
        return prices.cost(self.model, usage)

    async def check(self) -> None:
        """Does the endpoint answer, and take the key?"""
        entry = await self.transport.check(self.model)
        self._served = {k: str(entry[k]) for k in ("root", "parent") if entry.get(k)}

    async def probe(self) -> None:
        """Are the log-probabilities of a prompt real? Two short requests, once.

        Raises:
            UserError: they are not, or this is a chat endpoint.
        """
        if self.endpoint == "chat":
            raise UserError(
                "a chat endpoint does not tell how likely a prompt's tokens are (logprobs)",
                hint=self.instead("logprobs"),
            )
        await self._echo.ready()

    def instead(self, feature: str) -> str:
        """A server that echoes, or replies in place of likelihoods."""
        if "logprobs" not in feature:
            return ""
        return f"pass endpoint='completions' if the server has one that echoes; else use {INSTEAD}"

    def fits(self, samples: Sequence[Sample]) -> None:
        """Raise a `UserError` where samples have images and this is a completions endpoint."""
        if self.endpoint == "completions" and any(s.images for s in samples):
            raise UserError(
                "the samples have images, and the completions endpoint takes none",
                hint="leave endpoint='completions' out: chat takes images",
            )

    async def constraint(self) -> str:
        """How this server holds replies to a choice: a parameter's name, found by asking, once.

        Raises:
            BackendError: it does not.
        """
        return await self._server.constraint()

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A request per prompt, all at once (the limiter holds them back), results in order.

        Prompts of one sample that follow each other, equal but for their turn, are one request.

        Raises:
            UserError: no further request can be answered; `finished` has the predictions that
                there are, None for the others.
        """
        with siblings() as call:
            if len(prompts) == 1:
                return call.whole([await self._single(prompts[0])])
            runs = [list(run) for _, run in groupby(prompts, lambda p: p.sample_id)]
            found = await in_order(self._run(run) for run in runs)
            return call.whole([prediction for run in found for prediction in run])

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """For each prompt, in order, how likely each of its options is behind it.

        Options are taken as they stand. The likeliest one is the text.

        Raises:
            UserError: as `generate`.
        """
        await self.probe()
        with siblings() as call:
            return call.whole(await in_order(call.kept(self._weighed(p)) for p in prompts))

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order, whose `detail` is the prompt, token by token.

        A prompt's `logprobs` parameter says how many of the likeliest tokens are told at each.
        """
        await self.probe()
        with siblings() as call:
            return call.whole(await in_order(call.kept(self._told(p)) for p in prompts))

    def encode(self, prompt: Prompt) -> dict[str, Any]:
        """The request of one prompt, its choice left out.

        Raises:
            BackendError: this endpoint cannot take what the prompt holds.
        """
        return wire.request(self.endpoint, self.model, prompt, self.system_message, self._own)

    async def _run(self, run: Sequence[Prompt]) -> list[Prediction | None]:
        """The predictions of a sample's prompts: one request for all of them where that goes."""
        first = replace(run[0], turn=0)
        alike = "n" not in self._own and all(replace(p, turn=0) == first for p in run[1:])
        if len(run) == 1 or not alike:
            return await in_order(self._single(p) for p in run)
        parts = _parts(run, seeded="seed" in self._own or "seed" in first.params)
        found = await in_order(self._choices(part[0], len(part)) for part in parts)
        return [prediction for part in found for prediction in part]

    async def _single(self, prompt: Prompt) -> Prediction | None:
        """The prediction of one prompt, the further choices that were asked for beside it."""
        number = int(self._own.get("n") or 1)
        prompt = replace(prompt, turn=prompt.turn * number)
        choices = await self._choices(prompt, number)
        if number == 1:
            return choices[0]
        found = [p for p in choices if p is not None]
        if len(found) < number:
            return None
        usage = sum((p.usage for p in found), Usage())
        good = [p for p in found if p.failure is None] or found[:1]
        others = tuple(p.text for p in good[1:] if p.text is not None)
        return replace(good[0], alternatives=others, usage=usage)

    async def _choices(self, prompt: Prompt, number: int) -> list[Prediction | None]:
        """So many replies to a prompt, None for those that an error of the whole call kept back.

        What one request does not bring is asked for singly, a choice that broke off too. The first
        carries what all choices of its request cost.
        """
        found: list[Prediction | None] = [None] * number
        if number > 1 and self._server.several:
            try:
                told = await current().kept(self._asked(prompt, number))
                if told is None:
                    return found
                found[: len(told)] = told[:number]
            except RunError as e:
                if not (isinstance(e, BackendError) and wire.is_about(e, "n")):
                    return [_failed(prompt, e)] * number
                self._server.several = False
        owed = [i for i, p in enumerate(found) if p is None or _broke_off(p)]
        turns = [replace(prompt, turn=prompt.turn + i) for i in owed]
        for place, again in zip(owed, await in_order(map(self._alone, turns)), strict=True):
            cost = before.usage if (before := found[place]) else Usage()
            found[place] = again and replace(again, usage=cost + again.usage)
        return found

    async def _alone(self, prompt: Prompt) -> Prediction | None:
        try:
            told = await current().kept(self._asked(prompt, 1))
        except RunError as e:
            return _failed(prompt, e)
        return told[0] if told else None

    async def _asked(self, prompt: Prompt, number: int) -> list[Prediction]:
        """A prediction for each choice of one reply; the first one carries what all cost."""
        request = await asyncio.to_thread(self.encode, prompt) if prompt.images else None
        request = self.encode(prompt) if request is None else request
        if number > 1 or "n" in request:
            request = {**request, "n": number} if number > 1 else _without(request, "n")
        choice, way = prompt.params.get("choice"), ""
        if choice:
            way = await self._server.constraint()
            request |= wire.constraint(way, choice)
        body = await self._server.post(request)
        found = [_decoded(prompt, told, way) for told in wire.choices(body)]
        if len(found) < number:
            self._server.several = False
        first, *others = found
        return [replace(first, usage=Usage.of(body)), *others]

    async def _weighed(self, prompt: Prompt) -> Prediction:
        try:
            if prompt.token_ids:
                raise wire.bad("options behind token ids cannot be weighed; give the text")
            text = wire.shown(prompt, self.system_message)
        except RunError as e:
            return _failed(prompt, e, "likelihoods")
        found, usage = await self._echo.weighed(text, prompt.options)
        options = tuple(f for f in found if not isinstance(f, RunError))
        for error in found:
            if isinstance(error, RunError):
                return replace(_failed(prompt, error, "likelihoods"), usage=usage)
        best = max(range(len(options)), key=lambda i: options[i].logprob, default=None)
        said = None if best is None else prompt.options[best]
        return Prediction(sample_id=prompt.sample_id, text=said, options=options, usage=usage)

    async def _told(self, prompt: Prompt) -> Prediction:
        top = int(prompt.params.get("logprobs") or 0)
        try:
            text = prompt.token_ids or wire.shown(prompt, self.system_message)
            told, usage = await self._echo.tokens(text, max(1, top))
        except RunError as e:
            return _failed(prompt, e, "prompt_logprobs")
        detail = tuple(t.token if top else replace(t.token, top=()) for t in told)
        return Prediction(sample_id=prompt.sample_id, detail=detail, usage=usage)

    def _question(self) -> dict[str, Any]:
        words = "Say one word: teal or umber."
        asked = self.encode(Prompt(sample_id="", text=words))
        return _without(asked, "n", "stop", "response_format", "logprobs", "top_logprobs")


def _sent(endpoint: wire.Endpoint, params: Mapping[str, Any]) -> dict[str, Any]:
    """A backend's parameters as requests hold them."""
    sent = dict(params)
    told = sent.get("logprobs")
    if endpoint == "chat" and isinstance(told, int) and not isinstance(told, bool):
        sent = _without(sent, "top_logprobs") | wire.logprobs(endpoint, told)
    elif endpoint == "completions" and isinstance(told, bool):
        top = sent.pop("top_logprobs", 1)
        sent = {**sent, "logprobs": top} if told else _without(sent, "logprobs")
    return sent


def _parts(run: Sequence[Prompt], *, seeded: bool) -> list[list[Prompt]]:
    """Prompts of a sample by request. With a seed their turns have no gap: choices count on."""
    parts: list[list[Prompt]] = []
    for prompt in run:
        last = parts[-1][-1].turn if parts else 0
        gap = seeded and prompt.turn not in (last, last + 1)
        if not parts or gap or len(parts[-1]) == MOST:
            parts.append([])
        parts[-1].append(prompt)
    return parts


def _without(request: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in request.items() if k not in names}


def _decoded(prompt: Prompt, choice: Mapping[str, Any], way: str) -> Prediction:
    """The prediction of one choice of a reply, a failure where it is not what was asked for."""
    try:
        reply = wire.reply_of(choice)
        if way:
            reply = wire.held(way, reply, prompt.params["choice"])
        untold = reply.text and not reply.detail and reply.finish != "refusal"
        if prompt.params.get("logprobs") is not None and untold:
            raise wire.bad("the server told no log-probabilities of the reply (logprobs)")
    except RunError as e:
        return _failed(prompt, e)
    return wire.prediction(prompt.sample_id, reply)


def _broke_off(told: Prediction) -> bool:
    return told.failure is not None and told.failure.retryable


def _failed(prompt: Prompt, error: RunError, where: str = "generate") -> Prediction:
    return Prediction(sample_id=prompt.sample_id, failure=Failure.of(error, where))
