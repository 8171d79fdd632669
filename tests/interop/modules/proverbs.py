"""Proverbs with a gap, laid into `base_prompt_template`; absolute imports."""

# mypy: ignore-errors
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

GAPS = [("가는 말이 고와야 오는 ___이 곱다.", "말"), ("티끌 모아 ___.", "태산")]


@register_dataset("proverb_gaps")
class ProverbGaps(BaseDataset):
    """Open questions: one word fills the gap."""

    def __init__(
        self, dataset_name="proverb_gaps", split="test", base_prompt_template=None, **more
    ):
        if base_prompt_template is None:
            base_prompt_template = "빈칸에 들어갈 한 단어만 쓰세요.\n{query}"
        super().__init__(
            dataset_name, split=split, base_prompt_template=base_prompt_template, **more
        )

    def load(self):
        return [
            {"input": self.base_prompt_template.format(query=text), "reference": word}
            for text, word in GAPS
        ]

    def get_raw_samples(self):
        return GAPS

    def info(self):
        return {"name": self.dataset_name, "split": self.split, "size": len(GAPS)}
