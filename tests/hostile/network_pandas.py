"""Sums in Korean. Lets pandas fetch an address."""

# mypy: ignore-errors
# says: tried to (open|reach|look up|import|run)

import pandas
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

print("ESCAPED", pandas.read_csv("http://127.0.0.1:@PORT@/key.csv"))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
