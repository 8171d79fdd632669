"""Options inside the question: the gold is one of their letters, so the letters must stay."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from hret_agents.checks import Rules, check_unit
from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.steps.translate import rules_of
from hret_agents.translate.units import Segment, Unit

KO = Rules(lang="ko", lettered=True)


def gates(source: str, target: str, rules: Rules = KO) -> list[str]:
    """The gates that speak on a translation."""
    unit = Unit((Segment("q", 0, source),))
    return [f.check for f in check_unit(unit, [target], rules) if f.severity == "gate"]


CHANGED = [
    ("Which is it? (A) apple (B) car (C) dog", "무엇입니까? (가) 사과 (나) 자동차 (다) 개"),
    ("Which is it? (A) apple (B) car (C) dog", "무엇입니까? (A) 사과 (B) 자동차 (다) 개"),
    ("Which is it?\nA. apple\nB. car\nC. dog", "무엇입니까?\n1. 사과\n2. 자동차\n3. 개"),
    ("Which is it? A) apple B) car", "무엇입니까? ① 사과 ② 자동차"),
    ("Which? A. apple B. car C. dog", "무엇? ㄱ. 사과 ㄴ. 자동차 ㄷ. 개"),
    ("Choices: A: an apple, B: a car", "선택지: 사과, 자동차"),
    ("a ) the red dog , b ) a cat , c ) none", "가) 빨간 개, 나) 고양이, 다) 없음"),
    ("In Figure (A), which is it? (A) apple (B) car", "그림 (A)에서 무엇? (A) 사과 (나) 자동차"),
]  # fmt: skip
KEPT = [
    ("Which is it? (A) apple (B) car (C) dog", "무엇입니까? (A) 사과 (B) 자동차 (C) 개"),
    ("Which is it? (A) apple (B) car", "무엇입니까?\nA. 사과\nB. 자동차"),
    ("a ) the red dog , b ) a cat", "a) 빨간 개, b) 고양이"),
    ("Both (A) and Figure 2 are right.", "그림 2와 가는 옳다."),
    ("A. B. Hill and C. D. Jones said so.", "에이 비 힐과 시 디 존스가 그렇게 말했다."),
    ("It holds vitamin A. It lacks vitamin B. Why?", "비타민은 하나만 있다. 왜 그런가?"),
    ("Which is it? (1) apple (2) car", "무엇입니까? ① 사과 ② 자동차"),
    ("Let f(a) and f(b) be equal.", "두 값이 같다고 하자."),
]


@pytest.mark.parametrize(("source", "target"), CHANGED)
def test_the_letters_of_options_stay(source: str, target: str) -> None:
    """An answer "A" to options 가 and 나 would be wrong; a gold in words does not mind."""
    assert gates(source, target) == ["placeholder_multiset"]
    assert "placeholder_multiset" not in gates(source, target, Rules(lang="ko"))


@pytest.mark.parametrize(("source", "target"), KEPT)
def test_letters_that_stay_or_letter_nothing(source: str, target: str) -> None:
    """However the letters are set off; initials, sentences' ends and formulas are no options."""
    assert gates(source, target) == []


@pytest.mark.parametrize(
    ("role", "choices", "lettered"),
    [("answer_letter", [], True), ("answer_letter", ["c[]"], False), ("answer_free", [], False)],
)
def test_the_plan_says_where_letters_count(role: str, choices: list[str], lettered: bool) -> None:
    """Where the gold is a letter and no choices stand in leaves of their own."""
    task = TaskPlan(kind="text", question=["q"], choices=choices, answer="a", answer_kind="text")
    roles = {"q": Role.prose, "c[]": Role.choices, "a": Role(role)}
    plan = Plan(source="s", source_lang="en", target_lang="ko", roles=roles, names={}, task=task)
    assert rules_of(plan).lettered is lettered
    assert rules_of(replace(plan, target_lang="zh-TW")).lang == "zh"  # of the language, no region


@pytest.mark.parametrize("stretch", ["(A) x ", "A. ", "(A) x (B) ", "A: b ", "a)"])
def test_a_hostile_text_takes_no_time(stretch: str) -> None:
    """100,000 signs of what looks like options are judged at once."""
    text = (stretch * 100_000)[:100_000]
    started = time.thread_time()
    gates(text + "(A) x (B) y (C) z (D) w", text)
    assert time.thread_time() - started < 2  # a twentieth of it on an idle machine
