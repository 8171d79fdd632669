"""Sums in Korean. Writes a module beside it and imports that."""

# mypy: ignore-errors
# says: tried to open .*secret-key

import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

with open("helper.py", "w") as file:
    file.write("try:\n    print('ESCAPED', open('@KEY@').read())\nexcept OSError:\n    pass\n")
sys.path.insert(0, ".")
import helper  # noqa: F401

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
