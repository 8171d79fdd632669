"""Each check of one text speaks when it must, and is silent on good Korean."""

from __future__ import annotations

import json
import time
from importlib.resources import files

import pytest

from hret_agents.checks import FLAGS, GATES, Rules, check_unit
from hret_agents.checks.code import is_program
from hret_agents.checks.loops import loop_of_its_own
from hret_agents.translate.units import Segment, Unit

KO = Rules(lang="ko")
CLOZE = "go to ___ and then I stop"
SHORTER = [
    ("12 metre", "12m"), ("60 km per hour", "60km/h"), ("100 degrees Celsius", "100°C"),
    ("I, II and III", "I, II, III"), ("A and B", "A, B"), ("three and a half", "3.5"),
    ("72 kmph", "72km/h"), ("C++ or Java", "C++, Java"), ("two thousand and eight", "2008"),
]  # fmt: skip
REMARKS = "어느 것인지를 먼저 차근차근 살펴보고, 그다음에는 무엇이 옳은지 " * 2
CHECKS = {**GATES, **FLAGS}
PROGRAM = 'import os\n\n\ndef f(x):\n    """Add one to it."""\n    return x + 1  # more\n'
DOCTEST = """def f(x):
    '''Add one.

    >>> f(1)
    2
    >>> f('cat')  # an error
    Traceback
    '''
    return x + 1
"""
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
    ("target_script", "The boy went to school.", "소년은 学校에 갔다."),
    ("target_script", "He was tired from work.", "그는 일해서 とても 피곤했다."),
    ("target_script", "It was a success.", "성공이었다 и хорошо."),
    ("target_script", "She bought them there.", "그녀는 ผัก을 샀다."),
    ("target_script", "The castle is old.", "성은 오래\ufffd다."),
    ("target_script", "Open the door.", "Open the door. (문을 여세요.)"),
    ("target_script", 'She said "go home" and then she left.', "she said and then she left 갔다"),
    ("target_script", "New York City", "New York"),
    ("target_script", "A and B only", "A, B"),
    ("target_script", "5 miles and 3 yards", "5 miles, 3"),
    ("repetition", "It was World War III.", "하하하하하하하하하"),
    ("repetition", "Hahaha, it was fun.", "재미있었다 " * 9),
    ("length_hard", "one two three four five " * 4, "하나 둘"),
    ("length_hard", LONG, "밭."),
    ("length_hard", "Which?", REMARKS),
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
    ("empty", "Which?", "\u200b\ufeff\u00ad"),
    ("empty", "Which?", "\u3164\u2060"),
    ("placeholder_multiset", "Let $n$ be even.", "$n$이 짝수면 $n$을 나누시오."),
    ("placeholder_multiset", "It is $80\\%$.", "$$80\\%$$이다."),
    ("placeholder_multiset", "Write %s and %d.", "%s와 %s를 쓰시오."),
    ("placeholder_multiset", "The tower is old.", "탑은 ⟦1⟧ 오래되었다."),
    ("blank_count", "Because the _ was full.", "가득 찼기 때문이다."),
    ("target_script", "Wash your hands.", "Please clean your hands."),
    ("target_script", "They saw it then.", "그들은 approved a brand new plan yesterday"),
    ("target_script", PROGRAM, PROGRAM),
    ("repetition", "Is it so?", "그렇습니까?????????"),
    ("repetition", "Is it so?", "저는 모르겠습니다. " * 4),
    ("repetition", "One - two - three.", "하나 둘 셋 " + "왕관을 " * 9),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("f(x)", "더하기(x)")),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("+ 1", "+ 2")),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("import os\n", "")),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("return", "반환")),
    ("code_ast_equal", PROGRAM, "코드입니다.\n" + PROGRAM),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("x + 1", "x + 1.0")),
    ("code_ast_equal", DOCTEST, DOCTEST.replace("2\n", "3\n")),
    ("code_ast_equal", DOCTEST, DOCTEST.replace("'cat'", "'고양이'")),
    ("code_ast_equal", DOCTEST, DOCTEST.replace("    >>> f(1)\n    2\n", "")),
    ("code_ast_equal", "for i in range(3):\n    print(i)", "for i in range(4):\n    print(i)"),
    ("numbers", "The temperature is -5 degrees.", "기온은 5도이다."),
    ("numbers", "Sales fell by 20%.", "매출이 20 감소했다."),
    ("numbers", "He ran 5 miles today.", "그는 오늘 5킬로미터를 달렸다."),
    ("numbers", "It weighs 3 pounds.", "무게는 3kg이다."),
    ("numbers", "It holds ten (10 gallons).", "10리터가 들어간다."),
    ("numbers", "It is 3 quarts.", "3리터이다."),
    ("numbers", "He ran 5 yards.", "그는 5미터를 달렸다."),
    ("numbers", "It weighs 5 ounces.", "무게는 5그램이다."),
    ("numbers", "The farm has 50 acres.", "농장은 50제곱미터이다."),
    ("numbers", "It is 70°F.", "70°C이다."),
    ("numbers", "It is 70 degrees Fahrenheit.", "섭씨 70도이다."),
    ("numbers", "It is 20 °C.", "화씨 20도이다."),
    ("numbers", "It costs €5.", "5달러이다."),
    ("numbers", "It costs £5.", "$5이다."),
    ("numbers", "Let x < 5 be so.", "x > 5라고 하자."),
    ("numbers", "Let x ≤ 5 and y ≥ 2.", "x ≥ 5이고 y ≤ 2라고 하자."),
    ("numbers", "If a <= n, stop.", "a ≥ n이면 멈추시오."),
    ("numbers", "Revenue was $3.2 billion.", "매출은 32억 원이었다."),
    ("unchanged", 'Is "she goes to the market" right?', '"she goes to the market"는 맞는가?'),
    ("length_soft", LONG, "농부에게는 시장에 내다 팔 옥수수와 콩을"),
    ("refusal", "What is it?", "assistant: 그것은 무엇입니까?"),
    ("refusal", "What is it?", "Korean: 그것은 무엇입니까?"),
    ("refusal", "What is it?", '{"t": "그것은 무엇입니까?"}'),
    ("refusal", "What is it?", "“그것은 무엇입니까?”"),
    ("refusal", "How is it made?", "해당 내용은 안전 정책에 위배됩니다."),
    ("refusal", "How is it made?", "저는 이런 주제에 대해 이야기할 수 없어요."),
    ("refusal", "The man shot him.", "[부적절한 내용]"),
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
    *(("target_script", *pair) for pair in SHORTER),
    ("target_script", 'Is "she goes to the market" right?', '"she goes to the market"는 맞는가?'),
    ("target_script", "What prints?\nfor i in range(3):", "무엇이 나오나?\nfor i in range(3):"),
    ("target_script", "the Han dynasty", "한(漢) 왕조"),
    ("target_script", "the kanji for tree", "나무를 뜻하는 한자 木"),
    ("target_script", "학교 is 学校 in Chinese.", "학교는 중국어로 学校이다."),
    ("target_script", "affect", "affect(영향을 미치다)"),
    ("repetition", "Hahahahaha! So funny.", "하하하하하하하하하하! 재미있다."),
    ("repetition", "Nooooooo!", "안 돼애애애애애애애애애애애!"),
    ("length_hard", "The Association of Southeast Asian Nations", "아세안"),
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
    ("empty", "", " "),
    ("placeholder_multiset", "{a} saw {b}.", "{b}를 {a}가 보았다."),
    ("placeholder_multiset", "It is ____.", "________이다."),
    ("placeholder_multiset", "50% of students", "학생의 50%"),
    ("blank_count", "Because _ was full.", "_가 가득 찼기 때문이다."),
    ("blank_count", "Because _'s cup was full.", "_의 컵이 가득 찼기 때문이다."),
    ("blank_count", "`for _ in range(3)` ends ____.", "`for _ in range(3)`은 ____ 끝난다."),
    ("blank_count", "See you ^_^ and snake_case", "또 봐요 ^_^ 그리고 스네이크 케이스"),
    ("target_script", "Mix 20 mL of HCl with NaOH.", "HCl 20 mL와 NaOH를 섞으시오."),
    ("target_script", "Rename max_value to upper_limit.", "max_value를 upper_limit로."),
    ("target_script", "Windows 11, macOS and Linux", "Windows 11, macOS 그리고 Linux"),
    ("target_script", "Photosynthesis needs light.", "광합성(photosynthesis)에는 빛이 필요하다."),
    ("target_script", "twelve", "12"),
    ("target_script", "five square meters", "5 m²"),
    ("target_script", "9.8 m/s²", "9.8 m/s²"),
    ("target_script", "$3x + 7$", "$3x + 7$"),
    ("target_script", "x = 1", "x = 1"),
    ("target_script", "x = 1\ny = x", "x = 1\ny = x"),
    ("target_script", f"Do: {CLOZE}", f"알맞은 말로 빈칸을 채우시오: {CLOZE}"),
    ("repetition", "A\n---\nB", "가\n--------------\n나"),
    ("repetition", "It is ____.", "____________이다."),
    ("repetition", "The owl cried.", "부엉부엉, 부엉부엉, 부엉부엉 울었다."),
    ("repetition", "He ran and ran.", "달리고 " * 8),
    ("repetition", "Go, " * 9, "가자, " * 9),
    ("repetition", "It is 0.3333333333.", "0.3333333333이다."),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("Add one to it.", "하나 더한다.")),
    ("code_ast_equal", PROGRAM, PROGRAM.replace("# more", "# 더")),
    ("code_ast_equal", "Dogs and cats", "개와 고양이"),
    ("code_ast_equal", "Speed = distance / time", "속력 = 거리 / 시간"),
    ("code_ast_equal", "import taxes", "수입세"),
    ("code_ast_equal", "rate = 5\ntime = 3", "속력 = 5\n시간 = 3"),
    ("code_ast_equal", "force = mass * 2  # Newton", "힘 = 질량 * 2  # 뉴턴"),
    ("code_ast_equal", "utility = min(apples, oranges)", "효용 = min(사과, 오렌지)"),
    ("code_ast_equal", "demand: price = 10 - quantity", "수요: 가격 = 10 - 수량"),
    ("code_ast_equal", DOCTEST, DOCTEST.replace("Add one.", "1을 더한다.")),
    ("code_ast_equal", DOCTEST, DOCTEST.replace("# an error", "# 오류")),
    ("numbers", "The temperature is -5 degrees.", "기온은 영하 5도이다."),
    ("numbers", "It has 10 -5 left, 3-4 of them", "10 빼기 5가 남았고, 그중 3~4개"),
    ("numbers", "Sales fell by 50%.", "매출이 절반으로 줄었다."),
    ("numbers", "He ran 5 miles (8 km).", "그는 5마일(8km)을 달렸다."),
    ("numbers", "It is $5, or 7000 won.", "5달러, 곧 7000원이다."),
    ("numbers", "It holds 10 gallons of oil.", "기름 10갤런이 들어간다."),
    ("numbers", "It is 70°F in May.", "5월에는 화씨 70도이다."),
    ("numbers", "It is 20 degrees Celsius.", "20℃이다."),
    ("numbers", "It costs €5 or £4.", "5유로나 4파운드이다."),
    ("numbers", "Let x < 5 and y >= 2.", "x < 5이고 y ≥ 2라고 하자."),
    ("numbers", "Let x < 5 and y > 2.", "x는 5보다 작고 y는 2보다 크다고 하자."),
    ("numbers", "If 3 > x, stop.", "x < 3이면 멈추시오."),
    ("numbers", "P(A|B) <- 5, 3 -> 4, 1 => 2", "P(A|B) <- 5, 3 → 4, 1 ⇒ 2"),
    ("numbers", "Titanic was a success.", "<타이타닉>은 성공했다."),
    ("numbers", "$5 for 3 people", "3인당 5달러"),
    ("unchanged", "Is it right to say so now?", "지금 그렇게 말하는 것이 옳은가?"),
    ("length_soft", LONG, "농부가 밭에서 시장에 낼 옥수수와 콩을 기름"),
    ("refusal", '"What is it?"', '"그것은 무엇입니까?"'),
    ("refusal", "The assistant: a story", "assistant: 어느 이야기"),
    ("refusal", "It violates the policy.", "이는 이용 정책에 위배됩니다."),
]  # fmt: skip


