"""Python programs: translated are their docstrings and comments, and nothing else."""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
import warnings
from functools import lru_cache

from hret_agents.checks.base import Rules

_SETS = re.compile(r"=|\b(?:def|class|import)\b")  # without one of them nothing is defined
_TWO_WORDS = re.compile(r"\s*([A-Za-z_]\w*)[ \t]+([A-Za-z_]\w*)")
_BETWEEN = ("and", "or", "not", "in", "is", "if")
_DEFINES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AugAssign, ast.NamedExpr,
)  # fmt: skip
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PROSE = re.compile(r"[^\W\d_]{2,}\s+[^\W\d_]{2,}")


def code_ast_equal(source: str, target: str, rules: Rules) -> str:
    """A program must stay the same program.

    >>> rules, program = Rules(lang="ko"), "def f(x):\\n    '''Add one.'''\\n    return x + 1"
    >>> code_ast_equal(program, "def f(x):\\n    '''1을 더합니다.'''\\n    return x + 1", rules)
    ''
    >>> code_ast_equal(program, "def 함수(x):\\n    '''1을 더합니다.'''\\n    return x + 1", rules)
    'the program changed: translate docstrings and comments only, keep every other sign'
    >>> code_ast_equal("Speed = distance / time", "속력 = 거리 / 시간", rules)
    ''
    """
    if not is_program(source) or source == target:
        return ""
    old, new = _tree(source), _tree(target)
    if new is None:
        return "the program does not parse any more: translate docstrings and comments only"
    if old is None or _bare(old) == _bare(new):
        return ""
    return "the program changed: translate docstrings and comments only, keep every other sign"


@lru_cache(maxsize=64)
def is_program(text: str) -> bool:
    """Is a text a Python program: does it parse, and define, import or assign something?

    A formula on a line of its own is none, nor are two words that happen to parse.

    >>> [is_program(t) for t in ("import os\\nx = 1", "Speed = distance / time", "import taxes")]
    [True, False, False]
    """
    if not _SETS.search(text) or _reads_like_prose(text):
        return False
    tree = _tree(text)
    if tree is None or not any(_defines(node) for node in ast.walk(tree)):
        return False
    return len(tree.body) > 1 or "#" in text or not _like_a_phrase(tree.body[0])


def _reads_like_prose(text: str) -> bool:
    """Two words side by side at the start are no Python, unless one of them is a keyword."""
    m = _TWO_WORDS.match(text)
    return m is not None and not (
        keyword.iskeyword(m[1]) or m[1] in keyword.softkwlist or m[2] in _BETWEEN
    )


def _defines(node: ast.AST) -> bool:
    return isinstance(node, _DEFINES) or (isinstance(node, ast.AnnAssign) and bool(node.value))


def _like_a_phrase(only: ast.stmt) -> bool:
    """`import taxes`; `Speed = distance / time`."""
    if isinstance(only, ast.Import):
        return all("." not in alias.name and not alias.asname for alias in only.names)
    formula = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return isinstance(only, ast.Assign) and all(
        isinstance(node, (*formula, ast.expr_context))
        and not (isinstance(node, ast.Constant) and isinstance(node.value, str))
        for part in (*only.targets, only.value)
        for node in ast.walk(part)
    )


@lru_cache(maxsize=16)
def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in somebody's string is not our business
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _bare(tree: ast.Module) -> str:
    """The tree without its docstrings, written out."""
    copy = ast.Module(body=tree.body, type_ignores=[])
    docstrings = {id(node) for node in _docstrings(copy)}
    return "\n".join(_dump(node, docstrings) for node in tree.body)


def _dump(node: object, left_out: set[int]) -> str:
    if isinstance(node, ast.AST):
        if id(node) in left_out:
            return ""
        fields = (_dump(getattr(node, name, None), left_out) for name in node._fields)
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{';'.join(_dump(item, left_out) for item in node if id(item) not in left_out)}]"
    return repr(node)


def _docstrings(tree: ast.Module) -> list[ast.Expr]:
    return [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, _DOCUMENTED)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
        and isinstance(node.body[0].value.value, str)
    ]


def prose_of(program: str) -> str:
    """The comments and docstrings of a program, as far as they hold two words in a row.

    >>> prose_of("x = 1  # the first one\\ny = 'two words'  # n"), prose_of("x = 1")
    ('# the first one', '')
    """
    tree = _tree(program)
    said = [str(ast.literal_eval(node.value)) for node in _docstrings(tree)] if tree else []
    try:
        tokens = tokenize.generate_tokens(io.StringIO(program).readline)
        said += [token.string for token in tokens if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError):
        pass
    return "\n".join(text for text in said if _PROSE.search(text))
