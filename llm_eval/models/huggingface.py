"""The `huggingface` backend: a causal language model of transformers, in this process.

The model lives in one worker thread, so that the event loop goes on; nothing of torch is loaded
before it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from llm_eval.errors import MissingExtra, UserError
from llm_eval.models.base import BaseModel, Capabilities, Done
from llm_eval.models.hf.asking import (
    GenerationParams,
    at_least,
    sampling_of,
    stops,
    template_wanted,
)
from llm_eval.models.hf.thread import Worker
from llm_eval.records import Prediction, Prompt, Usage

if TYPE_CHECKING:
    from llm_eval.models.hf.work import Work

BATCH = {"cpu": 128}  # samples that are sorted by length together
MOST_BATCH = 512
PASSED_ON = (
    *("quantization_config", "load_in_4bit", "load_in_8bit", "attn_implementation", "max_memory"),
    *("offload_folder", "low_cpu_mem_usage", "variant", "subfolder", "use_safetensors"),
    *("cache_dir", "local_files_only", "gguf_file", "tp_plan"),
)


class HuggingFaceModel(BaseModel):
    """A model of the Hub, or of a folder that `save_pretrained` wrote.

    Results are the same whatever the batches, but for rounding. A prompt longer than the context
    is a failure that names both lengths; where the context leaves less room than `max_new_tokens`,
    a reply that fills it ends with finish_reason "context_length". A model that reads images does
    so where a prompt has some. A prompt may have its own parameters: see `Prompt.params`.

    Args:
        model_name_or_path: what to load (`model_name` is taken too).
        tokenizer: a name, a folder or a tokenizer, where the model's own is not the one.
        dtype: "auto" (as saved), "float32", "bfloat16", "float16".
        device: "cuda", "cuda:1", "mps", "cpu"; the fastest there is when left out.
        device_map: e.g. "auto", to spread a model over devices (needs accelerate).
        revision, trust_remote_code: as in transformers.
        batch_size: "auto" finds out what fits; a number is halved where memory runs out.
        max_length: the context in tokens; the model's own when left out.
        apply_chat_template: "auto" where the tokenizer has one, True, False.
        chat_template_kwargs: given to the template, e.g. {"enable_thinking": False}.
        system_message: a turn before the user's; without a template, a text before the prompt.
        max_new_tokens: most tokens of a reply (`max_tokens` is taken too).
        temperature: 0 takes the likeliest token. The log-probability of a reply is the model's own,
            before temperature and cuts, and counts the token that ends it.
        top_p, top_k: cut the unlikely away where temperature is above 0.
        do_sample: follows from temperature; True without one means 1.
        seed: with it, a sample is drawn alike in every run, whatever else is asked. A prompt's own
            seed draws alike whatever the prompt's sample_id.
        stop: a text, or several, that end a reply and are cut off.
        model_kwargs: given to `from_pretrained`; so are the arguments of quantisation by name
            (`quantization_config`, `load_in_4bit`, `bnb_4bit_*`, ...), and attn_implementation.
    """

    name = "huggingface"
    in_process = True

    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        model_name: str | None = None,
        tokenizer: Any = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: Any = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        batch_size: int | Literal["auto"] = "auto",
        max_length: int | None = None,
        apply_chat_template: bool | Literal["auto"] = "auto",
        chat_template_kwargs: Mapping[str, Any] | None = None,
        system_message: str | None = None,
        max_new_tokens: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        top_k: int = 0,
        do_sample: bool | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        model_kwargs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.source = source_of(
            type(self), model_name_or_path or model_name, more, model_kwargs,
            tokenizer=tokenizer, dtype=dtype, device=device, device_map=device_map,
            revision=revision, trust_remote_code=trust_remote_code, max_length=max_length,
        )  # fmt: skip
        if batch_size != "auto":
            at_least(1, batch_size=batch_size)
        template_wanted(apply_chat_template)
        self.batch_size, self.apply_chat_template = batch_size, apply_chat_template
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.system_message = system_message
        most = max_new_tokens if max_new_tokens is not None else max_tokens
        self.asked = GenerationParams(
            sampling=sampling_of(temperature, do_sample, top_p, top_k),
            max_tokens=at_least(1, max_new_tokens=most) or 256,
            seed=at_least(None, seed=seed),
            stop=stops(stop),
        )
        self.params = {"temperature": self.asked.sampling.temperature}
        self.can = _able(apply_chat_template is True, True, MOST_BATCH)  # until it is loaded
        self._usage = Usage()
        self._worker = Worker(self._loaded)

    @property
    def label(self) -> str:
        """Backend and model."""
        return f"huggingface:{self.source['name']}"

    @property
    def usage(self) -> Usage:
        """Tokens read and written so far."""
        return self._usage

    @property
    def about(self) -> dict[str, Any]:
        """All that decides a reply besides the prompt, once `check` has loaded the model: which one
        it is, its precision, device, template, context, and how it is asked."""
        return {} if self._worker.loaded is None else self._worker.loaded.about

    async def check(self) -> None:
        """Load the model; a `UserError` says why it cannot be."""
        await self._worker.do(lambda work, stopped: None)

    async def close(self) -> None:
        """Let the worker thread end. The model stays until this object goes."""
        self._worker.close()

    async def generate(
        self, prompts: Sequence[Prompt], done: Done | None = None
    ) -> list[Prediction]:
        """A reply to each prompt, in order."""
        return await self._told(prompts, lambda work, *how: work.replies(prompts, *how), done)

    async def likelihoods(
        self, prompts: Sequence[Prompt], done: Done | None = None
    ) -> list[Prediction]:
        """For each prompt, in order, how likely each of its options is behind it.

        Options are taken as they stand: where a space belongs between prompt and option, it is the
        prompt's last sign or the option's first. See `llm_eval.models.hf.encoding` for where an
        option's tokens begin. With a chat template the options begin the assistant's turn.
        """
        return await self._told(prompts, lambda work, *how: work.likelihoods(prompts, *how), done)

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """For each prompt, in order, its tokens as the model reads it, each behind those before it.

        With a chat template these are the template's too; `token_ids` are taken as they are.
        """
        return await self._told(prompts, lambda work, *how: work.prompt_logprobs(prompts, *how))

    async def _told(
        self,
        prompts: Sequence[Prompt],
        ask: Callable[[Work, Callable[[], bool], Done], None],
        done: Done | None = None,
    ) -> list[Prediction]:
        """All that the worker thread tells, in order; `done` hears of each as it is told."""
        if not prompts:
            return []
        loop, found = asyncio.get_running_loop(), dict[int, Prediction]()

        def tell(place: int, prediction: Prediction) -> None:
            found[place] = prediction
            self._usage += prediction.usage
            if done is not None and not loop.is_closed():
                loop.call_soon_threadsafe(done, place, prediction)

        await self._worker.do(lambda work, stopped: ask(work, stopped, tell))
        return [found[place] for place in range(len(prompts))]

    def _loaded(self) -> Work:
        from llm_eval.models.hf.work import Work

        work = Work.of(self)
        batch = BATCH.get(work.engine.device.type, MOST_BATCH)
        self.can = _able(work.texts.chat, work.vision is not None, batch)
        return work


def _able(chat: bool, images: bool, batch: int) -> Capabilities:
    return Capabilities(
        logprobs=True,
        prompt_logprobs=True,
        constrained=True,
        chat=chat,
        images=images,
        batch=batch,
    )


def source_of(
    kind: type,
    chosen: str | None,
    more: Mapping[str, Any],
    model_kwargs: Mapping[str, Any] | None,
    **given: Any,
) -> dict[str, Any]:
    """What to load, from the arguments of a backend `kind` (of `hf.loading.Source`).

    Raises:
        UserError: no model is named, or a parameter is unknown or senseless.
        MissingExtra: torch or transformers is not installed.
    """
    what = f"model {getattr(kind, 'name', kind.__name__)!r}"
    for unknown in (k for k in more if k not in PASSED_ON and not k.startswith("bnb_")):
        known = [p for p in signature(kind).parameters if p not in ("self", "more")]
        near = get_close_matches(unknown, [*known, *PASSED_ON], n=1)
        raise UserError(
            f"{what} takes no {unknown!r}",
            hint=(f"did you mean {near[0]!r}? " if near else "")
            + f"its parameters are: {', '.join(known)}; and {', '.join(PASSED_ON)}",
        )
    if not chosen:
        raise UserError(f"{what} needs model_name_or_path", hint='e.g. "Qwen/Qwen3-0.6B"')
    at_least(1, max_length=given.get("max_length"))
    dtype = str(given.pop("dtype")).removeprefix("torch.")
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtra(what, "hf")
    return {
        **given,
        "name": str(chosen),
        "dtype": dtype,
        "arguments": {**(model_kwargs or {}), **more},
    }
