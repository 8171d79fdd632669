"""Reading the answer out of a reply, in Korean and in English: what is marked, and what is not."""

from __future__ import annotations

import unicodedata

import pytest

from llm_eval.evaluation import extract

LETTERS = ("A", "B", "C", "D")
CITIES = ("서울", "부산", "대구", "인천")


def nfd(text: str) -> str:
    """Hangul taken apart, as some systems write it."""
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        ("정답: 4", "정답: 4"),
        ("<think>3?</think>정답: 4", "정답: 4"),
        ("<think>3?\n\n4?</think>\n정답: 4", "정답: 4"),
        ("<think>1</think>2<think>3</think>4", "24"),
        ("3일까?</think>정답: 4", "정답: 4"),
        ("<think>정답: 4", ""),
        ("정답: 4 <think>다시", "정답: 4"),
        ("<thought>\n정답: 3?</thought>정답: 4", "정답: 4"),
        ("<thought>\n정답: 3일지도 모른다. 하지만", ""),
        ("[THINK]정답: 3일지도. 하지만", ""),
        ("[THINK]정답: 3[/THINK]정답: 4", "정답: 4"),
        ("<seed:think>정답: 3", ""),
        ("◁think▷정답: 3◁/think▷정답: 4", "정답: 4"),
        ("<|channel|>analysis<|message|>정답: 3", ""),
        ("<|channel|>analysis<|message|>3?assistant<|channel|>final<|message|>정답: 4", "정답: 4"),
        ("analysisWe check. Maybe the answer is C. But wait", ""),
        ("analysisWe check. The answer is C?assistantfinal정답: 4", "정답: 4"),
        ("analysis of 3", "analysis of 3"),
        ("**정답**: 4", "정답: 4"),
        ("정답은 **4**입니다", "정답은 4입니다"),
        ("**x**2 = (a+b)**2**", "x**2 = (a+b)**2"),
        (nfd("정답"), "정답"),
        ("", ""),
    ],
)
def test_what_is_said_aloud(reply: str, seen: str) -> None:
    """Thoughts are set aside, finished or not, and Hangul is put together."""
    assert extract.visible(reply) == seen


@pytest.mark.parametrize(
    ("reply", "tail"),
    [
        ("정답: 4", "4"),
        ("정답：4", "4"),
        ("정답 : 4", "4"),
        ("정답은 4입니다.", "4입니다."),
        ("답: 4", "4"),
        ("답은 4", "4"),
        ("Answer: 4", "4"),
        ("The answer is 4.", "4."),
        ("Final answer: 4", "4"),
        ("**Answer:** 4", "4"),
        ("ANSWER: 4", "4"),
        ("#### 4", "4"),
        ("먼저 2, 그래서\n#### 4\n끝", "4"),
        (r"\boxed{4}", "4"),
        (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"따라서 $\boxed{\frac{\sqrt{3}}{2}}$", r"\frac{\sqrt{3}}{2}"),
        (r"\boxed{3} 아니, \boxed{4}", "4"),
        ("정답: 3? 아니다.\n정답: 4", "4"),
        ("정답:\n4\n해설", "4"),
        ("<think>정답: 3</think>모르겠습니다.", None),
        ("4", None),
        ("대답하기 어렵다", None),
        ("", None),
    ],
)
def test_the_last_mark_wins(reply: str, tail: str | None) -> None:
    """What stands after it, to the end of the line; None where nothing is marked."""
    assert extract.marked(reply) == tail


@pytest.mark.parametrize(
    ("reply", "tail"),
    [
        ("정답: C\n\n해설: A는 답이 될 수 없다.", "C"),
        ("정답: 12\n이 답은 검산했습니다 (3+9).", "12"),
        ("Answer: B\nExplanation: A does not answer the question.", "B"),
        ("Answer: 12\nI hope this answers your question 100%.", "12"),
        ("정답: 서울\n답변이 도움이 되었기를 바랍니다.", "서울"),
        ("정답: B\n(정답률 50%)", "B"),
    ],
)
def test_a_word_is_no_mark(reply: str, tail: str) -> None:
    """ "답", "정답률" and "answer" in an explanation after the answer do not take its place."""
    assert extract.marked(reply) == tail


