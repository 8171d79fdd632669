"""Sums in Korean. Runs code when a value is written as text."""

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


class Told:
    """A value."""

    def __str__(self):
        steal()
        return "2"


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": "하나에 하나를 더하면 얼마입니까?", "reference": Told()}] * 2
