"""Every module in tests/hostile is held, on every layer that this kernel has.

Each runs through `verify`, as a module that a model wrote does. Held means: it is never let
through, what it tried is said (the line `# says:` in its file), no planted key comes back, nothing
outside its folder is changed, no process of it is left, nobody was signalled or called.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import process, verify
from llm_eval.dataset.expect import Expected
from llm_eval.errors import DatasetError
from llm_eval.sandbox import SandboxUnavailable, layers, watchdog
from tests.conftest import ROOT

Services = tuple[dict[str, str], list[socket.socket]]
HOSTILE = sorted((ROOT / "tests" / "hostile").glob("*.py"))
KEY = "sk-planted-0451-canary"
EXPECTED = [
    Expected(shown=[question], golds=[gold], wrong=[wrong])
    for question, gold, wrong in (
        ("하나에 하나를 더하면 얼마입니까?", "2", "4"),
        ("둘에 둘을 더하면 얼마입니까?", "4", "2"),
    )
]


@dataclass
class Surroundings:
    """What a hostile module would like to reach, and a list of all that was reached."""

    folder: Path
    heard: list[str] = field(default_factory=list)
    homes: list[Path] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)

    def names(self, services: dict[str, str]) -> dict[str, str]:
        """What stands for the names between @ signs in the modules."""
        return services | {
            "KEY": str(self.folder / "outside" / "secret-key"),
            "OUT": str(self.folder / "outside" / "planted"),
            "FOLDER": str(self.folder / "outside"),
            "CHECKOUT": str(ROOT),
            "PARENT": str(os.getpid()),
        }


@pytest.fixture(params=["landlock", "bubblewrap"])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A layer that this kernel has, alone but for seccomp."""
    monkeypatch.setenv("HRET_SANDBOX", request.param)
    if not layers().enough:
        pytest.skip(f"this kernel has no {request.param}: {layers().says}")
    return str(request.param)


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    """Keys in a file, the environment and memory; small limits; an ear for signals."""
    found = Surroundings(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret-key").write_text(KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(process, "_DISK", 48 << 20)
    monkeypatch.setattr(process, "_OUTPUT", 4 << 20)
    monkeypatch.setattr(watchdog, "_ENTRIES", 500)

    class Heard(process.ChildModule):
        """A child that leaves word of all that came out of it."""

        def __init__(self, path: Path, **more: Any) -> None:
            super().__init__(path, memory=1 << 30, **more)
            found.homes.append(self._jail.home)

        def ask(self, name: str, *arguments: Any) -> Any:
            try:
                reply = super().ask(name, *arguments)
            except DatasetError as e:
                found.heard.append(e.message)
                raise
            found.heard.append(str(reply))
            return reply

        def close(self) -> None:
            found.heard += self._jail.tried()
            super().close()
            found.heard.append(bytes(self._jail._said).decode("utf-8", "replace"))

    monkeypatch.setattr(verify, "ChildModule", Heard)
    before = signal.signal(signal.SIGUSR1, lambda number, _: found.signals.append(number))
    yield found
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Servers that would take a call, on TCP and on both kinds of local sockets; nobody answers."""
    abstract, place = f"hret-{os.getpid()}", str(Path("/tmp") / f"hret-{os.getpid()}.sock")
    tcp = socket.create_server(("127.0.0.1", 0))
    listening = [tcp, socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    listening[1].bind("\0" + abstract)
    listening[2].bind(place)
    for each in listening:
        each.listen()
        each.setblocking(False)
    yield {"PORT": str(tcp.getsockname()[1]), "ABSTRACT": abstract, "SOCKET": place}, listening
    for each in listening:
        each.close()
    os.unlink(place)


def header(code: str, name: str, otherwise: str) -> str:
    """What a module's file says of itself."""
    found = re.search(rf"^# {name}: ?(.*)$", code, re.MULTILINE)
    return found[1] if found else otherwise


def facts(folder: Path) -> dict[str, Any]:
    """All that can be seen of what lies in a folder."""
    return {
        str(p): (
            s.st_mode,
            s.st_uid,
            s.st_size,
            s.st_nlink,
            s.st_mtime_ns,
            p.is_file() and p.read_bytes(),
        )
        for p in (folder, *folder.rglob("*"))
        for s in (p.lstat(),)
    }


def processes_of(home: Path) -> list[str]:
    """The processes whose home a folder is."""
    found, mark = [], f"HOME={home}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                found.append(entry.parent.name)
        except OSError:  # it has ended, or is not ours
            continue
    return found


def called(listening: list[socket.socket]) -> bool:
    """Has anyone called a service?"""
    for each in listening:
        try:
            each.accept()
        except BlockingIOError:
            continue
        return True
    return False


@pytest.mark.timeout(60)
@pytest.mark.parametrize("module", HOSTILE, ids=lambda p: p.stem)
def test_a_hostile_module_is_held(
    module: Path, layer: str, around: Surroundings, services: Services
) -> None:
    """Whatever it tries, nothing comes of it, and what it tried is said."""
    assert_held(module, around, services)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["read_key", "read_parent_memory", "network_tcp", "fork_bomb",
                                  "disk_bomb_deleted", "fake_replies_with_key"])  # fmt: skip
