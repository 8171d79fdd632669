"""Backends written for haerae-evaluation-toolkit: classes that write `generate_batch` alone.

`generate_batch(self, inputs: list[dict], return_logits=False, until=None, **kwargs) -> list[dict]`
is called in one thread, a batch after another, with dicts as that toolkit's runner gives them.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models.asks import stopped, unable
from llm_eval.models.base import BaseModel, Capabilities, Done
from llm_eval.models.dicts import Item, each
from llm_eval.models.served_asks import shown
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Usage
from llm_eval.secret import scrubbed, secrets_in, tellable

BATCH = 64  # what is asked again one by one where a call breaks off
NAMES = {"max_tokens": ("max_tokens", "max_new_tokens"), "stop": ("until", "stop")}


def is_plugged(kind: type) -> bool:
    """Does a class write `generate_batch` (or `judge_batch`) and no `generate` of ours?"""
    if issubclass(kind, BaseModel):
        batch = kind.generate_batch is not BaseModel.generate_batch
        return batch and kind.generate is BaseModel.generate
    return _batch_method(kind) is not None


def _batch_method(kind: type) -> str | None:
    methods = ("generate_batch", "judge_batch")
    return next((m for m in methods if callable(getattr(kind, m, None))), None)


class PluggedModel(BaseModel):
    """An object with `generate_batch`, as a backend. A judge's `judge_batch` is taken too.

    Args:
        inner: the object.
        name: how results call it.
        params: what it was made with; told in results, but for keys.
    """

    def __init__(self, inner: Any, name: str, params: Mapping[str, Any] | None = None) -> None:
        method = _batch_method(type(inner))
        if method is None:
            raise UserError(
                f"{type(inner).__name__} has no generate_batch()",
                hint="give it generate_batch(), or pass a function",
            )
        self.inner, self.name = inner, name
        self.params = dict(params if params is not None else getattr(inner, "params", None) or {})
        self._call, self._method = getattr(inner, method), f"{type(inner).__name__}.{method}"
        self._takes = inspect.signature(self._call).parameters
        self._anything = any(p.kind is p.VAR_KEYWORD for p in self._takes.values())
        self._own = inner if isinstance(inner, BaseModel) else None
        images = bool(getattr(inner, "is_vision_model", False))
        self.can = Capabilities(logprobs="return_logits" in self._takes, images=images, batch=BATCH)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def label(self) -> str:
        """Name, and the model where the class keeps one."""
        for key in ("model_name_or_path", "model_name"):
            chosen = getattr(self.inner, key, None) or self.params.get(key)
            if isinstance(chosen, str):
                return f"{self.name}:{chosen}"
        return self.name

    @property
    def usage(self) -> Usage:
        """What the object says that it spent."""
        return self._own.usage if self._own else Usage()

    @property
    def about(self) -> Mapping[str, Any]:
        """Class and parameters. The code behind them may change, so no reply is kept by this."""
        return {"class": type(self.inner).__qualname__, "params": tellable(self.params)}

    def cost(self, usage: Usage) -> float | None:
        """What the object says."""
        return self._own.cost(usage) if self._own else None

    async def check(self) -> None:
        """The object's own check, where it has one."""
        if self._own:
            await self._own.check()

    async def close(self) -> None:
        """Let the thread end."""
        if self._own:
            await self._own.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    async def probe(self) -> None:
        """Ask once whether log-probabilities of options come back."""
        (told,) = await self.likelihoods([Prompt(sample_id="", text="1 + 1 =", options=("2", "3"))])
        if told.failure:
            raise UserError(
                f"{self.name} does not tell how likely options are: {told.failure.message}",
                hint='generate_batch(..., return_logits=True) sets item["logits"]'
                '["option_log_probs"], a number per option',
            )

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order."""
        return await self._asked(prompts, logits=False)

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The `option_log_probs` of each prompt, in order."""
        return await self._asked(prompts, logits=True)

    async def score_options(
        self, prompts: Sequence[Prompt], delimiter: str | None = None, done: Done | None = None
    ) -> list[Prediction]:
        """As they are: a class of that toolkit puts its own space before an option."""
        if delimiter is None:
            return await self.likelihoods(prompts)
        return await super().score_options(prompts, delimiter, done)

    async def _asked(self, prompts: Sequence[Prompt], logits: bool) -> list[Prediction]:
        prompts = [_as_text(p) if p.messages else p for p in prompts]
        found: dict[int, Prediction] = {}
        groups: dict[str, list[int]] = {}
        for i, prompt in enumerate(prompts):
            if refused := unable(prompt, self._method, self._able()):
                found[i] = refused
            else:
                groups.setdefault(repr(sorted(prompt.params.items())), []).append(i)
        for group in groups.values():
            told = await self._called([prompts[i] for i in group], logits)
            found |= {
                i: self._prediction(prompts[i], t, logits) for i, t in zip(group, told, strict=True)
            }
        return [found[i] for i in range(len(prompts))]

    def _able(self) -> list[str]:
        named = {ours: NAMES.get(ours, (ours,)) for ours in ("max_tokens", "temperature", "top_p")}
        named |= {ours: NAMES.get(ours, (ours,)) for ours in ("top_k", "seed", "stop")}
        able = [ours for ours, theirs in named.items() if any(t in self._takes for t in theirs)]
        return [*able, "images"] if self.can.images else able

    async def _called(self, prompts: Sequence[Prompt], logits: bool) -> list[Item | RunError]:
        arguments: dict[str, Any] = {}
        if "return_logits" in self._takes or (logits and self._anything):
            arguments["return_logits"] = logits
        for ours, value in prompts[0].params.items():
            names = [n for n in NAMES.get(ours, (ours,)) if n in self._takes]
            if value is not None:
                arguments[names[0]] = value
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "hret-plugged")

        def work() -> list[Item | RunError]:
            def call(given: list[Item]) -> Any:
                return self._call(given, **arguments)

            return each(call, [_item(p) for p in prompts], self._method, "prediction")

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _prediction(self, prompt: Prompt, told: Item | RunError, logits: bool) -> Prediction:
        if not isinstance(told, RunError):
            try:
                return _read(prompt, told, self._method, logits)
            except RunError as e:
                told = e
        failure = Failure.of(told, "generate")
        said = scrubbed(failure.message, secrets_in(self.params))
        return Prediction(sample_id=prompt.sample_id, failure=replace(failure, message=said))


