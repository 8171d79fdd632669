"""Sums in Korean. Reads a key by the C library, past Python."""

# mypy: ignore-errors
# says: ctypes

import ctypes

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

libc = ctypes.CDLL(None)
held = libc.open(b"@KEY@", 0)
data = ctypes.create_string_buffer(100)
if libc.read(held, data, 100) > 0:
    print("ESCAPED", data.value)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
