"""Sums in Korean. Runs code when the interpreter ends."""

# mypy: ignore-errors
# says: tried to open .*secret-key|ended

import atexit

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


def steal():
    """Read a key, and say nothing if that fails."""
    try:
        print("ESCAPED", open("@KEY@").read())
    except OSError:
        return None


atexit.register(steal)
raise SystemExit(0)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
