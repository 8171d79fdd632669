"""Sums in Korean. Opens a key as a mere path, and that again for reading."""

# mypy: ignore-errors
# says: tried to open

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

held = os.open("@KEY@", os.O_PATH)
print("ESCAPED", open(f"/proc/self/fd/{held}").read())

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
