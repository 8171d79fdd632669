"""Modules as a model may write them, good and bad, and a "model" that is told which to say when.

    chat.answer = scripted("I cannot.", fenced(GOOD))

It says the first, and after each complaint the next; the last one again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

GOOD = '''"""A quiz of several choices."""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from datasets import load_dataset
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None
SUBSETS = {"default": ["test"]}
LETTERS = "ABCDEFGH"
INSTRUCTION = "정답을 알파벳 한 글자로만 답하세요."


@register_dataset("quiz_ko")
class QuizKo(BaseDataset):
    """Questions with a few choices, of which one is right."""

    def __init__(self, dataset_name="quiz_ko", split=None, subset=None, base_prompt_template=None, **kwargs):
        super().__init__(dataset_name, split or "test", subset, base_prompt_template, **kwargs)
        self.rows = self._read("default")

    def _read(self, subset: str) -> List[Dict[str, Any]]:
        folder = Path(__file__).parent / "data" / subset
        files = sorted(str(path) for path in folder.glob(f"{self.split}-*-of-*.parquet"))
        if files:
            return list(load_dataset("parquet", data_files=files, split="train"))
        return list(load_dataset(REPO, subset, split=self.split))

    def __len__(self) -> int:
        return len(self.rows)

    def _gold(self, row: Dict[str, Any]) -> Optional[str]:
        place = row["정답"]
        return LETTERS[place] if place is not None and 0 <= place < len(row["선택지"]) else None

    def get_prompt(self, index: int) -> str:
        row = self.rows[index]
        choices = [f"{letter}. {text}" for letter, text in zip(LETTERS, row["선택지"])]
        return "\\n".join([row["질문"], *choices, INSTRUCTION])

    def load(self) -> List[Dict[str, Any]]:
        return [
            {
                "input": (self.base_prompt_template or "{query}").replace("{query}", self.get_prompt(i)),
                "reference": self._gold(row),
                "options": list(LETTERS[: len(row["선택지"])]),
                "_subset_name": "default",
            }
            for i, row in enumerate(self.rows)
        ]

    def evaluate_prediction(self, index: int, prediction: str) -> Tuple[bool, Optional[float]]:
        gold = self._gold(self.rows[index])
        if gold is None:
            return False, None
        said = re.search(r"(?<![A-Za-z])([A-H])(?![A-Za-z])", prediction.split("</think>")[-1])
        right = said is not None and said[1] == gold
        return right, float(right)

    def info(self) -> Dict[str, Any]:
        return {"dataset_name": self.dataset_name, "language": "ko", "split": self.split}

    def get_raw_samples(self) -> List[Dict[str, Any]]:
        return self.rows
'''  # noqa: E501 - as models write


def changed(old: str, new: str, code: str = GOOD) -> str:
    """`code` with one place of it changed."""
    assert code.count(old) == 1, old
    return code.replace(old, new)


def fenced(code: str) -> str:
    """A reply as models give it."""
    return f"다음은 모듈입니다.\n\n```python\n{code}```\n"


_PROMPT = 'return "\\n".join([row["질문"], *choices, INSTRUCTION])'
BAD: Mapping[str, str] = {
    "no code": "죄송하지만 작성할 수 없습니다.",
    "syntax error": fenced(changed("def __len__(self) -> int:", "def __len__(self) -> int")),
    "forbidden import": fenced(changed("import re\n", "import os\nimport re\n")),
    "answers in the prompt": fenced(
        changed(_PROMPT, _PROMPT.replace("INSTRUCTION", 'INSTRUCTION, f"힌트: {self._gold(row)}"'))
    ),
    "always right": fenced(changed("said[1] == gold", "bool(gold)")),
    "rows dropped": fenced(changed('self._read("default")', 'self._read("default")[1:]')),
    "choices shuffled": fenced(
        changed('zip(LETTERS, row["선택지"])', 'zip(LETTERS, row["선택지"][::-1])')
    ),
}
"""Six kinds of bad module, and a reply that holds none."""


def scripted(*replies: str) -> Callable[[Sequence[Mapping[str, Any]]], str]:
    """What a `ChatServer` answers: the reply whose turn it is in the conversation it is shown."""

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        turn: int = sum(message["role"] == "assistant" for message in messages)
        return replies[min(turn, len(replies) - 1)]

    return answer
