"""Sums in Korean. Reads the environment of its parent."""

# mypy: ignore-errors
# says: tried to open /proc/.*environ

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for pid in ("@PARENT@", "1", str(os.getppid())):
    try:
        text = open(f"/proc/{pid}/environ", "rb").read()
    except OSError:
        continue
    if b"OPENAI" in text:
        print("ESCAPED", text)

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
