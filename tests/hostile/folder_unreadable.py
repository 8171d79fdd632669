"""Sums in Korean. Makes a folder that nobody can look into, then is honest."""

# mypy: ignore-errors
# says:

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

os.umask(0)
os.mkdir("dark", 0o300)
open("dark/file", "w").close()
os.chmod("dark", 0)
raise ValueError("done")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
