"""Sums in Korean. Asks a web server, by the library for that."""

# mypy: ignore-errors
# says: tried to import urllib.request

import urllib.request

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

print("ESCAPED", urllib.request.urlopen("http://127.0.0.1:@PORT@/key", timeout=2).status)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
