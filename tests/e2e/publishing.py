"""What the tests of pushing share: a source, its port, and what is looked at on the Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.scenario import Machine
from tests.fakes.hub import HubServer

TITLE = "Port by HRET Agents"
REPO = "tester/quiz-ko"
SLUG = "org__quiz_ko"
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def rows(first: int, count: int) -> bytes:
    """Some questions as JSON Lines, no two alike."""
    lines = [
        {"question": f"Which of these comes after the number {NUMBERS[i]} in {first} steps?",
         "choices": [f"first answer {first + i}", f"second answer {first + i}"], "answer": i % 2}
        for i in range(count)
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def source(hub: HubServer, repo: str = "org/quiz", licence: str = "mit") -> None:
    """A dataset of two subsets, one of them with two splits."""
    card = f"""---
license: {licence}
configs:
- config_name: easy
  data_files:
  - {{split: train, path: easy/train.jsonl}}
  - {{split: test, path: easy/test.jsonl}}
- config_name: hard
  data_files:
  - {{split: test, path: hard/test.jsonl}}
---
"""
    files = {"easy/train": rows(1, 5), "easy/test": rows(100, 7), "hard/test": rows(1000, 6)}
    data = {f"{name}.jsonl": content for name, content in files.items()}
    hub.put(repo, {"README.md": card.encode(), **data})


def ported(machine: Machine, *more: str, status: int = 0) -> dict[str, Any]:
    """The port of the source with all its subsets."""
    return machine.ported("--dataset", "org/quiz", "--all-subsets", *more, status=status)


def push(machine: Machine, *more: str) -> subprocess.CompletedProcess[str]:
    """`hret push` of that port."""
    return machine.run("-m", "hret", "push", SLUG, *more)


def pushed(machine: Machine, *more: str) -> str:
    """The address that a push which goes well tells."""
    done = push(machine, *more, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["url"])


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with a sentence that says what to do."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr[done.stderr.index("Error:") :]
    assert "→" in said
    assert [w for w in words if w not in said] == [], said


def titles(hub: HubServer, repo: str = REPO, revision: str = "main") -> list[str]:
    """The titles of a revision's commits, the newest first."""
    return [commit.title for commit in hub.commits(repo, revision)]


def card_of(hub: HubServer, repo: str = REPO, revision: str = "main") -> str:
    """The card on the Hub."""
    return hub.files(repo, revision)["README.md"].decode()


def folder_of(machine: Machine) -> Path:
    """The port's folder."""
    return machine.work / "generated_datasets" / SLUG


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, but what Python compiled."""
    paths = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


@contextmanager
def started(machine: Machine, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command under way; it is dead when the block ends."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def uploads(hub: HubServer) -> list[str]:
    """Every upload of a large file that was answered, by its address."""
    return [s.path for s in hub.seen if (s.method, s.status) == ("PUT", 200) and "/lfs/" in s.path]
