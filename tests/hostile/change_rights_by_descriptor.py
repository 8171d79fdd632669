"""Sums in Korean. Changes the rights of a file that it may read."""

# mypy: ignore-errors
# says:

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

held = os.open(__file__, os.O_RDONLY)
os.fchmod(held, 0o777)
raise ValueError("rights changed?")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
