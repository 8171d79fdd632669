"""Names for plug-ins: built-ins as lazy strings, users' own by decorator, others' by entry point.

All three take the same path, listing names imports nothing, and a wrong name is answered with a
guess.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from llm_eval.errors import HretError, Unknown, UserError

USER = "hret_user_"  # begins the module names of users' files

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])


class Registry(Generic[T]):
    """Plug-ins of one `kind`; entry points live in the group `hret.<kind>`, spaces as `_`."""

    def __init__(self, kind: str, built_in: Mapping[str, str] | None = None) -> None:
        self.kind, self.group = kind, f"hret.{kind.replace(' ', '_')}"
        self._lazy = dict(built_in or {})
        self._live: dict[str, T] = {}

    def add(self, name: str) -> Callable[[C], C]:
        """Decorator: register a class as `name`. A later registration replaces an earlier one."""

        def register(item: C) -> C:
            self._live[name] = cast(T, item)
            return item

        return register

    def forget(self, item: T) -> None:
        """Take `item` out again, under whatever name it was registered."""
        self._live = {name: known for name, known in self._live.items() if known is not item}

    def get(self, name: str) -> T:
        """The plug-in called `name`; `Unknown` (with a guess) when there is none."""
        if name in self._live:
            return self._live[name]
        if name in self._lazy:
            module, _, attribute = self._lazy[name].partition(":")
            return cast(T, getattr(import_module(module), attribute))
        for point in entry_points(group=self.group, name=name):
            return cast(T, point.load())
        raise Unknown(self.kind, name, self.names())

    def plugged(self) -> dict[str, str]:
        """The names that installed packages bring, each with its package; nothing is imported."""
        points = entry_points(group=self.group)
        return {p.name: p.dist.name if p.dist else "?" for p in points}

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def names(self) -> list[str]:
        """Every known name, sorted; nothing is imported."""
        plugged = {p.name for p in entry_points(group=self.group)}
        return sorted(plugged | set(self._lazy) | set(self._live))


def module_in(path: Path, package: str) -> ModuleType:
    """The user's own module in a file, imported; its relative imports begin at `package`.

    Raises:
        UserError: its code raised.
    """
    name = f"{package}.{USER}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = spec_from_file_location(name, path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except HretError:
        raise
    except Exception as e:  # the user's file may raise anything
        del sys.modules[name]
        raise UserError(f"{path} could not be imported: {type(e).__name__}: {e}") from e
    return module
