"""Sums in Korean. Answers with a prompt of many megabytes."""

# mypy: ignore-errors
# says: wrote more than

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]

    def get_prompt(self, index):
        """A row's prompt."""
        return ROWS[index][0] + "z" * (1 << 23)
