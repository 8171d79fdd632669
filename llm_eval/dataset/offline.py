"""`datasets.load_dataset` where there is no network: names of ports read the ports' own data.

Installed in a module's process before the module is imported. The `datasets` library itself is not
loaded until the module imports it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from llm_eval.errors import UserError

_SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}\.parquet")


def install(repos: Mapping[str, str]) -> None:
    """From here on `load_dataset(NAME, ...)` reads the folder that `repos` has for the name."""
    sys.meta_path.insert(0, _Finder(repos))


class _Finder(MetaPathFinder):
    """Finds `datasets` where it is, and puts another `load_dataset` in it once it is loaded."""

    def __init__(self, repos: Mapping[str, str]) -> None:
        self._repos = repos

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "datasets":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec and spec.loader:
            loader: Any = spec.loader
            loader.exec_module = self._then_changed(loader.exec_module)
        return spec

    def _then_changed(self, load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            load(module)
            changed = local(module.load_dataset, self._repos)
            module.load_dataset = module.load.load_dataset = changed  # type: ignore[attr-defined]

        return exec_module


def local(real: Callable[..., Any], repos: Mapping[str, str]) -> Callable[..., Any]:
    """`load_dataset`, for files and for the names in `repos`.

    Raises (in the function returned):
        UserError: the name stands for neither, or the port has no such subset.
    """

    @wraps(real)
    def load_dataset(path: str, name: str | None = None, **more: Any) -> Any:
        if folder := repos.get(path):
            for other in ("data_dir", "data_files", "revision", "token", "trust_remote_code"):
                more.pop(other, None)
            return real("parquet", data_files=_files(path, Path(folder), name), **more)
        if _is_format(path) or os.path.exists(path):
            return real(path, name, **more)
        raise UserError(
            f"load_dataset({path!r}): the sandbox has no network",
            hint="read the files in the folder `data` beside the module",
        )

    return load_dataset


def _is_format(path: str) -> bool:
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    return path in _PACKAGED_DATASETS_MODULES


def _files(repo: str, folder: Path, subset: str | None) -> dict[str, list[str]]:
    """The parquet files of a port's subset, by split."""
    subsets = sorted(f.name for f in (folder / "data").iterdir() if f.is_dir())
    chosen = subset or ("default" if "default" in subsets else subsets[0])
    if chosen not in subsets or (subset is None and chosen != "default" and len(subsets) > 1):
        raise UserError(
            f"load_dataset({repo!r}, {subset!r}): no such subset",
            hint=f"there are {', '.join(subsets)}",
        )
    files: dict[str, list[str]] = {}
    for file in sorted((folder / "data" / chosen).iterdir()):
        if found := _SHARD.fullmatch(file.name):
            files.setdefault(found["split"], []).append(str(file))
    return files
