"""Sums in Korean. Makes a link to a key in its own folder and reads that."""

# mypy: ignore-errors
# says: tried to open .*notes.txt

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

os.symlink("@KEY@", "notes.txt")
print("ESCAPED", open("notes.txt").read())

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
