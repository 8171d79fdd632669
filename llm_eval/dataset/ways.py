"""The other ways to make a module's dataset: those that nobody names a subset and a split for.

A port's splits are verified one by one; these are what a module chooses by itself, several subsets
at once, and a template around each input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from llm_eval.dataset.expect import Expected, expectations, rows_of
from llm_eval.dataset.spec import ModuleSpec

Files = Callable[[str, str], Sequence[Path]]  # those of a split of a subset
Part = tuple[str | None, str | None, int, Iterable[Expected]]
BEFORE, AFTER = "⟦", "⟧"
ROWS = 20  # of each subset that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a dataset is made, how many rows it then has, and what is expected from some rows on.

    `info`: what `info()` may give under some names. `template`: is a `base_prompt_template` passed
    (`BEFORE`, the input, `AFTER`)?
    """

    subset: str | list[str] | None
    split: str | None
    rows: int
    looks: Sequence[tuple[int, list[Expected]]]
    info: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    template: bool = False


def by_default(spec: ModuleSpec, files: Files) -> Part:
    """The whole that a module gives where neither a subset nor a split is named."""
    own = spec.default_split
    found = [file for subset in _having(own, spec) for file in files(subset, own)]
    return None, None, rows_of(found), expectations(found, spec)


def other_ways(spec: ModuleSpec, files: Files) -> list[Way]:
    """All of them; each is looked at in the first rows of each of its subsets."""
    own = spec.default_split
    beside = _having(own, spec)
    splits = dict.fromkeys([own, *(s for listed in spec.subsets.values() for s in listed)])
    several = next((s for s in splits if len(_having(s, spec)) > 1), None)
    ways = [_way(None, None, beside, own, spec, files, template=True)]
    ways += [_way(subset, None, [subset], own, spec, files) for subset in beside]
    if several:
        ends = _having(several, spec)[:: 1 - len(_having(several, spec))]
        ways.append(_way(ends, several, ends, several, spec, files))
    return ways


def _having(split: str, spec: ModuleSpec) -> list[str]:
    return [subset for subset, splits in spec.subsets.items() if split in splits]


def _way(
    subset: str | list[str] | None,
    split: str | None,
    subsets: Iterable[str],
    its_split: str,
    spec: ModuleSpec,
    files: Files,
    template: bool = False,
) -> Way:
    """The way to `its_split` of some subsets; `subset` and `split` are what is passed for it."""
    rows, looks = 0, []
    for name in subsets:
        found = files(name, its_split)
        looks.append((rows, list(islice(expectations(found, spec), ROWS))))
        rows += rows_of(found)
    methods = ["code"] if spec.task == "code" else [None, "dataset"]
    info = {
        "source": [None, spec.source],
        "language": [None, spec.lang],
        "split": [None, its_split],
        "evaluation_method": methods,
        "evaluation_only": [None, [], *methods, *([m] for m in methods)],
    }
    return Way(subset=subset, split=split, rows=rows, looks=looks, info=info, template=template)
