"""A module that a model wrote runs in the sandbox alone, and is used like any other dataset."""

from __future__ import annotations

import gc
import hashlib
import os
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import dataset_class, load_datasets, ports
from llm_eval.dataset.jailed import RESTARTS, JailedDataset
from llm_eval.dataset.spec import read_manifest
from llm_eval.errors import DatasetError, UserError
from llm_eval.evaluator import Evaluator
from llm_eval.sandbox import layers
from tests.unit.llm_eval.test_ports import port

pytestmark = pytest.mark.skipif(not layers().enough, reason=layers().says)

CODE = '''
"""A quiz."""

from pathlib import Path

from datasets import load_dataset

from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


@register_dataset("quiz_ko")
class Quiz(BaseDataset):
    """A quiz."""

    def __init__(self, dataset_name="quiz_ko", split=None, subset=None, **kwargs):
        super().__init__(dataset_name, split or "test", subset or "default", **kwargs)
        name = f"{self.split}-00000-of-00001.parquet"
        file = Path(__file__).parent / "data" / self.subset / name
        self.rows = list(load_dataset("parquet", data_files=str(file), split="train"))

    def __len__(self):
        return len(self.rows)

    def get_raw_samples(self):
        return self.rows

    def get_prompt(self, index):
        return self.rows[index]["q"] + " 답만 쓰세요."

    def load(self):
        template = self.base_prompt_template or "{query}"
        return [
            {"input": template.replace("{query}", self.get_prompt(i)), "reference": row["a"],
             "_subset_name": self.subset, "metadata": {"place": i}}
            for i, row in enumerate(self.rows)
        ]

    def evaluate_prediction(self, index, prediction):
        #HERE
        said = prediction.split("</think>")[-1]
        right = said.strip() == self.rows[index]["a"]
        return right, float(right)
'''


def written(here: str = "", slug: str = "quiz_ko", code: str = CODE, **more: Any) -> Path:
    """A port whose module a model wrote; `here` runs first in its `evaluate_prediction`."""
    folder = port(slug, **more)
    inner = textwrap.indent(textwrap.dedent(here), " " * 8).strip()
    text = code.replace("#HERE", inner).encode()
    (folder / "dataset.py").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    manifest = replace(read_manifest(folder), module_sha256=digest, module_way="model:m")
    (folder / "port.json").write_text(manifest.to_json(), "utf-8")
    return folder


def jailed(here: str = "") -> JailedDataset:
    """The dataset of such a port."""
    written(here)
    found = load_datasets("quiz_ko")
    assert isinstance(found, JailedDataset)
    return found


def test_it_does_what_the_module_does() -> None:
    """Rows, prompts, verdicts, number and info are the module's own."""
    dataset = jailed()
    assert len(dataset) == 2
    assert dataset.load() == [
        {"input": "수도는? 답만 쓰세요.", "reference": "서울", "_subset_name": "default",
         "metadata": {"place": 0}},
        {"input": "강은? 답만 쓰세요.", "reference": "한강", "_subset_name": "default",
         "metadata": {"place": 1}},
    ]  # fmt: skip
    assert [dataset.get_prompt(i) for i in (0, 1, -1)] == [
        "수도는? 답만 쓰세요.", "강은? 답만 쓰세요.", "강은? 답만 쓰세요.",
    ]  # fmt: skip
    assert dataset.evaluate_prediction(1, "한강") == (True, 1.0)
    assert dataset.evaluate_prediction(1, "서울") == (False, 0.0)
    assert dataset.judge_many([(0, "서울"), (1, "서울")]) == [(True, 1.0), (False, 0.0)]
    assert dataset.info() == {"dataset_name": "quiz_ko", "subset": "default", "split": "test"}
    for index in (2, -3):
        with pytest.raises(IndexError):
            dataset.evaluate_prediction(index, "")


