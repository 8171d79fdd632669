"""Evaluation: datasets, backends, methods, and the runner over them.

`llm_eval.datasets` is `llm_eval.dataset` under the name that haerae-evaluation-toolkit uses: the
very same module objects, so that modules written for either register in one place. It exists on no
disk, for a folder of that name would shadow the `datasets` library when a script runs from here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ALIAS, _REAL = "llm_eval.datasets", "llm_eval.dataset"


class _SameModule(Loader):
    """Hands out the real module under the alias."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(_REAL + spec.name.removeprefix(_ALIAS))
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has put the alias's there


class _AliasFinder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == _ALIAS or name.startswith(_ALIAS + "."):
            return ModuleSpec(name, _SameModule(), is_package=name == _ALIAS)
        return None


sys.meta_path.insert(0, _AliasFinder())
