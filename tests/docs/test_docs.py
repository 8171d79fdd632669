"""The documents are true: their Python runs, their flags exist, both languages say the same."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hret
import hret_agents
import llm_eval
from tests.conftest import ROOT, Cli
from tests.docs.pages import (
    PAGES,
    PAIRS,
    READMES,
    blocks,
    child,
    lines,
    prose_of,
    shape_of,
    text_of,
)
from tests.fakes.agent_script import LAST, AgentServer, answered, ported
from tests.fakes.hub import HubServer

GROUPS = {"memory": ("stats", "export", "import", "gc"), "review": ("open", "export", "import")}
COMMANDS = (
    *(("port",), ("eval",), ("push",), ("serve",)),
    *((group, name) for group, names in GROUPS.items() for name in names),
)
VLLMS = ("--max-num-seqs", "--data-parallel-size", "--runner")
LM_EVALS = ("--tasks", "--model_args")
MODULES = [
    name
    for package in (hret, hret_agents, llm_eval)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not name.endswith("__main__")
]


@pytest.mark.parametrize("page", READMES)
def test_the_python_of_a_readme_runs(page: str, hub: HubServer, cli: Cli, work: Path) -> None:
    """Every Python block, in order, in one folder; only the server's address is another."""
    code = blocks(page, "python")
    assert len(code) == 4
    assert cli("port", "--dataset", "sample").returncode == 0
    rows = '{"question": "How many are left?", "choices": ["one", "two"], "answer": 1}\n'
    hub.put("OWNER/NAME", {"README.md": b"---\nlicense: mit\n---\n", "test.jsonl": rows.encode()})
    said = []
    with AgentServer() as server:
        server.answer = lambda messages: "정답: A"
        server.plays(
            *ported("OWNER/NAME", translator="gpt-4o-mini", register="formal"),
            ("model_evaluator", {"dataset": LAST, "model": "oracle"}),
            answered("Done."),
        )
        keys = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test"}
        for block in code:
            told = keys | {"HF_ENDPOINT": hub.url} if "agent.run(" in block else {}
            block = block.replace("http://localhost:8000/v1", server.url)
            said.append(child(block, cli, told, work))
        assert not server.turns
    assert said[1].split("\n")[0] == (
        "OWNER__NAME_ko: 1 of 1 rows passed, module verified (template). "
        "oracle on OWNER__NAME_ko: accuracy 1.0, n 1."
    )
    assert (work / "result.json").is_file()


@pytest.mark.parametrize("page", [page for pair in PAIRS for page in pair])
def test_every_flag_of_a_page_exists(page: str, flags: dict[str, set[str]]) -> None:
    """A flag that a page names exists; all of the port's stand in the README."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*[a-z]", text_of(page)))
    assert named <= set().union(*flags.values(), VLLMS, LM_EVALS)
    if page in READMES:
        assert flags["port"] - {"--help", "--dataset"} <= named


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of each command, by its name."""
    from typer.testing import CliRunner

    from hret.cli import app

    found = {}
    for command in COMMANDS:
        said = CliRunner().invoke(app, [*command, "--help"]).output
        found[" ".join(command)] = set(re.findall(r"--[a-z][a-z-]*[a-z]", said))
    said = subprocess.run(
        [sys.executable, ROOT / "llm_eval/evaluator.py", "--help"], capture_output=True, text=True
    ).stdout
    found["evaluator.py"] = set(re.findall(r"--[a-z][a-z_]*[a-z]", said))
    return found


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_both_languages_have_the_same_shape(pair: tuple[str, str]) -> None:
    """The Korean page holds the same headings' levels, tables, commands, code and flags."""
    shapes = []
    for page in pair:
        prose = prose_of(page)
        rows = re.findall(r"^\| (`--[^|]*) \|", prose, re.MULTILINE)
        plain = ("yaml", "csv", "json", "text", "console")
        shapes.append(
            {
                "headings": [len(m) for m in re.findall(r"^(#+) ", prose, re.MULTILINE)],
                "lists": len(re.findall(r"^- ", prose, re.MULTILINE)),
                "tables": len(re.findall(r"^\|", prose, re.MULTILINE)),
                "flags": [re.findall(r"--[a-z-]+", row) for row in rows],
                "commands": [re.split("  +#|^#", line)[0] for line in lines(page)],
                "data": [
                    re.split("  +#", line)[0]
                    for kind in plain
                    for block in blocks(page, kind)
                    for line in block.splitlines()
                ],
                "python": [shape_of(block) for block in blocks(page, "python")],
            }
        )
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("pair", PAIRS[1:-1], ids=lambda pair: pair[0])
def test_both_languages_name_the_same_things(pair: tuple[str, str]) -> None:
    """What stands in code marks is alike."""
    english, korean = (set(re.findall(r"`[^`\n]+`", prose_of(page))) for page in pair)
    assert english == korean


def test_the_table_of_flags_is_whole(cli: Cli) -> None:
    """Every flag of `hret port` stands in the table, once."""
    rows = re.findall(r"^\| (`--[^|]*) \|", text_of("README.md"), re.MULTILINE)
    shown = [flag for row in rows for flag in re.findall(r"--[a-z-]+", row)]
    there = set(re.findall(r"^ *(--[a-z-]+)", cli("port", "--help").stdout, re.MULTILINE))
    assert len(there) > 25
    assert sorted(shown) == sorted(there)


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    """The package's version is the project's; what is not released yet stands first."""
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert project
    assert project[1] == hret.__version__
    heads = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert heads[0] == "Unreleased"


@pytest.mark.parametrize("name", MODULES)
def test_the_doctests_of_a_module_hold(name: str) -> None:
    """What a docstring shows is what happens."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_doctests() -> None:
    """The walk above finds the modules that have some."""
    tried = [doctest.testmod(importlib.import_module(n)).attempted for n in MODULES]
    assert sum(tried) >= 50


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_missing_place(page: str) -> None:
    """Every relative link of a page leads to a file, and to a heading of it."""
    links = re.findall(r"\]\(([^):]+)\)", text_of(page))
    for link in links:
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        if heading:
            assert heading in anchors(str(target.resolve().relative_to(ROOT))), link
    assert links


def anchors(page: str) -> set[str]:
    """What a link to a heading of a page may be."""
    heads = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_a_readme_is_for_newcomers() -> None:
    """What only some need stands on other pages. The schemas that it counts are there."""
    for page in READMES:
        text = text_of(page)
        assert len(text.splitlines()) < 380
        counts = re.findall(r"\d+(?= schemas)|(?<=스키마 )\d+", text.replace("\n  ", " "))
        assert counts == [str(len(list((ROOT / "tests/schemas").glob("*.yaml"))))]


def test_the_architecture_names_every_module() -> None:
    """The rooms are the ones there are: no module of theirs is left out."""
    page = text_of("docs/architecture.md")
    rooms = set(re.findall(r"\w+", page.split("```")[1]))
    for package in ("hret/cli", "hret_agents", "llm_eval"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.stem if path.stem != "__init__" else path.parent.name
            assert name in rooms or path.parent.name == "tools", path
