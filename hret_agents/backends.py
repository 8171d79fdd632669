"""Backends as translators and writers: `vllm:PATH`, `huggingface:PATH`, `litellm:PROVIDER/NAME`.

Those that a user has registered are taken too. A backend is loaded once in a process, whoever asks
it; nothing of it is imported before.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hret_agents.job import PortJob
from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models import MODELS, load_model
from llm_eval.secret import Secret, is_secret, tellable

if TYPE_CHECKING:
    from llm_eval.models.served import Served

NAMED = ("huggingface", "vllm", "litellm")  # they take the model's name
_TEMPLATED = ("huggingface", "vllm")  # they know of a model whether it has a chat template
_NEVER = ("openai", "memory", "multi", "oracle", "random", "first")
_LENT = ("api_base", "api_key", "concurrency", "max_retries", "rpm", "tpm")
_LIMITS = ("max_tokens", "max_new_tokens")
_NO_MATTER = frozenset(  # where and how fast a model runs, and what each request says over it
    "batch_size device device_map max_memory offload_folder low_cpu_mem_usage cache_dir tp_plan "
    "local_files_only gpu_memory_utilization max_num_seqs max_num_batched_tokens seed "
    "tensor_parallel_size pipeline_parallel_size data_parallel_size swap_space cpu_offload_gb "
    "enforce_eager enable_prefix_caching disable_log_stats max_length max_model_len concurrency "
    "max_retries timeout rpm tpm temperature do_sample".split()
) | set(_LIMITS)
_loaded: dict[str, _Loaded] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A backend, what it was asked for by, and the `weights` that were there then."""

    served: Served
    asked: str
    weights: str | None


class Sender(Protocol):
    """What requests go to: a `Transport`, or a backend behind `Served`."""

    async def check(self, model: str | None = None) -> object:
        """Raise a `UserError` if it cannot be used."""
        ...


def backend_of(model: str) -> tuple[str, str] | None:
    """(backend, model) that a `--model` names; None where it is no backend's.

    >>> backend_of("huggingface:org/name"), backend_of("openai:gpt-4o"), backend_of("llama3:8b")
    (('huggingface', 'org/name'), None, None)
    """
    name, _, rest = model.partition(":")
    if name in NAMED:
        return (name, rest) if rest else None
    if name not in _NEVER and name in MODELS:
        return name, rest
    return None


def served(job: PortJob, model: str) -> Served:
    """The backend that `model` names, made with the job's `model_params`; not loaded yet.

    Whoever asks for the same one gets the same one, with a usage of their own; to be closed.
    """
    return made(job, model).beside(concurrency=job.concurrency)


def made(job: PortJob, model: str) -> Served:
    """The one object of a backend; a `UserError` where its name or parameters are wrong.

    A folder whose files have changed is another model; the one before it goes with its users.
    """
    from llm_eval.models.served import Served

    params = {**_lent(job, model), **job.model_params}
    asked = json.dumps([model, params], sort_keys=True, default=_plain)
    files = weights(model)
    key = f"{asked} {files}"
    with _lock:
        if key not in _loaded:
            one = Served(load_model(model, **params))
            for old in [k for k, v in _loaded.items() if v.asked == asked and not v.served.users]:
                del _loaded[old]
            _loaded[key] = _Loaded(one, asked, files)
        return _loaded[key].served


async def checked(sender: Sender, model: str) -> None:
    """Load a backend, or see whether an endpoint answers; is it a model that can be asked?

    Raises:
        UserError: it cannot be used, or its weights are of a model that continues texts alone.
    """
    from llm_eval.models.served import Served

    await sender.check(model)
    if isinstance(sender, Served):
        _unchanged(sender, model)
    if isinstance(sender, Served) and sender.model.name in _TEMPLATED and not sender.model.can.chat:
        raise UserError(
            f"{model} has no chat template: it continues texts, and cannot be told what to do",
            hint="name an instruction-tuned model, or pass a tokenizer that has a template: "
            '--model-params \'{"tokenizer": "PATH"}\'',
        )


def _unchanged(sender: Served, model: str) -> None:
    """A `UserError` where other files were loaded than those that replies would be kept under."""
    with _lock:
        for key, one in list(_loaded.items()):
            told = one.served.model.about.get("files") if one.weights else None
            if one.served.model is sender.model and told not in (None, one.weights):
                del _loaded[key]
                raise UserError(
                    f"the files of {model} changed before they were loaded", hint="run it again"
                )


def release() -> None:
    """Let go of every backend that nobody uses: others may need the room."""
    with _lock:
        idle = {key: one for key, one in _loaded.items() if not one.served.users}
        for key in idle:
            del _loaded[key]
    for one in idle.values():
        run_sync(one.served.close())


def reply_limit(params: Mapping[str, Any]) -> int | None:
    """Most tokens of a reply, where the parameters of a backend say one."""
    found = [params[name] for name in _LIMITS if isinstance(params.get(name), int)]
    return found[0] if found else None


def deciding(model: str, params: Mapping[str, Any]) -> str:
    """What a backend's replies depend on besides the name that was given, as one text: some of its
    parameters, and the files of a model in a folder. "" for nothing, and for what is no backend.

    >>> deciding("huggingface:org/name", {"dtype": "bfloat16", "device": "cuda", "batch_size": 8})
    '{"dtype": "bfloat16"}'
    """
    if backend_of(model) is None:
        return ""
    kept = {name: params[name] for name in sorted(params) if name not in _NO_MATTER}
    if files := weights(model):
        kept["files"] = files
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, default=str) if kept else ""


def weights(model: str) -> str | None:
    """A hash of the files of a model that runs in this process from a folder; None for others."""
    from llm_eval.models.hf.identity import of_files

    name, path = backend_of(model) or ("", "")
    return of_files(path) if name in _TEMPLATED and path else None


def checked_params(job: PortJob) -> None:
    """A `UserError` where `model_params` have nobody to go to, or hold a key."""
    if not job.model_params:
        return
    named = [m for m in (job.model, job.module_model, job.plan_model) if m]
    if not any(map(backend_of, named)):
        raise UserError(
            "--model-params are for a backend, and this job names none",
            hint="--model huggingface:PATH, vllm:PATH or litellm:PROVIDER/NAME",
        )
    for name, value in _named(job.model_params):
        if is_secret(name, value) or (isinstance(value, str) and tellable(value) != value):
            raise UserError(
                f"--model-params holds {name!r}: parameters are written down, a key must not be",
                hint="set it in the environment, by the name that its provider has for it",
            )


def _lent(job: PortJob, model: str) -> dict[str, Any]:
    """What the job says of its translator's server, as far as that backend takes it."""
    found = backend_of(model)
    if found is None or model != job.model:
        return {}
    taken = inspect.signature(MODELS.get(found[0])).parameters
    said = {name: getattr(job, name) for name in _LENT if name in taken}
    return {name: value for name, value in said.items() if value is not None}


def _plain(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else repr(value)


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name in nested parameters, with what it names."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name), inner
            yield from _named(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner)
