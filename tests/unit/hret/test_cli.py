"""What the command line prints beside a port: version, doctor, the dry run, the closing table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import hret
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
