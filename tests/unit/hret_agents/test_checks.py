"""Each check of a translation speaks when it must, and is silent on good Korean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

import pytest

from hret_agents.translate.checks import (
    ALL_CHECKS,
    FLAGS,
    GATES,
    ROW_GATES,
    Finding,
    TextCheck,
    check_unit,
)
from hret_agents.translate.units import Segment, Unit

CHECKS: dict[str, TextCheck] = GATES | FLAGS
LONG = "A farmer has a field in which he grows corn and beans for the market in town."
CAUGHT = [
    ("empty", "Which?", ""),
    ("empty", "Which?", " \n\u3000"),
    ("placeholder_multiset", "Solve $x^2$ now.", "x^2를 푸시오."),
    ("placeholder_multiset", "`a` and `b`", "`a`와 `a`"),
    ("placeholder_multiset", "`a` or `a`", "`a` 하나"),
    ("placeholder_multiset", "Dear {name}", "친애하는 {이름}"),
    ("placeholder_multiset", "See the page.", "https://a.org 페이지를 보시오."),
    ("placeholder_multiset", "Call it now.", "`call`을 부르시오."),
    ("placeholder_multiset", "It is <<1+1=2>>2.", "2입니다."),
    ("blank_count", "A ____ and a ____.", "____ 하나."),
    ("blank_count", "The cat is here.", "고양이는 ____에 있다."),
    ("target_script", "Which animal is it?", "Which animal is it?"),
    ("target_script", "Which animal is it?", " Which animal is it? "),
    ("target_script", "Which animal is it?", "¿Qué animal es?"),
    ("target_script", "Which animal is it?", "どの動物ですか"),
    ("target_script", "It is hot when the sun is up.", "더우면 when the sun is 그렇다."),
    ("repetition", "Why is it so?", "왜 그런가? " * 12),
    ("repetition", "Why is it so?", "아" * 30),
    ("length_hard", LONG, "밭."),
    ("length_hard", "Which?", "어느 것인지 " + "차근차근 살펴보고 말해 보시오 " * 10),
    ("numbers", "He has 3 cats and 4 dogs.", "그는 고양이 3마리와 개 5마리가 있다."),
    ("numbers", "It costs 1,250 won.", "1,205원입니다."),
    ("numbers", "It is 0.5 m.", "0.05미터이다."),
    ("numbers", "He has some cats.", "고양이 2마리가 있다."),
    ("length_soft", LONG, "농부는 옥수수를 키운다."),
    ("length_soft", "Which?", "다음 중 어느 것이 옳은지를 차근차근 잘 생각해 보고 말하시오."),
    ("refusal", "Who planted the bomb?", "죄송하지만 그 요청은 도와드릴 수 없습니다."),
    ("refusal", "Who did it?", "I cannot assist with 이 요청."),
    ("josa_artifact", "Kim is here.", "김은(는) 여기 있다."),
    ("josa_artifact", "Kim saw Lee.", "김이 이을(를) 보았다."),
    ("josa_artifact", "By bus.", "버스(으)로."),
    ("josa_artifact", "Kim is here.", "김은/는 여기 있다."),
]  # fmt: skip
CLEAN = [
    ("empty", "Which?", "예"),
    ("placeholder_multiset", "Solve $x^2$ in {a} with `b`.", "{a}에서 `b`로 $x^2$를 푸시오."),
    ("placeholder_multiset", "It costs $5.", "5달러입니다."),
    ("placeholder_multiset", "See https://a.org/b now.", "지금 https://a.org/b 쪽을 보시오."),
    ("placeholder_multiset", "See https://a.org/b now.", "지금 https://a.org/b를 보시오."),
    ("placeholder_multiset", "See www.a.org, say.", "www.a.org은 어떠한가."),
    ("blank_count", "A ____ and a ____.", "____와 ____."),
    ("target_script", "Which gas is it?", "어느 기체입니까?"),
    ("target_script", "What does DNA stand for?", "DNA는 무엇의 약자입니까?"),
    ("target_script", "Call `the big red one` first.", "`the big red one`을 먼저 부르시오."),
    ("repetition", "Ha ha ha ha ha ha ha ha ha ha ha!", "하 하 하 하 하 하 하 하 하 하 하!"),
    ("repetition", "A table: " + "-" * 30, "표: " + "-" * 30),
    ("repetition", "Go on and on.", "계속 계속 계속 가시오."),
    ("length_hard", LONG, "농부가 밭에서 시장에 낼 옥수수와 콩을 기른다."),
    ("length_hard", "Hi", "안녕하세요"),
    ("numbers", "It costs 1,250 won for 3.", "3개에 1250원이다."),
    ("numbers", "In 1994, 0.5 of 7", "1994년에 7의 0.5"),
    ("length_soft", LONG, "농부가 밭에서 시장에 낼 옥수수와 콩을 기른다."),
    ("length_soft", "Yes", "그렇습니다"),
    ("refusal", "I can't help you, he said.", "못 돕는다고 그가 말했다."),
    ("refusal", "As an AI, can you refuse?", "as an AI라고 하면서 거절합니까?"),
    ("josa_artifact", "Kim (the older) is here.", "김(형)은 여기 있다."),
    ("josa_artifact", "A and/or B", "가 및/또는 나"),
]  # fmt: skip


def unit(*texts: str, path: str = "c[]") -> Unit:
    """A unit of some texts under one leaf."""
    return Unit(tuple(Segment(path, i, text) for i, text in enumerate(texts)))


def found(source: Unit, *texts: str, choices: Sequence[str] = ("c[]",), **said: bool) -> list[str]:
    """The ids of what is found."""
    return [f.check for f in check_unit(source, texts, "ko", choices, **said)]


@pytest.mark.parametrize(("check", "source", "target"), CAUGHT)
def test_what_a_check_catches(check: str, source: str, target: str) -> None:
    """The check says why, in a sentence, and the finding has its id and severity."""
    assert CHECKS[check](source, target, "ko")
    ids = {f.check: f.severity for f in check_unit(unit(source), [target], "ko", [])}
    assert ids[check] == ("gate" if check in GATES else "flag")


@pytest.mark.parametrize(("check", "source", "target"), CLEAN)
def test_what_a_check_lets_pass(check: str, source: str, target: str) -> None:
    """The check is silent on a good translation that comes close."""
    assert CHECKS[check](source, target, "ko") == ""


def test_every_text_check_has_cases() -> None:
    """No check goes without a case that it catches and a clean one."""
    assert {c for c, _, _ in CAUGHT} == {c for c, _, _ in CLEAN} == set(CHECKS)
    assert set(ALL_CHECKS) == {*CHECKS, *ROW_GATES, "unchanged", "source_anomaly"}
    assert len(ALL_CHECKS) == len(set(ALL_CHECKS))


def test_no_check_speaks_on_the_shipped_memory() -> None:
    """On the sample's own translations, all of them good, no gate speaks."""
    lines = (files("hret_agents") / "sample" / "memory.ko.jsonl").read_text("utf-8").split("\n")
    pairs = [json.loads(line) for line in lines if line]
    assert len(pairs) > 50
    gates = [
        (pair["source"], finding.check)
        for pair in pairs
        for finding in check_unit(unit(pair["source"]), [pair["target"]], "ko", ["c[]"])
        if finding.severity == "gate"
    ]
    assert gates == []


