"""Whatever shape a reply has, the module in it is found, or a sentence says why not."""

from __future__ import annotations

import ast
import json
import time

import pytest

from hret_agents.module.extract import extract
from tests.fakes.chat_module import GOOD

SMALL = "from a import BaseDataset\n\n\nclass Small(BaseDataset):\n    pass\n"
HELPER = "import json\n\nprint(json.dumps({}))\n"


def indented(code: str) -> str:
    """The code of a list item in Markdown."""
    return "".join(f"    {line}" if line.strip() else line for line in code.splitlines(True))


SHAPES = {
    "a fence": f"Sure.\n\n```python\n{GOOD}```\n\nDone.",
    "a fence without a language": f"```\n{GOOD}```",
    "tildes": f"~~~python\n{GOOD}~~~\n",
    "a longer fence": f"````py\n{GOOD}````",
    "several fences": f"1:\n```python\n{HELPER}```\n2:\n```python\n{GOOD}```\n```bash\nls\n```",
    "bare code": GOOD,
    "prose around bare code": f"Here is the module:\n\n{GOOD}\nI hope it helps you!\n",
    "JSON": json.dumps({"explanation": "short", "code": GOOD}, ensure_ascii=False),
    "JSON in a fence": f"```json\n{json.dumps({'code': GOOD})}\n```",
    "JSON that holds a fence": json.dumps({"answer": f"```python\n{GOOD}```"}),
    "JSON of lines": json.dumps({"code": GOOD.split("\n")}),
    "escaped line ends": json.dumps(GOOD)[1:-1],
    "a thought before": f"<think>\nclass Wrong(BaseDataset)...\n</think>\n```python\n{GOOD}```",
    "a thought that was not opened": f"a draft:\n{SMALL}\n</think>\n\n{GOOD}",
    "a fence that does not end": f"```python\n{GOOD}",
    "Windows line ends": f"```python\n{GOOD}```\n".replace("\n", "\r\n"),
    "a byte order mark": f"\ufeff{GOOD}",
    "a block that is indented": f"1. The module:\n\n    ```python\n{indented(GOOD)}    ```\n",
    "code that is indented": indented(GOOD),
    "JSON in JSON": json.dumps({"result": {"files": [{"path": "a.py", "content": GOOD}]}}),
    "JSON of messages": json.dumps([{"type": "text", "text": f"```python\n{GOOD}```"}]),
    "JSON of objects": json.dumps([{"note": "as asked"}, {"code": GOOD}]),
    "a tool call": f"<tool_call>{json.dumps({'name': 'save', 'arguments': {'code': GOOD}})}"
    '</tool_call>\n<tool_call>{"name": "end"}</tool_call>',
    "arguments as a text": json.dumps({"name": "save", "arguments": json.dumps({"code": GOOD})}),
    "a longer draft": f"```python\n# a draft\n{GOOD}```\nBut it is wrong:\n```python\n{GOOD}```",
    "an excerpt behind it": f"```python\n{GOOD}```\nIn short:\n```python\n{SMALL}```",
    "a fence that ends within a line": f"```python\n{GOOD.rstrip()}``` is the module.",
    "a quotation": "".join(f"> {line}\n" for line in f"```python\n{GOOD}```".split("\n")),
    "blanks that do not break": f"```python\n{GOOD.replace('    ', chr(160) * 4)}```",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape: str) -> None:
    """The module comes out as it went in."""
    found = extract(SHAPES[shape])
    assert found.reason == ""
    assert ast.dump(ast.parse(found.code)) == ast.dump(ast.parse(GOOD))


HEAD, TAIL = GOOD.split("\n\n\n")
MAIN = TAIL.replace("INSTRUCTION]", "told()]")
TOLD = "def told() -> str:\n    return WORDS"
WORDS = 'WORDS = "하나만 고르세요."'
BLOCK = "```python\n{}\n```"
PIECES = {
    "imports and the class": (HEAD, TAIL),
    "helpers behind it": (f"{HEAD}\n\n\n{MAIN}", f"{TOLD}\n\n\n{WORDS}"),
    "four": (HEAD, WORDS, MAIN, TOLD),
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_a_module_in_pieces(pieces: tuple[str, ...]) -> None:
    """Blocks that define what the class needs belong to it; how it is used does not."""
    reply = "\n\nThen:\n".join(map(BLOCK.format, (*pieces, "data = QuizKo()\nprint(len(data))")))
    found = extract(f"{BLOCK.format('import os')}\n{reply}")
    assert ast.dump(ast.parse(found.code)) == ast.dump(ast.parse("\n\n".join(pieces)))


def test_a_mark_of_thought_in_the_code_is_no_thought() -> None:
    """A module may read `</think>` itself, before its class."""
    code = (
        'END = "</think>"\n\n\ndef final(t):\n    return t.split("</think>", 1)[-1]\n\n\n' + SMALL
    )
    assert extract(f"```python\n{code}```").code == code
    assert extract(code).code == code


def test_the_longest_module_wins() -> None:
    """Of a draft and the whole, the whole."""
    assert extract(f"```\n{SMALL}```\nand better:\n```\n{GOOD}```\n").code == GOOD


@pytest.mark.parametrize(
    "reply", ["", "네, 알겠습니다.", "```\n```", "42", "{}", "# 제목\n\n설명만", "\0"]
)
def test_nothing_is_said_to_be_nothing(reply: str) -> None:
    """Words, numbers and empty fences hold no module."""
    assert extract(reply).reason == "the reply holds no code"
    assert extract(reply).code == ""


def test_code_without_a_dataset() -> None:
    """Code there is, and no dataset in it."""
    assert extract(f"```python\n{HELPER}```").reason == (
        "the reply's code defines no subclass of BaseDataset"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(BaseDataset):", "(BaseDataset)", "line 4: expected ':'"),
        ("    pass", "    x = “a”", "plain quotes"),
        ("    pass", "", "line 4: expected an indented block"),
    ],
)
def test_code_that_does_not_parse(old: str, new: str, said: str) -> None:
    """The line is named, as Python says it."""
    reason = extract(f"Here:\n```python\n{SMALL.replace(old, new)}```").reason
    assert reason.startswith("the code does not parse: ")
    assert said in reason


@pytest.mark.parametrize(
    "reply",
    ["```" + " " * 300_000 + "`", ">" * 100_000 + "```\n" + ">" * 90_000, "[" * 900 + "]" * 900,
     json.dumps(["{"] * 9_000), json.dumps([{"a": "```"}] * 9_000), "<think>" * 50_000,
     "(" * 300_000, "~" * 300_000 + "`", "from a import b\n" + "x = (\n" * 30_000,
     '{"code": ' * 40_000, "class A(BaseDataset):\n" * 9_000],
)  # fmt: skip
def test_a_hostile_reply_takes_no_time(reply: str) -> None:
    """No reply keeps the reader busy."""
    started = time.perf_counter()
    assert extract(reply).code == ""
    assert time.perf_counter() - started < 20
