"""Sums in Korean. Reads the checkout that llm_eval lies in."""

# mypy: ignore-errors
# says: tried to open .*pyproject.toml

from pathlib import Path

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

import llm_eval

top = Path(llm_eval.__file__).resolve().parents[1]
print("ESCAPED", (top / "pyproject.toml").read_text())

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
