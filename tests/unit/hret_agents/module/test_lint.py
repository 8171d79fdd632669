"""The lint: what a module may not say is told by its line, and what it may say passes."""

from __future__ import annotations

import pytest

from hret_agents.module.lint import lint
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import ModuleSpec
from tests.fakes.chat_module import GOOD, changed

LINE = 'LETTERS = "ABCDEFGH"\n'
METHOD = "        return len(self.rows)\n"


def found(code: str) -> list[str]:
    return lint(code, class_name="QuizKo", slug="quiz_ko")


def test_a_good_module_passes() -> None:
    """One as a model writes it, and the template's own."""
    assert found(GOOD) == []
    spec = ModuleSpec(
        slug="quiz_ko", class_name="QuizKo", source="quiz", lang="ko", repo="me/quiz-ko",
        subsets={"default": ["test"]}, task="multiple_choice", question=[["질문"]],
        choices=[["선택지", "[]"]], answer=["정답"], answer_kind="index",
    )  # fmt: skip
    assert found(render(spec)) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("import os\n", "imports os"),
        ("import llm_eval.settings\n", "imports llm_eval.settings"),
        ("from llm_eval.dataset.base import BaseDataset\n", "imports llm_eval.dataset.base"),
        ("from . import register_dataset\n", "relative name"),
        ("from typing import *\n", "imports *"),
        ("import datasets.utils\n", "imports datasets.utils"),
        ("print('hello')\n", "does something on import"),
        ("if True:\n    X = 1\n", "does something on import"),
        ("try:\n    X = 1\nexcept Exception:\n    pass\n", "does something on import"),
        ("DATA = load_dataset('x')\n", "load_dataset() is called on import"),
        ("TEXT = Path('/etc/passwd').read_text()\n", "is called on import"),
        ("X = [exec('1') for _ in range(1)]\n", "uses exec"),
        ("def f(x=load_dataset('a')):\n    return x\n", "load_dataset() is called on import"),
        ("@print\ndef f():\n    pass\n", "@print"),
        ("class A(metaclass=type):\n    pass\n", "passes keywords to a class"),
        ("class A:\n    X = load_dataset('a')\n", "load_dataset() is called on import"),
        ("class B(BaseDataset):\n    pass\n", "B is a second dataset class"),
    ],
)
def test_what_may_not_stand_at_the_top(statement: str, said: str) -> None:
    """Imports, constants, functions and classes alone, none of which does anything."""
    code = changed(LINE, LINE + statement)
    line = code[: code.index(statement)].count("\n") + 1
    assert any(s.startswith("line ") and said in s for s in found(code)), found(code)
    assert {int(s.split()[1].rstrip(":")) for s in found(code)} <= set(range(line, line + 4))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("eval('1')", "uses eval"),
        ("compile('1', '', 'exec')", "uses compile"),
        ("open('x')", "uses open"),
        ("Path('x').open()", "uses open"),
        ("__import__('os')", "uses __import__"),
        ("globals()", "uses globals"),
        ("getattr(self, self.split)", "getattr() with a name that is worked out"),
        ("getattr(self, '__class__')", "uses __class__"),
        ("self.__class__", "uses __class__"),
        ("().__class__.__bases__", "uses __bases__"),
        ("Path('x').write_text('y')", "calls .write_text()"),
        ("self.rows.push_to_hub('x')", "calls .push_to_hub()"),
        ("load_dataset('x', token='t')", "passes token="),
        ("load_dataset('x', trust_remote_code=True)", "passes trust_remote_code="),
        ("self.OPENAI_API_KEY", "needs no key"),
        ("'HF_TOKEN'", "names a key"),
    ],
)
def test_what_may_not_stand_in_a_method(expression: str, said: str) -> None:
    """The line is the one that says it."""
    code = changed(METHOD, f"        x = {expression}\n{METHOD}")
    place = code[: code.index("        x = ")].count("\n") + 1
    assert any(s.startswith(f"line {place}: ") and said in s for s in found(code)), found(code)


@pytest.mark.parametrize(
    "expression",
    ["re.compile('a')", "getattr(self, 'rows')", "type(self).__name__", "super().__init__",
     "json_like['password']", "'open'", "row.get('api')"],
)  # fmt: skip
def test_what_may(expression: str) -> None:
    """The ordinary is no finding."""
    assert found(changed(METHOD, f"        x = {expression}\n{METHOD}")) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class QuizKo(BaseDataset)", "class Quiz(BaseDataset)", "no class is called QuizKo"),
        ("class QuizKo(BaseDataset)", "class QuizKo(dict)", "no subclass of BaseDataset"),
        ('@register_dataset("quiz_ko")', '@register_dataset("gsm8k")', "does not stand below"),
        ('@register_dataset("quiz_ko")\n', "", "does not stand below"),
        ('"""A quiz of', '# -*- coding: rot13 -*-\n"""A quiz of', "declares an encoding"),
    ],
)
def test_the_class_is_the_one_asked_for(old: str, new: str, said: str) -> None:
    """Its name, its base and its registration."""
    assert any(said in s for s in found(changed(old, new)))