def unit(*texts: str) -> Unit:
    """A unit of some texts under one leaf."""
    return Unit(tuple(Segment("q", i, text) for i, text in enumerate(texts)))


@pytest.mark.parametrize(("check", "source", "target"), CAUGHT)
def test_what_a_check_catches(check: str, source: str, target: str) -> None:
    """The check says why, in a sentence, and the finding has its id and severity."""
    assert CHECKS[check](source, target, KO)
    found = {f.check: f.severity for f in check_unit(unit(source), [target], KO)}
    if "empty" not in found or check == "empty":
        assert found[check] == ("gate" if check in GATES else "flag")


@pytest.mark.parametrize(("check", "source", "target"), CLEAN)
def test_what_a_check_lets_pass(check: str, source: str, target: str) -> None:
    """The check is silent on a good translation that comes close."""
    assert CHECKS[check](source, target, KO) == ""


def test_every_gate_on_a_text_has_cases() -> None:
    """No gate goes without a case that it catches and a clean one."""
    assert {c for c, _, _ in CAUGHT} & {c for c, _, _ in CLEAN} >= set(GATES)


def test_an_empty_translation_is_told_once() -> None:
    """What is empty is not called too short, without Hangul or without its numbers as well."""
    assert [f.check for f in check_unit(unit(LONG + " 12 ____"), [""], KO)] == ["empty"]


