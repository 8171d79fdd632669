"""Two contracts, either alone is enough; and `llm_eval.datasets` is the very same package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llm_eval.dataset.adapt import judges_itself, samples_of
from llm_eval.dataset.base import BaseDataset
from llm_eval.dataset.resolve import load_datasets
from llm_eval.errors import UserError
from llm_eval.models.asks import prompt_of
from tests.conftest import ROOT

ROWS = {"a": ["a0", "a1", "a2"], "b": ["b0"], "c": ["c0", "c1"]}
ALIAS_FIRST = """
import sys
from llm_eval.datasets.base import BaseDataset, register_dataset
import llm_eval.datasets, llm_eval.datasets.resolve, llm_eval.dataset.base, llm_eval.dataset.resolve

@register_dataset("mine")
class Mine(BaseDataset):
    pass

from llm_eval.dataset import DATASETS, load_datasets
assert type(load_datasets("mine")) is Mine
assert llm_eval.datasets is llm_eval.dataset
for name in ("", ".base", ".resolve"):
    real, alias = sys.modules["llm_eval.dataset" + name], sys.modules["llm_eval.datasets" + name]
    assert real is alias, name
    assert real.__name__ == real.__spec__.name == "llm_eval.dataset" + name, real.__spec__
assert llm_eval.datasets.base.BaseDataset is llm_eval.dataset.base.BaseDataset is BaseDataset
try:
    import llm_eval.datasets.nowhere
except ModuleNotFoundError:
    print("same")
"""
LIBRARY = (
    "import datasets; assert datasets.Dataset.from_list([{'a': 1}])[0]['a'] == 1; print('yes')"
)


class ByRow(BaseDataset):
    """A module in the row contract alone; subsets are asked for one by one."""

    def __init__(self, subset: str = "a", split: str = "test", **more: Any) -> None:
        super().__init__(split=split, subset=subset, **more)
        self.data = ROWS[subset]

    def get_prompt(self, index: int) -> str:
        return f"{self.split}: {self.data[index]}"

    def evaluate_prediction(self, index: int, prediction: str) -> tuple[bool, float | None]:
        right = prediction == self.data[index].upper()
        return right, float(right)


class ByList(BaseDataset):
    """A module in the list contract alone, with a constructor of its own."""

    def load(self) -> list[dict[str, Any]]:
        wanted = [self.subset] if isinstance(self.subset, str) else self.subset or list(ROWS)
        return [
            {"input": text, "reference": text.upper(), "_subset_name": name, "note": 7}
            for name in wanted
            for text in ROWS[name]
        ]


class Bare(BaseDataset):
    """A module that calls no constructor of ours."""

    def __init__(self) -> None:
        self.data = ["x", "y"]

    def get_prompt(self, index: int) -> str:
        return self.data[index]

    def evaluate_prediction(self, index: int, prediction: str) -> tuple[bool, float]:
        return True, 1.0


class Choices(BaseDataset):
    """Rows whose options and references are no texts."""

    def load(self) -> list[dict[str, Any]]:
        return [{"input": "2+2?", "reference": 4, "options": [3, 4, 5]}]


# --- the two contracts -------------------------------------------------------------------------


def test_a_module_by_row_can_be_listed() -> None:
    """From `get_prompt` alone come rows, without references, each under its subset's name."""
    dataset = ByRow(subset="c")
    assert dataset.load() == [
        {"input": f"test: {text}", "reference": None, "_subset_name": "c"} for text in ROWS["c"]
    ]
    assert len(dataset) == 2
    assert judges_itself(dataset)


def test_a_module_by_list_can_be_asked_by_row() -> None:
    """From `load` alone come prompts, judgements and a length."""
    dataset = ByList()
    assert [dataset.get_prompt(i) for i in range(len(dataset))] == [
        t for texts in ROWS.values() for t in texts
    ]
    assert dataset.evaluate_prediction(1, "정답: A1") == (True, 1.0)
    assert dataset.evaluate_prediction(1, "정답: A2") == (False, 0.0)
    assert not judges_itself(dataset)


def test_a_row_without_a_reference_is_not_scored() -> None:
    """(False, None): neither right nor wrong."""

    class NoGold(BaseDataset):
        def load(self) -> list[dict[str, Any]]:
            return [{"input": "chat", "reference": None}, {"input": "chat"}]

    assert [NoGold().evaluate_prediction(i, "x") for i in (0, 1)] == [(False, None)] * 2


