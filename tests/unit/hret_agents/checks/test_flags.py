"""Flags: lengths, refusals, the glossary, leaked answers, and the source's own faults."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hret_agents.checks.base import Rules
from hret_agents.checks.flags import (
    answer_leak,
    garbled,
    glossary,
    length_soft,
    refusal,
    source_anomaly,
)
from hret_agents.plan.records import Plan, Role, TaskPlan

KO = Rules(lang="ko")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (29, 1, ""),
        (30, 7, "rather short: 30 characters became 7"),
        (32, 8, ""),
        (10, 30, ""),
        (10, 31, "rather long: 10 characters became 31"),
        (30, 45, ""),
        (30, 46, "rather long: 30 characters became 46"),
    ],
)
def test_length_soft_speaks_past_its_bounds(old: int, new: int, said: str) -> None:
    assert length_soft("a" * old, "가" * new, KO) == said


REFUSALS = [
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "죄송합니다. 이 내용은 번역하기 어렵습니다.",
    "이 문장은 번역할 수 없습니다.",
    "번역할 텍스트를 보내 주세요.",
    "해당 요청에는 응할 수 없습니다.",
    "As an AI language model, I cannot translate this.",
    "저는 AI이므로 의견이 없습니다.",
    "다음은 번역입니다: 개가 짖는다.",
    "번역: 개가 짖는다.",
    "요청하신 번역은 다음과 같습니다. 개가 짖는다.",
    "물론입니다! 개가 짖는다.",
    "개가 짖는다. (역자 주: 의역하였음)",
    "개가 짖는다. 더 필요한 것이 있으면 말씀해 주세요.",
    "Sure! Here is the translation: 개가 짖는다.",
]


@pytest.mark.parametrize("target", REFUSALS)
def test_a_refusal_or_comment_is_found(target: str) -> None:
    assert refusal("The dog barks.", target, KO).startswith("this reads like a model's")


def test_a_comment_behind_a_long_translation_is_found() -> None:
    long = "개가 짖는다. " * 900
    assert refusal("The dog barks.", long + REFUSALS[0], KO)
    assert not refusal("The dog barks.", long, KO)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Sorry, I cannot help you.", "죄송하지만 도와드릴 수 없습니다."),
        ("Poems cannot be translated.", "시는 번역할 수 없다."),
        ("As an AI, I have no body.", "AI로서 저는 몸이 없습니다."),
        ("Here is my translation: a dog.", "다음은 제 번역입니다: 개."),
        ("Of course! He came.", "물론입니다! 그가 왔습니다."),
        ("Let us know if you need more.", "더 필요한 것이 있으면 알려 주세요."),
        ("The dog cannot swim.", "그 개는 수영할 수 없습니다."),
        ("The model answers questions about AI.", "그 모델은 인공지능에 관한 질문에 답한다."),
    ],
)
def test_what_the_source_says_is_no_refusal(source: str, target: str) -> None:
    assert refusal(source, target, KO) == ""


def test_glossary_names_the_term_and_what_is_wanted() -> None:
    terms = [("dog", "개|강아지"), ("cat", "고양이"), ("hot dog", "핫도그")]
    assert glossary("Dogs and a cat", "멍멍이와 고양이", terms) == (
        "the glossary wants 'dog' translated as '개' or '강아지'"
    )
    assert glossary("Dogs and a cat", "강아지와 고양이", terms) == ""
    assert glossary("Dogmatic", "독단적", terms) == glossary("", "", terms) == ""
    assert glossary("A hot dog", "핫도그", terms) == ""


def _plan(kind: str = "multiple_choice", **more: Any) -> Plan:
    roles = {"q": Role.prose, "c[]": Role.choices, "a": Role.answer_index}
    given: dict[str, Any] = {"choices": ["c[]"], "answer_kind": "index"}
    if kind != "multiple_choice":
        roles, given = {"q": Role.prose, "a": Role.prose}, {"answer_kind": "text"}
    task = TaskPlan(kind=kind, question=["q"], answer="a", **given | more)  # type: ignore[arg-type]
    return Plan(source="x", source_lang="en", target_lang="ko", roles=roles, names={}, task=task)


def _leak(q: str, old: str, new_q: str, new: str) -> str:
    source = {"q": q, "c": ["x y", old], "a": 1}
    return answer_leak(source, {"q": new_q, "c": ["다른 것", new], "a": 1}, _plan())


@pytest.mark.parametrize(
    ("q", "old", "new_q", "new", "leaks"),
    [
        ("What measures heat?", "A thermometer", "온도계처럼 열을 재는 것은?", "온도계", True),
        ("What measures heat?", "A thermometer", "온도를 재는 것은?", "온도계", False),
        ("What is heat?", "Temperature", "온도계는 무엇인가?", "온도", False),
        ("Frozen water?", "Ice", "얼음은?", "얼음", True),
        ("Which device?", "Ice", "얼음은?", "얼음", True),
        ("Dogs or cats?", "The dog", "강아지와 고양이 중?", "강아지", False),
        ("A kitten becomes?", "A cat", "새끼 고양이는?", "고양이", True),
        ("Fish live in?", "Water", "물고기는?", "물", False),
        ("How many of 24?", "24 pages", "24쪽 중?", "24쪽", False),
        ("An animal that eats plants?", "Herbivore", "초식동물은?", "초식 동물", True),
        ("What carries it?", "DNA", "DNA는?", "DNA.", True),
    ],
)
def test_the_answer_in_the_question(q: str, old: str, new_q: str, new: str, leaks: bool) -> None:
    assert bool(_leak(q, old, new_q, new)) is leaks


def test_a_gold_text_leaks_too_and_an_ungraded_row_does_not() -> None:
    source, target = (
        {"q": "Who wrote it?", "a": "Shakespeare"},
        {"q": "셰익스피어가 쓴 것은?", "a": "셰익스피어"},
    )
    assert "'셰익스피어'" in answer_leak(source, target, _plan("text"))
    assert answer_leak(source | {"a": ""}, target, _plan("text")) == ""
    missing = {"q": "x", "c": ["a", "b"], "a": 9}
    assert answer_leak(missing, missing, _plan()) == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"q": "Who?", "c": ["a dog", "a cat"], "a": 1}, []),
        ({"q": "Who?", "c": ["a dog", "a cat"], "a": 2}, ["the gold '2' names no answer"]),
        ({"q": " ", "c": ["a dog", "a cat"], "a": 1}, ["the row holds no question"]),
        (
            {"q": "Who?", "c": ["a", "b", "b "], "a": 1},
            ["the right choice stands more than once (B, C)"],
        ),
        ({"q": "Who?", "c": ["a", "b", "b"], "a": 0}, []),
        ({"q": "Itâ€™s?", "c": ["a", "cafÃ©"], "a": 0}, ["mojibake", "mojibake"]),
        ({"q": "4\ufffdC?", "c": ["a", "b"], "a": 0}, ["a replacement character"]),
    ],
)
def test_what_is_wrong_with_the_source(row: dict[str, Any], said: list[str]) -> None:
    found = list(source_anomaly(row, _plan()))
    assert len(found) == len(said)
    for finding, start in zip(found, said, strict=True):
        assert finding.check == "source_anomaly"
        assert finding.severity == "flag"
        assert finding.message.startswith(start)


@pytest.mark.parametrize(
    ("kind", "gold", "told"),
    [("text", "a lake", False), ("text", "<think>", True), ("text", "?", True), ("text", "", False),
     ("math", "x+1", False), ("math", r"\left\{1\right.", False), ("math", "{", True),
     ("math", ".", True), ("math", "<think>", True)],
)  # fmt: skip
def test_a_gold_that_no_reply_can_give_is_told(kind: str, gold: str, told: bool) -> None:
    """The row is not graded, and the report says why."""
    plan = _plan(kind, choices=[], answer_kind="text")
    found = [f.message for f in source_anomaly({"q": "What is it?", "a": gold}, plan)]
    assert found == [f"the gold {gold!r} names no answer: the row is not graded"] * told


@pytest.mark.parametrize(
    "meant", ["’", "“", "—", "…", "é", "ü", "ñ", "°", "·", "€", "한", "П", "日", "×"]
)
def test_mojibake_of_any_kind(meant: str) -> None:
    bad = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in f"x{meant}y".encode())
    assert garbled(bad).startswith("mojibake")
    assert garbled(f"x{meant}y") == ""


@pytest.mark.parametrize(
    "text",
    ["SÃO JOÃO", "CAFÉ–BAR", "château’s “naïve”", "MENÜ’S", "Ñandú", "日本語", "É”", "±5 Â", ""],
)
def test_letters_that_belong_there(text: str) -> None:
    assert garbled(text) == ""


@pytest.mark.parametrize(
    "piece", ["죄송 ", "번역할 ", "원문의 ", "더 ", "not ", "É”", "Ã©x", "다음은 ", "수 없"]
)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    row = {"q": text, "c": [text, "지구"], "a": 0}
    begin = time.process_time()
    refusal("a", text, KO)
    refusal(text, "죄송하지만 번역할 수 없습니다.", KO)
    garbled(text)
    answer_leak(row, row, _plan())
    answer_leak({"q": "x", "c": ["dog", "cat"], "a": 1}, row | {"a": 1}, _plan())
    assert time.process_time() - begin < 2.0  # 0.2 s each where nothing else runs
