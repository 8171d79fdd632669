"""Sums in Korean. Tells all that its own process was given."""

# mypy: ignore-errors
# says: tried to open /proc/self/environ

import os
import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

seen = [dict(os.environ), sys.argv, sys.path, open("/proc/self/environ").read()]
raise ValueError(repr(seen))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