def test_it_evaluates() -> None:
    """Through an evaluator, by its own method and by another."""
    written()
    found = Evaluator().run("oracle", "quiz_ko")
    assert (found.metrics["accuracy"], found.metrics["n"]) == (1.0, 2)
    assert found.info["evaluation_method"] == "dataset"
    found = Evaluator().run("oracle", "quiz_ko", evaluation_method="string_match")
    assert found.metrics["accuracy"] == 1.0


def test_it_never_runs_here(tmp_path: Path) -> None:
    """The process that answers is another, and what it would write outside is not written."""
    mark = tmp_path / "mark"
    code = f"import os\ntry:\n    open({str(mark)!r}, 'w')\nexcept OSError:\n    pass\n" + CODE
    written(code=code)
    with pytest.raises(UserError, match="tried to"):
        load_datasets("quiz_ko")
    assert not mark.exists()


def test_a_module_of_an_earlier_template_is_not_called_a_models() -> None:
    """It runs in the sandbox as well, and the reason is told as it is."""
    folder = written()
    manifest = replace(read_manifest(folder), module_way="template")
    (folder / "port.json").write_text(manifest.to_json(), "utf-8")
    with pytest.raises(UserError, match="is not what this version's template gives"):
        dataset_class("quiz_ko")
    assert load_datasets("quiz_ko").evaluate_prediction(0, "서울") == (True, 1.0)


def test_it_gives_no_class() -> None:
    """What runs elsewhere cannot be subclassed; the way to a class is told."""
    written()
    with pytest.raises(UserError, match="written by a model") as told:
        dataset_class("quiz_ko")
    assert "hret datasets trust quiz_ko" in told.value.hint
    ports.trust(ports.Port(folder := Path("generated_datasets/quiz_ko"), read_manifest(folder)))
    assert dataset_class("quiz_ko").__name__ == "Quiz"
    assert not isinstance(load_datasets("quiz_ko"), JailedDataset)


def test_several_subsets_are_joined_there() -> None:
    """A list of subsets of a module that takes one at a time, as anywhere."""
    rows = "    def load(self):" + CODE.split("    def load(self):")[1].split("    def eval")[0]
    written(code=CODE.replace(rows, ""))
    dataset = load_datasets("quiz_ko", ["default", "default"])
    assert len(dataset) == 4
    assert dataset.evaluate_prediction(3, "한강") == (True, 1.0)
    with pytest.raises(UserError, match="could not be made"):
        load_datasets("quiz_ko", split="train")
    with pytest.raises(UserError, match="JSON"):
        load_datasets("quiz_ko", level=object())


def test_calls_are_quick() -> None:
    """A call by row costs less than 2 ms in some round, whatever else the machine does."""
    dataset = jailed()
    dataset.evaluate_prediction(0, "x")
    rounds: list[float] = []
    ends = time.monotonic() + 30
    while time.monotonic() < ends and min(rounds, default=1.0) >= 0.002:
        started = time.perf_counter()
        for _ in range(20):
            dataset.evaluate_prediction(0, "x")
        rounds.append((time.perf_counter() - started) / 20)
    assert min(rounds) < 0.002


# --- what a module may do to itself -------------------------------------------------------------


def test_an_exception_costs_its_sample() -> None:
    """In a batch, the others keep their verdicts, and the process lives."""
    dataset = jailed("if prediction == 'x': raise KeyError('mine')")
    found = dataset.judge_many([(0, "서울"), (0, "x"), (1, "한강")])
    assert [found[0], found[2]] == [(True, 1.0), (True, 1.0)]
    assert isinstance(found[1], DatasetError)
    assert "KeyError: 'mine'" in found[1].message
    with pytest.raises(DatasetError, match="KeyError"):
        dataset.evaluate_prediction(0, "x")
    assert dataset._starts == 1


def test_a_death_costs_its_sample() -> None:
    """A process that ends over a reply is started again for the others."""
    dataset = jailed("import os\nif prediction == 'x': os._exit(3)")
    found = dataset.judge_many([(0, "서울"), (1, "x"), (1, "한강")])
    assert [found[0], found[2]] == [(True, 1.0), (True, 1.0)]
    assert isinstance(found[1], DatasetError)
    assert "exit status 3" in found[1].message
    assert dataset.get_prompt(0).startswith("수도")


