"""`hret doctor`: which backends can run here, which endpoints answer, and no key in any of it."""

from __future__ import annotations

import json
import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from hret.cli import doctor
from tests.conftest import ROOT, Cli
from tests.fakes.chat import ChatServer
from tests.unit.llm_eval.test_registry import install

KEY = "sk-very-secret-key"


def told(cli: Cli, env: dict[str, str]) -> dict[tuple[str, str], str]:
    """What it says, by area and name."""
    done = cli("doctor", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    return {(line["area"], line["name"]): line["found"] for line in json.loads(done.stdout)}


def test_what_each_backend_has_to_run_with(cli: Cli) -> None:
    """Versions where there is one, the pip line where there is none, the device."""
    found = told(cli, {})
    torch = f"torch {version('torch')}, transformers {version('transformers')}, on "
    assert found["backend", "huggingface"].startswith(torch)
    assert found["backend", "openai"].startswith("no endpoint: set OPENAI_API_KEY")
    for name in ("vllm", "litellm"):
        said = found["backend", name]
        assert said.startswith(name) or f"'.[{name}]'" in said


def test_no_library_of_a_backend_is_loaded() -> None:
    """A second is enough: what costs seconds to import stays out."""
    import subprocess
    import sys

    code = (
        "from hret.cli import doctor\n"
        "list(doctor._installed()), list(doctor._backends()), list(doctor._settings())\n"
        "import sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "vllm", "litellm", "openai", "datasets", "aiohttp"}
    assert not heavy & set(done.stdout.split())


def test_each_configured_endpoint_is_asked(cli: Cli, chat: ChatServer) -> None:
    """Any answer will do for a provider's; a user or password in an address is not repeated."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        gone = f"http://127.0.0.1:{sock.getsockname()[1]}"
    env = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": chat.url,
        "AZURE_API_BASE": f"{chat.url.replace('//', f'//user:{KEY}@')}/azure?key={KEY}",
        "HOSTED_VLLM_API_BASE": f"{gone}/v1",
    }
    found = told(cli, env)
    assert found["backend", "openai"] == f"asks {chat.url}"
    assert found["endpoint", "OpenAI"] == f"answers ({chat.url})"
    assert found["endpoint", "AZURE_API_BASE"] == f"answers ({chat.url}/azure)"
    assert found["endpoint", "HOSTED_VLLM_API_BASE"].startswith(f"does not answer ({gone}/v1): ")


def test_a_refused_key_is_told(cli: Cli) -> None:
    """The server's own words."""
    with ChatServer(key="sk-right") as server:
        env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
        assert "401" in told(cli, env)["endpoint", "OpenAI"]


def test_backends_of_other_packages_are_listed(cli: Cli, tmp_path: Path) -> None:
    """By their entry point, with the package that brings them; nothing is imported."""
    install(tmp_path / "site", "hret.model", "theirs", "no_such_module:Thing")
    env = {"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT / 'tests' / 'no_network'}"}
    assert told(cli, env)["backend", "theirs"] == "from plugged"


@pytest.mark.parametrize(
    ("torch", "device"), [("2.13.0+cpu", "cpu"), ("2.13.0+rocm7.0", ("cpu", "cuda (ROCm)"))]
)
def test_the_device_follows_the_build(torch: str, device: str | tuple[str, ...]) -> None:
    """A build for the CPU stays on it, whatever card there is."""
    assert doctor._device(torch) in (device if isinstance(device, tuple) else (device,))
