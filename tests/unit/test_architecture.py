"""The shape of the house: imports point down, heavy things load late, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each room may import from itself and from what stands to the right of it.
ROOMS: dict[str, set[str]] = {
    "llm_eval.errors": set(),
    "llm_eval.files": set(),
    "llm_eval.secret": set(),
    "llm_eval.aio": set(),
    "llm_eval.signals": set(),
    "llm_eval.thoughts": set(),
    "llm_eval.utils": set(),
    "llm_eval.wal": {"llm_eval.errors"},
    "llm_eval.prompts": set(),
    "llm_eval.records": {"llm_eval.errors"},
    "llm_eval.registry": {"llm_eval.errors"},
    "llm_eval.settings": {"llm_eval.errors", "llm_eval.secret"},
    "llm_eval.sandbox": {"llm_eval.errors"},
}
BASE = set(ROOMS)
ROOMS |= {
    "llm_eval.scaling_methods": BASE,
    "llm_eval.models": BASE,
    "llm_eval.evaluation": BASE | {"llm_eval.dataset"},
    "llm_eval.dataset": BASE | {"llm_eval.evaluation.string_match"},
    "llm_eval.totals": BASE | {"llm_eval.results"},
    "llm_eval.results": BASE | {"llm_eval.totals"},
}
PARTS = set(ROOMS)
ROOMS |= {"llm_eval.runs": PARTS}
PARTS = set(ROOMS)
ROOMS |= {
    "llm_eval.runner": PARTS,
    "llm_eval.evaluator": PARTS | {"llm_eval.runner"},
}
EVAL = set(ROOMS) | {"llm_eval"}
ROOMS |= {"llm_eval": set(), "hret_agents": EVAL, "hret": EVAL | {"hret_agents"}}
HEAVY = (
    "torch", "pandas", "datasets", "openai", "pyarrow", "numpy", "smolagents", "pydantic", "jinja2",
    "aiohttp", "huggingface_hub", "black", "yaml", "requests", "httpx",
)  # fmt: skip


def room(module: str) -> str:
    """The room that a module stands in."""
    return max((r for r in ROOMS if f"{module}.".startswith(f"{r}.")), key=len)


def files(*packages: str) -> list[Path]:
    """The Python files of some packages."""
    return sorted(p for package in packages for p in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: str) -> bool:
    """Is a module one of ours?"""
    return module.split(".")[0] in ("hret", "hret_agents", "llm_eval")


@pytest.mark.parametrize(
    "path", files("hret", "hret_agents", "llm_eval"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_point_down(path: Path) -> None:
    """A module imports from its own room and from the rooms below it."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    here = room(module)
    allowed = ROOMS[here] | {here}
    for name in filter(ours, imports(path)):
        fine = any(f"{name}.".startswith(f"{a}.") for a in allowed - {"llm_eval"})
        whole = name == "llm_eval" and here.startswith("hret")
        parent = any(a.startswith(f"{name}.") for a in allowed)  # `from llm_eval import settings`
        assert fine or whole or parent, f"{module} imports {name}"


def test_llm_eval_never_imports_hret_agents() -> None:
    """Evaluation stands without porting."""
    for path in files("llm_eval"):
        assert not [m for m in imports(path) if m.startswith(("hret_agents", "hret."))], path


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('LOADED', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.rsplit("LOADED ", 1)[1].split()}


def test_import_hret_loads_nothing_heavy() -> None:
    """`import hret` costs nothing."""
    assert not loaded_by("import hret") & {*HEAVY, "typer", "rich", "asyncio"}


def test_help_loads_nothing_heavy() -> None:
    """`hret --help` and `hret port --help` load no library that porting needs.

    typer itself reads the parameters of a command through pydantic.
    """
    for arguments, typers_own in ((["--help"], set()), (["port", "--help"], {"pydantic"})):
        code = f"from hret.cli import main\nassert main({arguments!r}) == 0"
        assert not loaded_by(code) & set(HEAVY) - typers_own


def test_import_llm_eval_loads_nothing_heavy() -> None:
    """`from llm_eval.evaluator import Evaluator` waits with the heavy parts until a run."""
    assert not loaded_by("from llm_eval.evaluator import Evaluator") & set(HEAVY)


def test_a_jailed_child_starts_without_what_a_module_may_not_import() -> None:
    """What is loaded before the module is imported can not be named when the module asks for it."""
    named = {"asyncio", "ctypes", "fcntl", "mmap", "multiprocessing", "subprocess"}
    assert not loaded_by("import llm_eval.dataset.child, llm_eval.dataset.ports") & named


def test_files_and_functions_stay_small() -> None:
    """No file over 400 lines; 95 of 100 functions have at most 45."""
    sizes = []
    for path in files("hret", "hret_agents", "llm_eval", "src"):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 400, path
        assert ast.get_docstring(ast.parse(text)), f"{path} says not what it is for"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                sizes.append((node.end_lineno or 0) - node.lineno + 1)
    assert sorted(sizes)[int(len(sizes) * 0.95)] <= 45


def test_broad_excepts_are_few_and_give_their_reason() -> None:
    """`except Exception` stands only where foreign code is called, with the reason beside it."""
    for path in files("hret", "hret_agents", "llm_eval"):
        for line in path.read_text("utf-8").splitlines():
            if "except Exception" in line:
                assert "# " in line, f"{path}: {line.strip()}"


def test_one_place_sends() -> None:
    """Only the transport opens a client session to a model; `hret serve` alone listens."""
    users = [
        p.name for p in files("hret", "hret_agents", "llm_eval") if "aiohttp" in set(imports(p))
    ]
    assert sorted(users) == ["served_http.py", "transport.py"]
    listening = next(p for p in files("llm_eval") if p.name == "served_http.py")
    assert "ClientSession" not in listening.read_text("utf-8")
