"""Sums in Korean. Lets a descriptor send signals to its parent."""

# mypy: ignore-errors
# says: tried to import fcntl

import fcntl
import os
import signal

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

reader, writer = os.pipe()
fcntl.fcntl(reader, fcntl.F_SETOWN, int("@PARENT@"))
fcntl.fcntl(reader, 10, signal.SIGUSR1)
fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
os.write(writer, b"x")
print("ESCAPED")

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
