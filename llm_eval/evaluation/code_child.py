"""What runs in a jail of its own to judge one program: this file's source, and nothing of ours.

It is told the candidates (ways to read the reply as a program), the tests and a token. It runs the
first candidate that is one, then the tests; only then it asks for the nonce and sends it back.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import types
from typing import Any

CUTS = 400  # how many lines of prose are taken off the end of a reply


def compiled(source: str, entry_point: str | None) -> types.CodeType:
    """The program's code; a `SyntaxError` if it is none, or does not define `entry_point`."""
    tree = ast.parse(source)
    if entry_point is not None and entry_point not in set(defined(tree)):
        raise SyntaxError(f"it defines no {entry_point}")
    return compile(source, "answer.py", "exec", dont_inherit=True)


def defined(tree: ast.Module) -> list[str]:
    """The names that a program defines at its top level."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [a.asname or a.name for a in node.names]
        elif isinstance(node, ast.Assign):
            names += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return names


def chosen(candidates: list[str], prompt: str, entry_point: str | None) -> types.CodeType:
    """The first candidate that is a program; else the first that is one without its last lines."""
    reason: BaseException | None = None
    for candidate in candidates:
        try:
            return compiled(candidate, entry_point)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            reason = reason or e
    for candidate in candidates:
        lines = candidate.splitlines()
        told = len(prompt.rstrip().splitlines()) if candidate.startswith(prompt.rstrip()) else 0
        for last in range(len(lines) - 1, max(told, len(lines) - CUTS), -1):
            if not "".join(lines[told:last]).strip():
                break  # what is left is the prompt
            try:
                return compiled("\n".join(lines[:last]) + "\n", entry_point)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    raise reason or SyntaxError("the reply holds no code")


def run(job: dict[str, Any]) -> tuple[str, str]:
    """Run answer and tests; ("", "") if all held, else (kind, what was said).

    What the tests are, and what runs them, is settled before the answer could change it.
    """
    name, call_check, execute = job["entry_point"], job["call_check"], exec
    try:
        code = chosen(job["candidates"], job["prompt"], name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        return "syntax", f"{type(e).__name__}: {e}"
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    names = module.__dict__
    try:
        tests = tuple(compile(t, "tests.py", "exec", dont_inherit=True) for t in job["tests"])
        execute(code, names)
        for test in tests:
            execute(test, names)
        if call_check:
            names["check"](names[name])
    except AssertionError as e:
        return "assertion", said(e)
    except BaseException as e:  # SystemExit, and whatever else an answer may raise
        return type(e).__name__, said(e)
    return "", ""


def said(error: BaseException) -> str:
    """An exception's text; its class may be the answer's own."""
    try:
        return str(error)[:300]
    except BaseException:
        return ""


def main() -> None:
    """Serve one job, and end without giving the answer's code another turn."""
    leave, write, dumps = os._exit, os.write, json.dumps
    source, out = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    job = json.loads(source.readline())
    token, lines = job.pop("token"), source.readline
    kind, text = run(job)
    if kind:
        write(out, dumps({"kind": kind, "said": text}).encode() + b"\n")
    else:
        write(out, dumps({"passed": token}).encode() + b"\n")
        write(out, lines())
    leave(0)
