"""From what a user calls a dataset to one: an instance, a class, a file, a name, or a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import DATASETS, BaseDataset, load_datasets, register_dataset
from llm_eval.errors import HretError, Unknown, UserError

MODULE = '''
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset
from llm_eval.utils.logging import get_logger

logger = get_logger(name="mine")


class Helper(BaseDataset):
    """Not the one."""


@register_dataset("from_a_file")
class Mine(BaseDataset):
    def __init__(self, dataset_name="m", subset=None, split="test", level=0, **kwargs):
        super().__init__(dataset_name, split, subset, **kwargs)
        self.level = level

    def load(self):
        return [{"input": "q", "reference": "ANSWER", "_subset_name": self.subset}]
'''


class Plain(BaseDataset):
    """A class that takes what the base class takes."""

    def load(self) -> list[dict[str, Any]]:
        return [{"input": "q", "reference": "a"}]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(DATASETS, "_live", dict(DATASETS._live))


@pytest.fixture
def module(work: Path) -> Path:
    """A module file of the user's."""
    path = work / "mine.py"
    path.write_text(MODULE, "utf-8")
    return path


# --- instances and classes ---------------------------------------------------------------------


def test_an_instance_is_itself() -> None:
    """What is made already is used as it is."""
    dataset = Plain(split="train")
    assert load_datasets(dataset) is dataset


@pytest.mark.parametrize("more", [{"subset": "x"}, {"split": "train"}, {"seed": 1}], ids=str)
def test_an_instance_is_not_quietly_another(more: dict[str, Any]) -> None:
    """A subset asked of an instance that is made already is refused, not passed over."""
    with pytest.raises(UserError):
        load_datasets(Plain(), **more)


def test_a_class_is_made() -> None:
    """With subset, split and parameters; a class has no name to be asked for by."""
    dataset = load_datasets(Plain, "s", "train", base_prompt_template="{query}", seed=1)
    assert (type(dataset), dataset.subset, dataset.split) == (Plain, "s", "train")
    assert (dataset.base_prompt_template, dataset.kwargs) == ("{query}", {"seed": 1})


@pytest.mark.parametrize("what", [int, 7, "", None, ["a"]], ids=repr)
def test_what_is_no_dataset_is_told(what: Any) -> None:
    """Another class, a number, an empty name: a sentence."""
    with pytest.raises(UserError):
        load_datasets(what)


def test_a_constructor_that_fails_is_told() -> None:
    """Whatever it raises becomes a sentence with the class's name and the reason."""

    class Broken(Plain):
        def __init__(self) -> None:
            raise FileNotFoundError("no data")

    with pytest.raises(UserError, match="Broken could not be made: FileNotFoundError: no data"):
        load_datasets(Broken)


# --- registered names --------------------------------------------------------------------------


def test_a_registered_name_is_found() -> None:
    """The dataset learns the name that it was asked for by."""
    register_dataset("quiz_of_mine")(Plain)
    dataset = load_datasets("quiz_of_mine", split="validation")
    assert (type(dataset), dataset.dataset_name) == (Plain, "quiz_of_mine")
    assert dataset.split == "validation"


def test_a_registered_name_may_look_like_a_hub_name() -> None:
    """What is registered is found before the Hub is asked."""
    register_dataset("ORG/quiz")(Plain)
    assert type(load_datasets("ORG/quiz")) is Plain


def test_an_unknown_name_is_answered_with_a_guess() -> None:
    """A typo names what was meant."""
    register_dataset("quiz_of_mine")(Plain)
    with pytest.raises(Unknown, match="no dataset called 'quiz_of_mien'") as caught:
        load_datasets("quiz_of_mien")
    assert "did you mean 'quiz_of_mine'" in caught.value.hint


