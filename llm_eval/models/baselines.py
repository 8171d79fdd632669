"""Models without a model: chance level, and the proof that a dataset can be scored.

`oracle` answers with the reference, `first` with the first option, `random` with any option
(seeded by the sample, so that a run repeats).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from llm_eval.errors import UserError
from llm_eval.models.asks import stopped, unable
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Prediction, Prompt, Sample, Usage

# what changes nothing in an answer that no model writes, and the inputs that it does not look at
NOTHING_TO = (
    *("stop", "temperature", "top_p", "top_k", "seed", "max_tokens"),
    *("messages", "token_ids", "images"),
)


class _Baseline(BaseModel):
    can = Capabilities(batch=1024)

    def __init__(self) -> None:
        """A baseline takes no parameters."""
        super().__init__()

    def cost(self, usage: Usage) -> float:
        """Nothing."""
        return 0.0

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """An answer per prompt, at once."""
        return [self._replied(p) for p in prompts]

    def _replied(self, prompt: Prompt) -> Prediction:
        choice = prompt.params.get("choice")
        text = self.answer(prompt)
        can = [*NOTHING_TO, "choice"] if choice and text in choice else NOTHING_TO
        if refused := unable(prompt, self.name, can):
            return refused
        return Prediction(sample_id=prompt.sample_id, text=stopped(text, prompt))

    def answer(self, prompt: Prompt) -> str:
        """The reply to one prompt."""
        raise NotImplementedError


class _Chooser(_Baseline):
    def fits(self, samples: Sequence[Sample]) -> None:
        """Every sample needs options."""
        for sample in samples:
            if not sample.options:
                raise UserError(
                    f"the baseline {self.name!r} picks an option; sample {sample.id} has none",
                    hint="use 'oracle', or a real model",
                )


class Oracle(_Baseline):
    """Answers with the reference; with nothing where there is none, which no method scores."""

    name = "oracle"

    def fits(self, samples: Sequence[Sample]) -> None:
        """Some sample needs a reference."""
        if all(s.reference is None for s in samples):
            raise UserError(
                "the baseline 'oracle' needs references, and this dataset gives none",
                hint="its load() gives `reference`; without one, use a real model",
            )

    def answer(self, prompt: Prompt) -> str:
        """The reference itself."""
        return prompt.reference or ""


class First(_Chooser):
    """Answers with the first option."""

    name = "first"

    def answer(self, prompt: Prompt) -> str:
        """The first option."""
        return prompt.options[0]


class Random(_Chooser):
    """Answers with any option, the same one for the same sample and seed."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def answer(self, prompt: Prompt) -> str:
        """An option drawn evenly."""
        return random.Random(f"{self.seed}/{prompt.sample_id}").choice(prompt.options)
