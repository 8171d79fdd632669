"""Sums in Korean. Writes outside its folder."""

# mypy: ignore-errors
# says: tried to write to .*planted

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

with open("@OUT@", "w") as file:
    file.write("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
