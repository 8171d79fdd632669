"""Where a setting comes from: flags > environment > `.env` > `config/config.py` > defaults.

Both files are read, never run: `.env` as lines of `NAME=value`, `config/config.py` as assignments
of plain values, `os.environ.get("NAME")` and `os.getenv("NAME", default)` among them.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_eval.errors import UserError
from llm_eval.secret import Secret, secret

NAMES = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"),
    *("HF_TOKEN", "BATCH_SIZE", "MAX_RETRIES"),
)
_LINE = re.compile(
    r"""^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*"""
    r"""(?:"([^"]*)"|'([^']*)'|((?:[^\s#]|(?<!\s)\#)*))\s*(?:\#.*)?$"""
)
_PLACEHOLDER = re.compile(r"^(your[-_ ].*|sk-\.{3}|hf_\.{3}|<.*>|)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment and the two files say; a flag is laid over it by whoever has one."""

    openai_api_key: Secret | None = None
    openai_base_url: str | None = None
    hf_token: Secret | None = None
    batch_size: int = 10
    max_retries: int = 3


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings seen from `folder` (default: the current one)."""
    folder = Path.cwd() if folder is None else folder
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for source in (_config_py(folder, environ), _dot_env(folder / ".env"), environ):
        found |= {n: source[n] for n in NAMES if _is_set(source.get(n))}
    return Settings(
        openai_api_key=secret(_said(found, "OPENAI_API_KEY")),
        openai_base_url=_said(found, "OPENAI_BASE_URL") or _said(found, "OPENAI_API_BASE"),
        hf_token=secret(_said(found, "HF_TOKEN")),
        batch_size=_number(found, "BATCH_SIZE", 10, least=1),
        max_retries=_number(found, "MAX_RETRIES", 3, least=0),
    )


def _is_set(value: object) -> bool:
    """Documents print keys as "your-openai-api-key-here": that is no key."""
    return value is not None and not (isinstance(value, str) and _PLACEHOLDER.match(value.strip()))


def _said(found: Mapping[str, Any], name: str) -> str | None:
    """A text, without the line end it was copied with."""
    value = found.get(name)
    return None if value is None else str(value).strip()


def _number(found: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    value = found.get(name, default)
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or int(text) < least:
        raise UserError(
            f"{name}={value!r} is no whole number of at least {least}",
            hint=f"the default is {default}",
        )
    return int(text)


def _dot_env(path: Path) -> dict[str, str]:
    pairs = (_LINE.match(line) for line in _text(path).splitlines())
    return {m[1]: m[2] or m[3] or m[4] or "" for m in pairs if m}


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path} cannot be read: {e}", hint="save it as UTF-8") from None


def _config_py(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """`config/config.py` of the folder, else of the checkout that this file lies in."""
    for root in (folder, Path(__file__).resolve().parents[1]):
        path = root / "config" / "config.py"
        if path.is_file():
            return _assignments(path, environ)
    return {}


def _assignments(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        tree = ast.parse(_text(path), str(path))
    except (SyntaxError, ValueError) as e:  # a zero byte is the one or the other
        line, said = getattr(e, "lineno", None), getattr(e, "msg", str(e))
        raise UserError(f"{path}, line {line or '?'}: {said}") from None
    found: dict[str, Any] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id in NAMES:
            found[target.id] = _value(node.value, environ, f"{path}, line {node.lineno}")
    return found


def _value(node: ast.expr, environ: Mapping[str, str], where: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    match ast.unparse(node), node:
        case text, ast.Call(args=[ast.Constant(value=str(name)), *rest]) if text.startswith(
            ("os.environ.get(", "os.getenv(")
        ):
            default = rest[0].value if rest and isinstance(rest[0], ast.Constant) else None
            return environ.get(name, default)
        case text, ast.Subscript(slice=ast.Constant(value=str(name))) if text.startswith(
            "os.environ["
        ):
            return environ.get(name)
    raise UserError(
        f"{where}: only plain values and os.environ.get(...) are read here",
        hint="write the value itself, or set the environment variable of the same name",
    )


def home() -> Path:
    """The one folder of this user's state: memory, trust, and the index of ports (`HRET_HOME`)."""
    return Path(os.environ.get("HRET_HOME") or Path.home() / ".hret").expanduser().absolute()