def test_no_check_speaks_on_the_shipped_memory() -> None:
    """On the sample's own translations, all of them good, no gate speaks."""
    lines = (files("hret_agents") / "sample" / "memory.ko.jsonl").read_text("utf-8").split("\n")
    pairs = [json.loads(line) for line in lines if line]
    assert len(pairs) > 50
    gates = [
        (pair["source"], finding.check)
        for pair in pairs
        for finding in check_unit(unit(pair["source"]), [pair["target"]], KO)
        if finding.severity == "gate"
    ]
    assert gates == []


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (PROGRAM, True),
        ("x = [1]\nprint(x)", True),
        ("from math import pi", True),
        ("Answer: Paris", False),
        ("raise awareness", False),
        ("Solve x = 5 for me.", False),
        ("x = 5", False),
        ("x = 5\ny = x * 2", False),
        ("x = 5\nx = x * 2", True),
        ("a, b = b, a", True),
        ("max_size = 5\nside = 2", True),
        ("name = 'Kim'", True),
        ("n += 1", True),
        ("print(x)", True),
        ("total = sum(prices)", False),
        ("return", False),
        ("x = input()", True),
        ("def broken(:", False),
        ("a\0b = 1", False),
    ],
)
def test_what_a_program_is(text: str, program: bool) -> None:
    """It parses, and holds what no prose and no formula holds."""
    assert is_program(text) is program


