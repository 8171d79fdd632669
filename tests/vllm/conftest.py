"""One engine for all of these tests, and the same tiny model in transformers beside it.

They run in an environment of their own (`make test-vllm`), and are skipped where vLLM is not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.models.vllm import VLLMModel
from llm_eval.records import Failure, Prediction

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # no second process: it starts faster

CONTEXT = 256
ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "max_num_seqs": 32,
    "max_num_batched_tokens": 1024,
    "distributed_executor_backend": "uni",
    "enforce_eager": True,
    "gpu_memory_utilization": 0.1,
    "kv_cache_memory_bytes": 64 << 20,
    "block_size": 32,
}
Made = Callable[..., Any]


def failure(prediction: Prediction) -> Failure:
    """The failure of one that failed."""
    assert prediction.failure is not None
    return prediction.failure


def text(prediction: Prediction) -> str:
    """The text of one that has one."""
    assert prediction.text is not None
    return prediction.text


@pytest.fixture(scope="session", autouse=True)
def _needs_vllm() -> None:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make test-vllm has an environment of its own")


@pytest.fixture(scope="session")
def folder(_needs_vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a chat template."""
    from tests.fakes.tiny_lm import make

    return make(tmp_path_factory.mktemp("vllm-lm"), chat=True, context=CONTEXT)


@pytest.fixture(scope="session")
def first(folder: Path) -> Iterator[VLLMModel]:
    """A backend whose engine the others share."""
    model = VLLMModel(str(folder), **ENGINE)
    run_sync(model.check())
    yield model
    model._engine.stop()


@pytest.fixture
def vllm(folder: Path, first: VLLMModel) -> Made:
    """Makes backends of other parameters, over one engine; a base model unless told otherwise."""

    def make(**params: Any) -> VLLMModel:
        model = VLLMModel(str(folder), **{"apply_chat_template": False, **ENGINE, **params})
        model._engine = first._engine
        run_sync(model.check())
        return model

    return make


@pytest.fixture
def hf(folder: Path) -> Made:
    """Makes `huggingface` backends over the same model."""

    def make(**params: Any) -> HuggingFaceModel:
        chosen = {"apply_chat_template": False, **params}
        model = HuggingFaceModel(str(folder), device="cpu", dtype="float32", **chosen)
        run_sync(model.check())
        return model

    return make
