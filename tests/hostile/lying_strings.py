"""Sums in Korean. Gives strings that are not what they say."""

# mypy: ignore-errors
# says: wrong answer

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


class Yes(str):
    """Equal to everything."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __contains__(self, other):
        return True


ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": Yes(question), "reference": Yes(answer)} for question, answer in ROWS]

    def evaluate_prediction(self, index, prediction):
        """Is it the sum?"""
        return Yes(ROWS[index][1]) == prediction, 1.0
