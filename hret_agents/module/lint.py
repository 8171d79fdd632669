"""What a module that a model wrote may not say: a lint, for quick sentences to the model.

This is no guard: the sandbox is. What is found here need not be run to be refused, and the model
is told the line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

BASE = "BaseDataset"
REGISTER = "register_dataset"
MODULES = ("typing", "json", "re", "pathlib", "datasets", "__future__")
TOOLKIT = ("llm_eval.datasets", "llm_eval.datasets.base", "llm_eval.utils.logging")
DUNDERS = frozenset(
    "__init__ __len__ __getitem__ __iter__ __repr__ __str__ __file__ __name__ __doc__ "
    "__all__".split()
)
FORBIDDEN = frozenset(
    "exec eval compile open __import__ globals locals vars breakpoint input delattr setattr "
    "exit quit".split()
)
WRITERS = frozenset(
    "write_text write_bytes unlink rmdir mkdir touch chmod symlink_to hardlink_to to_parquet "
    "to_csv to_json save_to_disk push_to_hub".split()
)
_HARMLESS = frozenset(
    "frozenset set tuple list dict sorted len str int float range zip enumerate map min max sum "
    "Path get_logger TypeVar".split()
)
_HARMLESS_METHODS = frozenset(
    "compile join format split splitlines strip lower upper casefold replace resolve absolute "
    "joinpath with_name escape fromkeys items keys values".split()
)
_DECORATORS = frozenset(("staticmethod", "classmethod", "property"))
_KEYS = re.compile(r"OPENAI_|HF_TOKEN|HUGGING_?FACE_|[A-Z_]*API_?KEY|os\.environ|\bgetenv\b")
_KEYWORDS = frozenset(("token", "use_auth_token", "trust_remote_code", "storage_options"))
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=]")


def lint(code: str, *, class_name: str, slug: str) -> list[str]:
    """What is wrong with a module that parses, each a sentence with its line; empty for nothing."""
    tree = ast.parse(code)
    found = [(line, said) for line, said in _findings(tree, class_name, slug)]
    for number, line in enumerate(code.splitlines()[:2], 1):
        if _COOKIE.match(line):
            found.append((number, "declares an encoding: leave that comment out"))
    ordered = dict.fromkeys(sorted(found))
    return [f"line {line}: {said}" for line, said in ordered]


def _findings(tree: ast.Module, class_name: str, slug: str) -> Iterator[tuple[int, str]]:
    for statement in tree.body:
        yield from _top(statement)
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _import(node)
            case ast.Name():
                yield from _name(node.id, node.lineno)
            case ast.Attribute():
                yield from _name(node.attr, node.lineno, FORBIDDEN - {"compile"})
                if node.attr in WRITERS:
                    yield node.lineno, f"calls .{node.attr}(): a module writes nothing"
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from _name(node.name, node.lineno)
            case ast.Call():
                yield from _call(node)
            case ast.Constant(value=str(text)) if _KEYS.search(text):
                yield node.lineno, "names a key or the environment: a module needs none"
    yield from _class(tree, class_name, slug)


def _top(statement: ast.stmt) -> Iterator[tuple[int, str]]:
    """Only imports, constants, functions and classes stand at the top, and none of them does
    anything when the module is imported."""
    line = statement.lineno
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return
        case ast.Assign() | ast.AnnAssign():
            yield from _constant(statement.value)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _function(statement)
        case ast.ClassDef():
            yield from _class_body(statement)
        case _:
            yield (
                line,
                "does something on import: only imports, constants, functions and classes may "
                "stand outside of functions",
            )


def _class_body(node: ast.ClassDef) -> Iterator[tuple[int, str]]:
    for decorator in node.decorator_list:
        called = isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == REGISTER
        if not called:
            yield decorator.lineno, f"@{ast.unparse(decorator)}: a class takes @{REGISTER} alone"
    if node.keywords:
        yield node.lineno, "passes keywords to a class: write the base class alone"
    for statement in node.body:
        if not isinstance(statement, ast.Pass):
            yield from _top(statement)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    for decorator in node.decorator_list:
        if ast.unparse(decorator) not in _DECORATORS:
            yield decorator.lineno, f"@{ast.unparse(decorator)}: not among {sorted(_DECORATORS)}"
    for default in (*node.args.defaults, *node.args.kw_defaults):
        yield from _constant(default)


def _constant(value: ast.expr | None) -> Iterator[tuple[int, str]]:
    """A value that is worked out on import may call what has no effect, and nothing else."""
    for node in ast.walk(value) if value else ():
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in _HARMLESS:
                continue
            case ast.Attribute(attr=name) if name in _HARMLESS_METHODS:
                continue
        said = ast.unparse(node.func)[:60]
        yield node.lineno, f"{said}() is called on import: do it in a method"


def _import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str]]:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        wanted = names
    else:
        if node.level:
            yield node.lineno, "imports by a relative name: write the whole name"
            return
        if names == ["*"]:
            yield node.lineno, f"imports * from {node.module}: name what is needed"
        wanted = [node.module or ""]
    for module in wanted:
        if module not in (*MODULES, *TOOLKIT):
            allowed = ", ".join([*MODULES[:-1], *TOOLKIT[:2]])
            yield node.lineno, f"imports {module}: only {allowed} may be imported"


def _name(name: str, line: int, forbidden: frozenset[str] = FORBIDDEN) -> Iterator[tuple[int, str]]:
    dunder = name.startswith("__") and name.endswith("__") and name not in DUNDERS
    if dunder or name in forbidden:
        yield line, f"uses {name}, which a module may not"
    elif _KEYS.search(name):
        yield line, f"uses {name}: a module needs no key"


def _call(node: ast.Call) -> Iterator[tuple[int, str]]:
    said = ast.unparse(node.func)
    if said in ("getattr", "hasattr"):
        name = node.args[1] if len(node.args) > 1 else None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            yield node.lineno, f"{said}() with a name that is worked out: write the attribute"
        else:
            yield from _name(name.value, node.lineno)
    for keyword in node.keywords:
        if keyword.arg in _KEYWORDS:
            yield node.lineno, f"passes {keyword.arg}=: a module needs none"


def _class(tree: ast.Module, class_name: str, slug: str) -> Iterator[tuple[int, str]]:
    """The one class that is registered by the port's name."""
    kinds = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    ours = [c for c in kinds if c.name == class_name]
    if not ours:
        yield 1, f"no class is called {class_name}"
        return
    node = ours[-1]
    if BASE not in [ast.unparse(base).split(".")[-1] for base in node.bases]:
        yield node.lineno, f"{class_name} is no subclass of {BASE}"
    if [ast.unparse(d) for d in node.decorator_list] != [f"{REGISTER}({slug!r})"]:
        yield node.lineno, f"{class_name} does not stand below @{REGISTER}({slug!r})"
    for other in kinds:
        if other is not node and BASE in map(ast.unparse, other.bases):
            yield other.lineno, f"{other.name} is a second dataset class: one is wanted"
