"""Taking the code out of a model's reply, whatever shape the reply has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

MOST = 200_000  # characters of a reply that are looked at
BASE = "BaseDataset"
_FENCE = re.compile(r"[ \t>]*+(`{3,}+|~{3,}+)[^`]*+$")
_THOUGHT = ("</think>", "</thinking>")
_CODE_STARTS = re.compile(r"(?:from\s+[\w.]+\s+import\b|import\s+\w|class\s+\w|@\w|\"\"\"|''')")
_SMART = "“”‘’"
_KEYS = ("code", "module", "python", "content", "source", "answer")


@dataclass(frozen=True, slots=True)
class Extracted:
    """The code of a reply, or why there is none (`reason`)."""

    code: str = ""
    reason: str = ""


def extract(reply: str) -> Extracted:
    """The module in a reply: of all that may be code, the longest that defines a dataset class.

    >>> extract("Sure!\\n```python\\nclass Mine(BaseDataset):\\n    pass\\n```\\nDone.").code
    'class Mine(BaseDataset):\\n    pass\\n'
    >>> extract("I cannot do that.").reason
    'the reply holds no code'
    """
    text = reply[:MOST].replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    found = [c for c in dict.fromkeys(map(_trimmed, _candidates(text))) if c]
    parsed = [(code, tree) for code in found if (tree := _tree(code))]
    datasets = [(code, tree) for code, tree in parsed if _defines_dataset(tree)]
    whole = [code for code, tree in datasets if _imports_base(tree)]
    pieces = _trimmed("\n\n".join(_fenced(_without_thought(text))))
    if not whole and datasets and _tree(pieces):  # the module stands in several fences
        return Extracted(pieces)
    if datasets:
        return Extracted(max(whole or [code for code, _ in datasets], key=len))
    broken = [code for code in found if BASE in code and not _tree(code)]
    if broken:
        return Extracted(reason=_syntax(broken[0]))
    if any(tree.body and not _is_prose(tree) for _, tree in parsed):
        return Extracted(reason=f"the reply's code defines no subclass of {BASE}")
    return Extracted(reason="the reply holds no code")


def _candidates(text: str) -> Iterator[str]:
    """All that may be the module, in every shape known."""
    bare = _without_thought(text)
    for shape in (bare, *_unwrapped(bare)):
        yield from _fenced(shape)
        yield shape
        yield dedent(shape)
        yield _from_first_line(shape)


def _without_thought(text: str) -> str:
    """What follows the last line that ends a thought; in code such a mark stands within a line."""
    lines = text.split("\n")
    ends = [i for i, line in enumerate(lines) if line.rstrip().endswith(_THOUGHT)]
    if not ends and text.lstrip().startswith("<think"):
        return text.partition("</think>")[2] or text
    return "\n".join(lines[ends[-1] + 1 :]) if ends else text


def _unwrapped(text: str) -> Iterator[str]:
    """Code that came as a string: in JSON, or with its line ends escaped."""
    strings = [s for piece in (text, *_fenced(text)) for s in _strings(_json(piece))]
    yield from strings
    if not strings and text.count("\n") < 3 <= text.count("\\n"):
        yield _json(f'"{text.strip()}"') or text.replace("\\n", "\n").replace('\\"', '"').replace(
            "\\t", "\t"
        )


def _json(text: str) -> Any:
    start, end = text.find("{"), text.rfind("}")
    for piece in (text.strip(), text[start : end + 1] if 0 <= start < end else ""):
        try:
            return json.loads(piece, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from _fenced(value)
    elif isinstance(value, dict):
        for key in (*_KEYS, *value):
            if isinstance(value.get(key), str | list):
                yield from _strings(value[key])
    elif isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        yield "\n".join(value)


def _fenced(text: str) -> Iterator[str]:
    """What stands between fences; the last may be open."""
    blocks: list[str] = []
    inside: list[str] | None = None
    mark = ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if inside is None:
            if fence:
                inside, mark = [], fence[1]
        elif fence and _closes(line, mark):
            blocks.append("\n".join(inside))
            inside = None
        else:
            inside.append(line)
    if inside:
        blocks.append("\n".join(inside))
    yield from map(dedent, blocks)


def _closes(line: str, mark: str) -> bool:
    bare = line.strip(" \t>")
    return bare.startswith(mark) and not bare.strip(mark[0])


def _from_first_line(text: str) -> str:
    """From the first line that begins like code to the last with which it still parses."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _CODE_STARTS.match(line)), None)
    if start is None:
        return ""
    lines = lines[start:]
    whole = "\n".join(lines)
    for _ in range(40):
        try:
            ast.parse(whole)
            return whole
        except SyntaxError as e:
            end = min((e.lineno or 1) - 1, len(lines) - 1)
        except (ValueError, RecursionError, MemoryError):
            return ""
        while end and not _at_top(lines[end]):
            end -= 1
        if not end:
            break
        lines = lines[:end]
        whole = "\n".join(lines)
    return "\n".join(text.split("\n")[start:])


def _at_top(line: str) -> bool:
    return bool(line.strip()) and not line[0].isspace()


def _trimmed(code: str) -> str:
    lines = [line.rstrip() for line in code.strip("\n").split("\n")]
    joined = "\n".join(lines).strip("\n")
    return f"{joined}\n" if joined.strip() else ""


def _tree(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defines_dataset(tree: ast.Module) -> bool:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return any(ast.unparse(base).split(".")[-1] == BASE for c in classes for base in c.bases)


def _imports_base(tree: ast.Module) -> bool:
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return any(alias.name == BASE for node in imports for alias in node.names)


def _is_prose(tree: ast.Module) -> bool:
    """Words that happen to parse: names, strings, numbers, brackets."""
    calls = any(isinstance(node, ast.Call) for node in ast.walk(tree))
    return not calls and all(isinstance(node, ast.Expr) for node in tree.body)


def _syntax(code: str) -> str:
    """Why broken code is broken."""
    try:
        ast.parse(code)
    except SyntaxError as e:
        line = (code.split("\n")[(e.lineno or 1) - 1 : e.lineno] or [""])[0].strip()[:80]
        said = f"the code does not parse: line {e.lineno}: {e.msg}: {line}"
        if any(quote in line for quote in _SMART):
            said += " (write plain quotes, not typographic ones)"
        return said
    except (ValueError, RecursionError, MemoryError) as e:
        return f"the code does not parse: {type(e).__name__}"
    return "the code does not parse"