@pytest.mark.parametrize(
    "reply",
    [
        "C", "c", "(C)", "C.", "C)", "③", "3번", "3번입니다", "정답: (C)", "정답: C", "정답: c",
        "정답은 (C)입니다.", "정답은 ③번입니다", "정답: ③", "정답: 3번", "정답은(C)", "정답 C",
        "답: C", "답은 ③", "답변: C", "대답: C", "제 답변: C", "**정답: C**", "**Answer:** C",
        "Answer: C", "Answer: (C) 대구", "The answer is C.", "the correct answer is C",
        "Final answer: C", "ANSWER: C", r"\boxed{C}", r"$\boxed{\text{C}}$", r"\boxed{(C)}",
        "#### C", "정답: [C]", "정답: `C`", '정답: "C"', "정답: 「C」", "정답: $C$", "정답：C",
        "정답:\nC", "### 정답\nC", "정답: C) 대구", "C가 정답입니다.", "C입니다",
        "저는 C라고 봅니다.",
        "I think C is right.", "③번이 정답입니다.", "정답은 다음과 같습니다: C", "A같지만 정답은 C",
        "B 같지만, 정답은 (C)입니다.", "정답은 C이며, A는 오답입니다.",
        "정답: A?\n다시 보니 정답: C",
        "<think>정답: A</think>정답: C", "<think>A 같다</think>C", nfd("정답은 C입니다"),
        "정답: D같다... 아니\n\n정답: C\n\n감사합니다. 다른 질문에도 답해 드릴까요?",
        "정답: 3", "3", "(c)", "정답: (c)", "정답은 C이다. A는 답이 아니다.",
        "정답은 C번입니다. 이 답은 A와 비교하면 분명합니다.",
        "정답: C\n\n해설: A는 답이 될 수 없다.",
        "Answer: C\nExplanation: A does not answer the question; B is wrong.",
    ],
)  # fmt: skip
def test_a_choice_by_letter_or_number(reply: str) -> None:
    """However a model writes the third choice, it is read as that."""
    assert extract.option(reply, LETTERS) == "C"


@pytest.mark.parametrize(
    "reply",
    [
        "대구", " 대구 ", "대구.", "정답: 대구", "정답: '대구'", nfd("정답: 대구"), nfd("대구"),
        "C", "정답: C", "③", "③ 대구", "3번", "3번 대구", "정답: 3번 대구", "C. 대구", "C) 대구",
        "(C) 대구", "C: 대구", "정답: C. 대구", "정답: (C) 대구", r"\boxed{대구}", "#### 대구",
        "**대구**", "<think>부산</think>대구", "설명...\n정답: 대구",
        "정답은 대구입니다.", "정답: 대구입니다", "정답은 대구이다.", "대구입니다.",
        "정답은 '대구'입니다.",
        "3. 대구", "(3) 대구", "3) 대구", "정답: 3. 대구", "정답: 3) 대구", "정답: 3",
    ],
)  # fmt: skip
def test_a_choice_by_its_text(reply: str) -> None:
    """A text among texts is named by itself, by its place, or by both."""
    assert extract.option(reply, CITIES) == "대구"


@pytest.mark.parametrize(
    "reply",
    [
        "", "  ", "모르겠습니다.", "A or B", "A와 B 모두", "정답:", "정답: ⑤", "정답: E", "5번",
        "0번", "⑤", "정답: Cat", "정답: 모름", "정답 없음", "<think>정답: C", "None of the above",
        "I cannot answer this.", "It depends.", "A cat sat on the mat.",
        "I cannot say. A reliable source is needed.",
    ],
)  # fmt: skip
def test_no_choice_is_none(reply: str) -> None:
    """A reply that chooses nothing, or more than one, is not taken for a choice."""
    assert extract.option(reply, LETTERS) is None


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [("정답: 4", "4"), ("4", "4"), ("2번", "4"), ("B", "4"), ("정답: B", "4"), ("②", "4"),
     (r"\boxed{4}", "4"), ("정답: 6", "6"), ("정답: 7", None), ("정답: 2", None)],
)  # fmt: skip
def test_choices_that_are_numbers(reply: str, chosen: str | None) -> None:
    """A number that is a choice is that choice; a place is one with 번, a circle or a letter."""
    assert extract.option(reply, ("3", "4", "5", "6")) == chosen


