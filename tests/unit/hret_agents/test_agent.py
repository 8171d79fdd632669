"""The agent's deterministic chain, and the tools that users add to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from smolagents import Tool
from smolagents.models import ChatMessage, MessageRole

from hret_agents.agent import DatasetTranslationAgent
from hret_agents.agent_model import agent_model
from hret_agents.tools import DatasetDownloader, DatasetTranslator, ModuleGenerator
from llm_eval.errors import UserError
from llm_eval.secret import Secret
from tests.fakes.chat import ChatServer
from tests.unit.hret_agents.test_tools import KEY, MODEL, ROWS, holders, ready
from tests.unit.llm_eval.servers import GOOD, Answer, raw_server

__all__ = ["ready"]


def agent_of(*tools: Tool) -> DatasetTranslationAgent:
    """Our agent with some tools of a user's."""
    agent = DatasetTranslationAgent(openai_api_key=KEY, model=MODEL)
    for tool in tools:
        agent.add_tool(tool)
    return agent


class Note(Tool):  # type: ignore[misc]
    """A user's own tool, which notes what it was called with."""

    name = "note"
    description = "Notes a path."
    inputs = {"path": {"type": "string", "description": "A path."}}
    output_type = "string"

    def __init__(self, stage: str = "") -> None:
        super().__init__()
        self.stage = stage
        self.seen: list[tuple[str, list[str]]] = []

    def forward(self, path: str) -> str:
        """Note the path, and what lies there."""
        self.seen.append((path, sorted(p.name for p in Path(path).glob("*"))))
        return path


def test_the_chain_alone(work: Path) -> None:
    """The agent ports by the four tools; its result reads as attributes and as a mapping."""
    result = agent_of().process_dataset("quiz.jsonl")
    assert result["module_path"] == result.module_path
    assert result["rows"]["passed"] == len(ROWS)
    assert result["url"] is None
    assert holders(work) == []


@pytest.mark.parametrize("stage", ["translate", "module", "push"])
def test_a_tool_runs_after_its_stage(stage: str, work: Path) -> None:
    """A tool with a stage runs once, after that stage, on the folder as it is then."""
    note = Note(stage)
    result = agent_of(note).process_dataset("quiz.jsonl")
    ((path, files),) = note.seen
    assert ("dataset.py" in files) == (stage != "translate")
    assert {"data", "plan.yaml"} <= set(files)
    assert (Path(path) == Path(result.path)) == (stage != "translate")


def test_tools_of_all_stages_run_in_their_order() -> None:
    """Tools run in the order of the stages, and at one stage in the order they were added."""
    order: list[str] = []

    class Ordered(Note):
        def forward(self, path: str) -> str:
            order.append(self.stage)
            return path

    agent_of(*(Ordered(s) for s in ("push", "module", "download", "translate"))).process_dataset(
        "quiz.jsonl"
    )
    assert order == ["download", "translate", "module", "push"]


@pytest.mark.parametrize("tool", [Note("before"), DatasetTranslator, "translate", None])
def test_what_is_no_tool_is_refused(tool: Any) -> None:
    """What names a stage that is none, or is no tool, is refused at once."""
    with pytest.raises(UserError) as told:
        agent_of().add_tool(tool)
    assert told.value.hint


def test_a_tool_without_a_place_is_refused_by_the_chain(chat: ChatServer) -> None:
    """A tool that replaces no step and names no stage is for `run`: the chain asks for its place
    before it does anything."""
    with pytest.raises(UserError, match="no place in the chain") as told:
        agent_of(Note()).process_dataset("quiz.jsonl")
    assert "stage" in told.value.hint
    assert chat.requests == []


def test_a_comma_too_many_names_nothing() -> None:
    """Empty names are dropped, as on the command line."""
    result = agent_of().process_dataset("quiz.jsonl", subset="default,", split=" test , ")
    assert result.slug == "quiz__default_ko"
    assert [p.name[:5] for p in Path(result.data_path, "default").iterdir()] == ["test-"]


def test_an_unknown_option_is_refused() -> None:
    """A mistyped option of the agent or of a port is told beside what was meant."""
    for misuse in (
        lambda: DatasetTranslationAgent(modle="x"),
        lambda: agent_of().process_dataset("quiz.jsonl", modle="x"),
    ):
        with pytest.raises(UserError, match="'model'"):
            misuse()


class OtherFile(DatasetDownloader):
    """A user's downloader, which opens another file than it is told."""

    def forward(  # type: ignore[override]
        self,
        dataset_name: str,
        subset: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        target_lang: str | None = None,
    ) -> str:
        """The state of a port of the other file."""
        Path("other.jsonl").write_text('{"question": "Who else?"}\n')
        return str(super().forward("other.jsonl"))


class Twice(DatasetTranslator):
    """A user's translator, which notes that it ran."""

    ran: list[str] = []

    def forward(self, port: str, model: str | None = None) -> str:
        """Note the port and translate it."""
        self.ran.append(port)
        return str(super().forward(port, model))


@pytest.fixture
def ran() -> list[str]:
    """What `Twice` noted."""
    Twice.ran.clear()
    return Twice.ran


def test_a_subclass_replaces_its_step(chat: ChatServer, ran: list[str], work: Path) -> None:
    """A subclass with its own `forward` is the step, for what it is told and what it returns."""
    result = agent_of(OtherFile(), Twice()).process_dataset("quiz.jsonl")
    assert result.slug == "other_ko"
    assert set(chat.sources()) == {"Who else?"}
    assert len(ran) == 1
    assert "other_ko" in ran[0]
    assert result.rows["passed"] == 1
    assert holders(work) == []


def test_a_replaced_step_keeps_the_jobs_options(chat: ChatServer, ran: list[str]) -> None:
    """What the caller asked for (limit, folder, model) holds in a chain with a replaced step."""
    result = agent_of(Twice()).process_dataset("quiz.jsonl", limit=2, output_dir="elsewhere")
    assert result.rows["total"] == 2
    assert Path(result.path) == Path("elsewhere/quiz_ko").resolve()
    assert chat.count() == 1


def test_a_key_that_is_only_an_argument_reaches_a_replaced_step(
    chat: ChatServer, ran: list[str], monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    """A key given to the agent alone is used by every step, and still written nowhere."""
    monkeypatch.delenv("OPENAI_API_KEY")
    chat.key = KEY
    result = agent_of(Twice()).process_dataset("quiz.jsonl")
    assert result.rows["passed"] == len(ROWS)
    assert holders(work) == []


def test_replacing_the_module_step() -> None:
    """A user's module generator may do its own after the tested one."""

    class Stamped(ModuleGenerator):
        def forward(self, port: str) -> str:  # type: ignore[override]
            path = str(super().forward(port))
            Path(path).with_name("stamp").write_text("mine")
            return path

    result = agent_of(Stamped()).process_dataset("quiz.jsonl")
    assert Path(result.path, "stamp").read_text() == "mine"
    assert result.module_way == "template"


def test_the_agents_model_sends_the_query_of_the_address() -> None:
    """As every other request does: a gateway may choose the deployment by it."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    with raw_server() as raw:
        raw.answers = [Answer(200, json.dumps(GOOD | {"usage": usage}))]
        model = agent_model("m", api_base=f"{raw.url}?dep=b", api_key=Secret(KEY))
        model.generate([ChatMessage(MessageRole.USER, "hello")])
        assert [path for path, _ in raw.seen] == ["/v1/chat/completions?dep=b"]
