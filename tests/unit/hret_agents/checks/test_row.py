"""A finished row against its source: every gate of a row, and the flags that need all of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hret_agents.checks import check_row, row_fault
from hret_agents.plan.records import Plan, Role, Span, TaskPlan

Row = dict[str, Any]
ROLES = {
    "id": "id", "q": "prose", "c.text[]": "choices", "c.label[]": "category", "gold": "answer_text",
    "steps": "answer_steps", "n": "answer_number", "score": "number", "turns[].say": "prose",
    "turns[].who": "category", "tags[]": "category", "code": "code",
}  # fmt: skip
SOURCE: Row = {
    "id": 7,
    "q": "Which animal barks?",
    "c": {"text": ["a cat", "a dog", "a hen"], "label": ["A", "B", "C"]},
    "gold": "a dog",
    "steps": "It barks.\n#### 1,250",
    "n": "1,250",
    "score": 0.5,
    "turns": [{"say": "Hello.", "who": "user"}, {"say": "Yes?", "who": "bot"}],
    "tags": ["x", "y"],
    "code": "x = 1  # one",
}
TARGET: Row = {
    "id": 7,
    "q": "짖는 동물은 무엇입니까?",
    "c": {"text": ["고양이", "강아지", "암탉"], "label": ["A", "B", "C"]},
    "gold": "강아지",
    "steps": "짖습니다.\n#### 1,250",
    "n": "1,250",
    "score": 0.5,
    "turns": [{"say": "안녕하세요.", "who": "user"}, {"say": "네?", "who": "bot"}],
    "tags": ["x", "y"],
    "code": "x = 1  # one",
}


def plan(ignore: dict[str, list[str]] | None = None, **task: Any) -> Plan:
    """The plan of the rows above."""
    known: dict[str, Any] = {
        "kind": "multiple_choice",
        "question": ["q"],
        "choices": ["c.text[]"],
        "answer": "gold",
        "answer_kind": "text",
    }
    return Plan(
        source="s",
        source_lang="en",
        target_lang="ko",
        roles={path: Role(role) for path, role in ROLES.items()},
        names={},
        task=TaskPlan(**(known | task)),
        ignore=ignore or {},
    )


def test_a_good_row_has_no_finding_and_is_not_changed() -> None:
    """Judging is pure."""
    before = copy.deepcopy((SOURCE, TARGET))
    assert check_row(SOURCE, TARGET, plan()) == [] and row_fault(SOURCE, TARGET, plan()) == ""
    assert before == (SOURCE, TARGET)


def put(**changes: Any) -> Callable[[Row], None]:
    """Set columns."""
    return lambda row: row.update(changes)


CHANGES: list[tuple[str, Callable[[Row], Any]]] = [
    ("immutable_leaf", put(id=8)),
    ("immutable_leaf", put(id="7")),
    ("immutable_leaf", put(id=7.0)),
    ("immutable_leaf", put(id=None)),
    ("immutable_leaf", put(code="x = 1  # 하나")),
    ("immutable_leaf", put(tags=["y", "x"])),
    ("immutable_leaf", put(tags=["x"])),
    ("immutable_leaf", put(n="1250")),
    ("immutable_leaf", lambda r: r.pop("score")),
    ("immutable_leaf", put(more=1)),
    ("immutable_leaf", lambda r: r["turns"][0].update(who="사용자")),
    ("immutable_leaf", lambda r: r["c"].update(label=["가", "나", "다"])),
    ("list_len", lambda r: r["c"]["text"].pop()),
    ("list_len", lambda r: r["turns"].pop()),
    ("empty", put(q=" \u200b")),
    ("empty", put(q=None)),
    ("gold_numeric_equal", put(steps="짖습니다.\n#### 125")),
    ("gold_numeric_equal", put(steps="짖습니다.")),
    ("gold_numeric_equal", put(n="1,205")),
    ("gold_numeric_equal", put(n="1,250원")),
    ("gold_equal", put(gold="개")),
    ("gold_equal", put(gold="고양이")),
    ("option_distinct", lambda r: r["c"].update(text=["강아지.", "강아지", "암탉"])),
]


@pytest.mark.parametrize(("check", "change"), CHANGES)
def test_what_a_gate_catches(check: str, change: Callable[[Row], Any]) -> None:
    """The gate that the change is about speaks first, and flags are not looked at any more."""
    target = copy.deepcopy(TARGET)
    change(target)
    found = check_row(SOURCE, target, plan())
    assert found[0].check == check and {f.severity for f in found} == {"gate"}
    assert row_fault(SOURCE, target, plan()) == f"{check}: {found[0].message}"


def test_a_changed_leaf_is_named() -> None:
    """Of a column of many leaves the one that changed."""
    target = copy.deepcopy(TARGET)
    target["turns"][1]["who"] = "봇"
    (finding,) = check_row(SOURCE, target, plan())
    assert finding.path == "turns[].who" and "turns[].who" in finding.message


@pytest.mark.parametrize(
    "same",
    [
        {"steps": "짖습니다.\n#### 1250"},
        {"score": 0.5, "id": 7},
    ],
)
def test_what_is_the_same_passes(same: Row) -> None:
    """Thousands separators of a worked answer do not count, nor does the order of columns."""
    target = dict(reversed(list((TARGET | same).items())))
    assert check_row(SOURCE, target, plan()) == []


def test_a_float_that_is_no_number_is_itself() -> None:
    """NaN is kept, not changed."""
    nan = {"score": math.nan}
    assert row_fault(SOURCE | nan, copy.deepcopy(TARGET) | {"score": float("nan")}, plan()) == ""
    assert row_fault(SOURCE | nan, TARGET, plan()).startswith("immutable_leaf")


def test_letters_before_choices_do_not_tell_them_apart() -> None:
    """`A) 무게` and `B) 무게` are one choice with two letters."""
    source, target = copy.deepcopy(SOURCE), copy.deepcopy(TARGET)
    source["c"]["text"] = ["A) mass", "B) weight", "C) size"]
    target["c"]["text"] = ["A) 무게", "B) 무게", "C) 크기"]
    source["gold"], target["gold"] = "B) weight", "B) 무게"
    assert row_fault(source, target, plan(lettered=True)).startswith("option_distinct")
    target["c"]["text"][0] = "A) 질량"
    assert row_fault(source, target, plan(lettered=True)) == ""


def test_a_gold_may_follow_any_of_two_equal_choices() -> None:
    """The source names them both, so either translation is right."""
    source, target = copy.deepcopy(SOURCE), copy.deepcopy(TARGET)
    source["c"]["text"] = ["a dog", "a dog", "a hen"]
    target["c"]["text"] = ["강아지", "멍멍이", "암탉"]
    for gold in ("강아지", "멍멍이"):
        assert row_fault(source, target | {"gold": gold}, plan()) == ""
    assert row_fault(source, target | {"gold": "암탉"}, plan()).startswith("gold_equal")


SQUAD = Plan(
    source="s",
    source_lang="en",
    target_lang="ko",
    roles={
        "context": Role.prose,
        "q": Role.prose,
        "a.text[]": Role.answer_text,
        "a.start[]": Role.number,
    },
    names={},
    task=TaskPlan(
        kind="text",
        question=["q"],
        answer="a.text[]",
        answer_kind="text",
        span=Span(context="context", text="a.text[]", start="a.start[]"),
    ),
)


def squad(context: str, question: str, text: list[str], start: list[int]) -> Row:
    """An extractive row."""
    return {"context": context, "q": question, "a": {"text": text, "start": start}}


SQUAD_SOURCE = squad("Rain fell on Monday.", "What fell?", ["Rain", "Monday"], [0, 13])


@pytest.mark.parametrize(
    ("text", "start", "good"),
    [
        (["비", "월요일"], [0, 3], True),
        (["비", "월요일"], [0, 13], False),
        (["비", "월요일"], [1, 3], False),
        (["비", "월요일"], [0, -1], False),
        (["비", "화요일"], [0, 3], False),
        (["비", ""], [0, 3], False),
    ],
)
def test_an_answer_stands_where_its_start_says(
    text: list[str], start: list[int], good: bool
) -> None:
    """Every answer of a row, counted in characters."""
    target = squad("비가 월요일에 내렸다.", "내린 것은?", text, start)
    said = row_fault(SQUAD_SOURCE, target, SQUAD)
    assert good is (said == "") and (good or said.startswith(("span_realigned", "empty")))


def test_an_answer_that_stood_nowhere_in_the_source_is_not_judged() -> None:
    """What was wrong before cannot be put right."""
    source = SQUAD_SOURCE | {"a": {"text": ["Rain"], "start": [5]}}
    assert row_fault(source, squad("비가 왔다.", "무엇?", ["비"], [5]), SQUAD) == ""


def test_answers_that_got_lost_are_told() -> None:
    """One text or start too few is another row."""
    target = squad("비가 월요일에 내렸다.", "내린 것은?", ["비"], [0])
    assert row_fault(SQUAD_SOURCE, target, SQUAD).startswith("list_len")


def test_the_flags_of_a_row_stand_with_their_leaf() -> None:
    """A leaf that tells the answer is flagged, unless the plan does not mind."""
    target = TARGET | {"q": "강아지처럼 짖는 동물은 무엇입니까?"}
    (finding,) = check_row(SOURCE, target, plan())
    assert (finding.check, finding.severity, finding.path) == ("answer_leak", "flag", "q")
    assert check_row(SOURCE, target, plan(ignore={"q": ["answer_leak"]})) == []
    assert check_row(SOURCE, target, plan(ignore={"*": ["answer_leak"]})) == []


def test_a_source_that_is_wrong_itself_is_flagged() -> None:
    """A gold that names no choice passes as it is, and is told."""
    source, target = SOURCE | {"gold": "a cow"}, TARGET | {"gold": "a cow"}
    assert [(f.check, f.severity) for f in check_row(source, target, plan())] == [
        ("source_anomaly", "flag")
    ]
    assert check_row(source, target, plan(ignore={"gold": ["source_anomaly"]})) == []


def test_a_program_that_does_not_parse_is_flagged() -> None:
    """It is kept as it is, and whoever reads the report learns it."""
    known = plan()
    broken = replace(known, roles=known.roles | {"code": Role.code_prompt})
    row = {"code": "def f(x):\n    # the sum of both\n"}
    (finding,) = check_row(SOURCE | row, TARGET | row, broken)
    assert (finding.check, finding.severity, finding.path) == ("source_anomaly", "flag", "code")
    assert "does not parse" in finding.message
    assert check_row(SOURCE, TARGET, broken) == []
