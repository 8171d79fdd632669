"""Sums in Korean. Maps a key into its memory."""

# mypy: ignore-errors
# says: tried to import mmap|tried to open .*secret-key

import mmap
import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

held = os.open("@KEY@", os.O_RDONLY)
print("ESCAPED", mmap.mmap(held, 0, prot=mmap.PROT_READ)[:])

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
