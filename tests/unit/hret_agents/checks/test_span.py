"""Extractive answers stay words of their context, and their starts follow them."""

from __future__ import annotations

from hret_agents.checks import Rules, check_row, check_unit
from hret_agents.plan.records import Plan, Role, Span, TaskPlan
from hret_agents.translate.units import translated_row, unit_of

TEXT, START = "answers.text[]", "answers.answer_start[]"
PLAN = Plan(
    source="s",
    source_lang="en",
    target_lang="ko",
    roles={"context": Role.prose, "question": Role.prose, TEXT: Role.prose, START: Role.number},
    names={},
    task=TaskPlan(
        kind="text",
        question=["context", "question"],
        answer=TEXT,
        answer_kind="text",
        span=Span(context="context", text=TEXT, start=START),
    ),
)
RULES = Rules(lang="ko", span=("context", TEXT))
ROW = {
    "context": "The cat saw a cat.",
    "question": "What did it see?",
    "answers": {"text": ["cat", "The cat"], "answer_start": [14, 0]},
}


def found(*texts: str) -> list[str]:
    """What the checks of the unit say."""
    unit, _ = unit_of(ROW, PLAN)
    return [f.check for f in check_unit(unit, texts, RULES) if f.severity == "gate"]


def test_an_answer_that_is_not_in_its_context_is_asked_for_again() -> None:
    """The reason says what is wanted; an answer that is there says nothing."""
    assert found("그 고양이가 고양이를 봤다.", "무엇을 봤습니까?", "고양이", "그 고양이") == []
    wrong = found("그 고양이가 고양이를 봤다.", "무엇을 봤습니까?", "야옹이", "그 고양이")
    assert wrong == ["span_realigned"]


def test_starts_follow_the_answers() -> None:
    """Of several places the one that the answer had; the row passes its own check."""
    unit, _ = unit_of(ROW, PLAN)
    texts = ["그 고양이가 고양이를 봤다.", "무엇을 봤습니까?", "고양이", "그 고양이"]
    row = translated_row(ROW, unit, texts, PLAN)
    assert row["answers"] == {"text": ["고양이", "그 고양이"], "answer_start": [7, 0]}
    assert [f for f in check_row(ROW, row, PLAN) if f.severity == "gate"] == []


def test_an_answer_that_is_nowhere_fails_its_row() -> None:
    """Whoever translated it: a start that points elsewhere is never written."""
    unit, _ = unit_of(ROW, PLAN)
    row = translated_row(ROW, unit, ["그 개가 개를 봤다.", "무엇?", "고양이", "그 고양이"], PLAN)
    assert {f.check for f in check_row(ROW, row, PLAN)} == {"span_realigned"}
