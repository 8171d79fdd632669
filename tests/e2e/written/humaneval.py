from pathlib import Path
from typing import Optional

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None


@register_dataset("SLUG")
class CLASS(BaseDataset):
    """파이썬 함수 완성 문제. 답은 evaluation_method="code"로 실행해 채점한다."""

    def __init__(self, dataset_name="SLUG", split="test", subset="default", base_prompt_template=None, **kwargs):
        super().__init__(dataset_name, split or "test", subset or "default", base_prompt_template, **kwargs)
        folder = Path(__file__).parent / "data" / self.subset
        files = sorted(str(path) for path in folder.glob(f"{self.split}-*.parquet"))
        if files:
            self.data = load_dataset("parquet", data_files=files, split="train")
        else:
            self.data = load_dataset(REPO, self.subset, split=self.split)
        self.rows = list(self.data)

    def __len__(self):
        return len(self.rows)

    def get_prompt(self, index):
        return self.rows[index]["prompt"] + "\n\n# 위 함수를 완성하세요."

    def load(self):
        return [
            {
                "input": (self.base_prompt_template or "{query}").replace("{query}", self.get_prompt(index)),
                "_subset_name": self.subset,
                "reference": row["canonical_solution"],
                "metadata": {"prompt": row["prompt"], "tests": [row["test"]], "entry_point": row["entry_point"]},
            }
            for index, row in enumerate(self.rows)
        ]

    def evaluate_prediction(self, index, prediction):
        return False, None

    def info(self):
        return {"dataset_name": self.dataset_name, "split": self.split, "evaluation_method": "code"}
