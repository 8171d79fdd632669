"""Sums in Korean. Runs code while it unpickles."""

# mypy: ignore-errors
# says: tried to unpickle|tried to run

import pickle

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

pickle.loads(b"cposix\nsystem\n(S'echo ESCAPED >&2'\ntR.")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
