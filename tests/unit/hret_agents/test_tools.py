"""The four steps and the evaluation are real smolagents tools: alone, and in any agent."""

from __future__ import annotations

import inspect
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame
from smolagents import Tool, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)

from hret_agents.plan.records import read_plan
from hret_agents.tools import (
    DatasetDownloader,
    DatasetPusher,
    DatasetTranslator,
    ModelEvaluator,
    ModuleGenerator,
    StepTool,
)
from hret_agents.tools.base import Lent
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
def ready(work: Path, chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("kind", [*KINDS, ModelEvaluator])
def test_each_is_a_tool(kind: type[StepTool]) -> None:
    """Each is a `smolagents.Tool` that its own checks take, without a key among its inputs; what
    may be left out may be null."""
    tool = kind()
    assert isinstance(tool, Tool)
    tool.validate_arguments()
    assert tool.output_type == "string"
    assert tool.name in tool.to_tool_calling_prompt()
    assert not [name for name in tool.inputs if "key" in name or "token" in name]
    taken = inspect.signature(tool.forward).parameters
    assert list(tool.inputs) == list(taken)
    for name, parameter in taken.items():
        assert tool.inputs[name].get("nullable", False) == (parameter.default is None), name


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


def test_what_is_said_in_words() -> None:
    """What an agent may say of a port are arguments of the downloader, and hold for the port."""
    state = DatasetDownloader()(
        "quiz.jsonl",
        register="formal",
        style="Short sentences.",
        limit=2,
        keep_columns=True,
        module_model="openai:writer",
    )
    job = json.loads(Path(state).read_text())["job"]
    assert (job["register"], job["style"], job["limit"]) == ("formal", "Short sentences.", 2)
    assert (job["keep_columns"], job["module_model"]) == (True, "openai:writer")
    DatasetTranslator()(state, MODEL)
    plan = read_plan(Path(state).with_name("quiz_ko") / "plan.yaml")
    assert (plan.register, plan.names.get("question", "question")) == ("formal", "question")
    for wrong in (
        {"register": "rude"},
        {"limit": 0},
        {"split": "tset"},
        {"module_model": "memory"},
    ):
        with pytest.raises(UserError):
            DatasetDownloader()("quiz.jsonl", **wrong)


def test_an_older_port_is_not_taken_for_this_one(work: Path) -> None:
    """Of a port that is planned anew, no module is given and nothing pushed until it is translated
    and written anew: what lies there is an older one."""
    state = DatasetDownloader()("quiz.jsonl")
    DatasetTranslator()(state, MODEL)
    ModuleGenerator()(state)
    assert DatasetDownloader()("quiz.jsonl", register="formal") == state
    for kind in (ModuleGenerator, DatasetPusher):
        with pytest.raises(UserError, match="nothing of quiz_ko is translated yet"):
            kind()(state)
    DatasetTranslator()(state, MODEL)
    with pytest.raises(UserError, match="no module yet"):
        DatasetPusher()(state)


def test_two_threads_do_not_work_on_one_port(chat: ChatServer) -> None:
    """While one call translates a port, another on the same port is an error that says so."""
    state, ended = DatasetDownloader()("quiz.jsonl"), threading.Event()

    def first() -> None:
        DatasetTranslator()(state, MODEL)
        ended.set()

    with chat.held():
        thread = threading.Thread(target=first)
        thread.start()
        while not chat.count():
            assert thread.is_alive()
        for kind in (DatasetTranslator, ModuleGenerator):
            with pytest.raises(UserError, match="quiz_ko"):
                kind()(state)
        with pytest.raises(UserError, match="porting quiz_ko"):
            DatasetDownloader()("quiz.jsonl")
    thread.join()
    assert ended.is_set()
    assert Path(ModuleGenerator()(state)).is_file()
    assert chat.count() == 1


def test_a_model_is_evaluated_on_a_port(work: Path) -> None:
    """`model_evaluator` takes a port by slug, state or module, and gives its metrics on a line."""
    state = DatasetDownloader()("quiz.jsonl")
    evaluate = ModelEvaluator()
    with pytest.raises(UserError, match="module_generator"):
        evaluate(state, "oracle")
    DatasetTranslator()(state, MODEL)
    module = ModuleGenerator()(state)
    for name in ("quiz_ko", state, module, f"{module}\nslug: quiz_ko"):
        (line,) = evaluate(name, "oracle").splitlines()
        found = json.loads(line)
        assert (found["dataset"], found["accuracy"], found["n"]) == ("quiz_ko", 1.0, len(ROWS))
    assert json.loads(evaluate("quiz_ko", "first", limit=2))["n"] == 2
    for name, model in (("quiz", "oracle"), ("quiz_ko", "orcale"), ("quiz_ko", "openai")):
        with pytest.raises(UserError):
            evaluate(name, model)


@pytest.mark.parametrize("name", ["mine.py", "folder/mine.py"])
def test_a_word_of_a_model_runs_no_code(name: str, work: Path) -> None:
    """A path to a module file that lies in no port is not imported."""
    path = work / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("from pathlib import Path\nPath('ran').touch()\n")
    for dataset in (name, str(path)):
        with pytest.raises(UserError, match="no finished port"):
            ModelEvaluator()(dataset, "oracle")
    assert not (work / "ran").exists()


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


def test_no_word_of_a_model_makes_a_push_public() -> None:
    """Private is a promise: only who makes the tool, or the agent, can say otherwise."""
    tool = DatasetPusher()
    for fields in ({}, {"public": False}, {"repo_id": "me/quiz"}):
        tool.lent = Lent(fields=fields)
        with pytest.raises(UserError, match="only the caller"):
            tool("quiz_ko", public=True)
    for tool, fields in ((DatasetPusher(public=True), {}), (DatasetPusher(), {"public": True})):
        tool.lent = Lent(fields=fields)
        with pytest.raises(UserError, match="under way"):
            tool("quiz_ko", public=True)


def test_an_agents_model_names_ports_of_its_folder_alone(work: Path, tmp_path: Path) -> None:
    """The state of another one could say where keys are sent: it is not read."""
    state = Path(DatasetDownloader(output_dir=str(tmp_path / "elsewhere"))("quiz.jsonl"))
    tool = DatasetTranslator()
    tool.lent = Lent(fields={"output_dir": work / "generated_datasets"})
    for name in (str(state), str(tmp_path / "elsewhere" / "quiz_ko")):
        with pytest.raises(UserError, match="under way"):
            tool(name, MODEL)


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


def test_generate_module_takes_rows_in_any_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module for rows given as a list, as columns or as JSON is the same; no rows are said so."""
    monkeypatch.delenv("OPENAI_API_KEY")
    generator = ModuleGenerator()
    columns = {key: [row[key] for row in ROWS] for key in ROWS[0]}
    code = generator.generate_module({"name": "me/quiz", "sample_data": ROWS})
    for same in (columns, json.dumps(ROWS), json.dumps(columns)):
        assert generator.generate_module({"name": "me/quiz", "sample_data": same}) == code
    assert '@register_dataset("me__quiz_ko")' in code
    none: list[Any] = [None, [], {}, "no JSON", "[]", "..."]
    for nothing in none:
        code = generator.generate_module({"name": "x", "sample_data": nothing})
        assert "Assumed, as no rows were given" in code
    assert "Assumed" in generator.generate_module({"name": "x", "sample_data": DataFrame()})
    for wrong in ([1], DataFrame(ROWS)):
        with pytest.raises(UserError, match="sample_data") as told:
            generator.generate_module({"name": "x", "sample_data": wrong})
        assert "df.to_dict('records')" in told.value.hint
