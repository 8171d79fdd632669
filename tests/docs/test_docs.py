"""The documents are true: their Python runs, their flags exist, both languages say the same."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import hret
import hret_agents
import llm_eval
from tests.conftest import ROOT, Cli
from tests.fakes.chat import ChatServer

READMES = ("README.md", "README.ko.md")
CHECKS = ("docs/checks.md", "docs/checks.ko.md")
PAGES = (*READMES, *CHECKS, "CONTRIBUTING.md", "docs/architecture.md")
MEMORY = ("stats", "export", "import", "gc")
COMMANDS = (("port",), ("eval",), *(("memory", name) for name in MEMORY))
FOREIGN = ("--max-num-seqs",)  # vLLM's
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = [
    name
    for package in (hret, hret_agents, llm_eval)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not name.endswith("__main__")
]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [m[2] for m in BLOCK.finditer((ROOT / page).read_text("utf-8")) if m[1] == language]


@pytest.mark.parametrize("page", READMES)
def test_the_python_of_a_readme_runs(page: str, chat: ChatServer, cli: Cli, work: Path) -> None:
    """Every Python block, in order, in one folder; only the server's address is another."""
    chat.answer = lambda messages: "정답: A"
    code = blocks(page, "python")
    assert len(code) == 3
    assert cli("port", "--dataset", "sample").returncode == 0
    for block in code:
        (work / "block.py").write_text(block.replace("http://localhost:8000/v1", chat.url), "utf-8")
        import sys

        done = cli("block.py", command=(sys.executable,))
        assert done.returncode == 0, done.stderr
    assert (work / "result.json").is_file()


@pytest.mark.parametrize("page", READMES)
def test_every_flag_of_a_readme_exists(page: str, cli: Cli) -> None:
    """A flag that a page names exists, and all of the port's stand in the page."""
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*[a-z]", text))
    port, *others = (cli(*command, "--help").stdout for command in COMMANDS)
    there = set(re.findall(r"--[a-z][a-z-]*[a-z]", port + "".join(others)))
    assert named <= there | {"--output_file", *FOREIGN}
    assert set(re.findall(r"--[a-z][a-z-]*[a-z]", port)) - {"--help", "--dataset"} <= named


def test_both_readmes_have_the_same_shape() -> None:
    """The Korean page holds the same headings' levels, the same commands and the same code."""
    shapes, code, flags = [], [], []
    for page in READMES:
        text = (ROOT / page).read_text("utf-8")
        prose = BLOCK.sub("", text)
        shapes.append([len(m) for m in re.findall(r"^(#+) ", prose, re.MULTILINE)])
        lines = [b for language in ("bash", "yaml", "csv", "json") for b in blocks(page, language)]
        code.append([re.split("  +#", line)[0] for b in lines for line in b.splitlines()])
        rows = re.findall(r"^\| (`--[^|]*) \|", prose, re.MULTILINE)
        flags.append([re.findall(r"--[a-z-]+", row) for row in rows])
    assert shapes[0] == shapes[1]
    assert code[0] == code[1]
    assert flags[0] == flags[1]


def test_the_table_of_flags_is_whole(cli: Cli) -> None:
    """Every flag of `hret port` stands in the table, once."""
    rows = re.findall(r"^\| (`--[^|]*) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    shown = [flag for row in rows for flag in re.findall(r"--[a-z-]+", row)]
    there = set(re.findall(r"^ *(--[a-z-]+)", cli("port", "--help").stdout, re.MULTILINE))
    assert len(there) > 25
    assert sorted(shown) == sorted(there)


def test_the_changelog_knows_the_version() -> None:
    """The package's version is the project's, and the changelog has a place for it."""
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert project
    assert project[1] == hret.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changelog or f"## [{hret.__version__}]" in changelog


@pytest.mark.parametrize("name", MODULES)
def test_the_doctests_of_a_module_hold(name: str) -> None:
    """What a docstring shows is what happens."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_doctests() -> None:
    """The walk above finds the modules that have some."""
    tried = [doctest.testmod(importlib.import_module(n)).attempted for n in MODULES]
    assert sum(tried) >= 50


def test_no_page_names_a_missing_file() -> None:
    """Every relative link of a page leads somewhere."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8")):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", READMES)
def test_no_page_names_a_missing_heading(page: str) -> None:
    """Every link within a page leads to a heading of it."""
    text = (ROOT / page).read_text("utf-8")
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert links
    assert set(links) <= anchors


def test_the_architecture_names_every_module() -> None:
    """The rooms are the ones there are: no module of theirs is left out."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    rooms = set(re.findall(r"\w+", page.split("```")[1]))
    for package in ("hret/cli", "hret_agents", "llm_eval"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.stem if path.stem != "__init__" else path.parent.name
            assert name in rooms or path.parent.name == "tools", path
