"""Reading a reply as a program (fences and prose off, thoughts cut, joined to its prompt), and
whether tests can judge one."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from llm_eval import thoughts

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.M | re.S)
_OTHER = ("bash", "console", "json", "output", "sh", "shell", "text", "txt")  # not the program
_CODE_LINE = re.compile(r"^(?:from \w|import \w|def \w|async def \w|class \w|@\w)", re.M)
_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LONGEST = 200_000  # characters of a reply that are read


def candidates(prompt: str, reply: str, entry_point: str | None) -> list[str]:
    """The ways to read `reply` as a program, best first; which of them is one, a parser must say.

    `prompt` is code that the reply goes on with, or prose (then no program begins with it).

    >>> candidates("def f(x):\\n", "    return x", "f")[0]
    'def f(x):\\n    return x'
    >>> candidates("Write f.", "Sure:\\n```python\\ndef f(x): return x\\n```", "f")[-1]
    'def f(x): return x\\n'
    """
    found = []
    goes_on = _CODE_LINE.search(prompt) is not None
    before = _before(prompt, entry_point)
    for code in _codes(thoughts.without(reply)[:_LONGEST], entry_point):
        if entry_point is None or _defines(code, entry_point):
            found += [f"{prompt.rstrip()}\n\n\n{code}", before + code] * goes_on + [code]
        else:
            bodies = [start + body for start in _starts(prompt) for body in _bodies(code)]
            found += bodies if goes_on else [code]
    return list(dict.fromkeys(found))


def _before(prompt: str, name: str | None) -> str:
    """What a prompt has before the function that it begins, which may have no body yet."""
    begin = rf"^(?:@.*\n)*(?:async\s+)?def\s+{re.escape(name or '')}\b"
    found = re.search(begin, prompt, re.MULTILINE) if name else None
    return prompt[: found.start()] if found else ""


def _starts(prompt: str) -> list[str]:
    """A prompt as a body may follow it: on its last line, unless that is a comment, or the next."""
    return [f"{prompt}\n"] if re.search(r"#.*\Z", prompt) else [prompt, f"{prompt}\n"]


def _codes(text: str, entry_point: str | None) -> list[str]:
    """The parts of a reply that may be the program: what defines its function first."""
    blocks = [
        textwrap.dedent(m[3]) if _CODE_LINE.search(textwrap.dedent(m[3])) else m[3]
        for m in _FENCE.finditer(text)
        if m[2].lower() not in _OTHER and m[3].strip()
    ]
    if blocks:
        defining = [i for i, b in enumerate(blocks) if entry_point and _defines(b, entry_point)]
        last = defining[-1] if defining else len(blocks) - 1
        helpers = [b for b in blocks[:last] if _only_defines(b)]
        return [
            "\n\n".join([*helpers, blocks[last]]),
            *(blocks[i] for i in defining[::-1]),
            *blocks,
        ]
    first = _CODE_LINE.search(text)
    return [text, text[first.start() :]] if first and first.start() else [text]


def _defines(code: str, name: str) -> bool:
    begin = rf"(?:(?:async\s+)?def\s+|class\s+){re.escape(name)}\b|{re.escape(name)}\s*[:=]"
    return re.search(rf"^(?:{begin})", code, re.MULTILINE) is not None


def _only_defines(code: str) -> bool:
    """Does nothing in `code` run but definitions and imports?"""
    top = [line for line in code.splitlines() if line[:1] not in ("", " ", "\t", "#", ")")]
    return all(_CODE_LINE.match(line) for line in top)


def _bodies(code: str) -> list[str]:
    """`code` as the body of the function that the prompt begins."""
    code = code.lstrip("\n")
    if re.match(r"[ \t]", code):
        return [code, textwrap.indent(textwrap.dedent(code), "    ")]
    return [textwrap.indent(code, "    "), "    " + code, code]


def judges_nothing(test: str) -> bool:
    """Does a test only define what nothing calls, as a TestCase, so that every program passes it?

    `check` is called by those who judge.
    """
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    checks = any(isinstance(n, ast.FunctionDef) and n.name == "check" for n in tree.body)
    return not checks and not any(_judges(node) for node in _run(tree.body))


def _run(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """What runs when a module is executed under a name that is not __main__."""
    for statement in body:
        main = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        if not isinstance(statement, _DEFINING) and not main:
            yield from ast.walk(statement)


def _judges(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert | ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
