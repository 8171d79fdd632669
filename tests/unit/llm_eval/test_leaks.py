"""Prompts may look as they like; what changes in them from row to row may not tell the answer."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from llm_eval.dataset.expect import Expected
from llm_eval.dataset.leaks import Prompts

RANDOM = random.Random(1)
GOLDS = [RANDOM.randrange(4) for _ in range(80)]
SUBJECTS = [RANDOM.choice(["수학", "국어 ", "지리"]) for _ in range(80)]
TEXTS = [RANDOM.sample(["사과", "바다", "구름", "연필", "하늘", "강물"], 4) for _ in range(80)]


def want(row: int, choices: list[str] | None = None) -> Expected:
    """What is expected of a row of a quiz."""
    gold = "ABCD"[GOLDS[row]]
    subject = SUBJECTS[row]
    return Expected(
        shown=[f"{row * 3}번 물음"],
        choices=choices or TEXTS[row],
        golds=[gold],
        wrong=[],
        beside={subject: "과목", subject.strip(): "과목", f"보기 {GOLDS[row] + 1}": "열쇠"},
        hidden=[f"정답: {gold}"],
        gold=gold,
    )


def listed(row: int, choices: list[str] | None = None) -> str:
    """Its choices, as most modules show them."""
    shown = zip("ABCD", choices or TEXTS[row], strict=True)
    return "\n".join(f"{letter}. {text}" for letter, text in shown)


def fault(prompt: Callable[[int], str]) -> str:
    """What is wrong with the prompts of 80 rows; empty when nothing is."""
    prompts = Prompts()
    for row in range(80):
        if said := prompts.fault(row, prompt(row), want(row)):
            return said
    return prompts.last_fault()[1]


HONEST: dict[str, Callable[[int], str]] = {
    "plain": lambda i: f"{i * 3}번 물음\n{listed(i)}\n정답:",
    "its words before it": lambda i: f"0번 물음 등에 답하라.\n{i * 3}번 물음\n{listed(i)}",
    "an example": lambda i: f"'정답: A'처럼 답하라.\n{i * 3}번 물음\n{listed(i)}",
    "rows' numbers": lambda i: f"{i * 3}번 물음\n{listed(i)}\n1, 2, 3이 아닌 글자로",
    "the row's number": lambda i: f"문제 {i + 1} (80문제, 4지선다)\n{i * 3}번 물음\n{listed(i)}",
    "the row's number from 0": lambda i: f"#{i}\n{i * 3}번 물음\n{listed(i)}",
    "a subject": lambda i: f"과목: {SUBJECTS[i]}\n{i * 3}번 물음\n{listed(i)}",
    "a subject, trimmed": lambda i: f"과목: {SUBJECTS[i].strip()}.\n{i * 3}번 물음\n{listed(i)}",
}  # fmt: skip


@pytest.mark.parametrize("prompt", HONEST.values(), ids=HONEST)
def test_no_way_to_write_a_prompt_is_refused(prompt: Callable[[int], str]) -> None:
    """Instructions, examples, numbers and subjects may stand around question and choices."""
    assert fault(prompt) == ""


LEAKS: dict[str, Callable[[int], str]] = {
    "spaces": lambda i: f"{i * 3}번 물음\n{listed(i)}\n정답{' ' * GOLDS[i]}:",
    "an invisible space": lambda i: f"{i * 3}번 물음\n{listed(i)}\n정답:{chr(0x2003) * GOLDS[i]}",
    "lines at the end": lambda i: f"{i * 3}번 물음\n{listed(i)}" + "\n" * GOLDS[i],
    "a letter's sign": lambda i: HONEST["plain"](i).replace("B.", "B)" if GOLDS[i] == 1 else "B."),
    "the row's number or the next": lambda i: f"{i + GOLDS[i] % 2}. {i * 3}번 물음\n{listed(i)}",
    "a subject for one answer alone": lambda i: (
        f"{SUBJECTS[i] if GOLDS[i] == 0 else ''}{i * 3}번 물음\n{listed(i)}"
    ),
    "a subject for all but one": lambda i: (
        f"{SUBJECTS[i] if GOLDS[i] else ''}{i * 3}번 물음\n{listed(i)}"
    ),
    "a cell that names it": lambda i: f"보기 {GOLDS[i] + 1}\n{i * 3}번 물음\n{listed(i)}",
    "the answer of one row": lambda i: f"{i * 3}번 물음\n{listed(i)}" + "\n정답: A" * (i == 70),
}


@pytest.mark.parametrize("prompt", LEAKS.values(), ids=LEAKS)
def test_what_tells_the_answer_is_refused(prompt: Callable[[int], str]) -> None:
    """However small it is, and be it a cell of the row that goes with one answer."""
    assert fault(prompt)


def test_an_empty_choice_has_its_place() -> None:
    """Behind its letter, where others have a text; rows with one and without are both right."""
    prompts, rows = (
        Prompts(),
        [["가나", "", "다라"], ["가나", "나다", "다라"], ["바사", "", "아자"]],
    )
    for row, choices in enumerate(rows):
        lines = "\n".join(f"{x}. {text}" for x, text in zip("ABC", choices, strict=True))
        said = prompts.fault(row, f"{row * 3}번 물음\n{lines}\n정답:", want(row, choices))
        assert said == ""
    assert prompts.last_fault() == (0, "")


def test_labels_of_cells_that_are_not_there() -> None:
    """Rows that lack one cell or another are each compared with their like."""
    prompts = Prompts()
    for row in range(6):
        both = [f"맥락 {row}번", f"물음 {row}번"]
        here = [bool(row % 3), row % 3 != 1]
        shown = [t for t, there in zip(both, here, strict=True) if there]
        labels = [f"{n}: {t}" for n, t, there in zip("ㄱㄴ", both, here, strict=True) if there]
        expected = Expected(shown=shown, golds=["1"], wrong=[], shape=tuple(here))
        assert prompts.fault(row, "\n".join(labels), expected) == ""
