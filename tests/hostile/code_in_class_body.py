"""Sums in Korean. Runs code in a class body."""

# mypy: ignore-errors
# says: tried to open .*secret-key

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


def steal():
    """Read a key, and say nothing if that fails."""
    try:
        print("ESCAPED", open("@KEY@").read())
    except OSError:
        return None


ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    key = steal()

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
