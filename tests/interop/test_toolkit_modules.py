"""Modules written for haerae-evaluation-toolkit run here as they are, and ours run there."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset import DATASETS, load_datasets
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from tests.conftest import ROOT, Cli
from tests.interop.toolkit import install, loaded
from tests.unit.llm_eval.test_jailed import CODE, written
from tests.unit.llm_eval.test_ports import port

MODULES = Path(__file__).parent / "modules"
# name → (rows, has options, what `first` gets right)
KNOWN = {
    "civic_quiz": ("civic_quiz", 3, 1 / 3),
    "proverbs": ("proverb_gaps", 2, None),
    "weather_claims": ("weather_claims", 3, 1 / 3),
    "river_lengths": ("river_lengths", 3, None),
    "loanwords": ("loanwords", 3, 1 / 3),
}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(DATASETS, "_live", dict(DATASETS._live))


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    """The other toolkit's package."""
    return install(tmp_path / "toolkit")


def path_of(module: str) -> str:
    """Where a module of that style lies."""
    return str(MODULES / f"{module}.py")


# --- theirs, here -------------------------------------------------------------------------------


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_evaluated_by_its_path(module: str) -> None:
    """Relative imports begin at the toolkit's package; oracle gets all right, `first` its share."""
    _, count, first = KNOWN[module]
    found = Evaluator().run("oracle", path_of(module))
    assert (found.metrics["accuracy"], found.metrics["n"]) == (1.0, count)
    assert found.info["evaluation_method"] == "string_match"
    if first is None:
        with pytest.raises(UserError, match="picks an option"):
            Evaluator().run("first", path_of(module))
    else:
        assert Evaluator().run("first", path_of(module)).metrics["accuracy"] == first


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_evaluated_by_its_registration(module: str) -> None:
    """Once it was imported, by the name that its decorator gave it."""
    name, count, _ = KNOWN[module]
    load_datasets(path_of(module))
    found = Evaluator().run("oracle", name)
    assert (found.metrics["accuracy"], found.metrics["n"]) == (1.0, count)
    assert found.info["dataset"] == name


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_evaluated_by_an_entry_point(module: str, tmp_path: Path, cli: Cli) -> None:
    """As a package of somebody's that names it in the group `hret.dataset`."""
    name, count, _ = KNOWN[module]
    site = tmp_path / "site"
    package, about = site / "their_package", site / "their_package-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    text = Path(path_of(module)).read_text("utf-8")
    for theirs in ("from ..utils", "from .base", "from . import"):  # a package of its own
        absolute = theirs.replace("..", "llm_eval.").replace(" .base", " llm_eval.datasets.base")
        text = text.replace(theirs, absolute.replace("from . ", "from llm_eval.datasets "))
    (package / "__init__.py").write_text("")
    (package / f"{module}.py").write_text(text, "utf-8")
    kind = next(line for line in text.splitlines() if line.startswith("class "))
    point = f"their_package.{module}:{kind.split()[1].split('(')[0]}"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[hret.dataset]\ntheirs = {point}\n")
    env = {"PYTHONPATH": f"{site}:{ROOT / 'tests' / 'no_network'}"}
    done = cli("eval", "--model", "oracle", "--dataset", "theirs", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["n"] == count
    assert name in text


def test_subsets_are_passed_as_a_list() -> None:
    """In the toolkit's way: the module joins them itself, and each is summed up apart."""
    found = Evaluator().run("first", path_of("civic_quiz"), subset=["recycling", "transport"])
    assert [s["_subset_name"] for s in found.samples] == ["recycling", "transport", "transport"]
    transport = found.metrics["by_subset"]["transport"]
    assert (transport["accuracy"], transport["n"], transport["failed"]) == (0.5, 2, 0)
    assert Evaluator().run("oracle", path_of("civic_quiz"), subset="recycling").metrics["n"] == 1


def test_a_prompt_template_is_the_callers() -> None:
    """`base_prompt_template` goes to the constructor, and the module lays it around its inputs."""
    params = {"base_prompt_template": "문제> {query} <끝"}
    found = Evaluator().run("oracle", path_of("proverbs"), dataset_params=params)
    assert found.samples[1]["input"] == "문제> 티끌 모아 ___. <끝"
    assert found.info["size"] == 2


def test_what_a_module_may_be_evaluated_by_is_kept_to() -> None:
    """`evaluation_only` in its `info()` names the method, and refuses another."""
    found = Evaluator().run("oracle", path_of("river_lengths"))
    assert found.info["evaluation_only"] == ["string_match"]
    with pytest.raises(UserError, match="is not evaluated by dataset") as told:
        Evaluator().run("oracle", path_of("river_lengths"), evaluation_method="dataset")
    assert "string_match" in told.value.hint


def test_a_script_runs_them(cli: Cli) -> None:
    """As `python llm_eval/evaluator.py --dataset their_module.py`, from any folder."""
    done = cli(
        str(ROOT / "llm_eval" / "evaluator.py"), "--model", "oracle", "--dataset",
        path_of("loanwords"), command=(sys.executable,),
    )  # fmt: skip
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr


# --- and there ----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", KNOWN)
def test_the_modules_of_this_test_are_such_modules(
    module: str, toolkit: Path, tmp_path: Path
) -> None:
    """The toolkit as rebuilt here takes them too: what runs here is what runs there."""
    if ".base import BaseDataset, register_dataset" in Path(path_of(module)).read_text("utf-8"):
        base = toolkit / "llm_eval" / "datasets" / "base.py"
        base.write_text(base.read_text("utf-8") + LATE, "utf-8")
    name, count, _ = KNOWN[module]
    there = loaded(toolkit, Path(path_of(module)), tmp_path / "home")
    assert (there["name"], len(there["rows"])) == (name, count)
    assert there["rows"] == load_datasets(path_of(module)).load()


LATE = """

def register_dataset(name):
    from llm_eval.datasets import register_dataset as register

    return register(name)
"""


def in_contract(rows: list[dict[str, Any]], golds: list[str]) -> None:
    """Are these rows what the toolkit's runner reads?"""
    assert [row["reference"] for row in rows] == golds
    for row in rows:
        assert isinstance(row["input"], str)
        assert row["input"]
        assert isinstance(row["_subset_name"], str)
        assert isinstance(row.get("options", []), list)


def test_a_template_s_module_runs_there(toolkit: Path, tmp_path: Path) -> None:
    """Unchanged, beside its data; rows in the `load()` contract, by subset and split."""
    folder = port("quiz_ko")
    there = loaded(toolkit, folder / "dataset.py", tmp_path / "home", subset=["default"])
    in_contract(there["rows"], ["서울", "한강"])
    assert (there["name"], there["raw"], there["info"]["split"]) == ("quiz_ko", 2, "test")
    assert there["rows"] == load_datasets("quiz_ko").load()


def test_the_sample_s_module_runs_there(toolkit: Path, tmp_path: Path, cli: Cli) -> None:
    """A port by the real command; choices are options, and the gold is one of them."""
    done = cli("port", "--dataset", "sample", "--json")
    module = Path(json.loads(done.stdout)["module_path"])
    there = loaded(toolkit, module, tmp_path / "home")
    assert there["raw"] == len(there["rows"]) > 3
    in_contract(there["rows"], [row["reference"] for row in there["rows"]])
    assert all(row["reference"] in row["options"] for row in there["rows"])


def test_a_model_s_module_runs_there(toolkit: Path, tmp_path: Path) -> None:
    """One that a model wrote imports the toolkit's names alone, and runs there as well."""
    folder = written(code=CODE.replace("        #HERE\n", ""))
    there = loaded(toolkit, folder / "dataset.py", tmp_path / "home")
    in_contract(there["rows"], ["서울", "한강"])


def test_a_module_that_was_moved_away_needs_its_repo(toolkit: Path, tmp_path: Path) -> None:
    """Without data beside it and without a repo, it says what is missing."""
    folder = port("quiz_ko")
    alone = shutil.copy2(folder / "dataset.py", tmp_path / "alone.py")
    with pytest.raises(AssertionError, match="no data of split 'test'"):
        loaded(toolkit, Path(alone), tmp_path / "home")
