"""One question to a chat model, paid once: the reply is kept before it is used.

For what is asked beside the translation: the module writer and `--plan-model`. Replies lie in
`HRET_HOME/asked`, a file each, by the hash of model, messages and parameters.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.backends import backend_of, checked, deciding, reply_limit, served
from hret_agents.job import PortJob
from hret_agents.money import Budget, CostLimit
from hret_agents.request_params import RequestParams
from hret_agents.translate.chat import PATH
from hret_agents.translators import Choice, may_serve
from llm_eval import settings
from llm_eval.aio import run_sync
from llm_eval.errors import RETRYABLE, BackendError, Unknown, UserError
from llm_eval.files import write_text
from llm_eval.models import MODELS
from llm_eval.models.openai import endpoint_of, reply_text
from llm_eval.models.prices import cost
from llm_eval.models.served import Served
from llm_eval.models.transport import Endpoint, Transport
from llm_eval.records import Usage
from llm_eval.secret import Secret

log = logging.getLogger(__name__)
Message = Mapping[str, str]
PARAMETERS: Mapping[str, Any] = {"temperature": 0}
LONGEST = 8_000  # tokens of a reply under a budget, or of a backend in this process
_AGAIN = "run the same command again: nothing is paid twice"


class Asker:
    """Asks a chat model behind an OpenAI-compatible endpoint, or a backend.

    Args:
        model: `NAME`, `openai:NAME`, or a backend: `vllm:PATH`, `huggingface:PATH`, ...
        job: what a backend's parameters are taken from.
        api_base, api_key: default to the settings.
        max_retries: further attempts of a request that failed in transport.
        max_cost: USD that this run may spend, of which `spent` are gone.

    Raises:
        UserError: no key, a name that is no model's, or a budget for a model of unknown price.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key: str | Secret | None = None,
        max_retries: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        max_cost: float | None = None,
        spent: float = 0.0,
        job: PortJob | None = None,
    ) -> None:
        self.model = model_name(model)
        self.usage = Usage()
        self._endpoint: Endpoint | None = None
        self._job = replace(job or PortJob(dataset=""), max_cost=max_cost)
        self._params = dict(self._job.model_params) if backend_of(self.model) else {}
        if backend_of(self.model):
            may_serve(self._job, self.model)
        else:
            self._endpoint = endpoint_of(
                api_base=api_base, api_key=api_key, max_retries=max_retries, rpm=rpm, tpm=tpm
            )
        self._max_cost, self._spent = max_cost, spent
        self._budget = None
        if max_cost is not None:
            self._budget = Budget(self.model, max(0.0, max_cost - spent))
        self._request = RequestParams(PARAMETERS)
        self._most = reply_limit(self._params) or LONGEST

    @property
    def cost(self) -> float | None:
        """USD spent by this asker; None where the model's price is unknown."""
        return cost(self.model, self.usage) if self.usage.requests else 0.0

    def scrub(self, text: str) -> str:
        """`text` without the key, should it occur."""
        key = self._endpoint.api_key if self._endpoint else self._job.api_key
        return key.scrub(text) if key else text

    def check(self) -> None:
        """Does the endpoint answer, and take the key? Costs nothing."""
        run_sync(self._checked())

    def ask(self, messages: Sequence[Message]) -> str:
        """The reply to `messages`; the kept one if they were asked before.

        Raises:
            BackendError: the model refused, was cut short, or said nothing: asking again is no use.
            UserError: it could not be asked, or the budget has no room for it.
        """
        messages = [{key: _text(value) for key, value in m.items()} for m in messages]
        path = kept_at(self.model, messages, deciding(self.model, self._params))
        record = _kept(path)
        if record is None or (_cut_by_us(record) and not self._budget):
            record = run_sync(self._asked(messages))
            try:
                write_text(path, json.dumps(record))
            except OSError as e:  # it is paid for: better used once than lost
                log.warning("%s cannot be written, so this reply is not kept: %s", path, e)
        return _said(record)

    def _sender(self) -> Transport | Served:
        """A client for one question."""
        if self._endpoint is None:
            return served(self._job, self.model)
        return Transport(self._endpoint)

    async def _checked(self) -> None:
        transport = self._sender()
        try:
            await checked(transport, self.model)
        finally:
            await transport.close()

    async def _asked(self, messages: Sequence[Message]) -> dict[str, Any]:
        """The record of a reply, a refusal among them."""
        transport = self._sender()
        try:
            body = await self._send(transport, messages)
            text, finish = reply_text(body)
            failure = None
        except BackendError as e:
            if e.kind in RETRYABLE:
                raise UserError(
                    f"{self.model}: {e.message}", hint=_AGAIN, caller_only=True
                ) from None
            if not transport.usage.requests:  # it was refused before it cost anything
                raise
            text, failure = "", [e.kind, e.message]
            finish = "length" if e.kind == "length" else None
        finally:
            self.usage += transport.usage
            await transport.close()
        limit = self._request.limit(self._most)[1] if self._budget else None
        record = {"model": self.model, "text": text, "finish": finish, "limit": limit}
        return record | {"failure": failure}

    async def _send(
        self, transport: Transport | Served, messages: Sequence[Message]
    ) -> Mapping[str, Any]:
        """Send; a parameter that this server refuses is left out."""
        in_process = isinstance(transport, Served) and transport.in_process
        while True:
            more, limit = dict(self._request.optional), self._request.limit(self._most)
            if self._budget or in_process:
                more |= [limit]
            payload = {"model": self.model, "messages": list(messages), **more}
            try:
                if self._budget is None:
                    return await transport.post(PATH, payload)
                return await self._within(self._budget, transport, payload, limit[1])
            except BackendError as e:
                if not self._request.adapted(e, more):
                    raise

    async def _within(
        self, budget: Budget, transport: Transport | Served, payload: Mapping[str, Any], limit: int
    ) -> Mapping[str, Any]:
        """Send what there is money for at its worst: every byte a token, the longest reply."""
        size = len(json.dumps(payload, ensure_ascii=False).encode())
        worst = Usage(1, size, limit)
        if not budget.reserve(worst):
            spent = self._spent + budget.spent
            raise CostLimit(
                f"{spent:.4f} USD are spent, and asking {self.model} might exceed "
                f"--max-cost {self._max_cost:g}",
                hint="raise --max-cost, or do without this model: nothing is paid twice",
            )
        budget.settle(worst, Usage())
        async with budget.reserved(worst) as reserved:
            body = await transport.post(PATH, payload, lost=reserved.lost)
            reserved.told(Usage.of(body))
            return body


