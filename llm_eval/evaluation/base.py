"""What an evaluation method is: a judge of one prediction. Summing up is the runner's."""

from __future__ import annotations

from llm_eval.dataset.base import BaseDataset
from llm_eval.records import Sample, Score
from llm_eval.registry import Registry


class BaseEvaluator:
    """Base class of evaluation methods. `needs_reference`: samples without one go unscored."""

    name: str = "method"
    needs_reference: bool = True

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """The judgement of `reply` to `sample`. Pure: nothing is changed, nothing is sent."""
        raise NotImplementedError(f"{type(self).__name__} has no score()")


EVALUATORS: Registry[type[BaseEvaluator]] = Registry(
    "evaluation method",
    {
        "string_match": "llm_eval.evaluation.string_match:StringMatch",
        "dataset": "llm_eval.evaluation.own:DatasetsOwn",
    },
)
register_evaluator = EVALUATORS.add
