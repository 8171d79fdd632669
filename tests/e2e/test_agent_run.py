"""An instruction, from a fresh machine to an evaluated and a pushed port; a user's own agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scenario import Machine
from tests.fakes.agent_script import LAST, AgentServer, answered, ported
from tests.fakes.hub import HubServer

SOURCE, REPO, KEY = "org/quiz", "tester/quiz-hard-ko", "sk-test-key"
INSTRUCTION = (
    "Port the hard subset of org/quiz, keep option letters, formal register, then evaluate first"
)
CARD = """---
license: mit
configs:
- config_name: easy
  data_files: [{split: test, path: easy.jsonl}]
- config_name: hard
  data_files: [{split: test, path: hard.jsonl}]
---
"""
RUN = """
import json, sys
from hret_agents.agent import DatasetTranslationAgent
agent = DatasetTranslationAgent(model="fake-translator")
options = json.loads(sys.argv[2])
print(json.dumps(agent.run(sys.argv[1], model="fake-agent", **options).to_dict()))
"""
OWN = """
import json, os
from smolagents import OpenAIModel, ToolCallingAgent
from hret_agents.tools import *
tools = [DatasetDownloader(), DatasetTranslator(), ModuleGenerator(), ModelEvaluator()]
model = OpenAIModel("fake-agent", api_base=os.environ["OPENAI_BASE_URL"],
                    api_key=os.environ["OPENAI_API_KEY"])
agent = ToolCallingAgent(tools=tools, model=model, verbosity_level=0)
print(json.dumps(str(agent.run("Port quiz.jsonl, then evaluate oracle."))))
"""


@pytest.fixture
def server() -> Iterator[AgentServer]:
    """Both models."""
    with AgentServer(key=KEY) as chat:
        yield chat


@pytest.fixture
def machine(hub: HubServer, server: AgentServer, tmp_path: Path) -> Machine:
    """A fresh machine, and a dataset of two subsets on the Hub."""
    rows = [
        {"question": f"What comes after {i}?", "choices": ["one", "two", "three"], "answer": i % 3}
        for i in range(6)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    files = {"easy.jsonl": "".join(lines[:2]), "hard.jsonl": "".join(lines[2:])}
    hub.put(SOURCE, {"README.md": CARD.encode(), **{n: t.encode() for n, t in files.items()}})
    return Machine(tmp_path / "machine", hub, server)


def ran(machine: Machine, **options: Any) -> dict[str, Any]:
    """The result of a run."""
    done = machine.run("-c", RUN, INSTRUCTION, json.dumps(options))
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pushes(repo: str | None) -> list[Any]:
    """The turns from a typo in the subset to the end."""
    return [
        ("dataset_downloader", {"dataset_name": SOURCE, "subset": "hrad", "register": "formal"}),
        *ported(SOURCE, subset="hard", register="formal"),
        ("dataset_pusher", {"port": "org__quiz__hard_ko", "repo_id": repo}),
        ("model_evaluator", {"dataset": "org__quiz__hard_ko", "model": "first"}),
        answered("Ported, pushed and evaluated."),
    ]


def test_an_instruction_is_carried_out(machine: Machine, server: AgentServer) -> None:
    """The hard subset alone is ported, in its register, and evaluated; what was not allowed was not
    done, whatever the model says."""
    server.plays(*pushes(None))
    result = ran(machine)
    port = result["ports"]["org__quiz__hard_ko"]
    assert (port["rows"]["total"], port["rows"]["passed"], port["url"]) == (4, 4, None)
    assert "register: formal" in Path(port["plan_path"]).read_text("utf-8")
    assert "'hard'" in server.results[0]
    first = result["evaluations"][0]
    assert (first["model"], first["metrics"]["n"]) == ("first", 4)
    assert first["metrics"]["accuracy"] == pytest.approx(1 / 4)
    assert "pushing is not allowed" in server.results[4]
    assert (result["stopped"], result["answer"]) == ("done", "Ported, pushed and evaluated.")
    assert "pushed" not in result["summary"]
    assert INSTRUCTION in json.dumps(server.asked[0]["messages"])


def test_a_push_that_is_allowed(machine: Machine, server: AgentServer, hub: HubServer) -> None:
    """Allowed, the port is pushed, private; a run again asks and pays for no translation."""
    *work, evaluation, end = pushes(REPO)
    for turns in (work, work[1:]):
        server.plays(*turns, turns[-1], evaluation, end)
        result = ran(machine, allow_push=True)
        port = result["ports"]["org__quiz__hard_ko"]
        assert (port["repo_id"], port["url"]) == (REPO, f"{hub.url}/datasets/{REPO}")
        assert f"pushed to {REPO}" in result["summary"]
        assert [step["done"] for step in result["steps"][-3:]] == [True] * 3
    assert hub.repo(REPO).private
    assert len(server.asked) == 8 + 7
    assert server.count() == len(server.asked) + 1


def test_a_users_own_agent(machine: Machine, server: AgentServer) -> None:
    """The tools port and evaluate in an agent of the user's own, by what each gives the next."""
    (machine.work / "quiz.jsonl").write_text(
        "".join(json.dumps({"question": f"Is {i} odd?", "answer": f"{i}"}) + "\n" for i in range(3))
    )
    last = {"dataset": LAST, "model": "oracle"}
    first: Any = ported("quiz.jsonl")[0]
    server.plays(
        [first, ("dataset_translator", {"port": "none_ko"})],
        *ported("quiz.jsonl"),
        ("model_evaluator", last),
        answered("See above."),
    )
    done = machine.run("-c", OWN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == "See above."
    assert "dataset_downloader first" in server.results[0]
    assert json.loads(server.results[4])["accuracy"] == 1.0