def test_bracketed_letters_are_letters() -> None:
    """Options may be written "(A)"; what comes back is the option as it stands."""
    options = ("(A)", "(B)", "(C)")
    for reply in ("(B)", "B", "정답: B", "정답은 (B)입니다", "②", "2번"):
        assert extract.option(reply, options) == "(B)"


def test_more_choices_than_circles_or_letters() -> None:
    """Beyond ten choices letters and numbers still mean their place."""
    options = tuple(f"choice {i}" for i in range(1, 16))
    found = [extract.option(r, options) for r in ("정답: K", "정답: 11번", "정답: ⑪", "정답: O")]
    assert found == ["choice 11", "choice 11", "choice 11", "choice 15"]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("4", 4), ("정답: 4", 4), ("정답은 4입니다.", 4), ("정답: 4개", 4), ("답은 -5", -5),
        ("정답: 1,204개", 1204), ("정답: 1,234,567", 1234567), ("70,000원", 70000),
        ("#### 1,204", 1204),
        ("정답: $18", 18), ("정답: 18달러", 18), ("₩1,000", 1000), ("50%", 50), ("0.5", 0.5),
        (".5", 0.5), (r"\boxed{4}", 4), (r"\boxed{1,204}", 1204), ("3+4=7", 7),
        ("2 더하기 2는 4", 4),
        ("정답: 7 (3+4)", 7), ("정답: x = 7", 7), ("정답은 3입니다. 1번 더 확인했다", 3),
        ("정답: 3.", 3), ("정답은 1. 그리고 2", 1), ("<think>3</think>4", 4), ("정답: 약 3", 3),
        ("총 2-1=1", 1),
        ("정답: 3 + 4 = 7", 7), ("The answer is 3 + 4 = 7.", 7), ("#### 3+4=7", 7),
        ("정답: \u22125", -5), ("\u22125", -5), ("범위는 1-3", 3),
        ("정답: 12\n이 답은 검산했습니다 (3+9).", 12),
        ("Answer: 12\nI hope this answers it 100%.", 12),
        ("정답: 12개 (정답률 50%)", 12),
        ("", None), ("없음", None), ("백이십", None), ("<think>4", None), ("정답: 모름", None),
    ],
)  # fmt: skip
def test_a_number(reply: str, value: float | None) -> None:
    """The one after the last mark, else the last one, as people write numbers."""
    found = extract.number(reply)
    assert (None if found is None else float(found)) == value


@pytest.mark.parametrize("text", ["1,2", "1,20", "12,3456", "1,2,3"])
def test_a_list_is_no_number(text: str) -> None:
    """A comma groups three digits; anything else is a list."""
    assert extract.as_number(text) is None
    assert extract.number(f"정답: {text}") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("70,000", 70000), ("$18", 18), ("-3.5", -3.5), (" 5 ", 5), ("50%", 50), ("5.", 5),
     (".5", 0.5), ("", None), ("열", None), ("5개", None), ("1/2", None), ("inf", None),
     ("nan", None), ("1_000", None), ("-", None), (".", None), ("1.2.3", None), ("x5", None)],
)  # fmt: skip
def test_a_text_that_is_a_number(text: str, value: float | None) -> None:
    """Whole texts only: what is a number to Python alone is none."""
    found = extract.as_number(text)
    assert (None if found is None else float(found)) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [("서울 특별시.", " 서울  특별시"), ("Seoul", "SEOUL"), ("'서울'", "서울"),
     (nfd("서울"), "서울"), ("ß", "SS"), ("서울\n특별시", "서울 특별시")],
)  # fmt: skip
def test_what_compares_as_equal(one: str, other: str) -> None:
    """Case, spacing, quotes and closing marks make no other answer."""
    assert extract.plain(one) == extract.plain(other)


@pytest.mark.parametrize(
    ("one", "other"), [("서울", "서울시"), ("1", "10"), ("a b", "ab"), ("-5", "5"), ("?", "!")]
)
def test_what_compares_as_different(one: str, other: str) -> None:
    """A part of an answer, another number, or another mark alone is another answer."""
    assert extract.plain(one) != extract.plain(other)


def test_the_last_line() -> None:
    """Blank lines and thoughts are none."""
    assert extract.last_line("하나\n둘\n\n  ") == "둘"
    assert extract.last_line("<think>하나</think>") == ""
