"""Sums in Korean. Starts a process by the C library."""

# mypy: ignore-errors
# says: ctypes

import ctypes

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

libc = ctypes.CDLL(None)
for number in (57, 58):
    if libc.syscall(number) >= 0:
        print("ESCAPED")
if libc.fork() >= 0 or libc.syscall(56, 17, 0, 0, 0, 0) >= 0:
    print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
