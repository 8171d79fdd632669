"""Taking the code out of a model's reply, whatever shape the reply has."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

MOST = 200_000  # characters of a reply that are looked at
BASE = "BaseDataset"
_FENCE = re.compile(r"([ \t>]*+)(`{3,}+|~{3,}+)[^`]*+$")
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_BLANKS = re.compile(r"^[ \t\u00a0]+", re.MULTILINE)
_THOUGHT = ("</think>", "</thinking>")
_CODE_STARTS = re.compile(r"(?:from\s+[\w.]+\s+import\b|import\s+\w|class\s+\w|@\w|\"\"\"|''')")
_SMART = "“”‘’"
_BUILT_IN = {*dir(builtins), "__file__", "__name__"}
_Parsed = tuple[str, ast.Module]


@dataclass(frozen=True, slots=True)
class Extracted:
    """The code of a reply, or why there is none (`reason`)."""

    code: str = ""
    reason: str = ""


def extract(reply: str) -> Extracted:
    """The module in a reply: the last block that defines a dataset class, if it is no mere excerpt,
    with the other blocks that define what it uses; else the longest text that defines one.

    >>> extract("Sure!\\n```python\\nclass Mine(BaseDataset):\\n    pass\\n```\\nDone.").code
    'class Mine(BaseDataset):\\n    pass\\n'
    >>> extract("I cannot do that.").reason
    'the reply holds no code'
    """
    text = reply[:MOST].replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    bare = _without_thought(_BLANKS.sub(lambda blanks: blanks[0].replace("\xa0", " "), text))
    shapes = [bare, *_unwrapped(bare)]
    blocks = dict.fromkeys(_trimmed(block) for shape in shapes for block in _fenced(shape))
    texts = [_trimmed(t) for s in shapes for t in (s, dedent(s), _from_first_line(s))]
    found = [code for code in dict.fromkeys([*blocks, *texts]) if code]
    parsed = [(code, tree) for code in found if (tree := _tree(code))]
    if datasets := [(code, tree) for code, tree in parsed if _defines_dataset(tree)]:
        whole = [code for code, tree in datasets if _imports_base(tree)]
        return Extracted(_completed(_chosen(whole or [c for c, _ in datasets], blocks), parsed))
    broken = [code for code in found if BASE in code and not _tree(code)]
    if broken:
        return Extracted(reason=_syntax(broken[0]))
    if any(tree.body and not _is_prose(tree) for _, tree in parsed):
        return Extracted(reason=f"the reply's code defines no subclass of {BASE}")
    return Extracted(reason="the reply holds no code")


def _chosen(modules: list[str], blocks: Collection[str]) -> str:
    """The last block, of those at least half as long as the longest text; else the longest."""
    longest = max(modules, key=len)
    final = [code for code in modules if code in blocks and 2 * len(code) >= len(longest)]
    return final[-1] if final else longest


def _completed(module: str, parsed: list[_Parsed]) -> str:
    """A module with the other pieces of the reply that define names which it lacks, in order."""
    trees = dict(parsed)
    taken = {module}
    pieces = [code for code, tree in parsed if not _defines_dataset(tree)]
    while lacking := _lacking([trees[code] for code in taken]):
        more = [c for c in pieces if c not in taken and lacking & set(_defined(trees[c]))]
        if not more:
            break
        taken.add(more[0])
    joined = _trimmed("\n\n".join(code for code, _ in parsed if code in taken))
    return joined if _tree(joined) else module


def _lacking(trees: list[ast.Module]) -> set[str]:
    """The names that some code reads and nowhere binds."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | _BUILT_IN
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    bound |= {name for tree in trees for name in _defined(tree)}
    return {node.id for node in names} - bound


def _defined(tree: ast.Module) -> Iterator[str]:
    """The names that code imports, assigns at its top, or calls a function or a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _stored(n))


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _without_thought(text: str) -> str:
    """What follows the last line that ends a thought; in code such a mark stands within a line."""
    lines = text.split("\n")
    ends = [i for i, line in enumerate(lines) if line.rstrip().endswith(_THOUGHT)]
    if not ends and text.lstrip().startswith("<think"):
        return text.partition("</think>")[2] or text
    return "\n".join(lines[ends[-1] + 1 :]) if ends else text


def _unwrapped(text: str) -> Iterator[str]:
    """Code that came as a string: in JSON, or with its line ends escaped."""
    pieces = (text, *_fenced(text), *_CALL.findall(text))
    strings = [s for piece in pieces for s in _strings(_json(piece))]
    yield from strings
    if not strings and text.count("\n") < 3 <= text.count("\\n"):
        read = _json(f'"{text.strip()}"')
        plain = text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t")
        yield read if isinstance(read, str) else plain


def _json(text: str) -> Any:
    start, end = text.find("{"), text.rfind("}")
    for piece in (text.strip(), text[start : end + 1] if 0 <= start < end else ""):
        try:
            return json.loads(piece, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _strings(value: Any) -> Iterator[str]:
    """The texts in a JSON value, at any depth, and in JSON that is such a text; lines as one."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed(value.values())
        elif isinstance(value, list) and value and all(isinstance(v, str) for v in value):
            waiting.append("\n".join(value))
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, str):
            yield value
            if value.lstrip().startswith(("{", "[")):
                waiting.append(_json(value))


def _fenced(text: str) -> Iterator[str]:
    """What stands between fences; the last may be open, or end within a line."""
    inside: list[str] | None = None
    quote, mark = "", ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if inside is None:
            if fence:
                inside, quote, mark = [], rf"(?:[ \t]*> ?){{0,{fence[1].count('>')}}}", fence[2]
        elif fence and _closes(line, mark):
            yield _block(inside, mark)
            inside = None
        else:
            inside.append(re.sub(quote, "", line, count=1))
    if inside:
        yield _block(inside, mark)


def _block(lines: list[str], mark: str) -> str:
    """Lines as code; up to a fence that stands within one if they are none with what follows."""
    whole = dedent("\n".join(lines))
    before, found, _ = whole.partition(mark)
    return before if found and not _tree(whole) and _tree(before) else whole


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
