"""Sums in Korean. Fills the disk."""

# mypy: ignore-errors
# says: MB to disk|File too large

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

with open("big", "wb") as file:
    while True:
        file.write(bytes(1 << 22))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