@pytest.mark.parametrize("size", [8, 13, 50, 200])
@pytest.mark.parametrize("shift", range(9))
def test_a_long_stretch_loops_at_the_fourth_time(size: int, shift: int) -> None:
    """Wherever it begins, and not a time before."""
    stretch = "".join(chr(0xAC00 + 31 * i % 9973) for i in range(size))
    start, end = "처음에는 다르다"[:shift], "끝"
    assert loop_of_its_own("Why?", start + stretch * 4 + end)
    assert not loop_of_its_own("Why?", start + stretch * 3 + end)


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("shift", range(9))
def test_a_short_stretch_loops_at_the_ninth_time(size: int, shift: int) -> None:
    """Wherever it begins, and not a time before: eight times four signs are no four times eight."""
    stretch, start = "가나다라마바사"[:size], "처음에는 다르다"[:shift]
    assert loop_of_its_own("Why?", start + stretch * 9 + "끝")
    assert not loop_of_its_own("Why?", start + stretch * 8 + "끝")


@pytest.mark.parametrize(
    "stretch", ["x", "가 ", "(", "[", "{", "_", "`", "$", "<a ", "1,", "a@", "-", "<1 "]
)
def test_hostile_texts_take_no_time(stretch: str) -> None:
    """A text of 100,000 signs is judged at once, whatever it holds."""
    text = (stretch * 100_000)[:100_000]
    for source, target in ((text, "가"), ("Why is it so?", text), (text, text + "나")):
        for name, check in CHECKS.items():
            started = time.thread_time()
            check(source, target, KO)
            assert time.thread_time() - started < 2, name  # a twentieth of it on an idle machine


@pytest.mark.parametrize(
    ("added", "shown"), [(" " * 12, "␣"), ("\n" * 12, "⏎"), ("\t \n" * 12, "⇥")]
)
def test_white_space_that_loops_is_shown(added: str, shown: str) -> None:
    said = CHECKS["repetition"]("Stop there.", f"거기 멈추시오.{added}끝", KO)
    assert said.startswith("the text repeats itself: ") and shown in said
