"""From a dataset in either contract to the runner's `Sample`s, and to a judge of predictions."""

from __future__ import annotations

from typing import Any

from llm_eval.dataset.base import BaseDataset, overrides
from llm_eval.errors import HretError, UserError
from llm_eval.records import Sample

_OWN = ("input", "reference", "options", "_subset_name", "metadata")


def samples_of(dataset: BaseDataset) -> list[Sample]:
    """Every row of `dataset`. A module that fails here ends the run: nothing was asked yet."""
    name = type(dataset).__name__
    try:
        rows = dataset.load()
    except HretError:
        raise
    except Exception as e:  # a module's code may raise anything
        raise UserError(f"{name} could not load its rows: {type(e).__name__}: {e}") from e
    if not isinstance(rows, list):
        raise UserError(f"{name}.load() returned {type(rows).__name__}, not a list of dicts")
    if not rows:
        raise UserError(f"{name} has no rows", hint="check its subset and split")
    return [_sample(name, i, row) for i, row in enumerate(rows)]


def _sample(name: str, index: int, row: Any) -> Sample:
    if not isinstance(row, dict) or not isinstance(row.get("input"), str):
        raise UserError(
            f"{name}.load(): row {index} has no text under 'input'",
            hint="each row is a dict with 'input', 'reference' and, for choices, 'options'",
        )
    reference, options = row.get("reference"), row.get("options")
    metadata = row.get("metadata")
    extra = {k: v for k, v in row.items() if k not in _OWN}
    return Sample(
        index=index,
        input=row["input"],
        reference=None if reference is None else str(reference),
        options=() if options is None else tuple(map(str, options)),
        subset=row.get("_subset_name"),
        metadata={**(metadata if isinstance(metadata, dict) else {}), **extra},
    )


def judges_itself(dataset: BaseDataset) -> bool:
    """Does the module bring an `evaluate_prediction` of its own?"""
    return overrides(dataset, "evaluate_prediction")
