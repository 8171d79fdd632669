"""Prompts: Jinja2 templates in `prompts/`, beside the packages in a checkout, inside in a wheel."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def folder() -> Path:
    """Where the templates lie."""
    package = Path(__file__).resolve().parent
    shipped = package / "_prompts"
    return shipped if shipped.is_dir() else package.parent / "prompts"


def rendered(name: str, **values: Any) -> str:
    """The template `name` with `values` filled in. Values are data: signs in them mean nothing."""
    return _environment().get_template(name).render(**values)


def version(name: str) -> str:
    """A short hash of a template's text, which stands in keys and records."""
    return hashlib.sha256((folder() / name).read_bytes()).hexdigest()[:12]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
