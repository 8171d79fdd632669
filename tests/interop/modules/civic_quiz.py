"""Questions on public life, in subsets; imports relative to the toolkit's package."""

# mypy: ignore-errors
from typing import Any, Dict, List, Optional, Union  # noqa: UP035

from . import register_dataset
from .base import BaseDataset

QUESTIONS = {
    "transport": [
        ("버스에서 내리기 전에 누르는 것은?", ["하차 벨", "비상문", "경적"], 0),
        ("지하철에서 노선을 갈아타는 곳은?", ["차고지", "환승역", "매표소"], 1),
    ],
    "recycling": [
        ("투명 페트병은 어디에 버리는가?", ["일반 쓰레기", "음식물", "플라스틱 전용함"], 2),
    ],
}


@register_dataset("civic_quiz")
class CivicQuizDataset(BaseDataset):
    """Multiple choice; `subset` is a name, a list of names, or None for all of them."""

    def __init__(
        self,
        dataset_name: str = "civic_quiz",
        subset: Optional[Union[str, List[str]]] = None,  # noqa: UP006, UP007, UP045
        split: str = "test",
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset_name, split=split, subset=subset, **kwargs)

    def load(self) -> List[Dict[str, Any]]:  # noqa: UP006
        wanted = self.subset or list(QUESTIONS)
        if isinstance(wanted, str):
            wanted = [wanted]
        samples = []
        for name in wanted:
            for question, options, answer in QUESTIONS[name]:
                letters = ["(A)", "(B)", "(C)"]
                lines = "\n".join(f"{a} {b}" for a, b in zip(letters, options, strict=True))
                samples.append(
                    {
                        "input": f"{question}\n{lines}\n정답:",
                        "reference": letters[answer],
                        "options": letters,
                        "_subset_name": name,
                    }
                )
        return samples

    def get_raw_samples(self) -> Any:
        return QUESTIONS
