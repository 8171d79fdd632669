"""Code of a user's own, as a hash: the same name for other code is another thing."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from pathlib import Path
from typing import Any

from llm_eval.registry import USER

_PLAIN = (str, int, float, bool, bytes, type(None))


def code_of(thing: Any) -> str:
    """A hash of the source of a function, or of a class with its bases; "" where all is ours.

    By its name where there is no source to be had.
    """
    return hashlib.sha256(text.encode()).hexdigest() if (text := _source(thing)) else ""


def _source(thing: Any) -> str:
    if isinstance(thing, functools.partial):
        given = [*thing.args, *sorted(thing.keywords.items())]
        return f"{_source(thing.func)}{given!r}" if " at 0x" not in repr(given) else ""
    if isinstance(thing, type):
        return "\n".join(_one(kind) for kind in thing.__mro__ if not _ours(kind))
    if not hasattr(thing, "__code__") and not inspect.isroutine(thing):
        return _source(type(thing))  # an object that is called
    return _one(thing) + _bound(thing)


def _one(thing: Any) -> str:
    where = getattr(thing, "__module__", None) or ""
    name, module = f"{where}.{thing.__qualname__}", sys.modules.get(where)
    try:
        if USER in where and (file := getattr(module, "__file__", None)):
            return Path(file).read_text("utf-8")
        return inspect.getsource(thing)
    except (OSError, TypeError, ValueError, SyntaxError):
        return name


def _bound(function: Any) -> str:
    """What tells functions of one line apart: constants, defaults, and texts of the place where
    one was made."""
    consts = getattr(getattr(function, "__code__", None), "co_consts", ())
    defaults = getattr(function, "__defaults__", None) or ()
    given = [value for value in (*consts, *defaults) if isinstance(value, _PLAIN)]
    cells = getattr(function, "__closure__", None) or ()
    return repr([*given, *(text for text in map(_held, cells) if isinstance(text, str))])


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _ours(kind: type) -> bool:
    top = kind.__module__.partition(".")[0]
    return USER not in kind.__module__ and top in ("llm_eval", "builtins", "abc", "typing")
