"""Sums in Korean. Starts threads without end."""

# mypy: ignore-errors
# says: threads|MemoryError|start new thread|took longer
# seconds: 3

import threading
import time

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

threading.stack_size(1 << 16)
while True:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
