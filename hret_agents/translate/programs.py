"""Programs: their docstrings and comments are translated, and nothing else is even sent.

A translation is put back so that it cannot end its docstring or comment: the program stays the
same program, whatever a model writes.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

_WORDS = re.compile(r"[^\W\d_]{2,}[\s,.:;()'\"-]+[^\W\d_]{2,}")
_ITEM = re.compile(
    r"\s*(?:[-*•]|\d+[.)]|:\w+|@\w+|[A-Z]\w*:\s*$|(?:In|Out)put\b|[Ff]or \w+ = |Examples?\b"
    r"|[\w.]+\()"
)
_DIRECTIVE = re.compile(r"#\s*(?:type:|noqa|pylint:|pragma:|fmt:|-\*-|coding[:=]|!)")
_CALL = re.compile(r"(?:assert\s+)?[\w.]+\(.*\)\s*(?:==|=>|-+>|=|➞|→|⟶|#|returns?\b)")
_HEADING = re.compile(r"[A-Z]\w*:")
_WORDED = (ast.Is, ast.IsNot, ast.In, ast.NotIn)  # what "it is done" may be taken for
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_QUOTES = re.compile(r"[rRuU]*('''|\"\"\"|'|\")")


@dataclass(frozen=True, slots=True)
class Piece:
    """A paragraph of a docstring, or a comment: where it stands, and its text on one line."""

    start: int
    end: int
    text: str


def pieces(program: str) -> list[Piece] | None:
    """What of a Python program is prose, in order; None for what does not parse.

    >>> said = "Add one\\n    to x.\\n    >>> f(1)\\n    2\\n    "
    >>> [p.text for p in pieces(f"def f(x):\\n    '''{said}'''")]
    ['Add one to x.']
    >>> [p.text for p in pieces("x = 1  # the first one")], pieces("def f(")
    (['the first one'], None)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
        found = [*_docstrings(tree, program), *_comments(program)]
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return None
    return sorted((p for p in found if _WORDS.search(p.text)), key=lambda p: p.start)


def fitted(text: str, source: str) -> str:
    """A translation as it may stand in the place of `source`: on one line, no quotes or escapes
    that the source has not.

    >>> fitted('say \"\"\"no\"\"\"\\nor yes\\\\\\\\', "say no")
    "say 'no' or yes"
    """
    line = " ".join(text.split())
    if '"""' not in source:
        line = line.replace('"""', "'")
    if "'''" not in source:
        line = line.replace("'''", "'")
    if "\\" not in source:
        line = line.replace("\\", "")
    return line.rstrip("\\") + ("." if line[-1:] in ('"', "'") and source[-1:] not in "\"'" else "")


def docstrings(tree: ast.Module) -> list[ast.Expr]:
    """The texts that stand by themselves as statements: docstrings, and those that come later."""
    return [
        line
        for node in ast.walk(tree)
        if isinstance(node, _DOCUMENTED)
        for line in node.body
        if isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    ]


def _docstrings(tree: ast.Module, program: str) -> Iterator[Piece]:
    lines = program.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(row: int, column: int) -> int:
        return starts[row - 1] + len(lines[row - 1].encode()[:column].decode())

    for said in docstrings(tree):
        assert said.end_lineno is not None and said.end_col_offset is not None
        start = place(said.lineno, said.col_offset)
        end = place(said.end_lineno, said.end_col_offset)
        quotes = _QUOTES.match(program, start)
        if quotes is None or program[start:end].count(quotes[1]) != 2:
            continue  # texts joined by their standing side by side, or something rarer: left alone
        yield from _paragraphs(program, quotes.end(), end - len(quotes[1]))


def _paragraphs(program: str, start: int, end: int) -> Iterator[Piece]:
    """Runs of prose lines; examples (`>>> ...` to the next empty line, `f(1) == 2`) stay."""
    held: tuple[int, int, list[str]] | None = None
    example, at = False, start
    for line in program[start:end].splitlines(keepends=True):
        bare, here = line.strip(), at
        at += len(line)
        example = bool(bare) and (example or bare.startswith((">>>", "...")))
        code = example or _is_code(bare)
        if held and (code or not bare or _ITEM.match(line)):
            yield Piece(held[0], held[1], " ".join(held[2]))
            held = None
        if bare and not code:
            first = here + line.index(bare)
            last = first + len(bare)
            held = (held[0], last, [*held[2], bare]) if held else (first, last, [bare])
            if _HEADING.fullmatch(bare):
                held = None
    if held:
        yield Piece(held[0], held[1], " ".join(held[2]))


def _is_code(line: str) -> bool:
    """Is a line of a docstring an example without `>>>`?

    >>> _is_code("f(1) == 2"), _is_code("x = [1, 2]"), _is_code("f is called"), _is_code("Note")
    (True, True, False, False)
    """
    if _CALL.match(line):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (statement,) = ast.parse(line).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not isinstance(statement, ast.Expr):
        return True
    if isinstance(statement.value, ast.Compare):
        return not any(isinstance(op, _WORDED) for op in statement.value.ops)
    return isinstance(statement.value, (ast.Call, ast.List))


def _comments(program: str) -> Iterator[Piece]:
    lines = program.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        if token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string):
            text = token.string.lstrip("#").strip()
            start = starts[token.start[0] - 1] + token.start[1] + token.string.index(text)
            yield Piece(start, start + len(text), text)
