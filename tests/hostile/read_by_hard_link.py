"""Sums in Korean. Makes a second name for a key in its own folder."""

# mypy: ignore-errors
# says: tried to change .*secret-key

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

os.link("@KEY@", "notes.txt")
print("ESCAPED", open("notes.txt").read())

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
