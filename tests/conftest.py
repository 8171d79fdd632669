"""What every test has: a home and folder of its own, no keys, no network, and servers on demand."""

from __future__ import annotations

import compileall
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_HF = tempfile.mkdtemp(prefix="hret-tests-hf-")
# The Hub's clients read these when they are imported.
os.environ.update(
    HF_HOME=_HF,
    HF_ENDPOINT="http://127.0.0.1:9",
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_UPDATE_DOWNLOAD_COUNTS="0",
    HF_DATASETS_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests side by side are enough for the cores

import pytest

from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

Cli = Callable[..., subprocess.CompletedProcess[str]]
_KEYS = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "HF_TOKEN"),
    *("BATCH_SIZE", "MAX_RETRIES", "HRET_HOME"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Compile the product once: its many child processes write no bytecode of their own."""
    if not hasattr(config, "workerinput"):  # the workers find what was compiled before them
        for package in ("hret", "hret_agents", "llm_eval"):
            compileall.compile_dir(ROOT / package, quiet=2)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a current folder of the test's own, and none of the developer's keys."""
    for name in _KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HRET_HOME", str(tmp_path / "hret-home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that leaves the machine fails the test."""
    connect = socket.socket.connect

    def only_loopback(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not host.startswith(("127.", "::1", "localhost")):
                pytest.fail(f"a test reached for {host}: serve it from a fake instead")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_loopback)


@pytest.fixture
def hangups() -> Iterator[None]:
    """A hangup means here and in children what it does without nohup, under which tests may run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The test's current folder."""
    return tmp_path / "work"


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """A running chat server."""
    with ChatServer() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A running Hub; its user `tester` has the token `hf_tester`."""
    with HubServer() as server:
        yield server


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port for servers that are told to listen at it; meanwhile nobody else is given it."""
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.bind(("127.0.0.1", 0))
        yield mine.getsockname()[1]


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed: the extra 'hf' brings it")
    from tests.fakes.tiny_lm import make

    return make(tmp_path_factory.mktemp("tiny-lm"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a child process: this test's home, no keys, loopback alone."""
    return child_environment(tmp_path)


def child_environment(home: Path) -> dict[str, str]:
    """An environment without keys whose state lies under `home`."""
    kept = {k: v for k, v in os.environ.items() if k not in _KEYS and not k.startswith("PYTEST")}
    return kept | {
        "HOME": str(home),
        "HRET_HOME": str(home / "hret-home"),
        "HF_HOME": str(home / "hf"),
        "PYTHONPATH": str(ROOT / "tests" / "no_network"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def cli(environment: dict[str, str], work: Path) -> Cli:
    """Run `hret ARGUMENTS...` as a child process."""

    def run(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "hret"),
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=environment | dict(env or {}),
            cwd=cwd or work,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark files; skips where there is none."""
    folder = Path(os.environ.get("HRET_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no benchmark files in {folder} (HRET_SHARED_DATA)")
    return folder
