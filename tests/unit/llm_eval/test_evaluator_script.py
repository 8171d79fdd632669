"""`python llm_eval/evaluator.py ...`, as a child process, from wherever one stands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Cli
from tests.fakes.chat import ChatServer
from tests.fakes.chat_rules import filters

SCRIPT = ROOT / "llm_eval" / "evaluator.py"
MODULE = """
import sys

from llm_eval.dataset import DATASETS, load_datasets
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset
from llm_eval.evaluation import EVALUATORS, BaseEvaluator, register_evaluator
from llm_eval.records import Score


@register_dataset("mine")
class Mine(BaseDataset):
    def load(self):
        names = [self.subset] if isinstance(self.subset, str) else self.subset or ["a", "b"]
        return [
            {"input": f"{n}{i}", "reference": "AB"[i % 2], "options": ["A", "B"], "_subset_name": n}
            for n in names
            for i in range(4)
        ]

    def info(self):
        import datasets

        bases = [m.__name__ for n, m in sys.modules.items() if n.endswith(".dataset.base")]
        return super().info() | {
            "same": DATASETS.get("mine") is Mine and type(load_datasets("mine")) is Mine,
            "bases": bases,
            "library": hasattr(datasets, "load_dataset"),
            "kwargs": self.kwargs,
        }
"""


@pytest.fixture
def module(work: Path) -> Path:
    """A dataset module of the user's."""
    path = work / "mine.py"
    path.write_text(MODULE, "utf-8")
    return path


