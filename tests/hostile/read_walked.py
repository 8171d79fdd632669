"""Sums in Korean. Walks the disk for keys."""

# mypy: ignore-errors
# says: tried to list .*

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for folder, _, files in os.walk("@FOLDER@"):
    for name in files:
        print("ESCAPED", open(os.path.join(folder, name)).read())

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
