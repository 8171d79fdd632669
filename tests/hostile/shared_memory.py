"""Sums in Korean. Leaves data in shared memory."""

# mypy: ignore-errors
# says: tried to import multiprocessing

from multiprocessing import shared_memory

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

held = shared_memory.SharedMemory("hret-planted", create=True, size=64)
print("ESCAPED", held.name)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
