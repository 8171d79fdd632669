"""The module that a `ModuleSpec` stands for: the same spec gives the same bytes, always.

A port's module is imported without further ado only if it equals what is rendered here, so the
template reads from the spec alone and the result stands as black would leave it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from llm_eval.dataset.gold import ASSISTANTS
from llm_eval.dataset.spec import EACH, FieldPath, ModuleSpec

if TYPE_CHECKING:
    from jinja2 import Template

PROMPTS = {
    "ko": {
        "multiple_choice": "정답을 알파벳 한 글자로만 답하세요.\n정답:",
        "number": "차근차근 풀이한 뒤, 마지막 줄에 '정답: 숫자' 형식으로 답하세요.",
        "text": "답만 간단히 쓰세요.\n정답:",
        "math": "차근차근 풀이한 뒤, 최종 답을 \\boxed{} 안에 쓰세요.",
        "code": "파이썬 코드만 답하세요.",
        "ungraded": "",
    },
    "en": {
        "multiple_choice": "Answer with one letter only.\nAnswer:",
        "number": "Think step by step, then end with a last line 'Answer: <number>'.",
        "text": "Give only the answer.\nAnswer:",
        "math": "Think step by step, and put the final answer within \\boxed{}.",
        "code": "Answer with Python code only.",
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
    environment.filters |= {"tuple_lit": lambda items: f"({literal(items)[1:-1]})"}
    environment.globals |= {"spoken": spoken, "in_turns": in_turns, "assistants": ASSISTANTS}
    environment.globals |= {"listed_parts": listed_parts, "deep": deep}
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


def cell(path: FieldPath) -> str:
    """The expression that reads what lies at `path` of `row`; a list where the path has a `[]`.

    What is missing on the way is None, or no item of a list.

    >>> cell(["질문"]), cell(["선택지", "text", "[]"])
    ('row["질문"]', '(row["선택지"] or {}).get("text")')
    >>> cell(["messages", "[]", "content"])
    '[item["content"] for item in row["messages"] or [] if item]'
    >>> cell(["a", "[]", "b", "[]"])
    'flat(row["a"], "b")'
    """
    if EACH not in path:
        return _below("row", path)
    place = path.index(EACH)
    above, below = _below("row", path[:place]), path[place + 1 :]
    if EACH in below:
        return f"flat({', '.join([above, *(literal(k) for k in below if k != EACH)])})"
    return f"[{_below('item', below)} for item in {above} or [] if item]" if below else above


def shown(path: FieldPath) -> str:
    """The expression of a part of the prompt: a cell, or the lines of a list.

    >>> shown(["질문"]), shown(["turns", "[]"])
    ('row["질문"]', 'lines(row["turns"])')
    """
    return f"lines({cell(path)})" if EACH in path else cell(path)


def spoken(spec: ModuleSpec) -> dict[str, str]:
    """Of a conversation: the list of turns, who spoke last, who speaks, and what is said."""
    assert spec.speaker is not None
    place = spec.speaker.index(EACH)
    said = next(p for p in spec.question if p[:place] == spec.speaker[:place])
    return {
        "turns": _below("row", spec.speaker[:place]),
        "last": _below("turns[-1]", spec.speaker[place + 1 :]),
        "who": _below("turn", spec.speaker[place + 1 :]),
        "said": _below("turn", said[place + 1 :]),
    }


def in_turns(path: FieldPath, spec: ModuleSpec) -> bool:
    """Is a path part of the conversation?"""
    return (
        spec.speaker is not None
        and path[: path.index(EACH) if EACH in path else 0]
        == (spec.speaker[: spec.speaker.index(EACH)])
    )


def deep(spec: ModuleSpec) -> bool:
    """Does a path run through a list within a list?"""
    singles = (spec.answer, spec.labels, spec.entry_point)
    paths = [*spec.question, *spec.choices, *spec.tests, *(p for p in singles if p)]
    return any(path.count(EACH) > 1 for path in paths)


def listed_parts(spec: ModuleSpec) -> bool:
    """Does a part of the prompt, the conversation aside, come from a list?"""
    return any(EACH in path and not in_turns(path, spec) for path in spec.question)


def _below(name: str, keys: FieldPath) -> str:
    """What lies below a name; the first key is always there, what it holds may be None."""
    if not keys:
        return name
    first, *deeper = keys
    found = f"{name}[{literal(first)}]"
    for key in deeper:
        found = f"({found} or {{}}).get({literal(key)})"
    return found


def prose(text: str) -> str:
    """`text` fit to stand in a docstring, on one line.

    >>> prose("ORG/NAME  (a")
    'ORG/NAME (a'
    """
    return " ".join(text.replace("\\", "/").replace('"', "'").split())
