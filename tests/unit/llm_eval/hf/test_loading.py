"""A model that cannot be had, or asked so, is a sentence before the first sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import MissingExtra, UserError
from llm_eval.models import load_model
from llm_eval.models.hf.identity import of_files
from llm_eval.models.huggingface import HuggingFaceModel
from tests.conftest import ROOT
from tests.fakes.hub import HubServer
from tests.unit.llm_eval.hf.tools import asked, inner, loaded, written


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"top_p": 0},
        {"top_k": -2},
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


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_there_is_not_is_told(tiny_lm: Path, device: str) -> None:
    """The hint is about the device, also where torch was built without CUDA."""
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        loaded(tiny_lm, device=device)
    assert caught.value.hint.startswith("device is 'cpu'")


def test_a_parameter_like_another_is_guessed() -> None:
    """A typing error is told beside what was probably meant."""
    with pytest.raises(UserError, match="takes no 'max_new_token'") as caught:
        HuggingFaceModel("m", max_new_token=5)
    assert caught.value.hint.startswith("did you mean 'max_new_tokens'?")


def test_without_the_extra_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is not installed, making the backend says what installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(MissingExtra) as caught:
        HuggingFaceModel("m")
    assert "'.[hf]'" in str(caught.value)


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


def test_a_quantisation_of_ones_own_reaches_the_loader(tiny_lm: Path) -> None:
    """It is transformers that says which kinds there are."""
    with pytest.raises(UserError, match=r"cannot be loaded.*'?nonsense'?"):
        loaded(tiny_lm, quantization_config={"quant_method": "nonsense"})


@pytest.mark.parametrize(
    ("params", "package"),
    [
        ({"load_in_4bit": True}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"device_map": "auto"}, "accelerate"),
    ],
    ids=str,
)
def test_a_package_that_is_missing_is_named(
    tiny_lm: Path, params: dict[str, Any], package: str
) -> None:
    """With the line that installs it."""
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=f"needs {package}") as caught:
        loaded(tiny_lm, **params)
    assert caught.value.hint == f"pip install {package}"


def test_a_folder_that_is_not_there_is_no_name_of_the_hub(tmp_path: Path) -> None:
    """It is said to be missing, and nobody is asked for it."""
    for name in (str(tmp_path / "typo"), "./typo", "models/my/typo"):
        with pytest.raises(UserError, match="there is no folder"):
            run_sync(HuggingFaceModel(name).check())


def test_a_model_with_a_part_missing_is_refused(tiny_lm: Path, tmp_path: Path) -> None:
    """A head that nobody trained would answer, and be wrong."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "torn"
    shutil.copytree(tiny_lm, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="lm_head"):
        loaded(folder)


TROUBLES = """
import sys
from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models.huggingface import HuggingFaceModel
for line in sys.stdin.read().split():
    name, _, revision = line.partition("@")
    try:
        model = HuggingFaceModel(name, revision=revision or None, device="cpu", max_new_tokens=2)
        run_sync(model.check())
        print("LOADED", model.about["revision"])
    except UserError as e:
        print(" ".join(str(e).split()))
"""


def asked_of_the_hub(environment: dict[str, str], *names: str) -> list[str]:
    """What is said of each of these names, by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", TROUBLES],
        input="\n".join(names), env=environment, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_trouble_with_the_hub_is_a_sentence(
    hub: HubServer, environment: dict[str, str], tiny_lm: Path
) -> None:
    """No such model, no such revision, a gate; and what was loaded once is there offline."""
    files = {p.name: p.read_bytes() for p in tiny_lm.iterdir()}
    hub.put("org/tiny", files, repo_type="model")
    hub.put("org/closed", files, repo_type="model")
    hub.gate("org/closed", repo_type="model")
    own = environment | hub.env(Path(environment["HOME"]))
    none, revision, gated, found = asked_of_the_hub(
        own, "org/none", "org/tiny@v9", "org/closed", "org/tiny"
    )
    assert "there is no model 'org/none' on the Hub, or it is private" in none
    assert "has no revision 'v9'" in revision
    assert "gated" in gated and "HF_TOKEN" in gated
    assert found.startswith("LOADED ") and len(found.split()[1]) == 40
    offline = own | {"HF_HUB_OFFLINE": "1"}
    again, away = asked_of_the_hub(offline, "org/tiny", "org/other")
    assert again == found
    assert "is not on this machine, and the Hub is not reached" in away


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


def test_what_decides_a_reply_is_told_before_the_first(chat_lm: Path) -> None:
    """JSON-ready; it changes with every parameter that changes replies, and with nothing else."""
    ways: list[dict[str, Any]] = [
        {},
        {"temperature": 0.5},
        {"temperature": 0.5, "top_p": 0.5},
        {"temperature": 0.5, "top_k": 5},
        {"temperature": 0.5, "seed": 3},
        {"max_new_tokens": 5},
        {"stop": ["x"]},
        {"system_message": "짧게"},
        {"apply_chat_template": False},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"dtype": "bfloat16"},
        {"max_length": 100},
        {"attn_implementation": "eager"},
        {"tokenizer": str(chat_lm)},
    ]
    told = [json.dumps(loaded(chat_lm, **w).about, sort_keys=True) for w in ways]
    assert len(set(told)) == len(told)
    assert told[0] == json.dumps(loaded(chat_lm, batch_size=3).about, sort_keys=True)
    assert HuggingFaceModel(str(chat_lm)).about == {}


def test_a_folder_that_changes_is_another_model(chat_lm: Path, tmp_path: Path) -> None:
    """A checkpoint written over, or a template edited, answers for itself alone."""
    folder = tmp_path / "lm"
    shutil.copytree(chat_lm, folder)
    before = loaded(folder).about
    assert before["files"] == loaded(folder).about["files"]
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text("utf-8").replace("<assistant>", "<model>"), "utf-8")
    after = loaded(folder).about
    assert before["files"] != after["files"]
    assert before["chat_template_hash"] != after["chat_template_hash"]


def test_an_adapter_over_another_base_is_another_model(tmp_path: Path) -> None:
    """The files of the folder that its base model is in count; one that points at itself ends."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    (base / "config.json").write_text("1", "utf-8")
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps({"base_model_name_or_path": str(base)}), "utf-8")
    before = of_files(str(adapter))
    assert before == of_files(str(adapter))
    (base / "config.json").write_text("2", "utf-8")
    assert of_files(str(adapter)) != before
    for told in (str(adapter), "org/name", None):
        config.write_text(json.dumps({"base_model_name_or_path": told}), "utf-8")
        assert of_files(str(adapter)) not in (None, before)


def test_it_costs_nobody_knows_what(llama: HuggingFaceModel) -> None:
    """Electricity is not counted: None, and not 0."""
    written(llama, asked(("q", ())))
    assert llama.cost(llama.usage) is None and llama.usage.completion_tokens > 0


def test_how_prompts_are_shown_needs_no_torch() -> None:
    """The module that other backends use for it loads nothing heavy."""
    code = (
        "import sys, llm_eval.models.hf.encoding, llm_eval.models.hf_reward\n"
        "import llm_eval.models.huggingface\n"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.filterwarnings("ignore:Cannot enable progress bars")
def test_no_bar_is_written_where_nobody_sees_it(
    tiny_lm: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard error is a file here; what the user set is there again afterwards."""
    from transformers.utils import logging

    logging.enable_progress_bar()
    try:
        loaded(tiny_lm)
        assert "Loading weights" not in capfd.readouterr().err
        assert logging.is_progress_bar_enabled()
    finally:
        logging.disable_progress_bar()
