"""Sums in Korean. Waits for ever, whatever signal comes."""

# mypy: ignore-errors
# says: took longer than 2 s
# seconds: 2

import signal
import time

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        continue
while True:
    time.sleep(60)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
