"""Sums in Korean. Ends its parent."""

# mypy: ignore-errors
# says: tried to send a signal to process

import os
import signal

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for pid in (int("@PARENT@"), os.getppid()):
    try:
        os.kill(pid, signal.SIGUSR1)
        print("ESCAPED")
    except OSError:
        continue

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
