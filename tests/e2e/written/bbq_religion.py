import re
from pathlib import Path
from typing import Optional

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None


@register_dataset("SLUG")
class CLASS(BaseDataset):
    """사회적 편향 질의응답."""

    def __init__(self, dataset_name="SLUG", split="test", subset="default", base_prompt_template=None, **kwargs):
        super().__init__(dataset_name, split or "test", subset or "default", base_prompt_template, **kwargs)
        files = sorted(str(p) for p in (Path(__file__).parent / "data" / self.subset).glob(f"{self.split}-*.parquet"))
        data = load_dataset("parquet", data_files=files, split="train") if files else load_dataset(REPO, self.subset, split=self.split)
        self.rows = list(data)

    def __len__(self):
        return len(self.rows)

    def letter(self, index):
        return "ABC"[int(self.rows[index]["레이블"])]

    def get_prompt(self, index):
        row = self.rows[index]
        return (
            f"{row['맥락']}\n\n{row['질문']}\n"
            f"A. {row['ans0']}\nB. {row['ans1']}\nC. {row['ans2']}\n\n"
            "A, B, C 가운데 하나로 답하세요.\n답:"
        )

    def load(self):
        samples = []
        for index in range(len(self)):
            prompt = self.get_prompt(index)
            if self.base_prompt_template:
                prompt = self.base_prompt_template.format(query=prompt)
            samples.append({"input": prompt, "reference": self.letter(index), "options": ["A", "B", "C"], "_subset_name": self.subset})
        return samples

    def evaluate_prediction(self, index, prediction):
        match = re.search(r"(?<![A-Z])([ABC])(?![A-Za-z])", prediction.rpartition("</think>")[2])
        is_correct = match is not None and match.group(1) == self.letter(index)
        return is_correct, float(is_correct)
