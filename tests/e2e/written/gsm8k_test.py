"""초등 수학 문장제 (GSM8K)."""

import re
from pathlib import Path
from typing import Optional

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None


@register_dataset("SLUG")
class CLASS(BaseDataset):
    def __init__(self, dataset_name="SLUG", split=None, subset=None, base_prompt_template=None, **kwargs):
        super().__init__(dataset_name, split or "test", subset or "default", base_prompt_template, **kwargs)
        files = sorted(map(str, (Path(__file__).parent / "data" / self.subset).glob(f"{self.split}-*.parquet")))
        if files:
            self.data = load_dataset("parquet", data_files=files, split="train")
        else:
            self.data = load_dataset(REPO, self.subset, split=self.split)

    def gold(self, index):
        return self.data[index]["정답"].split("####")[-1].strip()

    def get_prompt(self, index):
        return f"다음 문제를 풀고 마지막 줄에 '정답: 숫자'를 쓰세요.\n\n문제: {self.data[index]['질문']}\n풀이:"

    def load(self):
        template = self.base_prompt_template or "{query}"
        return [
            {"input": template.replace("{query}", self.get_prompt(i)), "reference": self.gold(i), "_subset_name": self.subset}
            for i in range(len(self.data))
        ]

    def evaluate_prediction(self, index, prediction):
        numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", prediction)
        if not numbers:
            return False, 0.0
        correct = float(numbers[-1].replace(",", "")) == float(self.gold(index).replace(",", ""))
        return correct, float(correct)

    def get_raw_samples(self):
        return self.data

    def info(self):
        return {"dataset_name": self.dataset_name, "subset": self.subset, "split": self.split}
