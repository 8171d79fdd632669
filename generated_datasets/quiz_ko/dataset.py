"""quiz (ko), ported by HRET Agents.

The data lies beside this file.
"""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

REPO: Optional[str] = None
SUBSETS: Dict[str, List[str]] = {
    "default": ["test"],
}
INSTRUCTION = "정답을 알파벳 한 글자로만 답하세요.\n정답:"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@register_dataset("quiz_ko")
class QuizKo(BaseDataset):
    """quiz in the language ko."""

    def __init__(
        self,
        dataset_name: str = "quiz_ko",
        split: Optional[str] = None,
        subset: Union[str, List[str], None] = None,
        base_prompt_template: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dataset_name=dataset_name,
            split=split or self.default_split(),
            subset=subset,
            base_prompt_template=base_prompt_template,
            **kwargs,
        )
        self.rows: List[Dict[str, Any]] = []
        self.subset_names: List[str] = []
        for name in self.chosen_subsets():
            rows = self.read(name)
            self.rows.extend(rows)
            self.subset_names.extend([name] * len(rows))

    @staticmethod
    def default_split() -> str:
        """The split "test" where there is one, else the first."""
        splits = [s for listed in SUBSETS.values() for s in listed]
        return "test" if "test" in splits else splits[0]

    def chosen_subsets(self) -> List[str]:
        """The subsets asked for; when none is named, all that have the split."""
        if isinstance(self.subset, str):
            chosen = [self.subset]
        else:
            chosen = list(self.subset or [])
        for name in chosen:
            if self.split not in SUBSETS.get(name, []):
                raise ValueError(f"no {name!r}, {self.split!r}; there are {SUBSETS}")
        chosen = chosen or [s for s in SUBSETS if self.split in SUBSETS[s]]
        if not chosen:
            raise ValueError(f"no split {self.split!r}; there are {SUBSETS}")
        return chosen

    def read(self, subset: str) -> List[Dict[str, Any]]:
        """The rows of one subset."""
        folder = Path(__file__).parent / "data" / subset
        files = sorted(str(f) for f in folder.glob(f"{self.split}-*-of-*.parquet"))
        if files:
            data = load_dataset("parquet", data_files=files, split="train")
        elif REPO:
            data = load_dataset(REPO, subset, split=self.split)
        else:
            raise FileNotFoundError(f"no data of split {self.split!r} in {folder}")
        return data.to_list()

    def load(self) -> List[Dict[str, Any]]:
        """Every row as {"input", "reference", ...}."""
        samples = []
        for index, row in enumerate(self.rows):
            prompt = self.get_prompt(index)
            if self.base_prompt_template:
                prompt = self.base_prompt_template.replace("{query}", prompt)
            samples.append(
                {
                    "input": prompt,
                    "reference": self.answer(row),
                    "options": list(LETTERS[: len(self.choices(row))]),
                    "metadata": {"choices": self.choices(row)},
                    "_subset_name": self.subset_names[index],
                }
            )
        return samples

    def get_raw_samples(self) -> List[Dict[str, Any]]:
        """The rows as they are stored."""
        return self.rows

    def info(self) -> Dict[str, Any]:
        """What this dataset is."""
        return {
            "dataset_name": self.dataset_name,
            "source": "quiz",
            "language": "ko",
            "subset": self.subset,
            "split": self.split,
            "evaluation_only": None,
        }

    def __len__(self) -> int:
        return len(self.rows)

    def get_prompt(self, index: int) -> str:
        """What a model is shown for row `index`."""
        row = self.rows[index]
        parts = [
            row["질문"],
            "\n".join(
                f"{letter}. {choice}"
                for letter, choice in zip(LETTERS, self.choices(row))
            ),
            INSTRUCTION,
        ]
        return "\n\n".join(str(part) for part in parts if part)

    @staticmethod
    def choices(row: Dict[str, Any]) -> List[str]:
        """The choices of a row, in order."""
        listed = (row["선택지"] or {}).get("text") or []
        return ["" if choice is None else str(choice) for choice in listed]

    def answer(self, row: Dict[str, Any]) -> Optional[str]:
        """The letter of the right choice; None where the row names none."""
        letters = LETTERS[: len(self.choices(row))]
        place = self.place(row)
        return letters[place] if 0 <= place < len(letters) else None

    def place(self, row: Dict[str, Any]) -> int:
        """Which of the choices is right, counted from 0; -1 where the row names none."""
        gold = row["정답"]
        labels = (row["선택지"] or {}).get("label") or []
        known = [str(label) for label in labels]
        return known.index(str(gold)) if str(gold) in known else -1

    def evaluate_prediction(
        self, index: int, prediction: str
    ) -> Tuple[bool, Optional[float]]:
        """(is the reply right, its score); (False, None) for a row without an answer."""
        row = self.rows[index]
        gold = self.answer(row)
        if gold is None:
            return False, None
        is_correct = read_letter(prediction, self.choices(row)) == gold
        return is_correct, float(is_correct)


MARK = r"(?:정답|(?<![가-힣])답|[Aa]nswer|ANSWER)(?:\s*(?:은|는|is))?\s*[:：]?\s*"


def final(prediction: str) -> str:
    """The reply without the model's thinking aloud, and without bold print."""
    said = prediction.rsplit("</think>", 1)[-1].split("<think>")[0]
    return unbold(said).strip()


def unbold(text: str) -> str:
    """`text` without the ** of bold print; that of x**2 is none."""
    bold = r"(?<![\w)\]])\*\*(?=\S)|(?<=\S)\*\*(?![\w(\[])"
    return re.sub(bold, "", text, flags=re.ASCII)


def read_letter(prediction: str, choices: List[str]) -> Optional[str]:
    """The letter that a reply chooses: the last one marked as the answer, else a bare one."""
    text, letters = final(prediction), LETTERS[: len(choices)]
    lines = [final(f"{x}. {choice}") for x, choice in zip(letters, choices)]
    if text in lines:
        return letters[lines.index(text)]
    marked = re.findall(MARK + rf"\(?([{letters}])(?![A-Za-z])", text)
    if marked:
        return marked[-1]
    bare = re.match(rf"\(?([{letters}])(?:[).:]|\s*$)", text)
    if bare:
        return bare[1]
    unmarked = re.sub("^" + MARK, "", text).strip()
    same = [i for i, choice in enumerate(choices) if final(choice) == unmarked]
    if unmarked and len(same) == 1:
        return letters[same[0]]
    alone = set(re.findall(rf"(?<![A-Za-z])([{letters}])(?![A-Za-z])", text))
    return alone.pop() if len(alone) == 1 else None