def test_a_module_by_list_loads_once() -> None:
    """However many rows are asked for, `load` is called a single time."""
    calls = []

    class Counting(ByList):
        def load(self) -> list[dict[str, Any]]:
            calls.append(1)
            return super().load()

    dataset = Counting()
    for i in range(len(dataset)):
        dataset.get_prompt(i)
        dataset.evaluate_prediction(i, "x")
    assert len(calls) == 1


def test_options_that_are_no_texts_are_judged_alike() -> None:
    """A number among the options is an option, asked by row or by sample."""
    dataset = Choices()
    (sample,) = samples_of(dataset)
    assert (sample.reference, sample.options) == ("4", ("3", "4", "5"))
    assert dataset.evaluate_prediction(0, "정답: 4") == (True, 1.0)
    assert dataset.evaluate_prediction(0, "정답: 3") == (False, 0.0)


def test_a_module_with_neither_contract_is_told() -> None:
    """The sentence names the class and what to write."""
    with pytest.raises(UserError, match="BaseDataset defines neither load") as caught:
        BaseDataset().load()
    assert "get_prompt(index)" in caught.value.hint


def test_a_module_that_does_not_say_how_long_it_is_is_told() -> None:
    """Rows by index without an end cannot be listed."""

    class Endless(BaseDataset):
        def get_prompt(self, index: int) -> str:
            return "again"

    with pytest.raises(UserError, match="how many rows"):
        Endless().load()


@pytest.mark.parametrize("empty", [[], (), ""], ids=repr)
def test_no_rows_are_told(empty: Any) -> None:
    """An empty subset is no result of 0."""

    class Nothing(BaseDataset):
        def load(self) -> Any:
            return empty

    with pytest.raises(UserError, match="Nothing"):
        samples_of(Nothing())


@pytest.mark.parametrize(
    "row", [{}, {"input": None}, {"input": ["chat"]}, "text", None, {"question": "?"}], ids=repr
)
def test_a_row_without_a_text_is_told_by_its_number(row: Any) -> None:
    """The first bad row ends the run before anything is asked."""

    class Bad(BaseDataset):
        def load(self) -> Any:
            return [{"input": "fine"}, row]

    with pytest.raises(UserError, match="row 1"):
        samples_of(Bad())


def test_a_module_that_fails_to_load_is_told() -> None:
    """Whatever it raises becomes a sentence with its name."""

    class Broken(BaseDataset):
        def load(self) -> Any:
            raise KeyError("question")

    with pytest.raises(UserError, match="Broken could not load its rows: KeyError: 'question'"):
        samples_of(Broken())


def test_options_from_a_table_are_options() -> None:
    """A column read from Parquet by pandas holds arrays; they are taken as lists."""
    table = pd.DataFrame({"input": ["q"], "reference": ["b"]})
    table["options"] = [pd.Series(["a", "b"]).to_numpy()]

    class Table(BaseDataset):
        def load(self) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = table.to_dict("records")
            return rows

    (sample,) = samples_of(Table())
    assert sample.options == ("a", "b")


class OneRow(BaseDataset):
    """A dataset of one row."""

    def __init__(self, **row: Any) -> None:
        super().__init__()
        self.row = row

    def load(self) -> list[dict[str, Any]]:
        return [{"input": "?", **self.row}]


EMPTY = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT]


@pytest.mark.parametrize("empty", EMPTY, ids=lambda v: type(v).__name__)
def test_where_nothing_stands_in_a_table_there_is_no_text(empty: Any) -> None:
    """Not "nan", not "None": no reference, and no option behind the last; amid them it is told."""
    (sample,) = samples_of(OneRow(reference=empty, options=["서울", 2, empty, empty]))
    assert (sample.reference, sample.options) == (None, ("서울", "2"))
    asked = prompt_of(0, {"input": "?", "reference": empty, "options": ["A", empty]})
    assert (asked.reference, asked.options) == (None, ("A",))
    assert samples_of(OneRow(options=empty))[0].options == ()
    torn = ["서울", empty, "부산"]
    with pytest.raises(UserError, match="row 0 has nothing as option 2 of 3"):
        list(samples_of(OneRow(options=torn)))
    with pytest.raises(UserError, match="input 7 has nothing as option 2"):
        prompt_of(7, {"input": "?", "options": torn})


def test_what_else_is_in_a_row_is_kept() -> None:
    """Keys of the module's own end up in the sample's metadata."""
    sample = samples_of(ByList(subset="b"))[0]
    assert (sample.id, sample.subset, sample.metadata) == ("b/0", "b", {"note": 7})


