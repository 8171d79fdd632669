"""Dataset files on this machine: which there are, by split, and their rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_eval.errors import UserError

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
}
SPLITS = ("train", "test", "validation")


def files_of(path: Path) -> dict[str, list[Path]]:
    """Data files by split: what a file's name says, else a folder's on the way, else "train"."""
    if path.is_file():
        if path.suffix not in FORMATS:
            raise UserError(
                f"{path.name} is no dataset file", hint=f"known are {', '.join(FORMATS)}"
            )
        return {split_in(path.stem) or "train": [path]}
    listed = [
        p
        for p in sorted(path.rglob("*"))
        if p.suffix in FORMATS and not any(q[0] in "._" for q in p.relative_to(path).parts)
    ]
    if not listed:
        raise UserError(f"{path} holds no dataset file", hint=f"known are {', '.join(FORMATS)}")
    kinds = {FORMATS[p.suffix] for p in listed}
    if len(kinds) > 1:
        raise UserError(
            f"{path} holds files of several kinds: {', '.join(sorted(kinds))}",
            hint="pass a folder of one kind, or one file",
        )
    found: dict[str, list[Path]] = {}
    for p in listed:
        names = (p.stem, *reversed(p.relative_to(path).parent.parts))
        split = next(filter(None, map(split_in, names)), "train")
        found.setdefault(split, []).append(p)
    return found


def split_in(name: str) -> str | None:
    """The split that a name tells of.

    >>> split_in("quiz_dev-00000"), split_in("latest")
    ('validation', None)
    """
    for part in re.split(r"[^a-z]+", name.lower()):
        known = {"dev": "validation", "val": "validation", "valid": "validation"}.get(part, part)
        if known in SPLITS:
            return known
    return None


def read(paths: Sequence[Path]) -> Any:
    from datasets import load_dataset

    kind = FORMATS[paths[0].suffix]
    filled = [p for p in paths if kind not in ("json", "csv") or not _blank(p)]
    if not filled:
        raise _no_rows(paths[0])
    for path in filled if kind in ("json", "csv") else ():
        _in_utf8(path)
    more: dict[str, Any] = {"sep": "\t"} if paths[0].suffix == ".tsv" else {}
    try:
        data = load_dataset(kind, data_files=[str(p) for p in filled], split="train", **more)
    except Exception as e:  # its readers raise whatever their parsers do
        cause = e.__cause__ or e
        if "corresponds to no data" in str(cause):
            raise _no_rows(paths[0]) from None
        if len(filled) > 1:
            _same_columns(filled)
        raise UserError(
            f"{paths[0]} cannot be read as {kind}: {' '.join(str(cause).split())[:300]}",
            hint="is it complete, UTF-8, and the same columns in every row?",
        ) from None
    if kind == "csv":
        _separated(data.column_names, paths[0])
    return data


def _blank(path: Path) -> bool:
    """Is a text file empty, or all white space?"""
    try:
        with path.open("rb") as file:
            return not any(line.removeprefix(b"\xef\xbb\xbf").strip() for line in file)
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror}", hint="check its rights") from None


def _in_utf8(path: Path) -> None:
    """A `UserError` now where a line is not: Arrow's reader of JSON finds out row by row."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                raise UserError(
                    f"{path} is not UTF-8 (line {number})",
                    hint="for example: iconv -f CP949 -t UTF-8 OLD > NEW",
                ) from None


def _no_rows(path: Path) -> UserError:
    return UserError(f"{path} holds no rows", hint="is it the file that was meant?")


def _same_columns(paths: Sequence[Path]) -> None:
    """A `UserError` that names two files whose columns differ, or one that cannot be read."""
    first = read(paths[:1]).features
    for path in paths[1:]:
        other = read([path]).features
        if other != first:
            raise UserError(
                f"the columns of {path} differ from those of {paths[0]}: "
                + difference(first, other),
                hint="give all files of a split the same columns, or port them one at a time",
            )


def difference(first: Any, other: Any) -> str:
    """The first thing that makes two `datasets.Features` differ.

    >>> difference({"q": "text", "n": "int64"}, {"q": "text"}), difference({}, {"n": "int64"})
    ("'n' is missing", "'n' was added")
    """
    for name in (*first, *other):
        if name not in other or name not in first:
            return f"{name!r} " + ("was added" if name in other else "is missing")
        if first[name] != other[name]:
            was, now = (str(getattr(f[name], "dtype", f[name]))[:80] for f in (first, other))
            return f"{name!r} is {now}, not {was}"
    return "in their order"


def _separated(columns: Sequence[str], path: Path) -> None:
    """A `UserError` if a table was not cut into the columns that its file has."""
    named = [c for c in columns if not c.startswith("__index_level_")]
    if len(named) == 1 and (sign := next((s for s in ";\t" if s in named[0]), "")):
        raise UserError(
            f"the columns of {path} are separated by {sign!r}: {named[0]!r} would be one column",
            hint="save it with commas between the columns, or with tabs as a .tsv",
        )
    if len(named) < len(columns):
        raise UserError(
            f"the rows of {path} have more fields than its first line has columns",
            hint="put a text that holds the separator between double quotes",
        )