def test_a_hostile_module_is_held_by_all_layers_together(
    name: str, around: Surroundings, services: Services
) -> None:
    """The layers do not weaken each other."""
    if not layers().enough:
        pytest.skip(layers().says)
    assert_held(ROOT / "tests" / "hostile" / f"{name}.py", around, services)


def assert_held(module: Path, around: Surroundings, services: Services) -> None:
    """Verify a hostile module, and look at all that it could have reached."""
    code = module.read_text("utf-8")
    seconds = float(header(code, "seconds", "20"))
    names, listening = services
    for name, value in around.names(names).items():
        code = code.replace(f"@{name}@", value)
    port = around.folder / "port"
    port.mkdir()
    (port / "dataset.py").write_text(code, encoding="utf-8")
    before = facts(around.folder / "outside"), facts(port)
    started = time.monotonic()
    verdict = verify.verify(
        port / "dataset.py",
        "sums_ko",
        [("default", "test", 2, EXPECTED)],
        timeout=seconds,
        enforce=True,
    )
    assert time.monotonic() - started < seconds + 5
    heard = "\n".join(around.heard)
    assert not verdict.ok
    assert re.search(header(code, "says", ""), verdict.reason), verdict.reason
    assert KEY not in heard + verdict.reason
    assert "ESCAPED" not in heard, heard
    assert (facts(around.folder / "outside"), facts(port)) == before
    assert not around.signals
    assert not called(listening)
    for home in around.homes:
        assert not home.parent.exists()
        assert processes_of(home) == []
    planted = [
        p for top in ("/tmp", "/var/tmp", "/dev/shm", "/run") for p in Path(top).glob("*planted*")
    ]
    assert planted == []


@pytest.mark.timeout(60)
def test_the_honest_module_among_them_is_let_through(layer: str, around: Surroundings) -> None:
    """The corpus fails for its attacks: without one, the same module holds."""
    code = (ROOT / "tests" / "hostile" / "early_exit.py").read_text("utf-8")
    path = around.folder / "dataset.py"
    path.write_text(code.replace("os._exit(0)", ""), encoding="utf-8")
    verdict = verify.verify(
        path, "sums_ko", [("default", "test", 2, EXPECTED)], timeout=20, enforce=True
    )
    assert verdict.ok, verdict.reason
    assert verdict.rows == 2


def test_the_corpus_is_large() -> None:
    """Each kind of attack has its modules."""
    assert len(HOSTILE) >= 45


def test_without_a_layer_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel offers no sandbox, a module is refused before any of it runs."""
    monkeypatch.setenv("HRET_SANDBOX", "none")
    (tmp_path / "dataset.py").write_text("raise SystemExit")
    with pytest.raises(SandboxUnavailable, match="no sandbox: none on this machine"):
        process.ChildModule(tmp_path / "dataset.py", enforce=True)