# --- constructors ------------------------------------------------------------------------------


def test_every_argument_is_optional() -> None:
    """The base class can be made with nothing, and keeps what it is not asked for."""
    dataset = BaseDataset()
    assert (dataset.dataset_name, dataset.split, dataset.subset) == (None, None, None)
    assert BaseDataset(seed=1, num=2).kwargs == {"seed": 1, "num": 2}


def test_a_module_need_not_call_our_constructor() -> None:
    """One that keeps its own evaluates all the same."""
    dataset = load_datasets(Bare)
    assert [s.input for s in samples_of(dataset)] == ["x", "y"]
    assert dataset.info() == {"dataset_name": "Bare", "subset": None, "split": None}


def test_an_argument_that_is_not_taken_is_refused() -> None:
    """A split that the class does not know is told, not dropped."""
    with pytest.raises(UserError, match="Bare takes no 'split'"):
        load_datasets(Bare, split="train")
    with pytest.raises(UserError, match="Bare takes no 'sed'"):
        load_datasets(Bare, sed=1)


def test_what_is_not_said_is_not_passed() -> None:
    """The defaults of the class's own constructor stand."""
    dataset = load_datasets(ByRow)
    assert (dataset.subset, dataset.split) == ("a", "test")


@pytest.mark.parametrize("raw", [pd.DataFrame({"a": [1, 2]}), [1]], ids=["table", "list"])
def test_the_raw_rows_are_what_the_module_keeps(raw: Any) -> None:
    """`get_raw_samples` gives `data` as it is, whatever its type, and else the loaded rows."""

    class Keeps(ByList):
        data = raw

    assert Keeps().get_raw_samples() is raw
    assert ByList(subset="b").get_raw_samples() == ByList(subset="b").load()


# --- subsets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ByRow, ByList])
@pytest.mark.parametrize("wanted", [["a", "b"], ("c", "a"), ["b"], "c"], ids=str)
def test_subsets_are_joined_in_the_order_asked(kind: type[BaseDataset], wanted: Any) -> None:
    """In both contracts several subsets are one dataset, each row under its own subset's name."""
    names = [wanted] if isinstance(wanted, str) else wanted
    samples = samples_of(load_datasets(kind, wanted))
    found = [(s.subset, s.input.split()[-1]) for s in samples]
    assert found == [(name, text) for name in names for text in ROWS[name]]
    assert len({s.id for s in samples}) == len(samples)
    assert [s.index for s in samples] == list(range(len(samples)))


def test_joined_rows_are_judged_by_their_own_part() -> None:
    """The second subset's first row is not the first one's."""
    dataset = load_datasets(ByRow, ["a", "c"], "train")
    assert len(dataset) == 5
    for sample in samples_of(dataset):
        own = sample.input.split()[-1].upper()
        assert dataset.get_prompt(sample.index) == sample.input
        assert dataset.evaluate_prediction(sample.index, own) == (True, 1.0)
        assert dataset.evaluate_prediction(sample.index, "B0") == (own == "B0", float(own == "B0"))
    assert dataset.info()["subset"] == ["a", "c"]
    assert dataset.info()["split"] == "train"


@pytest.mark.parametrize("kind", [ByRow, ByList])
@pytest.mark.parametrize("nothing", [None, [], ()], ids=repr)
def test_no_subset_named_is_the_default(kind: type[BaseDataset], nothing: Any) -> None:
    """An empty list names none: the dataset's own default stands, in both contracts."""
    assert samples_of(load_datasets(kind, nothing)) == samples_of(load_datasets(kind))


# --- the alias ---------------------------------------------------------------------------------


def _python(code: str, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_alias_is_the_same_package(environment: dict[str, str], work: Path) -> None:
    """Imported first or second, whole or in part: one class, one registry, one spec."""
    assert _python(ALIAS_FIRST, work, environment) == "same\n"


@pytest.mark.parametrize("first", ["import llm_eval.datasets.base, llm_eval.evaluator; ", ""])
@pytest.mark.parametrize("inside", [False, True])
def test_the_library_is_not_hidden(
    environment: dict[str, str], work: Path, first: str, inside: bool
) -> None:
    """`import datasets` is the library, from inside our own folder and after our alias too."""
    cwd = ROOT / "llm_eval" if inside else work
    assert _python(first + LIBRARY, cwd, environment) == "yes\n"
