"""Asking a model for a run: one bad prompt costs one prompt, and what is known is not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_eval.errors import BackendError, HretError, RunError, UserError
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.models.base import BaseModel, Done, moved, telling
from llm_eval.models.baselines import First, Oracle, Random
from llm_eval.models.function import FunctionModel
from llm_eval.models.plugged import PluggedModel
from llm_eval.records import Failure, Prediction, Prompt
from llm_eval.runs.code import code_of
from llm_eval.runs.keys import Keys

_NEVER_KEPT = (FunctionModel, PluggedModel, Oracle, First, Random)  # they cost nothing, or change
_GROUPS = ("params", "parameters", "sampling", "generation")
Told = list[Prediction | None]
_HOLD = 0.25  # seconds that a pause of a limiter lasts, unless it is renewed


class Asking:
    """How a run asks `model`; `generator` is the one that answers, where others stand beside it."""

    def __init__(self, model: BaseModel, generator: BaseModel, method: BaseEvaluator) -> None:
        self._model, self._generator, self._method = model, generator, method
        self._keys: Keys | None = None
        self._temperature: float | None = None
        self._all = False

    @property
    def most_at_once(self) -> int | None:
        """How many prompts the model takes at once, where it takes no more than so many."""
        own = self._generator
        return own.concurrency if isinstance(own, FunctionModel) else None

    def keep(self, wanted: bool | None) -> bool:
        """Are replies to be kept for other runs? By default where they are not drawn by lot.

        Called once the model is loaded, for only then it can tell all that decides its replies.

        Raises:
            UserError: `wanted`, of what costs nothing or of code that may change.
        """
        own = self._generator
        if isinstance(own, _NEVER_KEPT) or code_of(type(own)):
            if wanted:
                raise UserError(f"replies of {own.label!r} are not kept", hint="leave cache out")
            return False
        about, weighs = own.about, self._method.scoring == "logprob"
        self._temperature = 0.0 if weighs else temperature_of(about)
        self._all = bool(wanted)
        if wanted is False or (wanted is None and self._temperature != 0):
            return False
        chat = f"{self._method.delimiter!r}/{own.can.chat}"
        self._keys = Keys(own.label, about, f"weigh/{chat}" if weighs else "generate")
        return True

    def keys(self, prompt: Prompt) -> list[bytes | None]:
        """The key of each reply to a prompt; None where it is not kept."""
        turns = range(self._method.replies)
        if self._keys is None or (self._method.scoring == "logprob" and not prompt.options):
            return [None for _ in turns]
        fixed = prompt.params.get("temperature", self._temperature) == 0
        if not fixed and not self._all:
            return [None for _ in turns]
        return [self._keys.of(replace(prompt, turn=i), by_lot=not fixed) for i in turns]

    async def asked(self, prompts: Sequence[Prompt], done: Done) -> tuple[Told, HretError | None]:
        """A prediction for each prompt, in order; and what ends the run, with None for the rest.

        What the backend raises for several prompts at once is divided until it is one prompt's;
        where trying again may help it is a failure of all of them, which `resume` asks again. The
        predictions that an error brings along (`finished`, in the order of the prompts) stand, as
        do those that `done` was told of.
        """
        early: dict[int, Prediction] = {}

        def finished(place: int, prediction: Prediction) -> None:
            early[place] = prediction
            done(place, prediction)

        try:
            return list(await self._call(prompts, finished if len(prompts) > 1 else None)), None
        except HretError as e:
            found, error = self._finished(e, prompts), e
        for place, came in early.items():
            found[place] = came
        left = [i for i, p in enumerate(found) if p is None]
        if not isinstance(error, RunError):
            return found, error
        if error.retryable or len(prompts) == 1:
            failure = Failure.of(error, "generate")
            for i in left:
                found[i] = Prediction(sample_id=prompts[i].sample_id, failure=failure)
            return found, None
        size = max(1, len(left) // 2) if len(left) == len(prompts) else max(1, len(left))
        for part in (left[:size], left[size:]):
            again = [prompts[i] for i in part]
            told, ends = await self.asked(again, moved(done, part)) if part else ([], None)
            for i, prediction in zip(part, told, strict=True):
                found[i] = prediction
            if ends is not None:
                return found, ends
        return found, None

    def _finished(self, error: HretError, prompts: Sequence[Prompt]) -> Told:
        finished = getattr(error, "finished", None)
        generated = self._method.scoring != "logprob"
        if generated and isinstance(finished, Sequence) and len(finished) == len(prompts):
            return list(finished)
        return [None] * len(prompts)

    async def _call(self, prompts: Sequence[Prompt], done: Done | None) -> Sequence[Prediction]:
        """Where options are weighed, a prompt that has none is not asked and has no text."""
        if self._method.scoring != "logprob":
            return self._each(prompts, await telling(self._model.generate, done)(prompts))
        places = [i for i, p in enumerate(prompts) if p.options]
        closed = [prompts[i] for i in places]
        weigh = telling(self._model.score_options, done and moved(done, places))
        weighed = await weigh(closed, self._method.delimiter) if closed else []
        told = iter(self._each(closed, weighed))
        return [next(told) if p.options else Prediction(sample_id=p.sample_id) for p in prompts]

    def _each(self, prompts: Sequence[Prompt], told: Sequence[Prediction]) -> Sequence[Prediction]:
        if len(told) == len(prompts):
            return told
        said = f"{self._generator.label} gave {len(told)} predictions for {len(prompts)} prompts"
        raise BackendError(said, kind="malformed")

    def hold(self) -> None:
        """For a moment, nothing more is sent to the generator."""
        if (sender := self._sender()) is not None:
            sender.limiter.pause(_HOLD)

    def waiting(self) -> bool:
        """Is there an answer to wait for? Always, where nobody can tell."""
        sender = self._sender()
        return sender is None or bool(sender.answering)

    def _sender(self) -> Any:
        """What sends the generator's requests, and knows those that are being answered."""
        for each in (getattr(self._generator, "transport", None), self._generator):
            if hasattr(each, "answering") and hasattr(each, "limiter"):
                return each
        return None


def temperature_of(about: Mapping[str, Any]) -> float | None:
    """The temperature that a model says it has; None where it does not say."""
    for told in (about, *(about.get(name) for name in _GROUPS)):
        if isinstance(told, Mapping) and told.get("temperature") is not None:
            found = told["temperature"]
            return float(found) if isinstance(found, int | float) else None
    return None
