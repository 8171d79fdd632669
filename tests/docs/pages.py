"""Reading the pages: their blocks of code, their commands, and running them as printed."""

from __future__ import annotations

import ast
import csv
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT, Cli

READMES = ("README.md", "README.ko.md")
GUIDES = ("models", "evaluation", "modules", "review", "publishing", "agent")
PAIRS = (READMES, *((f"docs/{n}.md", f"docs/{n}.ko.md") for n in (*GUIDES, "checks")))
PAGES = (*(page for pair in PAIRS for page in pair), "CONTRIBUTING.md", "docs/architecture.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ME = "tester"  # the fake Hub's user
EXTRAS = ("vllm", "litellm")  # backends whose libraries are in environments of their own


def text_of(page: str) -> str:
    """A page's text."""
    return (ROOT / page).read_text("utf-8")


def prose_of(page: str) -> str:
    """A page's text without its code."""
    return BLOCK.sub("", text_of(page))


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [m[2] for m in BLOCK.finditer(text_of(page)) if m[1] == language]


def lines(page: str) -> list[str]:
    """The lines of a page's shell blocks, each command on one."""
    return "".join(blocks(page, "bash")).replace("\\\n", "").splitlines()


def commands(page: str) -> list[list[str]]:
    """The commands of `hret` and of our scripts that end by themselves, split into words; not those
    that need an extra (`kind_of`)."""
    ours = [line for line in lines(page) if line.startswith(("hret ", "python "))]
    return [shlex.split(line, comments=True) for line in ours if kind_of(line) == "ours"]


def kind_of(line: str) -> str:
    """Who runs a line: "ours", "serve", "extra NAME", or the program of others that it calls."""
    words = [w for w in shlex.split(line, comments=True) if not w.startswith("HRET_SERVE_KEY=")]
    if not words or words[0] not in ("hret", "python"):
        return words[0] if words else ""
    backend = words[words.index("--model") + 1].partition(":")[0] if "--model" in words else ""
    if backend in EXTRAS:
        return f"extra {backend}"
    return "serve" if words[1] == "serve" else "ours"


def of_kind(page: str, kind: str) -> list[str]:
    """The lines of a page that one runs, in their order."""
    return [line for line in lines(page) if kind_of(line) == kind]


def shape_of(code: str) -> str:
    """What a Python block does, whatever the language of its sentences and comments."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = "..."
    return ast.dump(tree)


def ran(words: list[str], cli: Cli, env: Mapping[str, str], cwd: Path) -> str:
    """What a command as printed says, which must end with status 0. `ME` is the Hub's user; what
    asks is told yes; an exported table is corrected by a person."""
    words = [re.sub(r"^ME/", f"{ME}/", word) for word in words]
    words += ["--yes"] if words[1:3] == ["datasets", "rm"] else []
    script = [str(ROOT / words[1])] if words[0] == "python" else ["-m", "hret", words[1]]
    done = cli(*words[2:], env=env, cwd=cwd, command=(sys.executable, *script))
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    if words[1:3] == ["review", "export"]:
        corrected(cwd / words[words.index("-o") + 1])
    return done.stdout


def corrected(path: Path) -> None:
    """Correct the first text of an exported table."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        columns, first, *others = csv.reader(file)
    first[columns.index("corrected")] = first[columns.index("translation")].rstrip(".") + "!"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([columns, first, *others])


def child(code: str, cli: Cli, env: Mapping[str, str], cwd: Path) -> str:
    """What a Python block says in a process of its own, which must end well."""
    (cwd / "block.py").write_text(code.replace('"ME/', f'"{ME}/'), "utf-8")
    done = cli("block.py", env=env, cwd=cwd, command=(sys.executable,))
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout
