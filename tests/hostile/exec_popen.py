"""Sums in Korean. Runs a program."""

# mypy: ignore-errors
# says: tried to import subprocess

import subprocess

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

print("ESCAPED", subprocess.run(["/bin/cat", "@KEY@"], capture_output=True).stdout)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