def _as_text(prompt: Prompt) -> Prompt:
    """A conversation as one text, with its pictures beside it: such a class knows no turns."""
    contents = [m.get("content") for m in prompt.messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
    images = (*prompt.images, *urls)
    return replace(prompt, text=shown(prompt.messages), messages=(), images=images)


def _item(prompt: Prompt) -> Item:
    """A prompt as that toolkit's runner gives it."""
    item: Item = {"input": prompt.text, "reference": prompt.reference}
    if prompt.options:
        item["options"] = list(prompt.options)
    if prompt.images:
        item["images"] = list(prompt.images)
    return item


def _read(prompt: Prompt, told: Item, name: str, logits: bool) -> Prediction:
    if error := told.get("error"):
        raise BackendError(f"{name}: {str(error)[:500]}", kind="bad_request")
    options = _options(prompt, told, name) if logits else ()
    text, finish = told.get("prediction"), told.get("finish_reason")
    if text is None:  # a judge's way
        said = (told.get(key) for key in ("judge_explanation", "judge_score"))
        text = next((str(s) for s in said if s is not None), None)
    if options:
        text = prompt.options[max(range(len(options)), key=lambda i: options[i].logprob)]
    if not isinstance(text, str):
        wrong = f"{name} gave {type(text).__name__} as prediction, not str"
        raise BackendError(wrong, kind="malformed")
    thought = told.get("chain_of_thought")
    return Prediction(
        sample_id=prompt.sample_id,
        text=text if options else stopped(text, prompt),
        finish_reason=finish if isinstance(finish, str) else None,
        options=options,
        reasoning=thought if isinstance(thought, str) else None,
    )


def _options(prompt: Prompt, told: Item, name: str) -> tuple[Continuation, ...]:
    logits = told.get("logits")
    given = logits.get("option_log_probs") if isinstance(logits, Mapping) else None
    try:
        numbers = [float(n) for n in given or ()]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != len(prompt.options) or not all(map(math.isfinite, numbers)):
        said = f"{name} gave no option_log_probs of its {len(prompt.options)} options"
        raise BackendError(said, kind="malformed")
    counts = logits.get("option_tokens") if isinstance(logits, Mapping) else None
    known = isinstance(counts, list) and len(counts) == len(numbers)
    return tuple(
        Continuation(logprob=n, tokens=int(counts[i]) if known and counts else 0, chars=len(text))
        for i, (n, text) in enumerate(zip(numbers, prompt.options, strict=True))
    )
