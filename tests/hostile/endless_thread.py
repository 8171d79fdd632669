"""Sums in Korean. Leaves threads running that never end, and dies."""

# mypy: ignore-errors
# says: ended|took longer
# seconds: 4

import threading
import time

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for _ in range(4):
    threading.Thread(target=time.sleep, args=(600,)).start()
raise SystemExit(0)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