def test_a_module_that_ends_again_and_again_is_given_up() -> None:
    """Starts are bounded; every sample says why it has no verdict."""
    dataset = jailed("import os\nos._exit(3)")
    found = dataset.judge_many([(0, "서울")] * 20)
    assert all(isinstance(v, DatasetError) for v in found)
    assert dataset._starts == RESTARTS + 1
    assert "given up" in str(found[-1])


def test_an_endless_verdict_costs_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has a deadline, and a run is told of it as data."""
    written("while prediction == '한강': pass")
    monkeypatch.setattr(JailedDataset, "patience", 5.0)
    found = Evaluator().run("oracle", "quiz_ko")
    assert (found.metrics["n"], found.metrics["failed"]) == (1, 1)
    assert found.samples[1]["error"]["kind"] == "dataset"
    assert "longer than 5 s" in found.samples[1]["error"]["message"]


@pytest.mark.parametrize(
    "said",
    ["return True", "return None", "return 'yes', 1.0", "return True, 'x'", "return 1, 1.0",
     "return True, float('nan')", "return True, float('inf')", "return True, 10 ** 400",
     "return True, 1.0, 2.0", "return {}", "return [[True, 1.0]]"],
)  # fmt: skip
def test_a_verdict_that_is_none_is_told(said: str) -> None:
    """A verdict is (bool, a finite number or None); any other is its sample's error."""
    dataset = jailed(f"if index == 0: {said}")
    with pytest.raises(DatasetError):
        dataset.evaluate_prediction(0, "서울")
    assert dataset.evaluate_prediction(1, "한강") == (True, 1.0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return len(self.rows)", "return 10 ** 18", "rows"),
        ("return len(self.rows)", "return -1", ""),
        ('{"input": template', '{"inptu": template', "row 0 has no text under 'input'"),
        ("for i, row in", "for i, row in [] and", "list of rows"),
        ('return self.rows[index]["q"] +', "return 7,", "get_prompt"),
    ],
)
def test_odd_rows_are_told(old: str, new: str, said: str) -> None:
    """Numbers and rows that make no sense are a sentence, and never a crash."""
    assert CODE.count(old) == 1
    written(code=CODE.replace(old, new))
    with pytest.raises((UserError, DatasetError)) as told:
        load_datasets("quiz_ko").get_prompt(0)
        Evaluator().run("oracle", "quiz_ko", evaluation_method="string_match")
    assert said in str(told.value)


# --- its process --------------------------------------------------------------------------------


def children() -> set[str]:
    """The processes that this one has started and that live."""
    me = os.getpid()
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(stat[1]) == me and stat[0] != "Z":
            found.add(pid)
    return found


def test_its_process_ends_with_it() -> None:
    """By `close`, and when nobody holds the dataset any more."""
    before = children()
    dataset = jailed()
    assert children() - before
    dataset.close()
    assert not children() - before
    assert dataset.evaluate_prediction(0, "서울") == (True, 1.0)
    assert children() - before
    del dataset
    gc.collect()
    assert not children() - before


def test_threads_take_turns() -> None:
    """Each of many threads gets the answer to its own question."""
    dataset = jailed()
    barrier = threading.Barrier(8)

    def ask(i: int) -> bool:
        barrier.wait()
        return all(
            dataset.evaluate_prediction(i % 2, ["서울", "한강"][k % 2])[0] == (i % 2 == k % 2)
            for k in range(50)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_without_a_sandbox_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that cannot hold it: what to install, or what to read and trust."""
    from llm_eval.sandbox import Layers, probe

    written()
    monkeypatch.setattr(probe, "layers", lambda: Layers(seccomp=True))
    with pytest.raises(UserError, match="no sandbox") as told:
        load_datasets("quiz_ko")
    assert "bubblewrap" in told.value.hint
    assert "hret datasets trust quiz_ko" in told.value.hint
