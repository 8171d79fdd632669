"""Backends written for haerae-evaluation-toolkit run here as they are."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models import MODELS, REWARDS, as_backend, load_model
from llm_eval.models.plugged import PluggedModel
from tests.conftest import ROOT, Cli
from tests.interop.test_toolkit_modules import path_of as dataset_at

HERE = Path(__file__).parent / "models"
DATASET = dataset_at("loanwords")  # three samples; the options are A and B, and B, A, B are right
# name → (what it takes, accuracy, its replies)
KNOWN: dict[str, tuple[dict[str, Any], float, list[str]]] = {
    "echoing": ({"model_name_or_path": "org/tiny"}, 1 / 3, ["A", "A", "A"]),
    "weighing": ({"batch_size": 2}, 1 / 3, ["A", "A", "A"]),
    "hurried": ({"api_key": "sk-of-mine"}, 1.0, ["B", "A", "B"]),
    "brittle": ({}, 0.0, []),
    "reporting": ({}, 0.0, ["서울", "서울", "서울"]),
}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for registry in (MODELS, REWARDS):
        monkeypatch.setattr(registry, "_live", dict(registry._live))


def path_of(module: str) -> str:
    """Where a backend of that style lies."""
    return str(HERE / f"{module}.py")


def evaluated(model: Any, params: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """The result of a backend on three questions with two options each."""
    return Evaluator().run(
        model, DATASET, model_params=params, evaluation_method="string_match", **more
    )


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_run_by_its_path(module: str) -> None:
    """`model="./my_backend.py"`: relative imports begin at the toolkit's package."""
    params, accuracy, replies = KNOWN[module]
    found = evaluated(path_of(module), params)
    assert found.metrics["accuracy"] == pytest.approx(accuracy)
    assert (found.metrics["n"], found.metrics["failed"]) == (3, 0)
    if replies:
        assert [s["prediction"] for s in found.samples] == replies


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_run_by_its_registration(module: str) -> None:
    """Once imported, by the name that its decorator gave it; its constructor's arguments pass."""
    params, accuracy, _ = KNOWN[module]
    load_model(path_of(module), **params)
    found = evaluated(module, params)
    assert found.metrics["accuracy"] == pytest.approx(accuracy)
    assert found.info["model"].partition(":")[0] == module
    assert "sk-of-mine" not in json.dumps([found.info, found.samples], default=str)


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_is_run_by_an_entry_point(module: str, tmp_path: Path, cli: Cli) -> None:
    """As a package of somebody's that names it in the group `hret.model`."""
    params, accuracy, _ = KNOWN[module]
    site = tmp_path / "site"
    package, about = site / "their_models", site / "their_models-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    text = Path(path_of(module)).read_text("utf-8")
    for theirs, absolute in (
        ("from ..utils", "from llm_eval.utils"),
        ("from .base", "from llm_eval.models.base"),
        ("from . import", "from llm_eval.models import"),
    ):
        text = text.replace(theirs, absolute)
    (package / "__init__.py").write_text("")
    (package / f"{module}.py").write_text(text, "utf-8")
    kind = next(line for line in text.splitlines() if line.startswith("class "))
    point = f"their_models.{module}:{kind.split()[1].split('(')[0].rstrip(':')}"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[hret.model]\ntheirs = {point}\n")
    env = {"PYTHONPATH": f"{site}:{ROOT / 'tests' / 'no_network'}"}
    done = cli(
        "eval", "--model", "theirs", "--dataset", DATASET, "--json",
        "--evaluation-method", "string_match", "--model-params", json.dumps(params), env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert "sk-of-mine" not in done.stdout + done.stderr


def test_a_script_takes_a_path(cli: Cli) -> None:
    """`python llm_eval/evaluator.py --model my_backend.py`."""
    done = cli(
        str(ROOT / "llm_eval" / "evaluator.py"), "--model", path_of("hurried"),
        "--dataset", DATASET, "--evaluation_method", "string_match", command=(sys.executable,),
    )  # fmt: skip
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr


def test_a_class_is_made_with_its_parameters() -> None:
    """As a name is; what was made already takes none."""
    kind = type(_made("echoing"))
    found = evaluated(kind, {"prefix": "("})
    assert {s["prediction"] for s in found.samples} == {"(A"}
    with pytest.raises(UserError, match="is made already: .'prefix'. is too late"):
        evaluated(_made("echoing"), {"prefix": "("})


def test_an_instance_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    """One that was made already, with a base class or without; and the class itself."""
    caplog.set_level(logging.INFO)
    for module in ("echoing", "brittle"):
        inner = _made(module)
        for given in (inner, as_backend(inner), type(inner)):
            found = evaluated(given)
            assert (found.metrics["n"], found.metrics["failed"]) == (3, 0)
    assert "asked 3" in caplog.text


def _made(module: str, **params: Any) -> Any:
    model = load_model(path_of(module), **params)
    assert isinstance(model, PluggedModel)
    return model.inner


# --- what a class may do ------------------------------------------------------------------------


def test_results_that_come_in_another_order_are_put_right() -> None:
    """A class that gives back what is ready first costs nobody the sample's own reply."""
    given = [{"input": "same", "reference": str(i), "extra": i} for i in range(70)]
    found = load_model(path_of("hurried")).generate_batch(given)
    assert [item["prediction"] for item in found] == [str(i) for i in range(70)]
    assert [{k: item[k] for k in ("input", "reference", "extra")} for item in found] == given


def test_one_bad_sample_costs_one_sample() -> None:
    """The batch broke off: its samples are asked once more, each alone. No key is told."""
    model = load_model(path_of("brittle"), api_key="sk-of-mine")
    assert isinstance(model, PluggedModel)
    texts = ["one", "two", "break", "four"]
    found = model.generate_batch([{"input": t} for t in texts])
    assert [item["prediction"] for item in found] == ["ONE", "TWO", None, "FOUR"]
    error = found[2]["error"]
    assert error["message"] == "BrittleModel.generate_batch raised RuntimeError: cannot read it " \
        "with ***"  # fmt: skip
    assert model.inner.calls == [4, 1, 1, 1, 1]


def test_what_was_filled_in_before_a_batch_broke_off_is_kept() -> None:
    """It was paid for: only the others are asked again."""
    asked: list[str] = []

    class Costly:
        def generate_batch(self, inputs: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
            for item in inputs:
                asked.append(item["input"])
                if item["input"] == "c":
                    raise RuntimeError("no money")
                item["prediction"] = item["input"] * 2
            return inputs

    found = as_backend(Costly()).generate_batch([{"input": t} for t in "abcd"])
    assert [item["prediction"] for item in found] == ["aa", "bb", None, "dd"]
    assert asked == ["a", "b", "c", "c", "d"]


def test_replies_in_a_batch_that_was_put_in_another_order_stay_with_their_samples() -> None:
    """A class may sort what it is given, and break off, or lose the marks of some."""
    asked: list[str] = []

    class Sorting:
        def generate_batch(self, inputs: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
            inputs.sort(key=lambda item: len(item["input"]))
            for item in inputs:
                asked.append(item["input"])
                if item["input"] == "bad one":
                    raise RuntimeError("boom")
                item["prediction"] = f"to {item['input']}"
            return inputs

    given = ["a long question", "bad one", "q", "qu"]
    found = as_backend(Sorting()).generate_batch([{"input": t} for t in given])
    assert [item["prediction"] for item in found] == ["to a long question", None, "to q", "to qu"]
    assert asked == ["q", "qu", "bad one", "a long question", "bad one"]


def test_results_with_the_mark_of_another_are_nobodys() -> None:
    """A class that copies one result over another loses both, and no third one."""

    class Copying:
        def generate_batch(self, inputs: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
            told = [{**i, "prediction": i["input"]} for i in inputs]
            return [told[1], dict(told[1]), told[2]]

    found = as_backend(Copying()).generate_batch([{"input": t} for t in "abc"])
    assert [item["prediction"] for item in found] == [None, None, "c"]
    assert {item["error"]["kind"] for item in found[:2]} == {"malformed"}


def test_an_error_that_a_class_reports_is_its_samples() -> None:
    """`error` in a result is a failure, whatever stands as prediction; thoughts are kept."""
    model = load_model(path_of("reporting"))
    found = model.generate_batch([{"input": "수도?"}, {"input": "x" * 500}])
    assert [item["prediction"] for item in found] == ["서울", None]
    assert "the input is too long" in found[1]["error"]["message"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (lambda inputs: inputs[:1], "gave 1 results for 3 samples"),
        (lambda inputs: [i["input"] for i in inputs], "gave no list of dicts"),
        (lambda inputs: None, "gave no list of dicts"),
        (lambda inputs: [{"input": i["input"], "prediction": 4} for i in inputs], "gave int as"),
        (lambda inputs: [{"prediction": None} for i in inputs], "gave NoneType as prediction"),
    ],
)
def test_what_cannot_be_a_result_is_one_clear_failure(told: Any, said: str) -> None:
    """A wrong number, no dicts, no text: each sample says what its class did."""

    class Odd:
        def generate_batch(self, inputs: list[dict[str, Any]], **_: Any) -> Any:
            stripped = [{k: v for k, v in i.items() if k != "_place"} for i in inputs]
            return told(stripped)

    found = as_backend(Odd()).generate_batch([{"input": t} for t in "abc"])
    assert {item["prediction"] for item in found} == {None}
    assert all(said in item["error"]["message"] for item in found)
    assert {item["error"]["kind"] for item in found} == {"malformed"}


def test_results_in_new_dicts_are_matched_by_their_input() -> None:
    """A class that drops all it does not know, and reverses, is put right where inputs differ."""

    class Reversing:
        def generate_batch(self, inputs: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
            return [{"input": i["input"], "prediction": i["input"]} for i in reversed(inputs)]

    found = as_backend(Reversing()).generate_batch([{"input": t, "n": 1} for t in "abc"])
    assert [item["prediction"] for item in found] == ["a", "b", "c"]
    assert all(item["n"] == 1 for item in found)


# --- likelihoods and arguments --------------------------------------------------------------------


def test_a_class_that_tells_log_probs_is_weighed() -> None:
    """`log_likelihood` by `return_logits=True`."""
    found = Evaluator().run(
        path_of("weighing"), DATASET, evaluation_method="log_likelihood",
        model_params={"model_name": "scales-2"},
    )  # fmt: skip
    assert found.metrics["accuracy"] == pytest.approx(1 / 3)
    assert found.info["model"] == "weighing:scales-2"
    told = load_model(path_of("weighing")).generate_batch(
        [{"input": "q", "options": ["long one", "short"]}], return_logits=True
    )
    assert told[0]["prediction"] == "short"
    assert told[0]["logits"]["option_log_probs"][1] > told[0]["logits"]["option_log_probs"][0]


def test_a_class_that_tells_none_is_found_out_before_the_first_sample() -> None:
    """The argument is taken and nothing comes of it: `probe` says so."""
    import asyncio

    model = load_model(path_of("echoing"))
    with pytest.raises(UserError, match="does not tell how likely options are"):
        asyncio.run(model.probe())


def test_stop_sequences_reach_a_class_that_takes_them() -> None:
    """`until` is passed where the method names it; elsewhere the sample fails rather than lie."""
    given = [{"input": "one two#three"}]
    (found,) = load_model(path_of("echoing")).generate_batch(given, until="#")
    assert found["prediction"] == "two"
    (found,) = load_model(path_of("hurried")).generate_batch(given, until="#")
    assert found["prediction"] is None
    assert "cannot do what the prompt asks for: stop" in found["error"]["message"]


def test_a_typo_in_a_parameter_is_guessed() -> None:
    """Before anything is made."""
    with pytest.raises(UserError, match="modle_name") as told:
        load_model(path_of("brittle"), modle_name="x")
    assert "did you mean 'model_name'?" in told.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package_at_all\n", "could not be imported: ModuleNotFoundError"),
        ("X = 1\n", "holds 0 backends"),
        (
            "class A:\n    def generate_batch(self, inputs):\n        return inputs\n"
            "class B:\n    def generate_batch(self, inputs):\n        return inputs\n",
            "holds 2 backends: A, B",
        ),
        (
            "class A:\n    def __init__(self):\n        raise ValueError('no weights')\n"
            "    def generate_batch(self, inputs):\n        return inputs\n",
            "could not be made: ValueError: no weights",
        ),
    ],
    ids=["import", "none", "two", "constructor"],
)
def test_a_file_that_is_no_backend_says_why(work: Path, text: str, said: str) -> None:
    """One sentence, and no traceback."""
    (work / "mine.py").write_text(text, "utf-8")
    with pytest.raises(UserError, match=said):
        load_model("./mine.py")


def test_a_file_that_is_not_there_says_so() -> None:
    """The path is named."""
    with pytest.raises(UserError, match="there is no file absent.py"):
        load_model("absent.py")
