"""Korean: sentence endings and particles."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hret_agents.checks.base import Rules
from hret_agents.checks.korean import josa_artifact, josa_leak, mixed_choices, register
from hret_agents.plan.records import Plan, Role, TaskPlan

KO = Rules(lang="ko")
FORMAL = [
    "끓습니다.",
    "누구입니까?",
    "고르십시오.",
    "설명해 주십시오.",
    "시작됩니다!",
    "될 것입니다",
]
POLITE = [
    "끓어요.",
    "그렇죠?",
    "고르세요.",
    "할까요?",
    "그대로예요.",
    "책이에요.",
    "가나요?",
    "먹었거든요.",
    "갈게요.",
    "빨라요.",
    "하지요.",
]
PLAIN = [
    "끓는다.",
    "무엇인가?",
    "있는가?",
    "했느냐?",
    "작성하라.",
    "뛰어라!",
    "시작하자.",
    "생각해 보자.",
    "이다.",
    "빠르다.",
    "몇 개니?",
    "얻었나?",
    "물이 끓는다",
    "답이 없다",
]
NEUTRAL = [
    "고르시오.",
    "값은?",
    "물 끓이기",
    "바다",
    "캐나다.",
    "수요",
    "사자",
    "나라",
    "카메라.",
    "필요.",
    "아니요",
    "예",
    "어른의 도움 필요.",
    "소비자",
    "의자.",
    "해마다",
    "안녕하세요.",
    "알아봅시다.",
    "중요.",
    "오스트레일리아",
    "고릴라",
    "피해자.",
    "숫자?",
    "서울",
    "42",
    "",
    "DNA",
]


@pytest.mark.parametrize(
    ("kind", "endings"), [("formal", FORMAL), ("polite", POLITE), ("plain", PLAIN)]
)
def test_an_ending_is_of_its_register(kind: str, endings: list[str]) -> None:
    for ending in endings:
        text = f"이것은 {ending}"
        for other in ("formal", "polite", "plain"):
            said = register("", text, Rules(lang="ko", register=other))
            assert bool(said) is (other != kind), (text, other)


@pytest.mark.parametrize("text", NEUTRAL)
def test_a_noun_ending_is_of_none(text: str) -> None:
    for kind in ("formal", "polite", "plain"):
        assert not register("", text, Rules(lang="ko", register=kind))
    assert not mixed_choices([text, "끓습니다."])
    assert not mixed_choices([text, "끓는다."])


def test_registers_mix_within_a_text_and_between_choices() -> None:
    said = "registers mix: formal (합쇼체) '끓습니다.' and plain (해라체) '녹는다.'; use one"
    assert register("", "끓습니다. 녹는다.", KO) == said
    assert mixed_choices(["끓습니다.", "녹는다."]) == said
    assert not mixed_choices(["끓습니다.", "물", "녹습니다."])


@pytest.mark.parametrize(
    "text",
    [
        '그는 "간다."라고 말했습니다.',
        "‘곱다.’라는 속담은 무엇입니까?",
        "“가자!” 그는 외쳤습니다.",
        "끓습니다(단, 1기압이다).",
        "`끓는다.`는 무슨 뜻입니까?",
        "3.5도에서 끓습니다. 4.2도에서 녹습니다.",
    ],
)
def test_what_is_quoted_is_of_none(text: str) -> None:
    assert not register("", text, KO)


def test_the_plans_register_is_named() -> None:
    said = register("", "끓는다.", Rules(lang="ko", register="formal"))
    assert said == "plain (해라체) '끓는다.' should be formal (합쇼체)"
    assert not register("", "Es kocht.", Rules(lang="de"))


@pytest.mark.parametrize(
    "piece",
    "은(는) 는(은) 이(가) 가(이) 을(를) 를(을) 와(과) 과(와) (으)로 (이)라 (이)나 "
    "(은)는 (이)가 은/는 는/은 이/가 을/를 와/과 으로/로 이라고/라고 (을/를)".split(),
)
def test_an_open_particle_is_found(piece: str) -> None:
    assert repr(piece) in josa_artifact("", f"철수{piece} 그것", KO)
    assert not josa_artifact(f"the particle {piece}", f"조사 {piece} 그것", KO)
    assert not josa_artifact("", f"철수{piece} 그것", Rules(lang="ja"))


@pytest.mark.parametrize(
    "text",
    [
        "(가)와 (나)",
        "놀이(가)와 놀이(나)",
        "은(Ag)은",
        "사과(과일)와",
        "파일(들)을",
        "예/아니요",
        "'은/는'은 조사",
        "금/은/동",
        "이(李) 제독",
        "그리고/또는",
        "목/과/속",
    ],
)
def test_other_brackets_are_no_particles(text: str) -> None:
    assert not josa_artifact("", text, KO)


def _plan(question: str = "q", choices: str = "c[]", **more: Any) -> Plan:
    roles = {question: Role.prose, choices: Role.choices, "a": Role.answer_index}
    task = TaskPlan(
        kind="multiple_choice",
        question=[question],
        choices=[choices],
        answer="a",
        answer_kind="index",
        **more,
    )
    return Plan(source="x/y", source_lang="en", target_lang="ko", roles=roles, names={}, task=task)


@pytest.mark.parametrize(
    ("particle", "choices", "leaks"),
    [
        ("은", ["목성", "지구"], True),
        ("은", ["목성", "금성"], False),
        ("는", ["목성", "금성"], False),
        ("은(는)", ["목성", "지구"], False),
        ("으로", ["서울", "부산"], True),
        ("로", ["서울", "제주"], False),
        ("로", ["서울", "부산"], True),
        ("이라고", ["증발", "융해"], True),
        ("였습니다", ["요리사", "경찰관"], True),
        ("다", ["파리", "런던"], True),
        ("이론", ["게임", "진화"], False),
        ("은행", ["국가", "중앙"], False),
        ("라디오", ["국가", "중앙"], False),
        ("입니다", ["파리", "런던"], False),
        (" 은행", ["파리", "런던"], False),
        ("를", ["3", "5"], True),
        ("는", ["10", "12"], True),
        ("는", ["금성(Venus)", "지구(Earth)"], True),
        ("는", ["DNA", "ATM"], True),
        ("는", ["Python", "자바"], False),
        ("는", ["$x$", "자바"], False),
    ],
)
def test_a_particle_tells_the_answer(particle: str, choices: list[str], leaks: bool) -> None:
    row = {"q": f"여기 ____{particle} 있다.", "c": choices, "a": 0}
    assert bool(josa_leak(row, _plan())) is leaks


def test_each_blank_has_its_own_part_of_a_choice() -> None:
    plan = _plan()
    fits = {"q": "____은 ____를 먹는다.", "c": ["곰, 사과", "용, 포도"], "a": 0}
    assert josa_leak(fits, plan) == ""
    leaks = {"q": "____은 ____를 먹는다.", "c": ["곰, 사과", "용, 귤"], "a": 0}
    assert josa_leak(leaks, plan) == "the particle '를' behind the blank fits '사과' and not '귤'"


@pytest.mark.parametrize(
    "piece", ["“", '"', "'", "(", "가", "끓는다. ", "____은", "합니다", "은(", "...", "요 "]
)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    row = {"q": text, "c": [text, "지구"], "a": 0}
    begin = time.process_time()
    register("", text, KO)
    josa_artifact("", text, KO)
    josa_leak(row, _plan())
    mixed_choices([text])
    assert time.process_time() - begin < 2.0  # 0.2 s each where nothing else runs
