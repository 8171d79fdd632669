"""`BaseDataset`, with both contracts that modules are written in.

- *By row*: `get_prompt(index) -> str`, `evaluate_prediction(index, prediction) -> (bool, score)`.
- *By list* (haerae-evaluation-toolkit): `load() -> [{"input", "reference", "options"?,
  "_subset_name"?, ...}]`, `info()`, `get_raw_samples()`.

A module written in one of them alone evaluates: each side is derived from the other here. One of
very many rows writes `get_sample(index)` and `__len__`, and is read a row at a time.
"""

from __future__ import annotations

from typing import Any

from llm_eval.errors import UserError
from llm_eval.registry import Registry

Row = dict[str, Any]


class BaseDataset:
    """Base class of dataset modules. Every constructor argument is optional.

    Args:
        dataset_name: the name it was asked for by.
        split: "train", "validation", "test", ...
        subset: one subset, several, or None for all there are.
        base_prompt_template: a text with `{query}` in it, laid around each input.
        kwargs: kept in `self.kwargs`.
    """

    dataset_name: str | None = None
    split: str | None = None
    subset: Any = None
    base_prompt_template: str | None = None
    _loaded: list[Row] | None = None

    def __init__(
        self,
        dataset_name: str | None = None,
        split: str | None = None,
        subset: Any = None,
        base_prompt_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.dataset_name = dataset_name
        self.split = split
        self.subset = subset
        self.base_prompt_template = base_prompt_template
        self.kwargs = kwargs

    def load(self) -> list[Row]:
        """Every sample as a dict; derived from `get_prompt` where a module defines that alone."""
        if overrides(self, "get_sample"):
            return [self.get_sample(i) for i in range(len(self))]
        if not overrides(self, "get_prompt"):
            raise UserError(
                f"{type(self).__name__} defines neither load() nor get_prompt()",
                hint="write load() -> [{'input', 'reference', ...}], "
                "or get_prompt(index) and evaluate_prediction(index, prediction)",
            )
        return [
            {"input": self.get_prompt(i), "reference": None, "_subset_name": _name(self.subset)}
            for i in range(len(self))
        ]

    def get_sample(self, index: int) -> Row:
        """Sample `index` as `load()` has it."""
        return self._rows()[index]

    def get_prompt(self, index: int) -> str:
        """The text a model is shown for row `index`."""
        return str(self.get_sample(index)["input"])

    def evaluate_prediction(self, index: int, prediction: str) -> tuple[bool, float | None]:
        """(is it right, its score). (False, None) where the row has no reference."""
        from llm_eval.evaluation.string_match import judge

        row = self.get_sample(index)
        if row.get("reference") is None:
            return False, None
        given = row.get("options")
        options = () if given is None else tuple(map(str, given))
        right = judge(prediction, str(row["reference"]), options).is_correct
        return right, float(right)

    def get_raw_samples(self) -> Any:
        """The rows as they came, before they were made into prompts."""
        data = getattr(self, "data", None)
        return self._rows() if data is None else data

    def info(self) -> dict[str, Any]:
        """What this dataset is, for the record of a run."""
        return {
            "dataset_name": self.dataset_name or type(self).__name__,
            "subset": self.subset,
            "split": self.split,
        }

    def __len__(self) -> int:
        """How many rows there are."""
        data = getattr(self, "data", None)
        if data is not None and not overrides(self, "load"):
            return len(data)
        if overrides(self, "load"):
            return len(self._rows())
        raise UserError(
            f"{type(self).__name__} does not say how many rows it has",
            hint="keep the rows in self.data, or define __len__()",
        )

    def _rows(self) -> list[Row]:
        if self._loaded is None:
            self._loaded = self.load()
        return self._loaded


def overrides(dataset: BaseDataset, method: str) -> bool:
    """Does the dataset's class bring its own `method`?"""
    return getattr(type(dataset), method) is not getattr(BaseDataset, method)


def _name(subset: Any) -> str | None:
    return subset if isinstance(subset, str) else None


DATASETS: Registry[type[BaseDataset]] = Registry("dataset")
register_dataset = DATASETS.add
