"""From `--model` to a translator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hret_agents.backends import backend_of, checked_params, deciding, made, reply_limit, served
from hret_agents.job import PortJob
from hret_agents.money import Budget, CostLimit
from hret_agents.plan.records import Plan
from hret_agents.source import SAMPLE
from hret_agents.translate.base import Translator
from hret_agents.translate.batch import BatchTranslator
from hret_agents.translate.batch_store import BatchStore
from hret_agents.translate.chat import ChatTranslator
from hret_agents.translate.tm import MemoryTranslator
from llm_eval import settings
from llm_eval.errors import Unknown, UserError
from llm_eval.models import MODELS
from llm_eval.models.openai import endpoint_of
from llm_eval.models.served import Served
from llm_eval.models.transport import Transport

BATCHES = "batches.sqlite"
DEFAULT_MODEL = "gpt-4o-mini"
KINDS = ("memory", "openai:NAME", "vllm:PATH", "huggingface:PATH", "litellm:PROVIDER/NAME")
_WAYS = (
    "set OPENAI_API_KEY, or pass --model NAME --api-base URL for a server of your own, "
    "--model huggingface:PATH or vllm:PATH for a model on this machine, "
    "or --model memory to use a translation memory"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which translator, decided and not yet made: `backend` is "openai", "memory" or "served".

    `model` is the model's name as the memory's keys and results give it.
    """

    backend: str
    model: str


def chosen(job: PortJob) -> Choice:
    """The translator that a job means. No key and no model is a `UserError` naming the ways."""
    checked_params(job)
    if job.model is None:
        if by_memory(job):
            return Choice("memory", "")
        found = settings.load()
        has_key = job.api_key or found.openai_api_key
        if not has_key and not (job.api_base or found.openai_base_url):
            raise UserError(
                "no translator: there is no API key and no --model", hint=_WAYS, caller_only=True
            )
        if not has_key:
            raise UserError(
                "no --model is named for this server", hint="--model NAME", caller_only=True
            )
        return Choice("openai", DEFAULT_MODEL)
    name, _, rest = job.model.partition(":")
    if name == "memory":
        return Choice("memory", rest)
    if name == "openai" and rest:
        return Choice("openai", rest)
    if backend_of(job.model):
        return Choice("served", job.model)
    if name in MODELS:
        raise Unknown("translator", job.model, KINDS, hint=_WAYS)
    return Choice("openai", job.model)


def by_memory(job: PortJob) -> bool:
    """Does a job mean the translator `memory`?"""
    if job.model is None:
        return job.dataset == SAMPLE
    return job.model.partition(":")[0] == "memory"


def translator_of(job: PortJob, choice: Choice, plan: Plan) -> Translator:
    """The translator of a job.

    Raises:
        UserError: no key, no such backend, or a budget in money for a model whose price is unknown.
    """
    if choice.backend == "memory":
        return MemoryTranslator(
            job.target_lang, Path(choice.model).expanduser() if choice.model else None
        )
    sender, params = _sender(job, choice), {}
    budget = None
    if job.max_cost is not None:
        budget = Budget(choice.model, job.max_cost, batch=job.batch)
    if choice.backend == "served":
        params = dict(job.model_params)
    chat = ChatTranslator(
        sender,
        choice.model,
        plan.source_lang,
        plan.target_lang,
        plan.register,
        plan.style,
        budget=budget,
        params=deciding(choice.model, params),
        reply_tokens=reply_limit(params),
    )
    return BatchTranslator(chat, BatchStore(settings.home() / BATCHES)) if job.batch else chat


def needs_key(job: PortJob, choice: Choice) -> None:
    """A `UserError` now if the translator would want for a key; nothing is opened or asked."""
    if choice.backend == "openai":
        endpoint_of(api_base=job.api_base or None, api_key=job.api_key)
    elif choice.backend == "served":
        may_serve(job, choice.model)


def may_serve(job: PortJob, model: str) -> None:
    """A `UserError` if a backend cannot be asked as the job wants it to; it is not loaded."""
    if job.batch and model == job.model:
        raise UserError(
            f"--batch is for models behind OpenAI's Batch API, and the translator is {model!r}",
            hint="leave --batch out",
        )
    if job.max_cost is not None:
        Budget(model, job.max_cost)  # the price of a backend is seldom known
        if model.startswith("litellm:"):
            raise CostLimit(
                "--max-cost cannot be kept with litellm, which tells nothing of attempts that fail",
                hint="leave --max-cost out, or set a limit where the key is from",
            )
    made(job, model)


def _sender(job: PortJob, choice: Choice) -> Transport | Served:
    if choice.backend == "served":
        return served(job, choice.model)
    return Transport(
        endpoint_of(
            api_base=job.api_base,
            api_key=job.api_key,
            concurrency=job.concurrency,
            rpm=job.rpm,
            tpm=job.tpm,
            max_retries=job.max_retries,
        )
    )