def model_name(model: str) -> str:
    """The model that `NAME` or `openai:NAME` means, or a backend as it stands.

    A baseline's name, the memory's, and a backend's without a model are `Unknown`.
    """
    name, _, rest = model.partition(":")
    if name == "openai" and rest:
        return rest
    if backend_of(model):
        return model
    if name.strip() in ("", "openai", "memory") or name in MODELS:
        raise Unknown(
            "model to ask",
            model,
            ["openai:NAME"],
            hint="NAME or openai:NAME of a chat model, vllm:PATH, huggingface:PATH",
        )
    return model


def asker_of(job: PortJob, model: str, spent: float | None = 0.0) -> Asker:
    """An asker for a job, of whose `max_cost` so many USD are spent already."""
    return Asker(
        model,
        api_base=job.api_base,
        api_key=job.api_key,
        max_retries=job.max_retries,
        rpm=job.rpm,
        tpm=job.tpm,
        max_cost=job.max_cost,
        spent=spent or 0.0,
        job=job,
    )


def models_asked(job: PortJob) -> dict[str, str]:
    """The models that a job asks besides its translator: "plan" and "module" to a name.

    Raises:
        UserError: one is no model's name, or its number of repairs is none.
    """
    if job.module_repairs < 0:
        raise UserError(
            f"--module-repairs {job.module_repairs} is less than 0", hint="0 is one try"
        )
    named = {"plan": job.plan_model, "module": job.module_model}
    return {what: model_name(model) for what, model in named.items() if model is not None}


def may_ask(job: PortJob) -> None:
    """A `UserError` now if a model that the job asks besides its translator cannot be asked."""
    for model in models_asked(job).values():
        asker_of(job, model).check()


def module_model(job: PortJob, choice: Choice | None) -> str | None:
    """Who writes the module: the job's module model; for a guide prompt else the translator."""
    if job.module_model is not None:
        return model_name(job.module_model)
    if job.guide_prompt and choice is not None and choice.backend != "memory":
        return choice.model
    return None


def kept_at(model: str, messages: Sequence[Message], params: str = "") -> Path:
    """Where the reply of `model` to `messages` is kept; `params` are a backend's own."""
    said = {**PARAMETERS, "params": params} if params else dict(PARAMETERS)
    question = {"model": model, "messages": list(messages), "parameters": said}
    text = json.dumps(question, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return settings.home() / "asked" / f"{digest}.json"


def _text(value: str) -> str:
    """`value` as it can be sent: half a surrogate pair, which a reply may hold, cannot."""
    return value.encode("utf-8", "replace").decode()


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    fields = {"text", "finish", "limit", "failure"}
    return record if isinstance(record, dict) and fields <= record.keys() else None


def _cut_by_us(record: Mapping[str, Any]) -> bool:
    return record["finish"] == "length" and record["limit"] is not None


def _said(record: Mapping[str, Any]) -> str:
    if record["failure"]:
        kind, message = record["failure"]
        raise BackendError(message, kind=kind)
    if record["finish"] == "length":
        raise BackendError("the reply was cut at its length limit", kind="length")
    return str(record["text"])
