"""Python programs: translated are their docstrings and comments, and nothing else."""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Sequence
from functools import lru_cache

from hret_agents.checks.base import Rules
from hret_agents.translate.programs import docstrings

_HINTS = re.compile(r"=|\b(?:def|class|import|for|while|print)\b")  # no program is without one
_TWO_WORDS = re.compile(r"\s*([A-Za-z_]\w*)[ \t]+([A-Za-z_]\w*)")
_BETWEEN = ("and", "or", "not", "in", "is", "if")
_STATEMENTS = (  # what no prose and no formula holds
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ImportFrom, ast.For, ast.While,
    ast.If, ast.With, ast.Try, ast.AugAssign, ast.NamedExpr, ast.Lambda, ast.ListComp,
    ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr,
)  # fmt: skip
_CALLS = frozenset(  # functions of no formula
    "all any bool chr dict enumerate filter float input int isinstance len list map open ord print "
    "range reversed set sorted str super tuple type zip".split()
)
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
        return _examples_differ(old, new) if old and ">>>" in source else ""
    return "the program changed: translate docstrings and comments only, keep every other sign"


@lru_cache(maxsize=64)
def is_program(text: str) -> bool:
    """Is a text a Python program: does it parse, and hold what no prose and no formula holds?

    That is a definition, an import, a loop, a condition; an assignment with a text, a method, a
    comparison, a call as of `input`, two targets at once, or a target of before; `print(...)`.

    >>> [is_program(t) for t in ("import os\\nx = 1", "x = input()", "print(x)")]
    [True, True, True]
    >>> [is_program(t) for t in ("speed = distance / time", "import taxes", "rate = 5\\ntime = 3")]
    [False, False, False]
    """
    if not _HINTS.search(text) or _reads_like_prose(text):
        return False
    tree = _tree(text)
    if tree is None:
        return False
    nodes = list(ast.walk(tree))
    if any(isinstance(node, _STATEMENTS) or _prints(node) for node in nodes):
        return True
    if any(isinstance(node, ast.Import) for node in nodes):
        return len(tree.body) > 1 or "#" in text or not _like_a_phrase(tree.body[0])
    return _assigns(nodes)


def _reads_like_prose(text: str) -> bool:
    """Two words side by side at the start are no Python, unless one of them is a keyword."""
    m = _TWO_WORDS.match(text)
    return m is not None and not (
        keyword.iskeyword(m[1]) or m[1] in keyword.softkwlist or m[2] in _BETWEEN
    )


def _prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and _called(node.value) == "print"


def _called(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _like_a_phrase(only: ast.stmt) -> bool:
    """`import taxes`"""
    return isinstance(only, ast.Import) and all(
        "." not in alias.name and not alias.asname for alias in only.names
    )


def _assigns(nodes: Sequence[ast.AST]) -> bool:
    """Is something assigned as only programs do it?"""
    assigned: list[str] = []
    for node in nodes:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if len(targets) > 1 or any(not isinstance(t, ast.Name) for t in targets):
            return True
        assigned += [t.id for t in targets if isinstance(t, ast.Name)]
        if any(map(_of_programs, ast.walk(node.value))):
            return True
    many = len(assigned) > 1 and any("_" in name.strip("_") for name in assigned)
    return many or len(set(assigned)) < len(assigned)


def _of_programs(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _called(node) in _CALLS or isinstance(node.func, ast.Attribute)
    if isinstance(node, ast.Dict | ast.Compare | ast.BoolOp):
        return True
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


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
    left_out = {id(node) for node in docstrings(copy)}
    return "\n".join(_dump(node, left_out) for node in tree.body)


def _dump(node: object, left_out: set[int]) -> str:
    if isinstance(node, ast.AST):
        if id(node) in left_out:
            return ""
        fields = (_dump(getattr(node, name, None), left_out) for name in node._fields)
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{';'.join(_dump(item, left_out) for item in node if id(item) not in left_out)}]"
    return repr(node)


def _examples_differ(old: ast.Module, new: ast.Module) -> str:
    """The examples of docstrings are run: their code and what they print must stay."""
    was, now = (
        [example for node in docstrings(tree) for example in _examples(_said(node))]
        for tree in (old, new)
    )
    if len(was) == len(now) and all(map(_same_example, was, now)):
        return ""
    return "an example (>>>) in a docstring changed: copy its lines sign by sign"


def _said(docstring: ast.Expr) -> str:
    return str(ast.literal_eval(docstring.value))


def _examples(docstring: str) -> list[tuple[str, str]]:
    """The examples of a docstring: their code, and the first line of what they print.

    >>> _examples("Add one.\\n>>> f(\\n...   1)\\n2\\n")
    [('f(\\n  1)', '2')]
    """
    found: list[list[str]] = []
    for line in docstring.splitlines():
        bare = line.strip()
        if bare.startswith(">>>"):
            found.append([bare[4:], ""])
        elif found and bare.startswith("...") and not found[-1][1]:
            found[-1][0] += f"\n{bare[4:]}"
        elif found and not found[-1][1]:
            found[-1][1] = bare or "\n"
    return [(code, "" if printed == "\n" else printed) for code, printed in found]


def _same_example(was: tuple[str, str], now: tuple[str, str]) -> bool:
    """Comments aside, and what is printed as far as it is a value: prose may stand behind."""
    if was == now:
        return True
    old, new = _tree(was[0].strip()), _tree(now[0].strip())
    if old is None or new is None:
        if was[0].split() != now[0].split():
            return False
    elif ast.dump(old) != ast.dump(new):
        return False
    return was[1] == now[1] or not _is_value(was[1])


def _is_value(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def prose_of(program: str) -> str:
    """The comments and docstrings of a program, as far as they hold two words in a row.

    >>> prose_of("x = 1  # the first one\\ny = 'two words'  # n"), prose_of("x = 1")
    ('# the first one', '')
    """
    tree = _tree(program)
    said = [_said(node) for node in docstrings(tree)] if tree else []
    try:
        tokens = tokenize.generate_tokens(io.StringIO(program).readline)
        said += [token.string for token in tokens if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError):
        pass
    return "\n".join(text for text in said if _PROSE.search(text))
