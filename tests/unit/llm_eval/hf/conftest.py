"""Tiny models of several kinds; all skip, with a sentence, where torch is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_eval.models.huggingface import HuggingFaceModel


@pytest.fixture(autouse=True)
def _needs_the_extra(tiny_lm: Path) -> None:
    """These tests run a model."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tests run beside one another, so a model takes one core."""
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra 'hf' brings it")
    torch.set_num_threads(1)


@pytest.fixture
def llama(tiny_lm: Path) -> HuggingFaceModel:
    """A backend over the tiny Llama."""
    from tests.unit.llm_eval.hf.tools import loaded

    return loaded(tiny_lm, batch_size=3)


@pytest.fixture(scope="session")
def chat_lm(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a chat template."""
    from tests.fakes.tiny_lm import make

    return make(tmp_path_factory.mktemp("chat-lm"), chat=True)


@pytest.fixture(scope="session")
def bare_lm(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose tokenizer puts nothing before a text."""
    from tests.fakes.tiny_lm import make

    return make(tmp_path_factory.mktemp("bare-lm"), begins=False)


@pytest.fixture(scope="session")
def mamba_lm(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Mamba: its state is no cache of keys and values."""
    return saved(tmp_path_factory.mktemp("mamba"), "mamba, no keys")


def saved(folder: Path, kind: str) -> Path:
    """A tiny model of one of `KINDS`, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    from tests.fakes.tiny_lm import make_tokenizer

    torch.manual_seed(1)
    make_tokenizer(512, begins=True).save_pretrained(folder)
    AutoModelForCausalLM.from_config(_configs()[kind]()).save_pretrained(folder)
    return folder


def _configs() -> dict[str, Any]:
    import transformers as t

    size: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "bos_token_id": 0,
    }
    size |= {"eos_token_id": 1, "pad_token_id": None, "initializer_range": 0.2}
    wide = {**size, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
    return {
        "mistral, window 8": lambda: t.MistralConfig(**wide, sliding_window=8),
        "gemma 2, window 8, capped": lambda: t.Gemma2Config(
            **wide, head_dim=32, sliding_window=8, final_logit_softcapping=2.0
        ),
        "gpt 2, learned positions": lambda: t.GPT2Config(
            vocab_size=512, n_embd=64, n_layer=2, n_head=2, initializer_range=0.2,
            bos_token_id=0, eos_token_id=1,
        ),
        "bloom, alibi": lambda: t.BloomConfig(**size, n_head=2, n_layer=2),
        "cohere, scaled": lambda: t.CohereConfig(**wide, logit_scale=0.25),
        "phi 3, positions that scale beyond 16": lambda: t.Phi3Config(
            **wide, max_position_embeddings=256, original_max_position_embeddings=16,
            rope_parameters={
                "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 16,
                "long_factor": [2.0] * 16, "original_max_position_embeddings": 16,
            },
        ),
        "llama 4, chunks of 8": lambda: t.Llama4TextConfig(
            **wide, head_dim=32, intermediate_size_mlp=128, attention_chunk_size=8,
            num_local_experts=2, no_rope_layers=[1, 0],
        ),
        "mamba, no keys": lambda: t.MambaConfig(**size, state_size=4),
    }  # fmt: skip


KINDS = (
    "mistral, window 8",
    "gemma 2, window 8, capped",
    "gpt 2, learned positions",
    "bloom, alibi",
    "cohere, scaled",
    "phi 3, positions that scale beyond 16",
    "llama 4, chunks of 8",
    "mamba, no keys",
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path, tiny_lm: Path) -> HuggingFaceModel:
    """A backend over each kind of model in turn."""
    from tests.unit.llm_eval.hf.tools import loaded

    return loaded(saved(tmp_path / "lm", request.param), batch_size=3, max_new_tokens=12)
