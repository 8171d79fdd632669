"""Sums in Korean. Leaves a process behind, and hides it."""

# mypy: ignore-errors
# says: tried to start a process

import os
import time

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

try:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
except OSError:
    pass

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
