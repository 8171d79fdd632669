"""Reward models that are served: vLLM's /classify, /pooling and /score, and /predict of Hugging
Face's text-embeddings-inference.

Prompt and reply go as a conversation to the first two, and as a pair of texts to the others. Which
one a server has is tried at `check`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llm_eval.aio import in_order
from llm_eval.errors import AuthError, BackendError, HretError, RunError, UserError
from llm_eval.models.roles import BaseRewardModel, Reward
from llm_eval.models.transport import Endpoint, Transport
from llm_eval.records import Failure, Prompt, Usage
from llm_eval.secret import Secret, parted, secret

Route = Literal["classify", "pooling", "score", "predict"]
ROUTES: tuple[Route, ...] = ("classify", "pooling", "score", "predict")
PROBE = Prompt(sample_id="", text="1 + 1 = ?")


class APIReward(BaseRewardModel):
    """The `api` reward model.

    Args:
        model_name: the model to ask for, where the server wants one.
        api_base: the server's address, with or without /v1.
        api_key: its key. OPENAI_API_KEY is not sent: this is no server of OpenAI's.
        api: "classify", "pooling", "score" (vLLM), "predict" (text-embeddings-inference), or
            "auto" to try them in this order.
        label: which score is the reward, where there are several: its place, or its name
            ("predict").
        raw: the model's own number; False for the probability that the server makes of it.
        concurrency: requests under way; found by trying when left out.
        max_retries: further attempts of a request that failed in transport.
        timeout: seconds for one request.
    """

    name = "api"

    def __init__(
        self,
        model_name: str | None = None,
        *,
        api_base: str | None = None,
        api_key: str | Secret | None = None,
        api: Route | Literal["auto"] = "auto",
        label: int | str | None = None,
        raw: bool = True,
        concurrency: int | None = None,
        max_retries: int = 3,
        timeout: float = 600.0,
    ) -> None:
        super().__init__()
        if not api_base:
            raise UserError(
                "reward model 'api' needs api_base", hint='e.g. "http://localhost:8000"'
            )
        if api not in ("auto", *ROUTES):
            raise UserError(
                f"api={api!r} is none of auto, {', '.join(ROUTES)}", hint="leave it out for auto"
            )
        self.model, self.asked_label, self.raw = model_name, label, raw
        self.route: Route | None = None if api == "auto" else api
        base, query = parted(api_base)
        self.transport = _Lists(
            Endpoint(
                base_url=f"{base.rstrip('/').removesuffix('/v1')}?{query}",
                api_key=secret(api_key),
                timeout=timeout,
                concurrency=concurrency,
                max_retries=max_retries,
            )
        )

    @property
    def label(self) -> str:
        """Reward model and its name."""
        return f"api:{self.model}" if self.model else self.name

    @property
    def usage(self) -> Usage:
        """Requests and tokens so far."""
        return self.transport.usage

    @property
    def about(self) -> Mapping[str, Any]:
        """What decides a reward besides prompt and reply."""
        return {"model": self.model, "api": self.route, "label": self.asked_label, "raw": self.raw}

    async def check(self) -> None:
        """Find out which API the server has, by one reward; a `UserError` where it has none."""
        if self.route is not None:
            return
        said = []
        for route in ROUTES:
            try:
                await self._asked(route, PROBE, "2")
            except AuthError:
                raise
            except HretError as e:
                if isinstance(e, BackendError) and e.kind in ("connection", "timeout"):
                    raise UserError(e.message, hint="is the server running?") from None
                if isinstance(e, BackendError) and e.param == "label":
                    raise UserError(e.message, hint="label=0 is the first of them") from None
                said.append(f"{route}: {e.message}")
            else:
                self.route = route
                return
        raise UserError(
            f"no reward from {self.transport.endpoint.base_url}: {'; '.join(said)}",
            hint='it is served by vllm serve MODEL --runner pooling, or by TEI; api="..." names '
            "the one way to ask it",
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        """A request per item, all at once (the limiter holds them back), results in order."""
        if items:
            await self.check()
        return await in_order(self._one(prompt, reply) for prompt, reply in items)

    async def _one(self, prompt: Prompt, reply: str) -> Reward:
        assert self.route is not None
        try:
            return await self._asked(self.route, prompt, reply)
        except RunError as e:
            return Failure.of(e, "reward")

    async def _asked(self, route: Route, prompt: Prompt, reply: str) -> float:
        body = await self.transport.post(f"/{route}", self.encode(route, prompt, reply))
        return decode(route, body, self.asked_label)

    def encode(self, route: Route, prompt: Prompt, reply: str) -> dict[str, Any]:
        """The request for one reply.

        Raises:
            BackendError: the prompt holds what the route cannot carry.
        """
        named = {"model": self.model} if self.model else {}
        if prompt.images or prompt.token_ids:
            said = "a reward model is asked in text: no images, no token_ids"
            raise BackendError(said, kind="bad_request")
        if route in ("classify", "pooling"):
            turns = list(prompt.messages) or [{"role": "user", "content": prompt.text}]
            messages = [*turns, {"role": "assistant", "content": reply}]
            return {**named, "messages": messages, "use_activation": not self.raw}
        if prompt.messages:
            said = f"/{route} takes a text and a reply, and no conversation"
            raise BackendError(said, kind="bad_request")
        if route == "score":
            pair = {"text_1": prompt.text, "text_2": reply}
            return {**named, **pair, "use_activation": not self.raw}
        return {"inputs": [prompt.text, reply], "raw_scores": self.raw}


def decode(route: Route, body: Mapping[str, Any], label: int | str | None) -> float:
    """The reward in a reply.

    Raises:
        BackendError: there is none, or several and `label` does not say which.
    """
    try:
        numbers = _numbers(route, body["data"])
    except (KeyError, IndexError, TypeError, ValueError):
        said = f"the reply of /{route} holds no score"
        raise BackendError(said, kind="malformed") from None
    found = list(numbers.values())
    if isinstance(label, str):
        found = [numbers[label]] if label in numbers else []
    elif label is not None:
        found = found[label : label + 1] if label >= 0 else []
    if len(found) != 1:
        known = ", ".join(list(numbers)[:10])
        said = f"/{route} told {len(numbers)} scores ({known}): name one by label="
        raise BackendError(said, kind="malformed", param="label")
    if not math.isfinite(found[0]):
        raise BackendError(f"/{route} told {found[0]} as score", kind="malformed")
    return found[0]


def _numbers(route: Route, data: Any) -> dict[str, float]:
    """Scores by label; by place where there are no labels."""
    if route == "predict":
        told = data[0] if isinstance(data[0], list) else data
        return {str(t["label"]): float(t["score"]) for t in told}
    (one,) = data
    if route == "score":
        return {"0": float(one["score"])}
    values = one["probs"] if route == "classify" else one["data"]
    if values and isinstance(values[0], list):
        values = values[-1]  # a score per token: the last has read everything
    return {str(i): float(v) for i, v in enumerate(values)}


class _Lists(Transport):
    """A transport for servers that answer with a list: it stands under "data" then."""

    def _read(self, status: int, headers: Mapping[str, str], raw: bytes) -> Mapping[str, Any]:
        if status < 400 and raw.lstrip()[:1] == b"[":
            try:
                return {"data": json.loads(raw)}
            except ValueError:
                pass
        return super()._read(status, headers, raw)
