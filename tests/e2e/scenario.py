"""A machine, as the end-to-end tests see one: its folders, its environment, and both servers."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from hret.cli import main as hret
from tests.conftest import ROOT, child_environment
from tests.fakes import translit
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

CARD = "---\nlicense: {licence}\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"


@dataclass
class Machine:
    """A machine with an empty cache. `where` is its disk.

    With `within` its commands run in this process, which has imported what each child would: for
    tests of what a command does, not of how its process starts or ends. Not with a Hub, whose
    clients read the environment once.
    """

    where: Path
    hub: HubServer | None = None
    chat: ChatServer | None = None
    token: str | None = "hf_tester"
    more: Mapping[str, str] = field(default_factory=dict)
    within: bool = False

    @property
    def work(self) -> Path:
        """The folder its user works in."""
        folder = self.where / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def environment(self) -> dict[str, str]:
        """What a process on it is told."""
        env = child_environment(self.where)
        if self.hub is not None:
            env["HF_ENDPOINT"] = self.hub.url
        if self.token is not None:
            env["HF_TOKEN"] = self.token
        if self.chat is not None:
            env |= {"OPENAI_BASE_URL": self.chat.url, "OPENAI_API_KEY": "sk-test-key"}
        return env | dict(self.more)

    def run(self, *command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a Python script or module (`-m`, `-c`) with its arguments."""
        return subprocess.run(
            [sys.executable, *command],
            env=self.environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def main(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python src/main.py ARGUMENTS...`"""
        if self.within:
            return self.hret("port", *arguments)
        return self.run(str(ROOT / "src" / "main.py"), *arguments)

    def hret(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`hret ARGUMENTS...`"""
        if not self.within:
            return self.run("-m", "hret", *arguments)
        assert self.hub is None
        out, err = StringIO(), StringIO()
        with self._entered(), redirect_stdout(out), redirect_stderr(err):
            status = hret(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """This process has the machine's environment and folder, and nothing of its own."""
        kept, told = dict(os.environ), self.environment
        os.environ.clear()
        os.environ.update(told)
        try:
            with chdir(self.work):
                yield
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def ported(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """The JSON result of a port that ends with `status`."""
        done = self.main(*arguments, "--json")
        assert done.returncode == status, done.stderr or done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def heard(process: subprocess.Popen[str], words: str) -> str:
    """Wait until a process says `words`; what it has said on stderr up to there."""
    assert process.stderr is not None
    said, deadline = "", time.monotonic() + 120
    while words not in said:
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([process.stderr], [], [], left)
        more = os.read(process.stderr.fileno(), 1 << 16) if ready else b""
        assert more, f"it never said {words!r}, but {said!r}"
        said += more.decode("utf-8", "replace")
    return said


def upload(hub: HubServer, repo: str, data: Path, *, licence: str = "mit") -> None:
    """Put a JSON Lines file on the Hub as the split "test" of `repo`, by the real client."""
    code = (
        "import sys; from huggingface_hub import HfApi; api = HfApi()\n"
        "repo, data, card = sys.argv[1:]\n"
        "api.create_repo(repo, repo_type='dataset')\n"
        "api.upload_file(path_or_fileobj=data, path_in_repo='data/test.jsonl', repo_id=repo,"
        " repo_type='dataset')\n"
        "api.upload_file(path_or_fileobj=card.encode(), path_in_repo='README.md', repo_id=repo,"
        " repo_type='dataset')\n"
    )
    files = "  - split: test\n    path: data/test.jsonl\n"
    card = CARD.format(licence=licence, files=files)
    machine = Machine(data.parent, hub)
    done = subprocess.run(
        [sys.executable, "-c", code, repo, str(data), card],
        env=machine.environment | {"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def back(value: Any) -> Any:
    """A value with every text in it transliterated back."""
    if isinstance(value, str):
        return translit.back(value)
    if isinstance(value, list):
        return [back(v) for v in value]
    if isinstance(value, dict):
        return {k: back(v) for k, v in value.items()}
    return value


def has_hangul(text: str) -> bool:
    """Is there a Hangul syllable in it?"""
    return re.search("[가-힣]", text) is not None
