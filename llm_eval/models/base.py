"""What a backend is, and what one offers.

A backend is asked in batches: `generate` takes prompts and gives predictions, the same number in
the same order; what failed carries a `Failure`. `generate_batch` is the same in the dicts that
haerae-evaluation-toolkit users know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.records import Prediction, Prompt, Sample, Usage
from llm_eval.registry import Registry


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, asked before the first request.

    `batch` is how many samples one call takes: 1 over HTTP, hundreds for an engine in-process.
    """

    generate: bool = True
    logprobs: bool = False
    chat: bool = False
    images: bool = False
    batch: int = 1


class BaseModel:
    """Base class of backends. Subclasses set `name` and `can`, and write `generate`."""

    name: str = "model"
    can: Capabilities = Capabilities()

    @property
    def label(self) -> str:
        """How results name this model."""
        return self.name

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return Usage()

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order."""
        raise NotImplementedError(f"{type(self).__name__} has no generate()")

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """One prediction per prompt, in order, each with the likelihoods of its options."""
        raise NotImplementedError(f"{type(self).__name__} has no likelihoods()")

    def fits(self, samples: Sequence[Sample]) -> None:
        """Raise a `UserError` if the model can do nothing with these samples."""

    async def check(self) -> None:
        """Raise a `UserError` if the model cannot be used; called before the first sample."""

    async def close(self) -> None:
        """Let go of connections."""

    def generate_batch(
        self, inputs: Sequence[Mapping[str, Any]], return_logits: bool = False, **_: Any
    ) -> list[dict[str, Any]]:
        """`inputs` (dicts with `input`, `options`?, ...) with `prediction` added to each.

        A sample that failed has `prediction` None and an `error`.
        """
        if return_logits:
            require(self, "logprobs", "return_logits=True")
        samples = [_sample(i, item) for i, item in enumerate(inputs)]
        if samples:
            self.fits(samples)
        predictions = run_sync(self.generate([Prompt.of(s) for s in samples]))
        return [_with(item, p) for item, p in zip(inputs, predictions, strict=True)]


def _sample(index: int, item: Mapping[str, Any]) -> Sample:
    options, reference = item.get("options"), item.get("reference")
    return Sample(
        index=index,
        input=str(item["input"]),
        options=() if options is None else tuple(map(str, options)),
        reference=None if reference is None else str(reference),
    )


def _with(item: Mapping[str, Any], prediction: Prediction) -> dict[str, Any]:
    error = {"error": prediction.failure.to_dict()} if prediction.failure else {}
    return {**item, "prediction": prediction.text, **error}


def require(backend: BaseModel, feature: str, wanted_by: str) -> None:
    """A `UserError` now rather than at sample 900 when `backend` does not offer `feature`."""
    if not getattr(backend.can, feature):
        raise UserError(
            f"{wanted_by} needs {feature}, which backend {backend.name!r} does not offer"
        )


MODELS: Registry[type[BaseModel]] = Registry(
    "model",
    {
        "openai": "llm_eval.models.openai:OpenAIModel",
        "oracle": "llm_eval.models.baselines:Oracle",
        "random": "llm_eval.models.baselines:Random",
        "first": "llm_eval.models.baselines:First",
    },
)
