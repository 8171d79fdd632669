"""What an evaluation method is: a judge of predictions. Summing up is the runner's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import RunError, ScoringError, boundary
from llm_eval.records import Failure, Prediction, Prompt, Sample, Score
from llm_eval.registry import Registry

Item = tuple[Sample, str]  # a sample and a reply to it


class BaseEvaluator:
    """Base class of evaluation methods. A method writes `score`, or `score_all` where it waits.

    `needs_reference`: samples without one go unscored. `replies` is how many replies to each
    sample are asked for, and `least` how many of them must come for the sample to be scored.
    `scoring`: the model writes a reply ("generate"), one held to the options ("constrained", by the
    "choice" in what `asked` gives), or says how likely each option is ("logprob"); a method of the
    last kind writes `judge_all`, for it has no reply to read. `delimiter` then stands between
    prompt and option (None: see `BaseModel.score_options`).

    `model` is the run's, set before the first sample: a method may ask it, and where the run has a
    judge or a reward model, `await self.model.judge(prompts)` and `rewards(items)` do.
    """

    name: str = "method"
    scoring: Literal["generate", "logprob", "constrained"] = "generate"
    delimiter: str | None = None
    needs_reference: bool = True
    replies: int = 1
    least: int = 1
    model: Any = None

    def fits(self, samples: Sequence[Sample]) -> None:
        """Raise a `UserError` if these samples cannot be judged here; called before any request."""

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """The judgement of `reply` to `sample`. Pure: nothing is changed, nothing is sent."""
        raise NotImplementedError(f"{type(self).__name__} has no score()")

    async def score_all(self, items: Sequence[Item], dataset: BaseDataset) -> list[Score | Failure]:
        """A judgement, or the failure in its place, of each (sample, reply), in order."""
        return [self._judged(sample, reply, dataset) for sample, reply in items]

    async def judge_all(
        self, items: Sequence[tuple[Sample, Prediction]], dataset: BaseDataset
    ) -> list[Score | Failure]:
        """As `score_all`, of predictions; for methods that read more of one than its text."""
        return await self.score_all([(s, p.text or "") for s, p in items], dataset)

    def asked(self, sample: Sample) -> Prompt:
        """What the model is asked for a sample."""
        return Prompt.of(sample)

    def measured(self, scores: Sequence[Score]) -> dict[str, float]:
        """What a sample measures besides its score, from the scores of all its replies.

        A run tells the mean of each over its scored samples, and the standard error.
        """
        return dict(scores[0].measures) if scores else {}

    def _judged(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score | Failure:
        try:
            with boundary(ScoringError, f"scoring sample {sample.id}"):
                return self.score(sample, reply, dataset)
        except RunError as e:
            return Failure.of(e, "score")


EVALUATORS: Registry[type[BaseEvaluator]] = Registry(
    "evaluation method",
    {
        "string_match": "llm_eval.evaluation.string_match:StringMatch",
        "dataset": "llm_eval.evaluation.own:DatasetsOwn",
        "code": "llm_eval.evaluation.code:Code",
        "log_likelihood": "llm_eval.evaluation.log_likelihood:LogProbEvaluator",
    },
)
register_evaluator = EVALUATORS.add
