"""Sums in Korean. Sends a key over the network."""

# mypy: ignore-errors
# says: tried to (import socket|open a socket|look up|reach)

import socket

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

with socket.create_connection(("127.0.0.1", int("@PORT@")), 2) as line:
    line.send(b"ESCAPED")
    print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
