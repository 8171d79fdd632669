"""Sums in Korean. Makes a pair of sockets and sends from one of them elsewhere."""

# mypy: ignore-errors
# says: tried to|not permitted

import socket

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(b"x", "@SOCKET@")
print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