@pytest.mark.parametrize("texts", [[], ["하나"], ["하나", "둘", "셋"]])
def test_list_len(texts: list[str]) -> None:
    """A wrong number of texts is one gate, and nothing is compared across shifted places."""
    assert found(unit("one cat", "two cats"), *texts) == ["list_len"]
    assert found(unit("one cat", "two cats"), "하나", "둘") == []


@pytest.mark.parametrize(
    "texts",
    [
        ("고양이", "고양이"),
        ("고양이", " 고양이."),
        ("고양이", "“고양이”"),
        ("고양이 둘", "고양이둘"),
    ],
)
def test_collapsed_options_are_a_gate(texts: tuple[str, str]) -> None:
    """Two choices that differ must not become one, a few signs aside; the message names both."""
    source = unit("a cat", "a kitten")
    assert found(source, *texts) == ["option_distinct"]
    (finding,) = check_unit(source, texts, "ko", ["c[]"])
    assert "a cat" in finding.message and "a kitten" in finding.message


def test_options_that_were_equal_may_stay_equal() -> None:
    """Equal choices of the source, other leaves, and distinct translations are no collapse."""
    assert found(unit("a cat", "a cat"), "고양이", "고양이") == []
    assert found(unit("a cat", "a kitten", path="q"), "고양이", "고양이") == []
    assert found(unit("a cat", "a kitten"), "고양이", "새끼 고양이") == []


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        (("Yes, it is.", "Yes, it is!"), ("예, 그렇다.", "예, 그렇다!")),
        (("What now?", "What now!"), ("이제 뭐?", "이제 뭐!")),
        (("Let us eat, grandma", "Let us eat grandma"), ("먹자, 할머니", "먹자 할머니")),
    ],
)
def test_options_that_differ_by_a_sign_may_go_on_to(
    source: tuple[str, str], texts: tuple[str, str]
) -> None:
    """Choices that the source tells apart by signs alone may be told apart so in Korean."""
    assert found(unit(*source), *texts) == []


@pytest.mark.parametrize("name", ["Python", "UNESCO", "iPhone 15", "pH 7", "5 km"])
def test_a_name_may_stay_once_the_model_insists(name: str) -> None:
    """What came back unchanged is a gate at first, and a flag when a name is insisted on."""
    assert found(unit(name), name) == ["target_script"]
    assert found(unit(name), name, allow_unchanged=True) == ["unchanged"]
    assert found(unit(name), "파이썬" + name[-1:], allow_unchanged=True) != ["unchanged"]


@pytest.mark.parametrize("text", ["The Jewish one", "which animal is it", "None of these is right"])
def test_a_sentence_is_never_waved_through(text: str) -> None:
    """Words that have a translation stay a gate however often the model insists."""
    assert found(unit(text), text, allow_unchanged=True) == ["target_script"]


def test_other_languages_are_not_judged_by_korean() -> None:
    """A language in Latin letters has no script to tell by, and no Korean particles."""
    assert check_unit(unit("Water boils."), ["Wasser kocht."], "de", []) == []
    assert [f.check for f in check_unit(unit("Go on."), ["Go on."], "de", [])] == ["target_script"]


def test_a_finding_is_json_ready() -> None:
    """A finding goes into checks.jsonl with its four parts."""
    finding = Finding("empty", "gate", "q", "the translation is empty")
    assert json.loads(json.dumps(finding.to_dict())) == {
        "check": "empty",
        "severity": "gate",
        "path": "q",
        "message": "the translation is empty",
    }
