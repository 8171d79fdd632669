"""`string_match` calls right what is right, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from collections.abc import Sequence

import pytest

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import ScoringError
from llm_eval.evaluation import load_evaluator
from llm_eval.evaluation.string_match import judge
from llm_eval.records import Failure, Sample, Score

LETTERS = ("A", "B", "C", "D")

OPTION_SETS: dict[str, Sequence[str]] = {
    "letters": LETTERS,
    "bracketed": ("(A)", "(B)", "(C)"),
    "texts": ("서울", "부산", "대구"),
    "overlapping": ("서울", "서울특별시", "서울 특별시"),
    "numbers": ("3", "4", "5"),
    "big numbers": ("1,000", "10,000", "100"),
    "signed": ("-1", "1", "0"),
    "yes and no": ("예", "아니요"),
    "truth": ("True", "False", "Neither"),
    "with letters": ("A and B", "A or B", "None"),
    "lettered": ("A)21", "B)3", "C)7"),
    "swapped letters": ("b) 10", "a) 1"),
    "words that are letters": ("I", "We", "A"),
    "places": ("1번", "2번", "3번"),
    "circles": ("③", "①", "②"),
    "case": ("Co", "CO"),
    "punctuation": ("?", "!", ","),
    "closing mark": ("3.", "3"),
    "quotes": ("'a'", "a"),
    "python": ("2**3", "2*3", "2^3"),
    "marks": ("정답", "오답"),
    "sentences with marks": ("답은 3", "3", "4"),
    "english marks": ("The answer is 5", "5"),
    "latex": (r"\boxed{2}", "2"),
    "thoughts": ("x<think>y", "y"),
    "long": ("비가 오면 우산을 쓴다.", "비가 오면 우산을 접는다."),
    "lines": ("첫 줄\n둘째 줄", "첫 줄", "둘째 줄"),
}


@pytest.mark.parametrize("kind", OPTION_SETS)
def test_an_option_given_back_is_that_option(kind: str) -> None:
    """For every pair of options: the gold one's own text is right, any other's is wrong."""
    options = OPTION_SETS[kind]
    pairs = list(itertools.product(options, options))
    wrong = [(r, g) for r, g in pairs if judge(r, g, options).is_correct != (r == g)]
    assert wrong == []


NOT_LETTERS = [k for k in OPTION_SETS if k not in ("letters", "words that are letters")]


@pytest.mark.parametrize("kind", NOT_LETTERS)
def test_a_letter_is_a_place(kind: str) -> None:
    """For every pair of places: the gold one's letter is right, any other's is wrong."""
    options = OPTION_SETS[kind]
    pairs = list(itertools.product(range(len(options)), range(len(options))))
    wrong = [
        (LETTERS[r], options[g])
        for r, g in pairs
        if judge(f"정답: {LETTERS[r]}", options[g], options).is_correct != (r == g)
    ]
    assert wrong == []


REFERENCES = [
    "서울", "Seoul", "1", "10", "1,204", "-5", "0", "0.5", "1/2", "$18", "5개", "3번", "B", "x.",
    " x ", "a.b", "?", "...", "한 줄\n두 줄", "정답", "answer", "The answer", "1,2", "inf",
    "9007199254740993", "\u22125", "답: 5", "#### 5", r"\boxed{x}", "**x**", "<think>",
]  # fmt: skip


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_given_back_is_right(reference: str) -> None:
    """The oracle scores 1, whatever the reference looks like."""
    assert judge(reference, reference).is_correct


SAME = [{"-5", "\u22125"}, {" x ", r"\boxed{x}"}, {" x ", "**x**"}, {r"\boxed{x}", "**x**"}]


def test_two_references_are_never_each_other() -> None:
    """No reference is right for another; what is the same number or word apart."""
    pairs = itertools.permutations([r for r in REFERENCES if r != "x."], 2)
    wrong = [
        (reply, gold)
        for reply, gold in pairs
        if judge(reply, gold).is_correct and {reply, gold} not in SAME
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("reply", "reference", "right"),
    [
        # numbers
        ("정답: 1", "1", True),
        ("정답: 10", "1", False),
        ("정답: 1", "10", False),
        ("정답: 1.0", "1", True),
        ("1,204", "1204", True),
        ("1204", "1,204", True),
        ("정답: 70000원", "70,000", True),
        ("정답은 -5입니다", "-5", True),
        ("정답은 -5입니다", "5", False),
        ("정답: \u22125", "-5", True),
        ("정답: \u22125", "5", False),
        ("정답: 1,2", "12", False),
        ("정답: 12", "1,2", False),
        ("9007199254740992", "9007199254740993", False),
        ("12345678901234567891", "12345678901234567890", False),
        ("먼저 3, 그다음 5. #### 8", "8", True),
        ("먼저 3, 그다음 5. #### 8", "5", False),
        ("<think>8</think>모르겠다", "8", False),
        # texts
        ("서울", "서울", True),
        ("정답: 서울", "서울", True),
        ("답: 서울.", "서울", True),
        ("대답: 서울", "서울", True),
        ("답변: 서울", "서울", True),
        ("정답은 서울입니다.", "서울", True),
        ("서울입니다.", "서울", True),
        ("생각해 보면...\n서울", "서울", True),
        ("정답: 서울\n이유: 수도이다", "서울", True),
        ("정답: 서울이 아니다", "서울", False),
        ("서울 아님", "서울", False),
        ("부산", "서울", False),
        ("서울과 부산", "서울", False),
        ("The answer is Paris.", "paris", True),
        ("<think>서울</think>부산", "서울", False),
        (unicodedata.normalize("NFD", "정답: 서울"), "서울", True),
        ("정답: 서울", unicodedata.normalize("NFD", "서울"), True),
        ("", "서울", False),
        ("정답:", "서울", False),
    ],
)
def test_open_answers(reply: str, reference: str, right: bool) -> None:
    """Numbers are compared as numbers, anything else as text, and a part is not the whole."""
    assert judge(reply, reference).is_correct is right


@pytest.mark.parametrize(
    ("reply", "reference", "options", "right"),
    [
        ("정답은 ③번입니다", "C", LETTERS, True),
        ("정답: B", "C", LETTERS, False),
        ("정답: (C)", "대구", ("서울", "부산", "대구"), True),
        ("정답: 대구", "C", ("서울", "부산", "대구"), True),
        ("정답: 대구", "B", ("서울", "부산", "대구"), False),
        ("대구", unicodedata.normalize("NFD", "대구"), ("서울", "부산", "대구"), True),
        ("1", "1", ("1", "10"), True),
        ("10", "1", ("1", "10"), False),
        ("정답: 10", "1", ("1", "10"), False),
        ("B", "1", ("1", "10"), False),
        ("모두 맞다", "A", LETTERS, False),
    ],
)
def test_choices(reply: str, reference: str, options: Sequence[str], right: bool) -> None:
    """Reply and reference may name an option by letter or text, each in its own way."""
    assert judge(reply, reference, options).is_correct is right


CITIES = ("서울", "부산", "대구", "인천")


@pytest.mark.parametrize("options", [CITIES, LETTERS], ids=["texts", "letters"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_reference_may_be_a_place(options: Sequence[str], first: int) -> None:
    """Of the options, from 0 where any reference is 0; a number in a reply counts alike."""
    samples = [
        Sample(index=i, input="q", reference=str(i + first), options=tuple(options))
        for i in range(4)
    ]
    method = load_evaluator("string_match")
    method.fits(samples)
    for sample, reply in itertools.product(samples, range(4)):
        said = [options[reply], f"정답: {options[reply]}", LETTERS[reply], "①②③④"[reply],
                str(reply + first), f"{reply + first}번"]  # fmt: skip
        right = [method.score(sample, text, BaseDataset()).is_correct for text in said]
        assert right == [sample.index == reply] * len(said)


@pytest.mark.parametrize("reference", ["5", "0", "광주", "A, B", ""])
def test_a_reference_that_is_no_option_is_no_wrong_reply(reference: str) -> None:
    """The sample fails, whatever the reply; nothing scores 0 for it."""
    sample = Sample(index=0, input="q", reference=reference, options=CITIES)
    other = Sample(index=1, input="q", reference="2", options=CITIES)
    method = load_evaluator("string_match")
    method.fits([sample, other] if reference != "0" else [other])
    (failure,) = asyncio.run(method.score_all([(sample, "서울")], BaseDataset()))
    assert isinstance(failure, Failure)
    assert "is none of its options" in failure.message


@pytest.mark.parametrize("reference", ["1", "3", "광주"])
def test_a_place_is_not_guessed_from_one_row(reference: str) -> None:
    """Without the other references nobody knows where it counts from, and that is said."""
    with pytest.raises(ScoringError, match="none of the options"):
        judge("서울", reference, CITIES)


@pytest.mark.parametrize("reply", ["정답: 1234567", "정답: 1,234,567개", "1234567"])
def test_what_was_read_is_recorded_in_full(reply: str) -> None:
    """The record holds the number itself, not a rounded one."""
    assert judge(reply, "1").extracted in ("1234567", "1,234,567")


def scored(reply: str, reference: str | None, *options: str) -> Score:
    """The method's judgement of one sample."""
    sample = Sample(index=3, input="q", reference=reference, options=options, subset="s")
    return load_evaluator("string_match").score(sample, reply, BaseDataset())


def test_a_score_is_one_or_nought() -> None:
    """With what was read, under the sample's id."""
    right = Score(sample_id="s/3", value=1.0, is_correct=True, extracted="B", answered=True)
    assert scored("정답: B", "B", *LETTERS) == right
    wrong = scored("정답: A", "B", *LETTERS)
    assert (wrong.value, wrong.is_correct, wrong.extracted, wrong.answered) == (0, False, "A", True)


@pytest.mark.parametrize(("reference", "options"), [("B", LETTERS), ("7", ()), ("서울", ())])
@pytest.mark.parametrize("reply", ["", "  \n", "<think>정답: B", "정답:"])
def test_no_answer_is_wrong_and_counted(reply: str, reference: str, options: Sequence[str]) -> None:
    """A reply without a readable answer scores 0, and is known to be unanswered."""
    score = scored(reply, reference, *options)
    assert (score.value, score.extracted, score.answered) == (0.0, None, False)
