"""A model that cannot be had, or asked so, is a sentence before the first sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from llm_eval.errors import MissingExtra, UserError
from llm_eval.models import load_model
from llm_eval.models.huggingface import HuggingFaceModel
from tests.unit.llm_eval.hf.tools import asked, inner, loaded, written


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"top_p": 0},
        {"top_k": -1},
        {"max_new_tokens": 0},
        {"batch_size": 0},
        {"batch_size": "large"},
        {"apply_chat_template": "yes"},
        {"stop": [""]},
        {"do_sample": True, "temperature": 0},
        {"tempreature": 1},
        {"max_length": 0},
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused_at_once(params: dict[str, Any]) -> None:
    """By its name, before anything is loaded."""
    name = next(iter(params))
    with pytest.raises(UserError, match=name):
        load_model("huggingface", model_name_or_path="no/such", **params)


def test_a_model_must_be_named() -> None:
    """And the sentence says by what."""
    with pytest.raises(UserError, match="model_name_or_path"):
        load_model("huggingface")


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    """The reason is one line, and no traceback."""
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        loaded(tmp_path)
    assert "\n" not in caught.value.message


def test_an_unknown_dtype_or_tokenizer_is_told(tiny_lm: Path, tmp_path: Path) -> None:
    """Both are what `from_pretrained` would fail on."""
    for wrong in ({"dtype": "float99"}, {"tokenizer": str(tmp_path / "none")}):
        with pytest.raises(UserError, match="cannot be loaded"):
            loaded(tiny_lm, **wrong)


def test_without_the_extra_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is not installed, making the backend says what installs it."""
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(MissingExtra) as caught:
        HuggingFaceModel("m")
    assert "hret-agents[hf]" in str(caught.value)


def test_dtype_and_length_are_as_asked(tiny_lm: Path) -> None:
    """A result tells both."""
    model = loaded(tiny_lm, dtype="bfloat16", max_length=64, max_new_tokens=4)
    assert (model.about["dtype"], model.about["max_length"]) == ("bfloat16", 64)
    (found,) = written(model, asked(("y" * 80, ())))
    assert found.failure is not None and "64" in found.failure.message


def test_what_is_passed_on_arrives(tiny_lm: Path) -> None:
    """By name, or in `model_kwargs`."""
    for params in (
        {"attn_implementation": "eager"},
        {"model_kwargs": {"attn_implementation": "eager"}},
    ):
        assert inner(loaded(tiny_lm, **params)).config._attn_implementation == "eager"


def test_quantisation_arguments_arrive(tiny_lm: Path) -> None:
    """They make the configuration that transformers asks bitsandbytes for."""
    from llm_eval.models.hf.loading import Source, _arguments

    model = HuggingFaceModel(str(tiny_lm), load_in_4bit=True, bnb_4bit_quant_type="nf4")
    made = _arguments(Source(**model.source))["quantization_config"]
    assert made.load_in_4bit and made.bnb_4bit_quant_type == "nf4"


def test_the_template_is_found_or_missed(tiny_lm: Path, chat_lm: Path) -> None:
    """ "auto" looks; True without one is refused; False leaves it."""
    assert loaded(chat_lm).about["chat_template"] is True
    assert loaded(chat_lm, apply_chat_template=False).about["chat_template"] is False
    assert loaded(tiny_lm).about["chat_template"] is False
    with pytest.raises(UserError, match="no chat template"):
        loaded(tiny_lm, apply_chat_template=True)
    model = loaded(tiny_lm, tokenizer=str(chat_lm))
    assert model.can.chat


def test_a_template_that_takes_no_system_message_says_so(chat_lm: Path, tmp_path: Path) -> None:
    """The template's own words, before the first sample."""
    folder = tmp_path / "strict"
    shutil.copytree(chat_lm, folder)
    file = folder / "chat_template.jinja"
    refusing = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    if file.is_file():
        file.write_text(refusing + file.read_text("utf-8"), "utf-8")
    else:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        config["chat_template"] = refusing + config["chat_template"]
        (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    assert loaded(folder).can.chat
    with pytest.raises(UserError, match="no system"):
        loaded(folder, system_message="be brief")


def test_a_base_model_reads_the_system_message_first(tiny_lm: Path) -> None:
    """Without a template it stands before the prompt."""
    one = loaded(tiny_lm, system_message="짧게", max_new_tokens=8)
    two = loaded(tiny_lm, max_new_tokens=8)
    (first,) = written(one, asked(("물은?", ())))
    (second,) = written(two, asked(("짧게\n\n물은?", ())))
    assert first.text == second.text
