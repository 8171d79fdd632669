"""The server of vLLM itself, spoken to by the `openai` backend: equal to `huggingface` too."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from llm_eval.aio import run_sync
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prompt
from tests.vllm.conftest import CONTEXT, Made, failure, text
from tests.vllm.test_likelihood import LETTERS, LONG, PHRASES, asked

START = 240.0  # seconds that the server has to get ready


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server of vLLM over the tiny model, which it calls `tiny`."""
    port, log = _free_port(), tmp_path_factory.mktemp("server") / "log.txt"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VLLM_ENABLE")}
    arguments = [
        *("--model", str(folder), "--served-model-name", "tiny", "--port", str(port)),
        *("--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager"),
        *("--max-num-seqs", "32", "--max-num-batched-tokens", "1024"),
        *("--gpu-memory-utilization", "0.1", "--kv-cache-memory-bytes", str(64 << 20)),
    ]
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments],
            env={**environment, "VLLM_NO_USAGE_STATS": "1"},
            stdout=out,
            stderr=out,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health", child, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            child.terminate()
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait(address: str, child: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        if child.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text(errors='replace')[-3000:]}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"no server after {START} s: {log.read_text(errors='replace')[-3000:]}")


def test_completions_are_greedy_as_by_transformers(server: str, hf: Made) -> None:
    """The same text, or its beginning where a letter was cut in two."""
    prompts = [Prompt(sample_id=str(i), text=t) for i, t in enumerate([LONG, "대한민국의 수도는"])]
    model = OpenAIModel(
        "tiny", api_base=server, api_key="none", endpoint="completions",
        max_tokens=8, temperature=0,
    )  # fmt: skip
    ours = run_sync(model.generate(prompts))
    theirs = run_sync(hf(max_new_tokens=8).generate(prompts))
    run_sync(model.close())
    for own, other in zip(ours, theirs, strict=True):
        assert text(other).startswith(text(own).rstrip("\ufffd"))
        assert own.usage.completion_tokens == other.usage.completion_tokens


def test_chat_is_in_the_models_own_template(server: str, hf: Made) -> None:
    """As many tokens read, and the same written, as by `huggingface` with the template."""
    prompts = [Prompt(sample_id="a", text="서울?")]
    model = OpenAIModel("tiny", api_base=server, api_key="none", max_tokens=8, temperature=0)
    (own,) = run_sync(model.generate(prompts))
    (other,) = run_sync(hf(max_new_tokens=8, apply_chat_template=True).generate(prompts))
    run_sync(model.close())
    assert own.usage.prompt_tokens == other.usage.prompt_tokens
    assert text(other).startswith(text(own).rstrip("\ufffd"))


def test_likelihoods_by_echo_are_those_of_transformers(server: str, hf: Made) -> None:
    """Within 1e-2, for options of one token and of many."""
    prompts = asked(
        ("Answer:", LETTERS),
        ("Question: what is two and two? Answer:", PHRASES),
        (LONG, PHRASES),
        ("다음 중 옳은 것을 고르세요. 정답: ", LETTERS),
    )
    model = OpenAIModel("tiny", api_base=server, api_key="none", endpoint="completions")
    run_sync(model.probe())
    ours, theirs = run_sync(model.score_options(prompts)), run_sync(hf().score_options(prompts))
    run_sync(model.close())
    for own, other in zip(ours, theirs, strict=True):
        assert own.failure is None, own.failure
        for a, b in zip(own.options, other.options, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-2)
            assert (a.tokens, a.chars) == (b.tokens, b.chars)


def test_a_prompt_over_its_context_is_that_samples_failure(server: str) -> None:
    """The server refuses it; the failure names the model's length."""
    model = OpenAIModel("tiny", api_base=server, api_key="none", endpoint="completions")
    over, plain = run_sync(
        model.generate(
            [
                Prompt(sample_id="over", text="x" * 3 * CONTEXT),
                Prompt(sample_id="plain", text="x", params={"max_tokens": 2}),
            ]
        )
    )
    run_sync(model.close())
    assert failure(over).kind in ("bad_request", "length") and f"{CONTEXT}" in failure(over).message
    assert plain.failure is None
