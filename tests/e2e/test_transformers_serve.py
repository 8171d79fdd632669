"""`transformers serve`, a real server: it answers a chat as the same model does in this process.

It needs fastapi, uvicorn and accelerate (the extra `transformers[serving]`), which the environment
of `make test-vllm` has. Elsewhere HRET_SERVING_PYTHON may name a Python that has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_eval.models.openai import OpenAIModel
from tests.conftest import child_environment
from tests.live.conformance import asked, check_served

WAIT = 240  # seconds for it to load torch on a busy machine


@pytest.fixture
def served(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, free_port: int
) -> Iterator[tuple[str, Path]]:
    """(address, folder) of a tiny model that it serves."""
    python = os.environ.get("HRET_SERVING_PYTHON") or sys.executable
    wanted = "import accelerate, fastapi, uvicorn, transformers, torch"
    if subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode:
        pytest.skip("transformers serve needs the extra transformers[serving]")
    pytest.importorskip("torch")
    from tests.fakes.tiny_lm import make

    folder = make(tmp_path_factory.mktemp("served") / "tiny", chat=True)
    log = tmp_path / "serve.log"
    command = [python, "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(free_port)]
    command += ["--device", "cpu", "--dtype", "float32"]
    environment = child_environment(tmp_path) | {"HF_HUB_OFFLINE": "1"}
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            _wait(f"http://127.0.0.1:{free_port}/health", child, log)
            yield f"http://127.0.0.1:{free_port}/v1", folder
        finally:
            child.kill()
            child.wait()


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + WAIT
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not come up:\n{log.read_text('utf-8')[-3000:]}")


def test_transformers_serve_is_spoken_to(served: tuple[str, Path]) -> None:
    """Chat and completions equal the model's own; it passes over `n`, which loses nothing."""
    url, folder = served
    check_served(url, folder, name=str(folder), echo=False)
    model = OpenAIModel(str(folder), api_base=url, temperature=0, max_tokens=4)
    found = asked(model, ["같은 질문"] * 2)
    assert [p.failure for p in found] == [None, None]
