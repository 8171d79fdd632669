"""The `huggingface` backend: a causal language model of transformers, in this process.

The model lives in one worker thread, so that the event loop goes on; nothing of torch is loaded
before it is needed.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llm_eval.errors import MissingExtra, UserError
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Prediction, Prompt, Usage

if TYPE_CHECKING:
    from llm_eval.models.hf.work import Work

R = TypeVar("R")
BATCH = 512  # samples that are sorted by length together
PASSED_ON = (
    *("quantization_config", "load_in_4bit", "load_in_8bit", "attn_implementation", "max_memory"),
    *("offload_folder", "low_cpu_mem_usage", "variant", "subfolder", "use_safetensors"),
    *("cache_dir", "local_files_only", "gguf_file", "tp_plan"),
)


class HuggingFaceModel(BaseModel):
    """A model of the Hub, or of a folder that `save_pretrained` wrote.

    Results are the same whatever the batches, but for rounding. A prompt longer than the context
    is a failure that names both lengths; where the context leaves less room than `max_new_tokens`,
    a reply that fills it ends with finish_reason "context_length".

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
        seed: with it, a sample is drawn alike in every run, whatever else is asked.
        stop: a text, or several, that end a reply and are cut off.
        model_kwargs: given to `from_pretrained`; so are the arguments of quantisation by name
            (`quantization_config`, `load_in_4bit`, `bnb_4bit_*`, ...), and attn_implementation.
    """

    name = "huggingface"

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
        for unknown in (k for k in more if k not in PASSED_ON and not k.startswith("bnb_")):
            known = [p for p in signature(HuggingFaceModel).parameters if p != "more"]
            raise UserError(
                f"model 'huggingface' takes no {unknown!r}",
                hint=f"its parameters are: {', '.join(known)}; and {', '.join(PASSED_ON)}",
            )
        if not (chosen := model_name_or_path or model_name):
            raise UserError(
                "model 'huggingface' needs model_name_or_path", hint='e.g. "Qwen/Qwen3-0.6B"'
            )
        self.source: dict[str, Any] = {
            "name": str(chosen),
            "tokenizer": tokenizer,
            "dtype": str(dtype).removeprefix("torch."),
            "device": device,
            "device_map": device_map,
            "revision": revision,
            "trust_remote_code": trust_remote_code,
            "max_length": _at_least(1, max_length=max_length),
            "arguments": {**(model_kwargs or {}), **more},
        }
        if batch_size != "auto":
            _at_least(1, batch_size=batch_size)
        if apply_chat_template not in ("auto", True, False):
            raise UserError(
                f"apply_chat_template={apply_chat_template!r} is none of auto, true, false"
            )
        self.batch_size, self.apply_chat_template = batch_size, apply_chat_template
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.system_message = system_message
        most = max_new_tokens if max_new_tokens is not None else max_tokens
        self.max_new_tokens = _at_least(1, max_new_tokens=most) or 256
        self.sampling = _sampling(temperature, do_sample, top_p, top_k)
        self.params = {"temperature": self.sampling["temperature"]}
        self.seed = seed
        self.stop = [stop] if isinstance(stop, str) else list(stop)
        if not all(isinstance(s, str) and s for s in self.stop):
            raise UserError(f"stop={stop!r} holds what is no text")
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtra("model 'huggingface'", "hf")
        self.can = Capabilities(logprobs=True, chat=apply_chat_template is True, batch=BATCH)
        self._pool: ThreadPoolExecutor | None = None
        self._work: Work | None = None
        self._usage = Usage()
        self._lock = threading.Lock()  # a thread that was let go of may still end its step

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
        """What decides a result besides the prompt: template, precision, device, length."""
        return {} if self._work is None else self._work.about

    async def check(self) -> None:
        """Load the model; a `UserError` says why it cannot be."""
        await self._in_thread(lambda work, stopped: None)

    async def close(self) -> None:
        """Let the worker thread end. The model stays until this object goes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """A reply to each prompt, in order."""
        seen: Counter[str] = Counter()
        dice = []
        for prompt in prompts:
            seed = f"{self.seed}/{prompt.sample_id}/{seen[prompt.sample_id]}"
            dice.append(random.Random(None if self.seed is None else seed))
            seen[prompt.sample_id] += 1
        return await self._told(prompts, lambda work, stopped: work.replies(prompts, dice, stopped))

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """For each prompt, in order, how likely each of its options is behind it.

        Options are taken as they stand: where a space belongs between prompt and option, it is the
        prompt's last sign or the option's first. See `llm_eval.models.hf.encoding` for where an
        option's tokens begin. With a chat template the options begin the assistant's turn.
        """
        return await self._told(prompts, lambda work, stopped: work.likelihoods(prompts, stopped))

    async def _told(
        self, prompts: Sequence[Prompt], ask: Callable[[Work, Callable[[], bool]], list[Prediction]]
    ) -> list[Prediction]:
        found = await self._in_thread(ask) if prompts else []
        self._usage = sum((p.usage for p in found), self._usage)
        return found

    async def _in_thread(self, do: Callable[[Work, Callable[[], bool]], R]) -> R:
        """`do` in the worker thread, which is told when nobody waits any longer."""
        gone = threading.Event()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "hret-huggingface")

        def work() -> R:
            with self._lock:
                if self._work is None:
                    self._work = self._loaded()
                return do(self._work, gone.is_set)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except asyncio.CancelledError:
            gone.set()
            raise

    def _loaded(self) -> Work:
        from llm_eval.models.hf.work import Work

        work = Work.of(self)
        self.can = Capabilities(logprobs=True, chat=work.texts.chat, batch=BATCH)
        return work


def _at_least(least: int, **given: Any) -> int | None:
    ((name, value),) = given.items()
    if value is not None and (type(value) is not int or value < least):
        raise UserError(f"{name}={value!r} is no whole number of at least {least}")
    return value if value is None else int(value)


def _sampling(
    temperature: float | None, do_sample: bool | None, top_p: float, top_k: int
) -> dict[str, Any]:
    if temperature is None:
        temperature = 1.0 if do_sample else 0.0
    if not isinstance(temperature, int | float) or not 0 <= temperature < 1e6:
        raise UserError(f"temperature={temperature!r} is no number of at least 0")
    if do_sample and temperature == 0:
        raise UserError("do_sample=True with temperature=0", hint="leave one of them out")
    if not isinstance(top_p, int | float) or not 0 < top_p <= 1:
        raise UserError(f"top_p={top_p!r} is not above 0 and at most 1")
    return {
        "temperature": 0.0 if do_sample is False else float(temperature),
        "top_p": float(top_p),
        "top_k": _at_least(0, top_k=top_k) or 0,
    }
