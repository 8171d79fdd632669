"""`ModuleGenerator`: by itself (spec/000 §3.5), and what it tells the chain."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from hret_agents.agent import DatasetTranslationAgent
from hret_agents.tools import ModuleGenerator
from llm_eval.errors import Unknown, UserError
from tests.fakes.chat import ChatServer
from tests.fakes.chat_module import BAD, GOOD, fenced, scripted

ROWS = [
    {"question": f"{i} 다음 수는 무엇입니까?", "choices": ["하나", "둘"], "answer": i % 2}
    for i in range(6)
]
INFO = {"name": "quiz", "sample_data": ROWS}
UNKNOWN = {"name": "HAERAE-HUB/QARV", "schema": "...", "sample_data": "..."}
QARV = GOOD.replace("quiz_ko", "HAERAE-HUB__QARV_ko").replace("QuizKo", "QARVKo")


def english(reply: str) -> str:
    """A module for the columns that the rows here have."""
    for korean, name in (("질문", "question"), ("선택지", "choices"), ("정답", "answer")):
        reply = reply.replace(f'"{korean}"', f'"{name}"')
    return reply


@pytest.fixture
def model(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """A model that the settings have a key for."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    return chat


def asked(chat: ChatServer) -> str:
    """The first message of the first request."""
    return str(chat.requests[0].body["messages"][0]["content"])


def test_without_a_model_the_template_writes() -> None:
    """From rows for their columns; from "..." for two that it says it assumes."""
    generator = ModuleGenerator(guide_prompt="{sample_data}")
    code = generator.generate_module(INFO)
    assert 'row["question"]' in code and "QARV" not in code
    code = generator.generate_module(UNKNOWN)
    assert 'row["question"]' in code and 'row["answer"]' in code
    assert "Assumed, as no rows were given" in str(ast.get_docstring(ast.parse(code)))
    assert generator.last is not None
    assert (generator.last.way, generator.last.tries) == ("template", ())


def test_a_model_writes_for_rows(model: ChatServer) -> None:
    """It is shown the rows, and its module is verified on them before it is returned."""
    model.answer = scripted(*map(english, (BAD["always right"], fenced(GOOD))))
    generator = ModuleGenerator()
    code = generator.generate_module(INFO)
    assert code.startswith("# quiz (ko): written by gpt-4o-mini, verified on the sample rows\n")
    assert generator.last is not None
    assert generator.last.way == "model:gpt-4o-mini"
    assert [t for t in generator.last.tries if "row 0" in t] == list(generator.last.tries) != []
    assert "| 0 다음 수는 무엇입니까? |" in asked(model) and 'row["choices"]' in asked(model)


def test_a_model_writes_for_what_nobody_knows(model: ChatServer) -> None:
    """With "..." the module is linted, compiled and imported, and says that it never ran."""
    broken = QARV.replace('"default": ["test"]}', '"default": ["test"]}["none"]')
    model.answer = scripted(fenced(broken), fenced(QARV))
    generator = ModuleGenerator(
        guide_prompt="이름: {dataset_name} 구조: {dataset_schema}", model="m"
    )
    code = generator.generate_module(UNKNOWN)
    compile(code, "dataset.py", "exec")
    assert code.startswith("# HAERAE-HUB/QARV (ko): written by m, imported, never run on data\n")
    assert 'REPO: Optional[str] = "HAERAE-HUB/QARV"' in code
    assert generator.last is not None
    assert generator.last.tries == ("1: the module cannot be imported: KeyError: 'none'",)
    assert asked(model).startswith("이름: HAERAE-HUB/QARV 구조: ...\n")


@pytest.mark.parametrize("info", [INFO, UNKNOWN])
def test_a_model_that_never_does(model: ChatServer, info: dict[str, Any]) -> None:
    """The template writes, and why is told."""
    model.answer = scripted(*BAD.values())
    generator = ModuleGenerator(max_repairs=2)
    code = generator.generate_module(info)
    assert code == ModuleGeneratorWithoutModel().generate_module(info)
    assert generator.last is not None
    assert (generator.last.way, len(generator.last.tries)) == ("template", 3)


