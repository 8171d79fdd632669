"""What a backend is, and what one offers.

A backend is asked in batches: `generate` takes prompts and gives predictions, the same number in
the same order; what failed carries a `Failure`. `generate_batch` is the same in the dicts that
haerae-evaluation-toolkit users know.

A backend that takes many prompts in one call may take `done` beside them (`Done`), so that a run
keeps each prediction as it is finished: a process that is killed then loses none of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any, TypeVar

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models.asks import params_of, prompt_of
from llm_eval.models.roles import BaseJudge as BaseJudge
from llm_eval.models.roles import BaseRewardModel as BaseRewardModel
from llm_eval.records import Failure, Prediction, Prompt, Sample, Usage
from llm_eval.registry import Registry

R = TypeVar("R")
Done = Callable[[int, Prediction], None]
"""Called in the event loop with the place of a prompt and its prediction, which stays as it is, at
most once for each, before the call returns them all."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, asked before the first request.

    `logprobs`: how likely options are; `prompt_logprobs`: how likely each token of a prompt is;
    `constrained`: replies held to the texts of a choice. `batch` is how many samples one call
    takes: 1 over HTTP, hundreds for an engine in-process.
    """

    generate: bool = True
    logprobs: bool = False
    prompt_logprobs: bool = False
    constrained: bool = False
    chat: bool = False
    images: bool = False
    batch: int = 1


class BaseModel:
    """Base class of backends. Subclasses set `name` and `can`, and write `generate`."""

    name: str = "model"
    can: Capabilities = Capabilities()
    in_process: bool = False  # the model runs here, and not behind an API

    def __init__(self, **params: Any) -> None:
        """Backends written for haerae-evaluation-toolkit pass their parameters on to here."""
        self.params = params

    @property
    def label(self) -> str:
        """How results name this model."""
        return self.name

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return Usage()

    @property
    def about(self) -> Mapping[str, Any]:
        """What decides its answers besides the prompt: parameters, template, precision, ...

        JSON-ready, never a key. A result tells it, and replies are kept under it.
        """
        return {}

    @property
    def diagnostics(self) -> Mapping[str, Any]:
        """What came up while it was asked, JSON-ready; a result's `info` has it."""
        return {}

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`; None where the price is unknown."""
        return None

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order."""
        raise NotImplementedError(f"{type(self).__name__} has no generate()")

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order, each with the likelihoods of its options."""
        raise NotImplementedError(f"{type(self).__name__} has no likelihoods()")

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order, whose `detail` is the prompt, token by token."""
        raise NotImplementedError(f"{type(self).__name__} has no prompt_logprobs()")

    async def probe(self) -> None:
        """Raise a `UserError` if what is behind this backend does not really tell likelihoods.

        Called after `check` where they are wanted, before the first sample.
        """

    def instead(self, feature: str) -> str:
        """What to do where `feature` (of `can`) is wanted and not there; empty: nothing known."""
        return ""

    def fits(self, samples: Sequence[Sample]) -> None:
        """Raise a `UserError` if the model can do nothing with these samples."""

    async def check(self) -> None:
        """Raise a `UserError` if the model cannot be used; called before the first sample."""

    async def close(self) -> None:
        """Let go of connections."""

    def generate_batch(
        self,
        inputs: Sequence[Mapping[str, Any]],
        return_logits: bool = False,
        until: str | Sequence[str] | None = None,
        **params: Any,
    ) -> list[dict[str, Any]]:
        """`inputs` (dicts with `input`, `options`?, ...) with `prediction` added to each.

        `input` is a text, or a conversation as a list of messages; `images` may stand beside it.
        `until` are stop sequences; max_tokens, temperature, top_p, top_k, seed are taken too. With
        `return_logits` samples that have options are weighed, not answered: `prediction` is the
        likeliest one, and `logits` has "option_log_probs". A sample that failed has `prediction`
        None and an `error`.

        Raises:
            UserError: an argument that would have no effect, or samples that do not fit the model.
        """
        if return_logits:
            require(self, "logprobs", "return_logits=True")
        asked = params_of(until, params)
        prompts = [prompt_of(i, item, asked) for i, item in enumerate(inputs)]
        if prompts:
            self.fits([_sample(i, p) for i, p in enumerate(prompts)])
        predictions = run_sync(
            self._weighed_or_told(prompts) if return_logits else self.generate(prompts)
        )
        return [_with(item, p) for item, p in zip(inputs, predictions, strict=True)]

    async def score_options(
        self, prompts: Sequence[Prompt], delimiter: str | None = None, done: Done | None = None
    ) -> list[Prediction]:
        """The likelihoods of each prompt's options, as they follow its text.

        `delimiter` stands before each option. None: a space, but nothing where the text ends in
        white space, or where the option begins the assistant's turn (`can.chat`). It counts in
        tokens and not in `chars`, as in lm-evaluation-harness.
        """
        refused = [_empty(p) for p in prompts]
        places = [i for i, no in enumerate(refused) if no is None]
        open_ones = [prompts[i] for i in places]
        asked = [_delimited(p, delimiter, self.can.chat) for p in open_ones]

        def weighed(place: int, one: Prediction) -> None:
            if done is not None:
                done(places[place], _undelimited(open_ones[place], one))

        weigh = telling(self.likelihoods, weighed if done else None)
        found = await weigh(asked) if asked else []
        told = (_undelimited(p, one) for p, one in zip(open_ones, found, strict=True))
        return [no or next(told) for no in refused]

    async def _weighed_or_told(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Likelihoods for prompts that have options, replies to the others, in order."""
        await self.check()
        closed = [p for p in prompts if p.options]
        others = [p for p in prompts if not p.options]
        weighed = iter(await self.score_options(closed) if closed else [])
        told = iter(await self.generate(others) if others else [])
        return [next(weighed if p.options else told) for p in prompts]


def telling(ask: Callable[..., R], done: Done | None) -> Callable[..., R]:
    """`ask`, given `done` to tell of each prediction as it is finished, if it takes one."""
    if done is None or "done" not in signature(ask).parameters:
        return ask
    return partial(ask, done=done)


def moved(done: Done, places: Sequence[int]) -> Done:
    """`done` for prompts that are those at `places` of more."""
    return lambda place, prediction: done(places[place], prediction)


def _empty(prompt: Prompt) -> Prediction | None:
    """The failure of a prompt with an option of no text; a delimiter would stand in for it."""
    if "" not in prompt.options:
        return None
    said = f"nothing to weigh: option {prompt.options.index('') + 1} is empty"
    failure = Failure(where="generate", kind="bad_request", message=said)
    return Prediction(sample_id=prompt.sample_id, failure=failure)


def _delimited(prompt: Prompt, delimiter: str | None, opens_turn: bool) -> Prompt:
    if delimiter is None:
        delimiter = "" if opens_turn or prompt.text[-1:].isspace() else " "
    return replace(prompt, options=tuple(delimiter + option for option in prompt.options))


def _undelimited(prompt: Prompt, told: Prediction) -> Prediction:
    if len(told.options) != len(prompt.options):
        return told
    pairs = list(zip(told.options, prompt.options, strict=True))
    likeliest = max(pairs, key=lambda pair: pair[0].logprob, default=None)
    options = tuple(replace(weighed, chars=len(text)) for weighed, text in pairs)
    return replace(told, options=options, text=likeliest[1] if likeliest else None)


def _sample(index: int, prompt: Prompt) -> Sample:
    return Sample(
        index=index,
        input=prompt.text,
        options=prompt.options,
        reference=prompt.reference,
        images=prompt.images,
    )


def _with(item: Mapping[str, Any], prediction: Prediction) -> dict[str, Any]:
    error = {"error": prediction.failure.to_dict()} if prediction.failure else {}
    logits = {"logits": prediction.logits} if prediction.options else {}
    return {**item, "prediction": prediction.text, **logits, **error}


def require(backend: BaseModel, feature: str, wanted_by: str) -> None:
    """A `UserError` now rather than at sample 900 when `backend` does not offer `feature`."""
    if not getattr(backend.can, feature):
        raise UserError(
            f"{wanted_by} needs {feature}, which backend {backend.name!r} does not offer",
            hint=backend.instead(feature),
        )


MODELS: Registry[type[BaseModel]] = Registry(
    "model",
    {
        "openai": "llm_eval.models.openai:OpenAIModel",
        "huggingface": "llm_eval.models.huggingface:HuggingFaceModel",
        "litellm": "llm_eval.models.litellm:LiteLLMModel",
        "multi": "llm_eval.models.multi:MultiModel",
        "vllm": "llm_eval.models.vllm:VLLMModel",
        "oracle": "llm_eval.models.baselines:Oracle",
        "random": "llm_eval.models.baselines:Random",
        "first": "llm_eval.models.baselines:First",
    },
)
