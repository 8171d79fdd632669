"""What a backend's replies depend on: nothing is taken for another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hret_agents.backends import checked, deciding, made, release, served, weights
from hret_agents.job import PortJob
from llm_eval.aio import run_sync
from llm_eval.errors import UserError


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


@pytest.fixture
def job(tmp_path: Path) -> PortJob:
    """A job whose translator is a model in a folder."""
    pytest.importorskip("torch")
    from tests.fakes.tiny_lm import make

    folder = make(tmp_path / "lm", chat=True)
    return PortJob(dataset="sample", model=f"huggingface:{folder}", model_params={"device": "cpu"})


def edit(job: PortJob) -> None:
    """Change a file of the model that does not matter here."""
    file = Path(str(job.model).partition(":")[2], "generation_config.json")
    file.write_text(file.read_text("utf-8") + "\n", "utf-8")


def test_a_folder_that_changes_is_loaded_anew(job: PortJob) -> None:
    """One object for as long as its files are the same; who uses the one before keeps it."""
    model = str(job.model)
    try:
        used = served(job, model)
        first = made(job, model)
        assert made(job, model) is first
        edit(job)
        second = made(job, model)
        assert second is not first and made(job, model) is second
        assert used.model is first.model
        run_sync(used.close())
        run_sync(checked(second, model))
        assert second.model.about["files"] == weights(model)
    finally:
        release()


def test_what_was_loaded_is_what_replies_are_kept_under(job: PortJob) -> None:
    """Files that change between the two are told; after it, they are the next one's matter."""
    model = str(job.model)
    try:
        early = served(job, model)
        edit(job)
        with pytest.raises(UserError, match="changed before they were loaded"):
            run_sync(checked(early, model))
        run_sync(early.close())
        late = served(job, model)
        run_sync(checked(late, model))
        edit(job)
        run_sync(checked(late, model))
        run_sync(late.close())
    finally:
        release()
