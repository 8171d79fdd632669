"""`--plan-model`: a model's suggestions are taken where they may be, told where not, paid once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer

ROWS = [
    {"q": f"What stands behind door number {i}?", "choices": ["a goat", "a car"], "answer": i % 2,
     "memo": f"asked of {i} people in all"}
    for i in range(8)
]  # fmt: skip
WANTED = {
    "roles": {"memo": "category", "answer": "prose", "choices[]": "id", "nothing": "prose"},
    "question": ["q"],
    "names": {"q": "물음"},
}
PORT = ("--dataset", "doors", "--model", "gpt-4o-mini", "--plan-model", "gpt-4o")


@pytest.fixture
def machine(tmp_path: Path, chat: ChatServer) -> Machine:
    """A machine with a dataset, and a server whose model has suggestions."""
    made = Machine(tmp_path, chat=chat, within=True)
    folder = made.work / "doors"
    folder.mkdir()
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    chat.answer = suggesting(f"Here you are:\n```json\n{json.dumps(WANTED)}\n```")
    return made


def suggesting(reply: str) -> Any:
    """A model that says the same to whatever it is asked."""

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        return reply

    return answer


def asked(chat: ChatServer) -> int:
    """How often the plan's model was asked."""
    bodies = [r.body for r in chat.requests if r.path.endswith("/chat/completions")]
    return sum(body["model"] == "gpt-4o" for body in bodies)


def test_suggestions_are_weighed_and_paid_once(machine: Machine, chat: ChatServer) -> None:
    """A role and a name are taken, the gold stays the gold; a second run asks nothing."""
    said = machine.main(*PORT, "--limit", "2", "--output-dir", "trial")
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("refused") == 3
    assert asked(chat) == 1
    chat.reset()
    result = machine.ported(*PORT, "--output-dir", "other")
    plan = yaml.safe_load(Path(result["plan_path"]).read_text("utf-8"))
    assert (plan["roles"]["memo"], plan["names"]["q"]) == ("category", "물음")
    assert (plan["roles"]["answer"], plan["roles"]["choices[]"]) == ("answer_index", "choices")
    assert asked(chat) == 1  # other rows were looked at: another question
    assert result["asked"]["gpt-4o"]["requests"] == 1
    assert result["usage"]["requests"] > 1
    again = machine.ported(*PORT, "--output-dir", "third")
    assert (asked(chat), again["asked"], again["cost_usd"]) == (1, {}, 0.0)


@pytest.mark.parametrize("reply", ["I would rather not.", "", '{"roles": [1]}', "[" * 5000])
def test_a_reply_of_no_use_changes_nothing(reply: str, machine: Machine, chat: ChatServer) -> None:
    """The inferred plan stands, and it is said."""
    chat.answer = suggesting(reply)
    done = machine.main(*PORT, "--json", "--verbose")
    assert done.returncode == 0, done.stderr
    plan = yaml.safe_load(Path(json.loads(done.stdout)["plan_path"]).read_text("utf-8"))
    assert plan["roles"]["memo"] == "prose"


def test_a_dry_run_asks_no_model(machine: Machine, chat: ChatServer) -> None:
    """It says that one would be asked."""
    done = machine.main(*PORT, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "gpt-4o" in done.stdout
    assert not chat.requests


def test_a_plan_leaves_nothing_to_refine(machine: Machine) -> None:
    """Both at once are refused."""
    done = machine.main(*PORT, "--plan", "plan.yaml")
    assert done.returncode == 2
    assert "nothing to refine" in done.stderr
