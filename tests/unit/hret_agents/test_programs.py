"""Programs are translated in their docstrings and comments, and stay the same programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hret_agents.checks.base import Rules
from hret_agents.checks.code import code_ast_equal
from hret_agents.translate.programs import fitted, pieces

ODD = '''import re


def f(text):
    import os
    """Says where it is.

    Args:
        text: the text to look at, which
            may be long
    - one item of it
    - another item

    >>> f("no words here")
    'as it was'

    The end of it.
    """
    name = "not a docstring"  # the name of it
    return re.sub(r"#no comment", name, text)  # type: ignore
'''


def back(program: str, said: str) -> str:
    """The program with `said` put before each piece of its prose."""
    out, done = "", 0
    for piece in pieces(program) or []:
        out += program[done : piece.start] + fitted(said + piece.text, piece.text)
        done = piece.end
    return out + program[done:]


def test_what_is_prose() -> None:
    """Paragraphs on one line each, items by themselves; no example, no text that is a value."""
    found = pieces(ODD)
    assert found is not None
    assert [p.text for p in found] == [
        "Says where it is.",
        "text: the text to look at, which may be long",
        "- one item of it",
        "- another item",
        "The end of it.",
        "the name of it",
    ]


def test_what_tools_read_is_no_prose() -> None:
    """Comments that tell a tool something stay, and none that merely begins like one."""
    tools = ["!/usr/bin/env python3", "-*- coding: utf-8 -*-", "coding=utf-8", "type: ignore[misc]",
             "noqa: E501 too long", "pragma: no cover", "pylint: disable=some-check",
             "fmt: skip this one"]  # fmt: skip
    said = ["pragmatic choice of one", "coding the first case"]
    found = pieces("".join(f"x = 1  # {text}\n" for text in [*tools, *said]))
    assert found is not None
    assert [p.text for p in found] == said


HOSTILE = ["번역 ", 'x"""\nimport os\n', "''' ", "\\", "\n\n# ", "{x} \\N{DASH} \\x0", '"']


@pytest.mark.parametrize("said", HOSTILE)
def test_no_translation_leaves_its_place(said: str) -> None:
    """Whatever a model writes, the program is the same but for its prose."""
    assert code_ast_equal(ODD, back(ODD, said), Rules(lang="ko")) == ""


@pytest.mark.data
@pytest.mark.parametrize("said", HOSTILE)
def test_humaneval_stays_what_it_is(said: str, shared_data: Path) -> None:
    """Every prompt has prose, and is the same program afterwards."""
    lines = (shared_data / "humaneval.jsonl").read_text("utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    assert len(prompts) == 164
    for prompt in prompts:
        assert pieces(prompt)
        assert code_ast_equal(prompt, back(prompt, said), Rules(lang="ko")) == ""


@pytest.mark.parametrize("text", ["def f(", "int main() { return 0; }", "Not a program, at all."])
def test_what_is_no_program(text: str) -> None:
    """What does not parse is no program: nobody knows what of it is prose."""
    assert pieces(text) is None
