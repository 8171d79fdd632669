"""What a backend's replies depend on: nothing is taken for another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hret_agents.backends import deciding, weights


def test_weights_that_were_trained_on_are_others(tmp_path: Path) -> None:
    """The same folder with other files decides anew, large files by their time."""
    (tmp_path / "config.json").write_text("{}", "utf-8")
    large = tmp_path / "model.safetensors"
    large.write_bytes(bytes(2 << 20))
    os.utime(large, ns=(1, 1))
    model = f"huggingface:{tmp_path}"
    seen = [deciding(model, {})]
    (tmp_path / "config.json").write_text('{"layers": 2}', "utf-8")
    seen.append(deciding(model, {}))
    os.utime(large, ns=(2, 2))
    seen.append(deciding(model, {}))
    assert len(set(seen)) == 3
    assert deciding(model, {"batch_size": 4}) == seen[-1] != deciding(model, {"dtype": "float16"})


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai:m", "memory:x", "litellm:a/b", "vllm:no"])
def test_what_lies_in_no_folder_has_no_weights(model: str) -> None:
    """Servers and names of the Hub are told apart by name alone."""
    assert weights(model) is None
    assert deciding(model, {}) == ""
