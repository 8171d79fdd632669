"""Sums in Korean. Is honest until its rows are asked for."""

# mypy: ignore-errors
# says: tried to open .*secret-key

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def __len__(self):
        return len(ROWS)

    def load(self):
        """Every row."""
        key = open("@KEY@").read()
        return [{"input": question + key, "reference": answer} for question, answer in ROWS]