def script(cli: Cli, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the script as it is run from a shell."""
    command = options.pop("command", (sys.executable, str(SCRIPT)))
    return cli(*map(str, arguments), command=command, **options)


def found(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    """The JSON that a run printed."""
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_it_evaluates_a_module(cli: Cli, module: Path) -> None:
    """Metrics and record are printed as JSON, and nothing else is."""
    shown = found(script(cli, "--model", "oracle", "--dataset", module))
    assert (shown["metrics"]["accuracy"], shown["metrics"]["n"]) == (1.0, 8)
    assert shown["metrics"]["by_subset"]["b"]["n"] == 4
    assert shown["info"]["model"] == "oracle"


PLACES = {
    "the checkout": (ROOT, "llm_eval/evaluator.py"),
    "inside the package": (ROOT / "llm_eval", "evaluator.py"),
    "below it": (ROOT / "llm_eval" / "dataset", "../evaluator.py"),
    "a parent": (ROOT.parent, f"{ROOT.name}/llm_eval/evaluator.py"),
    "elsewhere": (None, str(SCRIPT)),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_runs_from_anywhere(cli: Cli, module: Path, place: str) -> None:
    """One registry, the `datasets` library in reach, the script's own folder in no one's way."""
    cwd, path = PLACES[place]
    done = script(
        cli, "--model", "oracle", "--dataset", module, cwd=cwd, command=(sys.executable, path)
    )
    info = found(done)["info"]
    assert (info["same"], info["library"]) == (True, True)
    assert set(info["bases"]) == {"llm_eval.dataset.base"}


def test_it_runs_as_a_module(cli: Cli, module: Path) -> None:
    """`python -m llm_eval.evaluator` is the same."""
    command = (sys.executable, "-m", "llm_eval.evaluator")
    done = script(cli, "--model", "oracle", "--dataset", module, command=command)
    assert found(done)["info"]["same"]


@pytest.mark.parametrize(
    ("arguments", "names"), [((), "ab"), (("b",), "b"), (("b", "a"), "ba"), ((None,), "ab")]
)
def test_subsets_are_named_or_not(
    cli: Cli, module: Path, arguments: tuple[str | None, ...], names: str
) -> None:
    """One, several, or all of them; a bare `--subset` names none."""
    given = ["--subset", *(a for a in arguments if a)] if arguments else []
    out = module.parent / "out.json"
    common = ["--model", "first", "--dataset", module, "--output_file", out]
    found(script(cli, *common, *given))
    samples = json.loads(out.read_text("utf-8"))["samples"]
    assert [s["_subset_name"] for s in samples] == [n for n in names for _ in range(4)]


def test_parameters_reach_their_constructors(cli: Cli, module: Path, chat: ChatServer) -> None:
    """Those of the model stand in each request, those of the dataset in the dataset."""
    chat.answer = lambda messages: "정답: A"
    model = json.dumps({"model_name": "m", "api_base": chat.url, "max_tokens": 7})
    done = script(
        cli, "--model", "openai", "--model_params", model, "--dataset", module, "--limit", 3,
        "--dataset_params", '{"level": 2}', "--evaluation_method", "string_match",
    )  # fmt: skip
    shown = found(done)
    assert shown["info"]["kwargs"] == {"level": 2}
    assert (shown["metrics"]["n"], chat.count()) == (3, 3)
    assert {r.body["max_tokens"] for r in chat.requests if r.body} == {7}


def test_the_output_file_holds_everything(cli: Cli, module: Path) -> None:
    """Metrics, record and every sample, in a folder that is made."""
    out = module.parent / "runs" / "1" / "out.json"
    shown = found(script(cli, "--model", "oracle", "--dataset", module, "--output_file", out))
    saved = json.loads(out.read_text("utf-8"))
    assert (saved["metrics"], saved["info"]) == (shown["metrics"], shown["info"])
    assert [s["prediction"] for s in saved["samples"]] == ["A", "B"] * 4


def test_a_file_that_cannot_be_written_loses_no_result(
    cli: Cli, module: Path, chat: ChatServer
) -> None:
    """Either it is told before a request is paid for, or the result is printed all the same."""
    model = json.dumps({"model_name": "m", "api_base": chat.url})
    done = script(
        cli, "--model", "openai", "--model_params", model, "--dataset", module,
        "--output_file", module / "out.json",
    )  # fmt: skip
    assert done.returncode == 2
    assert str(module) in done.stderr and "Traceback" not in done.stderr
    assert chat.count() == 0 or json.loads(done.stdout)["metrics"]["n"] == 8


def test_samples_that_failed_show_in_the_status(cli: Cli, module: Path, chat: ChatServer) -> None:
    """1: done, and some samples are not in the numbers."""
    chat.answer = lambda messages: "A"
    chat.rules.append(filters("b2"))
    model = json.dumps({"model_name": "m", "api_base": chat.url})
    arguments = ("--model", "openai", "--model_params", model, "--dataset", module)
    metrics = found(script(cli, *arguments), status=1)["metrics"]
    assert (metrics["failed"], metrics["n"]) == (1, 7)


REFUSED = {
    "params": (["--model_params", "{seed: 1}"], "--model_params is no JSON"),
    "no object": (["--dataset_params", "[1]"], "--dataset_params is no JSON object"),
    "evaluator": (["--evaluator_params", "{"], "--evaluator_params is no JSON"),
    "model": (["--model", "orcale"], "did you mean 'oracle'"),
    "method": (["--evaluation_method", "string_mach"], "did you mean 'string_match'"),
    "unbuilt": (["--num_few_shot", "5"], "num_few_shot='5' is not built yet"),
    "judge": (["--judge_params", '{"model": "m"}'], "judge_params belong to no judge_model"),
    "failures": (["--max_failures", "few"], "--max_failures few is no number"),
    "sample": (["--sample_ids", "a/0", "a/9"], "there is no sample 'a/9'"),
    "run": (["--resume", "last"], "there is no run"),
    "dataset": (["--dataset", "absent.py"], "there is no file absent.py"),
    "unknown": (["--modle", "oracle"], "--modle"),
    "shortened": (["--eval", "string_match"], "--eval"),
    "limit": (["--limit", "-1"], "limit"),
    "no number": (["--limit", "ten"], "--limit"),
    "twice": (["--split", "test", "--dataset_params", '{"split": "train"}'], "split"),
    "reserved": (["--model_params", '{"name": "x"}'], "name"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_mistake_is_a_sentence(cli: Cli, module: Path, how: str) -> None:
    """Status 2, what is wrong on stderr, no traceback, and no result to mistake for one."""
    arguments, said = REFUSED[how]
    done = script(cli, "--model", "oracle", "--dataset", module, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_refused_key_is_not_printed(cli: Cli, module: Path, chat: ChatServer) -> None:
    """The key comes from the environment, is refused, and stands nowhere in what is printed."""
    chat.key = "sk-right"
    env = {"OPENAI_API_KEY": "sk-hidden-key", "OPENAI_BASE_URL": chat.url}
    params = json.dumps({"model_name": "m"})
    done = script(cli, "--model", "openai", "--model_params", params, "--dataset", module, env=env)
    assert (done.returncode, len(chat.requests)) == (2, 1)
    assert "check OPENAI_API_KEY" in done.stderr
    assert "sk-hidden-key" not in done.stdout + done.stderr


def test_ctrl_c_ends_it_with_a_word(
    module: Path, chat: ChatServer, environment: dict[str, str]
) -> None:
    """Status 130 and no traceback, with requests still under way: at once, on the second one."""
    params = json.dumps({"model_name": "m", "api_base": chat.url})
    command = [sys.executable, str(SCRIPT), "--model", "openai", "--model_params", params]
    with chat.held():
        child = subprocess.Popen(
            [*command, "--dataset", str(module)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not chat.count() and child.poll() is None and time.monotonic() < deadline:
            os.sched_yield()
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.0)  # it waits for what is being answered
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (130, "", "Stopped.\n")
