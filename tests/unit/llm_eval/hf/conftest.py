"""Tiny models of several kinds; all skip, with a sentence, where torch is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_eval.models.huggingface import HuggingFaceModel


@pytest.fixture(autouse=True)
def _needs_the_extra(tiny_lm: Path) -> None:
    """These tests run a model."""


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
        "mamba, no keys": lambda: t.MambaConfig(**size, state_size=4),
    }  # fmt: skip


KINDS = (
    "mistral, window 8",
    "gemma 2, window 8, capped",
    "gpt 2, learned positions",
    "bloom, alibi",
    "cohere, scaled",
    "mamba, no keys",
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path, tiny_lm: Path) -> HuggingFaceModel:
    """A backend over each kind of model in turn."""
    import torch
    from transformers import AutoModelForCausalLM

    from tests.fakes.tiny_lm import make_tokenizer
    from tests.unit.llm_eval.hf.tools import loaded

    torch.manual_seed(1)
    make_tokenizer(512, begins=True).save_pretrained(tmp_path / "lm")
    AutoModelForCausalLM.from_config(_configs()[request.param]()).save_pretrained(tmp_path / "lm")
    return loaded(tmp_path / "lm", batch_size=3, max_new_tokens=12)
