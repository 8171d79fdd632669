"""Models without a model: chance level, and the proof that a dataset can be scored.

`oracle` answers with the reference, `first` with the first option, `random` with any option
(seeded by the sample, so that a run repeats).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from llm_eval.errors import UserError
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Prediction, Prompt


class _Baseline(BaseModel):
    can = Capabilities(batch=1024)

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """An answer per prompt, at once."""
        return [Prediction(sample_id=p.sample_id, text=self.answer(p)) for p in prompts]

    def answer(self, prompt: Prompt) -> str:
        """The reply to one prompt."""
        raise NotImplementedError

    def _options(self, prompt: Prompt) -> tuple[str, ...]:
        if not prompt.options:
            raise UserError(
                f"the baseline {self.name!r} picks an option; sample {prompt.sample_id} has none",
                hint="use 'oracle', or a real model",
            )
        return prompt.options


class Oracle(_Baseline):
    """Answers with the reference."""

    name = "oracle"

    def answer(self, prompt: Prompt) -> str:
        """The reference itself."""
        if prompt.reference is None:
            raise UserError(
                f"the baseline 'oracle' needs a reference, and sample {prompt.sample_id} has none",
                hint="the dataset's load() gives `reference`; without one, use a real model",
            )
        return prompt.reference


class First(_Baseline):
    """Answers with the first option."""

    name = "first"

    def answer(self, prompt: Prompt) -> str:
        """The first option."""
        return self._options(prompt)[0]


class Random(_Baseline):
    """Answers with any option, the same one for the same sample and seed."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def answer(self, prompt: Prompt) -> str:
        """An option drawn evenly."""
        dice = random.Random(f"{self.seed}/{prompt.sample_id}")
        return dice.choice(self._options(prompt))