def test_where_there_are_none_the_way_to_one_is_told() -> None:
    """On a fresh machine the answer is how to port one."""
    for name in DATASETS.names():
        DATASETS.forget(DATASETS.get(name))
    with pytest.raises(Unknown) as caught:
        load_datasets("anything")
    assert "hret port --dataset anything" in caught.value.hint


def test_an_unported_source_is_told_how_to_port_it() -> None:
    """`hf:` names a source as it is, which is not evaluated yet."""
    with pytest.raises(UserError, match="hret port --dataset ORG/name"):
        load_datasets("hf:ORG/name")


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["absolute", "relative", "dotted", "home"])
def test_a_path_to_a_module_is_loaded(
    module: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute, from here, or from the home folder; its last class is the dataset."""
    monkeypatch.setenv("HOME", str(module.parent))
    name = {"absolute": str(module), "dotted": "./mine.py", "home": "~/mine.py"}.get(how, "mine.py")
    dataset = load_datasets(name, "s", level=3)
    assert (type(dataset).__name__, dataset.subset, dataset.split) == ("Mine", "s", "test")
    assert vars(dataset)["level"] == 3
    assert dataset.get_prompt(0) == "q"
    assert dataset.evaluate_prediction(0, "answer.") == (True, 1.0)


def test_a_file_registers_its_name(module: Path) -> None:
    """After loading it once, the name it registers is known."""
    first = load_datasets(str(module))
    assert type(load_datasets("from_a_file")) is type(first)


def test_an_edited_file_is_loaded_anew(module: Path) -> None:
    """A notebook that loads it again has the new code."""
    load_datasets(str(module))
    module.write_text(MODULE.replace('"ANSWER"', '"ANOTHER ANSWER"'), "utf-8")
    assert load_datasets(str(module)).load()[0]["reference"] == "ANOTHER ANSWER"


def test_two_files_of_one_name_are_two(module: Path, tmp_path: Path) -> None:
    """A module is known by where it lies, not by what it is called."""
    other = tmp_path / "mine.py"
    other.write_text(MODULE.replace('"ANSWER"', '"OTHER"'), "utf-8")
    loaded = [load_datasets(str(p)).load()[0]["reference"] for p in (module, other, module)]
    assert loaded == ["ANSWER", "OTHER", "ANSWER"]


BROKEN = {
    "syntax": ("def load(:\n", "SyntaxError"),
    "import": ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "raises": ("raise KeyError('x')\n", "KeyError"),
    "empty": ("", "no subclass of BaseDataset"),
    "imported": ("from llm_eval.dataset.base import BaseDataset\n", "no subclass of BaseDataset"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_no_module_is_told(work: Path, how: str) -> None:
    """The sentence has the path and the reason, and is no traceback."""
    code, reason = BROKEN[how]
    (work / "bad.py").write_text(code)
    with pytest.raises(UserError, match=r"bad\.py") as caught:
        load_datasets("bad.py")
    assert reason in str(caught.value)


def test_a_sentence_of_the_modules_own_is_kept(work: Path) -> None:
    """A module that says itself what is wrong is quoted as it is."""
    code = "from llm_eval.errors import UserError\nraise UserError('set MY_DATA first')\n"
    (work / "own.py").write_text(code)
    with pytest.raises(HretError) as caught:
        load_datasets("own.py")
    assert str(caught.value) == "set MY_DATA first"


def test_the_hint_can_be_typed_as_it_stands(work: Path) -> None:
    """What is suggested to import is what a module needs, and no more."""
    (work / "bare.py").write_text("")
    with pytest.raises(UserError) as caught:
        load_datasets("bare.py")
    assert caught.value.hint == "from llm_eval.dataset.base import BaseDataset"


@pytest.mark.parametrize("name", ["absent.py", "folder.py"])
def test_a_path_to_no_file_is_told(work: Path, name: str) -> None:
    """A file that is not there, or a folder of that name."""
    (work / "folder.py").mkdir()
    with pytest.raises(UserError, match="there is no file"):
        load_datasets(name)
