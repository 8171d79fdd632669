"""Sums in Korean. Overflows the stack."""

# mypy: ignore-errors
# says: RecursionError|ended|took longer
# seconds: 4

import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

sys.setrecursionlimit(10**8)


def again():
    return again()


again()

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
