"""Schemas of the field as fixtures of our own: features, rows, and the plan that is right for them.

The format of a file is described in README.md beside this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

HERE = Path(__file__).parent
HELD_OUT = HERE.parent / "schemas_held_out"  # written after the planner, to measure it
Row = dict[str, Any]
Answer = str | list[str] | None  # the gold of a row, or all that are right; None where it has none


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """A schema, rows that have it, and the plan that a person would write for it.

    `gold`: some row has an answer that the task can grade, so the oracle scores 1. `answers`: the
    gold of each row, as README.md says; None where the task has no gold to read.
    """

    name: str
    describes: str
    features: Features
    rows: list[Row]
    plan: dict[str, Any]
    gold: bool
    answers: list[Answer] | None

    def table(self) -> pa.Table:
        """The rows as `datasets` would store them, without decoding images or sound."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows, schema=self.features.arrow_schema)

    def write(self, folder: Path, split: str = "test") -> Path:
        """The rows as a parquet file in `folder` that `datasets` reads with the same features."""
        import pyarrow.parquet as pq

        path = folder / f"{self.name}_{split}.parquet"
        pq.write_table(self.table(), path)
        return path


class _Named(list[str]):
    """The names of a ClassLabel."""


class _Languages(list[str]):
    """The languages of a Translation."""


class _Loader(yaml.SafeLoader):
    """YAML with two tags of our own."""


def _named(loader: yaml.SafeLoader, node: yaml.Node) -> _Named:
    assert isinstance(node, yaml.SequenceNode)
    return _Named(loader.construct_sequence(node))


def _languages(loader: yaml.SafeLoader, node: yaml.Node) -> _Languages:
    assert isinstance(node, yaml.SequenceNode)
    return _Languages(loader.construct_sequence(node))


_Loader.add_constructor("!class_label", _named)
_Loader.add_constructor("!translation", _languages)


@cache
def fixtures(folder: Path = HERE) -> Sequence[Fixture]:
    """All fixtures of a folder, by name."""
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def _read(path: Path) -> Fixture:
    from datasets import Features

    raw = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    raw["features"] = Features({name: _feature(f) for name, f in raw["features"].items()})
    return Fixture(name=path.stem, **{"answers": None, **raw})


def _feature(short: Any) -> Any:
    from datasets import Audio, ClassLabel, Image, List, Translation, Value

    match short:
        case "image":
            return Image()
        case "audio":
            return Audio()
        case str():
            return Value(short)
        case _Named():
            return ClassLabel(names=list(short))
        case _Languages():
            return Translation(languages=list(short))
        case [inner]:
            return List(_feature(inner))
        case dict():
            return {name: _feature(inner) for name, inner in short.items()}
    raise ValueError(f"{short!r} is no feature")
