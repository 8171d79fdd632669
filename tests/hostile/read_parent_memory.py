"""Sums in Korean. Reads the memory of its parent."""

# mypy: ignore-errors
# says: tried to open /proc/.*maps

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

with open("/proc/@PARENT@/maps") as maps, open("/proc/@PARENT@/mem", "rb") as memory:
    for line in maps:
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        memory.seek(start)
        print("ESCAPED", memory.read(min(end - start, 1 << 20)))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
