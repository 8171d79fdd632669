"""Walking schemas and rows: the leaves of `datasets.Features`, and reading and replacing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hret_agents.plan.records import EACH, LeafPath, keys_of, path_of
from llm_eval.errors import UserError


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of a schema. `kind`: string, int, float, bool, class_label, other, binary.

    `names` are a class label's names.
    """

    path: LeafPath
    kind: str
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last key of the path."""
        return [k for k in keys_of(self.path) if k != EACH][-1]

    @property
    def column(self) -> str:
        """The top-level column."""
        return keys_of(self.path)[0]

    @property
    def listed(self) -> bool:
        """Does the path run through a list?"""
        return EACH in keys_of(self.path)


def leaves_of(features: Any) -> list[Leaf]:
    """The leaves of a `datasets.Features`, in order.

    Raises:
        UserError: a column or field has no name that a path can hold.
    """
    return list(_walk(dict(features), ()))


def _walk(feature: Any, keys: tuple[str, ...]) -> Iterator[Leaf]:
    if isinstance(feature, dict):
        for key, inner in feature.items():
            if key in ("", EACH):
                where = f"a field of the column {keys[0]!r}" if keys else "a column of the data"
                said = f"is called {key!r}" if key else "has no name"
                raise UserError(f"{where} {said}", hint="give it a name, and port it again")
            yield from _walk(inner, (*keys, key))
        return
    if isinstance(feature, list):
        yield from _walk(feature[0], (*keys, EACH))
        return
    inner = getattr(feature, "feature", None)
    if inner is not None:
        yield from _walk(inner, (*keys, EACH))
        return
    match type(feature).__name__:
        case "ClassLabel":
            yield Leaf(path_of(keys), "class_label", tuple(feature.names))
        case "Value":
            yield Leaf(path_of(keys), _kind(feature.dtype))
        case "Translation":
            for language in feature.languages:
                yield Leaf(path_of((*keys, language)), "string")
        case "TranslationVariableLanguages":
            for key in ("language", "translation"):
                yield Leaf(path_of((*keys, key, EACH)), "string")
        case _:  # images, sound, arrays: copied as they are stored
            yield Leaf(path_of(keys), "binary")


def _kind(dtype: Any) -> str:
    if dtype in ("string", "large_string"):
        return "string"
    if not isinstance(dtype, str) or dtype in ("dict", "binary", "large_binary"):
        return "binary"
    if dtype == "bool":
        return "bool"
    for start, kind in (("int", "int"), ("uint", "int"), ("float", "float"), ("decimal", "float")):
        if dtype.startswith(start):
            return kind
    return "other"


def values(row: Any, path: LeafPath) -> list[Any]:
    """The values at `path`, flattened, in order; what is missing on the way gives none.

    >>> values({"a": {"b": [1, None]}}, "a.b[]"), values({"m": [{"c": 1}, {"c": 2}]}, "m[].c")
    ([1, None], [1, 2])
    """
    found = [row]
    for key in keys_of(path):
        if key == EACH:
            found = [v for item in found if item is not None for v in item]
        else:
            found = [item[key] for item in found if item is not None]
    return found


def replaced(row: Any, path: LeafPath, new: Callable[[Any], Any]) -> Any:
    """A copy of `row` with `new(value)` at every place of `path`.

    >>> replaced({"a": {"b": ["x", "y"]}, "c": 1}, "a.b[]", str.upper)
    {'a': {'b': ['X', 'Y']}, 'c': 1}
    """
    return _replaced(row, keys_of(path), new)


def _replaced(item: Any, keys: Sequence[str], new: Callable[[Any], Any]) -> Any:
    if not keys:
        return new(item)
    if item is None:
        return None
    if keys[0] == EACH:
        return [_replaced(v, keys[1:], new) for v in item]
    return {**item, keys[0]: _replaced(item[keys[0]], keys[1:], new)}