class ModuleGeneratorWithoutModel(ModuleGenerator):
    """One that asks nobody."""

    def _asker(self) -> None:
        return None


@pytest.mark.parametrize("bad", [[1], {"a": [1], "b": []}, {"a": 1}, "3", [{}], "[1]"])
def test_what_is_no_rows(bad: Any) -> None:
    """Something given that is no rows is told, not guessed at."""
    with pytest.raises(UserError, match="sample_data"):
        ModuleGenerator().generate_module({"name": "x", "sample_data": bad})


def test_rows_that_are_not_alike() -> None:
    """Rows of no one schema are told too."""
    with pytest.raises(UserError, match="not alike"):
        ModuleGenerator().generate_module({"name": "x", "sample_data": [{"a": 1}, {"a": "x"}]})


def test_wrong_arguments() -> None:
    """A name that is no model's, and a number of tries that is none."""
    with pytest.raises(Unknown):
        ModuleGenerator(model="memory")
    with pytest.raises(UserError, match="max_repairs"):
        ModuleGenerator(max_repairs=-1)


# --- in the chain -----------------------------------------------------------------------------


@pytest.fixture
def quiz(work: Path) -> Path:
    """A dataset whose split is "test"."""
    folder = work / "quiz"
    folder.mkdir()
    line = '{{"question": "What comes after {0}?", "choices": ["one", "two"], "answer": {1}}}\n'
    text = "".join(line.format(i, i % 2) for i in range(5))
    (folder / "test.jsonl").write_text(text)
    return folder


def test_a_guide_prompt_asks_the_translator(model: ChatServer, quiz: Path) -> None:
    """Without a module model, the model that translates writes the module."""
    model.answer = scripted(fenced(GOOD))
    generator = ModuleGenerator(guide_prompt="{dataset_name}을 위한 모듈: {sample_data}")
    agent = DatasetTranslationAgent(model="fake-translator")
    agent.add_tool(generator)
    result = agent.process_dataset(str(quiz))
    assert result.module_way == "model:fake-translator"
    assert list(result.asked) == ["fake-translator"]
    assert generator.last is not None
    assert generator.last.code == Path(str(result.module_path)).read_text("utf-8")
    (request,) = [r for r in model.requests if "모듈: |" in str(r.body)]
    assert re.match(r"\S+을 위한 모듈: \| 질문 \|", request.body["messages"][0]["content"])


def test_a_tools_own_settings_stand_over_the_agents(model: ChatServer, quiz: Path) -> None:
    """The tool's model is asked, and so often as the tool says."""
    model.answer = scripted(BAD["no code"])
    agent = DatasetTranslationAgent(model="fake-translator", module_model="other")
    agent.add_tool(ModuleGenerator(model="mine", max_repairs=1))
    result = agent.process_dataset(str(quiz))
    assert (result.module_way, len(result.module_tries)) == ("template", 2)
    assert {r.body["model"] for r in model.requests if r.body} == {"fake-translator", "mine"}


def test_a_guide_prompt_for_nobody(quiz: Path) -> None:
    """With the translation memory there is no model to ask, and the result says so."""
    rows = quiz / "test.jsonl"
    memory = quiz.parent / "memory.jsonl"
    memory.write_text("")
    rows.write_text('{"question": "몇 개입니까?", "choices": ["하나", "둘"], "answer": 0}\n' * 3)
    agent = DatasetTranslationAgent(model=f"memory:{memory}", guide_prompt="x")
    result = agent.process_dataset(str(quiz))
    assert result.module_way == "template"
    assert result.module_tries == [
        "no model was asked: the translator is none, and no module model is named"
    ]
