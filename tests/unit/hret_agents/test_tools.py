"""The four steps are real smolagents tools: alone, in an agent of theirs, and in our chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from smolagents import Tool, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)

from hret_agents.agent import DatasetTranslationAgent
from hret_agents.tools import (
    DatasetDownloader,
    DatasetPusher,
    DatasetTranslator,
    ModuleGenerator,
    StepTool,
)
from llm_eval.dataset import load_datasets
from llm_eval.errors import UserError
from tests.conftest import Cli
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

KEY, TOKEN = "sk-NOBODY-MAY-READ-ME", "hf_NOBODYMAYREADME"
KINDS = (DatasetDownloader, DatasetTranslator, ModuleGenerator, DatasetPusher)
ROWS = [{"question": f"What comes after {i}?", "choices": ["one", "two"], "answer": i % 2}
        for i in range(5)]  # fmt: skip
MODEL = "fake-translator"


@pytest.fixture(autouse=True)
def _set_up(work: Path, chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset to port, and keys in the environment, as users have them."""
    (work / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def holders(folder: Path) -> list[Path]:
    """The files that hold one of the keys."""
    secrets = (KEY.encode(), TOKEN.encode())
    files = [p for p in folder.rglob("*") if p.is_file()]
    return [p for p in files if any(secret in p.read_bytes() for secret in secrets)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_tool(kind: type[StepTool]) -> None:
    """Each is a `smolagents.Tool` that its own checks take, without a key among its inputs."""
    tool = kind()
    assert isinstance(tool, Tool)
    tool.validate_arguments()
    assert tool.output_type == "string"
    assert tool.name in tool.to_tool_calling_prompt()
    assert not [name for name in tool.inputs if "key" in name or "token" in name]


def test_the_tools_work_without_the_agent(work: Path, chat: ChatServer) -> None:
    """Called one after another, each takes what the one before returned, and no key is written."""
    state = DatasetDownloader()(dataset_name="quiz.jsonl")
    assert Path(state).is_file()
    assert chat.count() == 0
    assert DatasetTranslator(batch_size=2)(port=state, model=MODEL) == state
    assert chat.count() == 3
    module = ModuleGenerator()(port=state)
    assert Path(module) == work / "generated_datasets" / "quiz_ko" / "dataset.py"
    data = load_datasets("quiz_ko")
    assert [data.evaluate_prediction(i, "AB"[i % 2]) for i in range(len(ROWS))] == [
        (True, 1.0)
    ] * len(ROWS)
    assert holders(work) == []


@pytest.mark.parametrize("how", ["the path", "the slug", "sanitized"])
def test_a_tool_is_told_of_a_port_in_any_way(how: str) -> None:
    """A port is named by its state's path or its slug, by keyword or as smolagents' agents call."""
    state = DatasetDownloader()("quiz.jsonl")
    name = "quiz_ko" if how == "the slug" else state
    translator = DatasetTranslator()
    if how == "sanitized":
        translator(port=name, model=MODEL, sanitize_inputs_outputs=True)
    else:
        translator(name, MODEL)
    assert Path(ModuleGenerator()(name)).is_file()


def test_a_second_translation_is_not_paid(chat: ChatServer) -> None:
    """A tool that is called again, as agents do, asks the model nothing."""
    state = DatasetDownloader()("quiz.jsonl")
    for _ in range(2):
        DatasetTranslator()(state, MODEL)
        ModuleGenerator()(state)
        assert chat.count() == 1


def test_every_folder_works(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The downloader's own output folder is the one that the other tools use, from anywhere."""
    state = DatasetDownloader(output_dir=str(tmp_path / "out"))(str(work / "quiz.jsonl"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    DatasetTranslator()(state, MODEL)
    assert Path(ModuleGenerator()(state)) == tmp_path / "out" / "quiz_ko" / "dataset.py"
    assert list(elsewhere.iterdir()) == []


def test_a_relative_source_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named by a relative path is found again by a tool that runs in another folder."""
    state = DatasetDownloader()("quiz.jsonl")
    monkeypatch.chdir(tmp_path)
    DatasetTranslator()(state, MODEL)
    assert Path(ModuleGenerator()(state)).is_file()


@pytest.mark.parametrize("name", ["nothing", "../nothing", "/etc", "", "quiz_ko"])
def test_a_port_that_is_not_under_way(name: str) -> None:
    """A tool told of a port that nobody opened says which tool comes first."""
    for kind in (DatasetTranslator, ModuleGenerator, DatasetPusher):
        with pytest.raises(UserError, match="dataset_downloader"):
            kind()(name)


def test_a_step_too_early() -> None:
    """A module or a push before the translation is an error that says so, not an empty port."""
    state = DatasetDownloader()("quiz.jsonl")
    with pytest.raises(UserError):
        ModuleGenerator()(state)
    with pytest.raises(UserError):
        DatasetPusher()(state)


def test_settings_out_of_range() -> None:
    """No retry is legal; less than none, or packs of no row, are not."""
    assert DatasetTranslator(max_retries=0).max_retries == 0
    for bad in ({"max_retries": -1}, {"batch_size": 0}):
        with pytest.raises(UserError, match="less than"):
            DatasetTranslator(**bad)


PUSH = """
import json
from hret_agents.tools import *
state = DatasetDownloader()("org/quiz", split="test")
DatasetTranslator()(state, "fake-translator")
ModuleGenerator()(state)
print(json.dumps([DatasetPusher()(state), DatasetPusher()(state)]))
"""


def test_the_last_tool_pushes(
    work: Path, chat: ChatServer, hub: HubServer, cli: Cli, tmp_path: Path
) -> None:
    """The pusher gives the private repo's address, and a second push changes nothing."""
    card = b"---\nlicense: mit\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n"
    hub.put("org/quiz", {"README.md": card + b"    path: quiz.jsonl\n---\n",
                         "quiz.jsonl": (work / "quiz.jsonl").read_bytes()})  # fmt: skip
    env = hub.env(tmp_path / "hf") | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": chat.url}
    import sys

    done = cli("-c", PUSH, env=env, command=(sys.executable,))
    assert done.returncode == 0, done.stderr
    repo = "tester/quiz-ko"
    assert json.loads(done.stdout) == [f"{hub.url}/datasets/{repo}"] * 2
    assert hub.repo(repo).private
    assert [c.title for c in hub.commits(repo)].count("Port by HRET Agents") == 1
    assert {"dataset.py", "port.json", "README.md"} < set(hub.files(repo))


class Scripted(Model):  # type: ignore[misc]  # smolagents ships no types
    """A model that calls the tools one after another, each with what the last one returned."""

    def __init__(self) -> None:
        super().__init__(model_id="scripted")
        self.calls = iter(["dataset_downloader", "dataset_translator", "module_generator", ""])

    def generate(self, messages: list[Any], **more: Any) -> ChatMessage:
        """The next call."""
        last = str(messages[-1].content[0]["text"]).partition("Observation:\n")[2].strip()
        arguments: dict[str, Any] = {"port": last}
        match name := next(self.calls):
            case "dataset_downloader":
                arguments = {"dataset_name": "quiz.jsonl"}
            case "dataset_translator":
                arguments["model"] = MODEL
            case "":
                name, arguments = "final_answer", {"answer": last}
        function = ChatMessageToolCallFunction(name=name, arguments=arguments)
        call = ChatMessageToolCall(id=name, type="function", function=function)
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


def test_the_tools_in_an_agent_of_smolagents(work: Path) -> None:
    """A ToolCallingAgent ports a dataset by them, and nothing that it shows holds a key."""
    agent = ToolCallingAgent(
        tools=[kind() for kind in KINDS], model=Scripted(), max_steps=5, verbosity_level=0
    )
    answer = agent.run("Port quiz.jsonl.")
    assert Path(str(answer)).read_text("utf-8").startswith('"""quiz.jsonl (ko)')
    shown = json.dumps(agent.memory.get_full_steps(), default=str)
    assert "quiz_ko" in shown
    assert KEY not in shown
    assert TOKEN not in shown


# --- the agent's chain ------------------------------------------------------------------------


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


@pytest.mark.parametrize("tool", [Note(), Note("before"), DatasetTranslator, "translate", None])
def test_a_tool_without_a_place_is_refused(tool: Any) -> None:
    """A tool that replaces no step and names no stage, or is no tool, is refused at once."""
    with pytest.raises(UserError) as told:
        agent_of().add_tool(tool)
    assert told.value.hint


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

    def forward(
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
        def forward(self, port: str) -> str:
            path = str(super().forward(port))
            Path(path).with_name("stamp").write_text("mine")
            return path

    result = agent_of(Stamped()).process_dataset("quiz.jsonl")
    assert Path(result.path, "stamp").read_text() == "mine"
    assert result.module_way == "template"


def test_generate_module_takes_rows_in_any_shape() -> None:
    """A module for rows given as a list, as columns or as JSON is the same; none is an error."""
    generator = ModuleGenerator()
    columns = {key: [row[key] for row in ROWS] for key in ROWS[0]}
    code = generator.generate_module({"name": "me/quiz", "sample_data": ROWS})
    for same in (columns, json.dumps(ROWS), json.dumps(columns)):
        assert generator.generate_module({"name": "me/quiz", "sample_data": same}) == code
    assert '@register_dataset("me__quiz_ko")' in code
    wrong: list[Any] = [None, [], {}, "no JSON", [1], "[]"]
    for bad in wrong:
        with pytest.raises(UserError, match="sample_data"):
            generator.generate_module({"name": "x", "sample_data": bad})
