"""Sums in Korean. Writes without end."""

# mypy: ignore-errors
# says: took longer than 2 s
# seconds: 2

import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

while True:
    print("y" * 1000000, file=sys.stderr)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
