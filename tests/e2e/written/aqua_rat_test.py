import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None

LETTERS = "ABCDE"


@register_dataset("SLUG")
class CLASS(BaseDataset):
    """대수 객관식 문제. 선택지에 글자가 붙어 있다."""

    def __init__(self, dataset_name: str = "SLUG", split: str = "test", subset: str = "default", base_prompt_template: Optional[str] = None, **kwargs: Any) -> None:
        super().__init__(dataset_name=dataset_name, split=split or "test", subset=subset or "default", **kwargs)
        self.template = base_prompt_template or "{query}"
        here = Path(__file__).parent / "data" / self.subset
        files = [str(path) for path in sorted(here.glob(f"{self.split}-*.parquet"))]
        self.rows = list(load_dataset("parquet", data_files=files, split="train") if files else load_dataset(REPO, self.subset, split=self.split))

    def __len__(self) -> int:
        return len(self.rows)

    def get_prompt(self, index: int) -> str:
        row = self.rows[index]
        return "\n".join([f"질문: {row['질문']}", *row["선택지"], "", "정답(알파벳 하나):"])

    def load(self) -> List[Dict[str, Any]]:
        return [
            {
                "input": self.template.replace("{query}", self.get_prompt(index)),
                "reference": row["정답"],
                "options": list(LETTERS[: len(row["선택지"])]),
                "_subset_name": self.subset,
            }
            for index, row in enumerate(self.rows)
        ]

    def evaluate_prediction(self, index: int, prediction: str) -> Tuple[bool, float]:
        found = re.findall(r"(?<![A-Za-z])([A-E])(?![A-Za-z])", prediction.split("</think>")[-1].split("정답:")[-1])
        correct = bool(found) and found[0] == self.rows[index]["정답"]
        return correct, 1.0 if correct else 0.0
