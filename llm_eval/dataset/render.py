"""The module that a `ModuleSpec` stands for: the same spec gives the same bytes, always.

A port's module is imported without further ado only if it equals what is rendered here, so the
template reads from the spec alone and the result stands as black would leave it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from llm_eval.dataset.spec import FieldPath, ModuleSpec

if TYPE_CHECKING:
    from jinja2 import Template

PROMPTS = {
    "ko": {
        "multiple_choice": "정답을 알파벳 한 글자로만 답하세요.\n정답:",
        "number": "차근차근 풀이한 뒤, 마지막 줄에 '정답: 숫자' 형식으로 답하세요.",
        "text": "답만 간단히 쓰세요.\n정답:",
        "ungraded": "",
    },
    "en": {
        "multiple_choice": "Answer with one letter only.\nAnswer:",
        "number": "Think step by step, then end with a last line 'Answer: <number>'.",
        "text": "Give only the answer.\nAnswer:",
        "ungraded": "",
    },
}


def render(spec: ModuleSpec) -> str:
    """The source of the dataset module."""
    instruction = PROMPTS.get(spec.lang, PROMPTS["en"])[spec.task]
    return _template().render(spec=spec, instruction=instruction)


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llm_eval.dataset", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"lit": literal, "cell": cell, "shown": shown, "prose": prose}
    return environment.get_template("dataset.py.j2")


def literal(value: Any) -> str:
    """A Python literal of JSON-like data, its strings quoted as black would have them.

    >>> literal("예"), literal(None), literal(["a"])
    ('"예"', 'None', '["a"]')
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(literal(v) for v in value) + "]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and '"' in value and "'" not in value:
        return "'" + text[1:-1].replace('\\"', '"') + "'"
    return text


EACH = "[]"


def cell(path: FieldPath) -> str:
    """The expression that reads what lies at `path` of `row`; a list where the path has a `[]`.

    >>> cell(["선택지", "text", "[]"]), cell(["messages", "[]", "content"])
    ('row["선택지"]["text"]', '[item["content"] for item in row["messages"]]')
    """
    if EACH not in path:
        return "row" + _keys(path)
    place = path.index(EACH)
    whole = "row" + _keys(path[:place])
    rest = path[place + 1 :]
    return f"[item{_keys(rest)} for item in {whole}]" if rest else whole


def shown(path: FieldPath) -> str:
    """The expression of a part of the prompt: a cell, or the lines of a list.

    >>> shown(["질문"]), shown(["turns", "[]"])
    ('row["질문"]', '"\\\\n".join(map(str, row["turns"]))')
    """
    return f'"\\n".join(map(str, {cell(path)}))' if EACH in path else cell(path)


def _keys(path: FieldPath) -> str:
    return "".join(f"[{literal(key)}]" for key in path)


def prose(text: str) -> str:
    """`text` fit to stand in a docstring, on one line.

    >>> prose("ORG/NAME  (a")
    'ORG/NAME (a'
    """
    return " ".join(text.replace("\\", "/").replace('"', "'").split())
