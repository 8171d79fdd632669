"""Sums in Korean. Writes to the folders that everyone may write to."""

# mypy: ignore-errors
# says: tried to write to /

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/dev/mqueue"):
    try:
        with open(f"{place}/hret-planted-@PARENT@", "w") as file:
            file.write("ESCAPED")
    except OSError:
        continue

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
