"""From a dataset in either contract to the runner's `Sample`s, and to a judge of predictions."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, overload

from llm_eval.dataset.base import BaseDataset, overrides
from llm_eval.errors import HretError, UserError
from llm_eval.records import Sample, options_of, text_of

_OWN = ("input", "reference", "options", "_subset_name", "metadata")
_PICTURES = ("images", "image")


class Samples(Sequence[Sample]):
    """The samples of a dataset, or some of them; each is made from its row as it is asked for."""

    def __init__(
        self,
        name: str,
        row: Callable[[int], Any],
        places: Sequence[int],
        whole: Samples | None = None,
    ) -> None:
        """`name` is the dataset's, for sentences; `row` gives the row at a place of `places`."""
        self._name, self._row, self._places, self._whole = name, row, places, whole

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Samples: ...
    def __getitem__(self, place: int | slice) -> Sample | Samples:
        if isinstance(place, slice):
            return Samples(self._name, self._row, self._places[place], self.whole)
        index = self._places[place]
        return _sample(self._name, index, self._row(index))

    def __iter__(self) -> Iterator[Sample]:
        return (_sample(self._name, index, self._row(index)) for index in self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Samples):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # rows are dicts, which change

    @property
    def whole(self) -> Samples:
        """All samples of the dataset, of which these were chosen."""
        return self if self._whole is None else self._whole

    def chosen(self, places: Sequence[int]) -> Samples:
        """Those at some places of these."""
        own = array("q", (self._places[p] for p in places))
        return Samples(self._name, self._row, own, self.whole)


def samples_of(dataset: BaseDataset) -> Samples:
    """Every row of `dataset`. A module that fails here ends the run: nothing was asked yet.

    One that brings `get_sample` is read row by row, and any other by its `load()`.
    """
    name = type(dataset).__name__
    row: Callable[[int], Any]
    try:
        if overrides(dataset, "get_sample"):
            count, row = len(dataset), dataset.get_sample
        else:
            rows = dataset.load()
            if not isinstance(rows, list):
                raise UserError(
                    f"{name}.load() returned {type(rows).__name__}, not a list of dicts",
                    hint="return a list of rows: dicts with input and reference",
                )
            for index, each in enumerate(rows):
                _checked(name, index, each)
            count, row = len(rows), rows.__getitem__
    except HretError:
        raise
    except Exception as e:  # a module's code may raise anything
        raise UserError(f"{name} could not load its rows: {type(e).__name__}: {e}") from e
    if not count:
        raise UserError(f"{name} has no rows", hint="check its subset and split")
    return Samples(name, row, range(count))


def _checked(name: str, index: int, row: Any) -> None:
    if not isinstance(row, dict) or not isinstance(row.get("input"), str):
        raise UserError(
            f"{name}.load(): row {index} has no text under 'input'",
            hint="each row is a dict with 'input', 'reference' and, for choices, 'options'",
        )


def _sample(name: str, index: int, row: Any) -> Sample:
    _checked(name, index, row)
    images = _images(row) if "images" in row or "image" in row else ()
    return Sample(
        index=index,
        input=row["input"],
        reference=text_of(row.get("reference")),
        options=options_of(row.get("options"), f"{name}.load(): row {index}"),
        subset=row.get("_subset_name"),
        images=images,
        metadata=metadata_of(row, (*_OWN, *_PICTURES) if images else _OWN),
    )


def metadata_of(row: Mapping[str, Any], own: Sequence[str] = _OWN) -> dict[str, Any]:
    """A row's "metadata", and over it what else the row holds beside its `own` keys."""
    told = row.get("metadata")
    extra = {k: v for k, v in row.items() if k not in own}
    return {**(told if isinstance(told, dict) else {}), **extra}


def _images(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row has under "images" (a list, or one) or "image"; nothing where it is no picture."""
    for name in _PICTURES:
        told = row.get(name)
        listed = tuple(told) if isinstance(told, list | tuple) else (told,)
        if listed and all(map(_is_image, listed)):
            return listed
    return ()


def _is_image(value: Any) -> bool:
    """An address, a path, bytes, a PIL image, or the dict that `datasets` keeps one in."""
    if isinstance(value, dict):
        return bool(value.get("bytes") or value.get("path"))
    known = isinstance(value, str | bytes | PurePath) and bool(value)
    return known or callable(getattr(value, "tobytes", None))


def judges_itself(dataset: BaseDataset) -> bool:
    """Does the module bring an `evaluate_prediction` of its own?"""
    return overrides(dataset, "evaluate_prediction")
