"""Sums in Korean. Leaves data in System V shared memory, semaphores and queues."""

# mypy: ignore-errors
# says: ctypes

import ctypes

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

libc = ctypes.CDLL(None)
if max(libc.shmget(0x48524554, 64, 0o1666), libc.semget(1, 1, 0o1666), libc.msgget(1, 0o1666)) >= 0:
    print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
