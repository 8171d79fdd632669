"""The README's commands and files work as printed, against a fake server and a fake Hub."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import Cli
from tests.docs.pages import blocks, commands, ran
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

README = "README.md"
ROWS = [
    {"question": "How many apples are left?", "reply": "Three apples"},
    {"question": "A dog eats one of four apples. How many are left?", "reply": "Three"},
    {"question": "Which law lets two numbers change places?", "reply": "The commutative property"},
]
CARD = """---
license: mit
configs:
- config_name: SUBSET
  data_files:
  - split: test
    path: rows.jsonl
---
"""


@pytest.fixture
def env(
    hub: HubServer, chat: ChatServer, environment: dict[str, str], work: Path
) -> dict[str, str]:
    """Where the README's keys, files and datasets are."""
    rows = "".join(json.dumps(row) + "\n" for row in ROWS)
    (work / "my_quiz.jsonl").write_text(rows, "utf-8")
    (glossary,), (corrections,) = blocks(README, "csv"), blocks(README, "json")
    (work / "glossary.csv").write_text(glossary, "utf-8")
    (work / "corrections.jsonl").write_text(corrections, "utf-8")
    home = Path(environment["HRET_HOME"])
    home.mkdir()
    (home / "prices.yaml").write_text(_yaml("input:"), "utf-8")
    hub.put("OWNER/NAME", {"README.md": CARD.encode(), "rows.jsonl": rows.encode()})
    servers = {"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": "sk-test"}
    return servers | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_tester"}


def _yaml(mark: str) -> str:
    return next(block for block in blocks(README, "yaml") if mark in block)


def test_every_command_works_as_printed(
    env: dict[str, str],
    chat: ChatServer,
    cli: Cli,
    work: Path,
    environment: dict[str, str],
    small: Path,
) -> None:
    """Every line of every block, in order. Each port begins as on a new machine; the commands of
    the memory find in it what the last port left. Servers and what needs an extra are run by
    test_model_guides.py."""
    home = Path(environment["HRET_HOME"])
    assert cli("port", "--dataset", "sample").returncode == 0
    done = []
    for words in commands(README):
        if words[1] == "port" or words[1].startswith("src/"):
            shutil.rmtree(home / "finished", ignore_errors=True)
            for file in home.glob("memory.sqlite*"):
                file.unlink()
        words = [word.replace(":PATH", f":{small}") for word in words]
        ran([chat.url if "localhost:8000" in word else word for word in words], cli, env, work)
        done.append(words[1])
    assert done.count("port") >= 9
    assert done.count("memory") == 8
    assert done.count("review") == 3


def test_a_correction_costs_no_request(
    env: dict[str, str], chat: ChatServer, cli: Cli, work: Path
) -> None:
    """Port, import corrections.jsonl, port again: the correction is in, and nothing was asked."""
    port = ("port", "--dataset", "my_quiz.jsonl", "--max-retries", "0")
    assert cli(*port, env=env).returncode == 0
    asked = chat.count()
    assert asked > 0
    assert cli("memory", "import", "corrections.jsonl", env=env).returncode == 0
    assert cli(*port, env=env).returncode == 0
    assert chat.count() == asked
    (data,) = (work / "generated_datasets/my_quiz_ko/data").rglob("*.parquet")
    correction = json.loads((work / "corrections.jsonl").read_text("utf-8"))
    assert pq.read_table(data).column("질문")[0].as_py() == correction["target"]


def test_the_plan_of_the_readme_is_gone_by(env: dict[str, str], cli: Cli, work: Path) -> None:
    """Both blocks, laid over the plan that a dry run prints, make a plan that grades the rows."""
    shown = cli("port", "--dataset", "my_quiz.jsonl", "--dry-run", "--json", env=env)
    plan = yaml.safe_load(json.loads(shown.stdout)["plan"])
    assert plan["task"]["answer"] is None
    for mark in ("roles:", "glossary:"):
        block = yaml.safe_load(_yaml(mark))
        plan |= block | {"task": plan["task"] | block.get("task", {})}
    (work / "plan.yaml").write_text(yaml.safe_dump(plan, allow_unicode=True), "utf-8")
    done = cli("port", "--dataset", "my_quiz.jsonl", "--plan", "plan.yaml", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["graded"] == len(ROWS)


def test_the_price_of_the_readme_is_reckoned_with(env: dict[str, str], cli: Cli) -> None:
    """A model that prices.yaml names has a price; one that it does not name has none."""
    models = re.findall(r"^([\w.-]+):", _yaml("input:"), re.MULTILINE)
    assert len(models) == 2
    for model, priced in (*((name, True) for name in models), ("another-model", False)):
        dry = ("port", "--dataset", "my_quiz.jsonl", "--dry-run", "--json", "--model", model)
        estimate = json.loads(cli(*dry, env=env).stdout)["estimate"]
        assert (estimate["cost_usd"] is not None) == priced
