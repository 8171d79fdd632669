"""Sums in Korean. Talks to services of the machine by abstract sockets."""

# mypy: ignore-errors
# says: tried to (import socket|open a socket|look up|reach)

import socket

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

line = socket.socket(socket.AF_UNIX)
line.connect("\0@ABSTRACT@")
print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
