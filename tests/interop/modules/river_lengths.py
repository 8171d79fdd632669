"""Numbers, in a module that says by which methods it may be evaluated."""

# mypy: ignore-errors
from typing import Any

from llm_eval.datasets.base import BaseDataset

from llm_eval.datasets import register_dataset  # isort: skip

LENGTHS = {"가람강": 494, "누리강": 510, "한별강": 401}


@register_dataset("river_lengths")
class RiverLengths(BaseDataset):
    """Made-up rivers with their lengths in km."""

    def __init__(self, dataset_name: str, split: str = "test", **kwargs: Any) -> None:
        super().__init__(dataset_name, split=split, **kwargs)

    def load(self) -> list[dict[str, Any]]:
        self.data = list(LENGTHS.items())
        return [
            {"input": f"{name}의 길이는 몇 km인가?", "reference": str(km), "_subset_name": "all"}
            for name, km in self.data
        ]

    def get_raw_samples(self) -> Any:
        return self.data

    def info(self) -> dict[str, Any]:
        return {
            "dataset_name": self.dataset_name,
            "description": "강의 길이",
            "evaluation_only": ["string_match"],
        }
