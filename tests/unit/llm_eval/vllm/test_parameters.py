"""What `vllm` is given is checked at once, by name, before vLLM is imported.

The names are read from the source of the vLLM that is installed; here, of one of a few lines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_eval.errors import MissingExtra, UserError
from llm_eval.models import load_model
from llm_eval.models.vllm import VLLMModel

ENGINE = """
class EngineArgs:
    model: str = ""
    dtype: str = "auto"
    seed: int = 0
    revision: str | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    quantization: str | None = None
    logprobs_mode: str = "raw_logprobs"
    hf_token: str | None = None
    _api_process_count: int = 1
"""
SAMPLING = """
class SamplingParams:
    temperature: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    ignore_eos: bool = False
    output_kind: int = 0
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A vLLM whose source is there, and which cannot be imported."""
    package = tmp_path / "site" / "vllm"
    (package / "engine").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "engine" / "arg_utils.py").write_text(ENGINE)
    (package / "sampling_params.py").write_text(SAMPLING)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    assert "vllm" not in sys.modules


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"top_k": -2},
        {"max_tokens": 0},
        {"max_num_seqs": 0},
        {"max_num_batched_tokens": "many"},
        {"max_model_len": 0},
        {"stop": [""]},
        {"logprobs": -1},
        {"apply_chat_template": "yes"},
        {"data_parallel_size": 2},
    ],
    ids=str,
)
def test_a_senseless_parameter_is_refused(params: dict[str, Any]) -> None:
    """By its name."""
    with pytest.raises(UserError, match=next(iter(params))):
        load_model("vllm", model_name_or_path="no/such", **params)


def test_a_model_must_be_named() -> None:
    """And the sentence says by what."""
    with pytest.raises(UserError, match="model_name_or_path"):
        load_model("vllm")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("tensor_paralel_size", "tensor_parallel_size"),
        ("min_pp", "min_p"),
        ("max_num_seq", "max_num_seqs"),
        ("system_mesage", "system_message"),
        ("output_kinds", ""),
        ("_api_process_count", ""),
    ],
)
def test_a_typo_is_refused_with_a_guess(wrong: str, meant: str) -> None:
    """Whether the engine's parameter was meant, sampling's, or the backend's own."""
    with pytest.raises(UserError, match=wrong) as caught:
        load_model("vllm", model_name_or_path="m", **{wrong: 1})
    assert f"did you mean {meant!r}" in str(caught.value) if meant else True


@pytest.mark.usefixtures("installed")
def test_engine_and_sampling_are_kept_apart() -> None:
    """The defaults of document 001, any argument of the engine, and any of sampling."""
    model = VLLMModel(
        "m", tensor_parallel_size=2, quantization="awq", min_p=0.1, max_new_tokens=7, seed=3
    )
    assert model.arguments == {
        "model": "m",
        "max_num_seqs": 256,
        "max_num_batched_tokens": 8192,
        "tensor_parallel_size": 2,
        "quantization": "awq",
    }
    assert model.sampling == {"min_p": 0.1}
    assert (model.asked.max_tokens, model.asked.seed, model.label) == (7, 3, "vllm:m")
    assert VLLMModel(model_name="m", max_length=64).arguments["max_model_len"] == 64


@pytest.mark.usefixtures("installed")
def test_what_decides_a_reply_is_told_without_keys() -> None:
    """Before anything is loaded; a token for the Hub is left out."""
    about = VLLMModel("m", hf_token="hf_secret", temperature=0.5, repetition_penalty=1.1).about
    assert "hf_secret" not in json.dumps(about)
    assert (about["temperature"], about["sampling"]) == (0.5, {"repetition_penalty": 1.1})


@pytest.mark.usefixtures("installed")
def test_files_are_told_of_what_was_loaded_alone(tmp_path: Path) -> None:
    """A folder may change before it is loaded, and after: neither is the model's matter."""
    (tmp_path / "config.json").write_text("{}", "utf-8")
    assert "files" not in VLLMModel(str(tmp_path)).about


@pytest.mark.usefixtures("installed")
def test_log_probabilities_are_the_models_own() -> None:
    """Likelihoods of what was processed are refused."""
    with pytest.raises(UserError, match="processed_logprobs"):
        VLLMModel("m", logprobs_mode="processed_logprobs")


def test_without_the_extra_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vLLM is not installed, making the backend says what installs it."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(MissingExtra) as caught:
        VLLMModel("m")
    assert "'.[vllm]'" in str(caught.value)
