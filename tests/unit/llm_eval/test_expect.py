"""What a module must do is read from its spec alone, and the template does it, kind by kind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import black
import pytest

from llm_eval.dataset.expect import expectations, expected
from llm_eval.dataset.gold import as_number, golds_of
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import ModuleSpec
from llm_eval.dataset.verify import Verdict, verify
from tests.unit.llm_eval.test_render import LETTERED, NUMBER, write

TEXT = replace(NUMBER, task="text", answer_kind="text")
MATH = replace(NUMBER, task="math", answer_kind="boxed")
CODE = replace(NUMBER, task="code", answer=["solution"], answer_kind="code", tests=[["test"]])
BARE = replace(LETTERED, question=[["질문"]])
TALK = replace(
    NUMBER,
    task="ungraded",
    answer=None,
    answer_kind=None,
    question=[["messages", "[]", "content"]],
    speaker=["messages", "[]", "role"],
)
PROGRAM = {
    "질문": 'def f(x):\n    """하나를 더합니다."""\n',
    "solution": "    return x + 1\n",
    "test": "def check(f):\n    assert f(1) == 2\n",
    "entry": "f",
}
CASES: dict[str, tuple[ModuleSpec, list[dict[str, Any]], list[list[str]]]] = {
    "several golds": (
        replace(TEXT, answer=["answers", "text", "[]"]),
        [{"질문": "수도는?", "answers": {"text": ["서울", "서울특별시", "서울"]}},
         {"질문": "답이 없는 물음", "answers": {"text": []}},
         {"질문": "비어 있는 물음", "answers": None}],
        [["서울", "서울특별시"], [], []],
    ),
    "boxed": (
        MATH,
        [{"질문": "반은?", "정답": r"따라서 $\boxed{1}$ 아니, $\boxed{\frac{1}{2}}$입니다."},
         {"질문": "점은?", "정답": r"\boxed{\left( 3, 4 \right)}"},
         {"질문": "없음", "정답": "모릅니다"}],
        [[r"\frac{1}{2}"], [r"\left( 3, 4 \right)"], []],
    ),
    "formula": (
        replace(MATH, answer_kind="text"),
        [{"질문": "각도는?", "정답": r"90^\circ"}, {"질문": "수는?", "정답": "7"}],
        [[r"90^\circ"], ["7"]],
    ),
    "program": (
        replace(CODE, entry_point=["entry"]),
        [PROGRAM, {**PROGRAM, "solution": None}],
        [[PROGRAM["solution"]], []],
    ),
    "program by examples": (
        replace(CODE, tests=[["setup"], ["list", "[]"]]),
        [{"질문": "더하는 함수를 쓰시오.", "solution": "def f(x): return x + 1", "setup": "",
          "list": ["assert f(1) == 2", "assert f(0) == 1"]}],
        [["def f(x): return x + 1"]],
    ),
    "formulas that no reply can box, or that say nothing": (
        replace(MATH, answer_kind="text"),
        [{"질문": f"식은? {i}", "정답": gold} for i, gold in enumerate(
            ["{", ".", r"\!", "<think>", r"\left\{1\right.", "2**3", r"\text{답: 3}", "정답"])],
        [[], [], [], [], [r"\left\{1\right."], ["2**3"], [r"\text{답: 3}"], ["정답"]],
    ),
    "texts that look like something else": (
        TEXT,
        [{"질문": f"무엇? {i}", "정답": gold} for i, gold in enumerate(
            ["<think>", "x<think>y", "x**2 표기법", "**굵게**", "답은 없다", "정답: 서울",
             "모르겠습니다.", "모르겠습니다", "한 줄\n두 줄"])],
        [[], [], ["x**2 표기법"], ["**굵게**"], ["답은 없다"], ["정답: 서울"], ["모르겠습니다."],
         ["모르겠습니다"], ["한 줄\n두 줄"]],
    ),
    "letters of choices in the question": (
        TEXT,
        [{"질문": f"어느 것? (A) 가 {i} (B) 나 (C) 다", "정답": gold} for i, gold in enumerate(
            ["(A)", "B", "(c)", "[B]", "C++"])],
        [["(A)"], ["B"], ["(c)"], ["[B]"], ["C++"]],
    ),
    "choices that look like something else": (
        BARE,
        [{"질문": f"어느 것? {i}", "선택지": choices, "정답": "A"} for i, choices in enumerate(
            [["정답: B", "B"], ["정답은 B이다", "다"], ["모르겠습니다.", "나"], ["**가**", "나"],
             ["x**2", "x2"], ["<think>", "나"]])],
        [["A"]] * 6,
    ),
    "flags": (
        replace(BARE, choices=[["mc", "choices", "[]"]], answer=["mc", "labels", "[]"],
                answer_kind="flags"),
        [{"질문": "하나", "mc": {"choices": ["가", "나", "다"], "labels": [0, 1, 0]}},
         {"질문": "여럿", "mc": {"choices": ["가", "나"], "labels": [1, 1]}}],
        [["B"], []],
    ),
    "rotated": (
        replace(BARE, choices=[["right"], ["d1"], ["d2"]], answer=["right"], answer_kind="text",
                rotated=True),
        [{"질문": q, "right": f"참 {q}", "d1": "거짓", "d2": d} for q, d in
         (("ㄱ", "틀림"), ("ㄴ", "틀림"), ("ㄷ", None), ("ㄹㅁ", "틀림"))],
        [],
    ),
    "shown": (
        replace(BARE, choices=[], fixed_choices=["entailment", "neutral"],
                shown_choices=["함의", "중립"], answer_kind="text"),
        [{"질문": "가 → 나?", "정답": "neutral"}, {"질문": "나 → 가?", "정답": "entailment"},
         {"질문": "모름", "정답": "-"}],
        [["B"], ["A"], []],
    ),
    "many labels": (
        replace(TEXT, fixed_choices=[f"의도{i}" for i in range(40)], answer_kind="index"),
        [{"질문": "무엇?", "정답": 7}, {"질문": "또 무엇?", "정답": -1}],
        [["의도7"], []],
    ),
    "conversation": (
        TALK,
        [{"messages": [{"role": "system", "content": "너는 도우미다."},
                       {"role": "user", "content": "안녕?"},
                       {"role": "assistant", "content": "비밀 답"}]},
         {"messages": [{"role": "user", "content": "하나"}, {"role": "assistant", "content": "둘"},
                       {"role": "user", "content": None}, {"role": "user", "content": "셋"}]}],
        [[], []],
    ),
    "list within a list": (
        replace(TALK, question=[["글"], ["묶음", "[]", "보기", "[]"]], speaker=None),
        [{"글": "지문", "묶음": [{"보기": ["가", "나"]}, {"보기": ["다"]}]},
         {"글": "지문 둘", "묶음": []}],
        [[], []],
    ),
    "numbers in a list": (
        replace(NUMBER, answer=["golds", "[]"], answer_kind="number"),
        [{"질문": "몇?", "golds": ["1,200", "1200"]}, {"질문": "또 몇?", "golds": None}],
        [["1,200", "1200"], []],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_the_template_does_what_is_expected(kind: str, tmp_path: Path) -> None:
    """Rendered, black has nothing to do; run, every row is as its spec says."""
    spec, rows, golds = CASES[kind]
    code = render(spec)
    assert black.format_str(code, mode=black.Mode()) == code
    module = write(tmp_path, spec, rows)
    files = sorted(tmp_path.rglob("*.parquet"))
    found = list(expectations(files, spec))
    assert len(found) == len(rows)
    if golds:
        assert [golds_of(row, spec) for row in rows] == golds
    assert verify(module, spec.slug, [("default", "test", len(rows), found)]) == Verdict(len(rows))


def test_a_reply_that_no_gold_equals_is_wrong() -> None:
    """To know nothing is wrong, but where that is the answer."""
    for gold, wrong in (("서울", True), ("모르겠습니다", False), ("모르겠습니다!", False)):
        want = expected({"질문": "뭐라고 했나?", "정답": gold}, TEXT)
        assert ("모르겠습니다." in want.wrong, "" in want.wrong) == (wrong, True)
    row = {"질문": "뭐라고?", "선택지": ["안녕", "모르겠습니다."], "정답": "B"}
    assert "모르겠습니다." not in expected(row, BARE).wrong


def test_the_right_choice_changes_its_place() -> None:
    """Where the data keeps it in a column of its own, its letter differs from row to row."""
    spec, rows, _ = CASES["rotated"]
    assert len({golds_of(row, spec)[0] for row in rows}) > 1


def test_the_assistants_last_turn_is_not_shown() -> None:
    """A conversation ends with the last turn that is not the assistant's."""
    spec, rows, _ = CASES["conversation"]
    assert list(expected(rows[0], spec).shown) == ["너는 도우미다.", "안녕?"]


def test_what_a_prompt_may_hold_beside() -> None:
    """A subject, but no cell that holds the answer, or could: a letter, a solution."""
    row = {"질문": "수도는?", "정답": "A", "선택지": ["서울", "부산"], "과목": "지리",
           "힌트": "서울", "해설": "정답은 " + "당연히 " * 20 + "서울", "또": "A"}  # fmt: skip
    want = expected(row, BARE)
    assert want.beside == {"지리": "과목"}


@pytest.mark.parametrize("gold", ["8", "0", "-1", "-5", "70,000", "$18", "3.5"])
def test_no_wrong_number_is_the_right_one(gold: str) -> None:
    """Whatever the number: what a reply says last is another one, and nothing is said twice."""
    want = expected({"질문": "몇?", "정답": gold}, replace(NUMBER, answer_kind="number"))
    last = [re.findall(r"-?\d[\d.,]*", reply)[-1:] for reply in want.wrong]
    assert want.golds
    assert all(as_number(said[0]) != as_number(gold) for said in last if said)
    assert any(gold in reply for reply in want.wrong)  # for who looks for it anywhere
    assert len(set(want.wrong)) == len(want.wrong)


def test_what_wrong_choices_are_tried() -> None:
    """Each other letter in each shape; the gold's own letter or text never as what is said."""
    row = {"질문": "어느 것?", "선택지": ["사과", "바다", "사과나무", "바 B"], "정답": "B"}
    want = expected(row, BARE)
    for letter, text in zip("ACD", ("사과", "사과나무", ""), strict=True):
        assert {letter, f"정답: {letter}"} <= set(want.wrong)
        assert not text or {text, f"{letter}. {text}"} <= set(want.wrong)
    assert not any("바 B" in reply or "바다" in reply for reply in want.wrong)
    assert [r for r in want.wrong if r.count("B")] == [
        "A 아니면 B 일 수도 있지만, 다시 보니 A\n정답: A",
        "<think>B 정답: B</think>A",
    ]
    assert "<think>A 정답: A</think>B" in want.golds


@pytest.mark.parametrize("spec", [TEXT, MATH, replace(NUMBER, answer_kind="number")])
def test_what_stands_before_a_thoughts_end_is_not_said(spec: ModuleSpec) -> None:
    """Of every kind, a wrong answer thought of is no harm, and a right one no help."""
    want = expected({"질문": "몇?", "정답": "\\boxed{7}" if spec is MATH else "7"}, spec)
    ends = [(reply, reply.partition("</think>")[2]) for reply in [*want.golds, *want.wrong]]
    thought = [(reply in want.golds, said in want.golds) for reply, said in ends if said]
    assert thought == [(True, True), (False, False)]


def test_a_row_with_one_choice_has_an_answer() -> None:
    """There is no other letter; nothing but words is wrong."""
    want = expected({"질문": "어느 것?", "선택지": ["하나"], "정답": "A"}, BARE)
    assert "A" in want.golds
    assert want.wrong and not any("A" in reply for reply in want.wrong)


def test_a_program_may_have_no_name() -> None:
    """A row whose entry point is missing has none, as the template says it."""
    spec = replace(CODE, entry_point=["entry"])
    told = expected({**PROGRAM, "entry": None}, spec).code
    assert told is not None
    assert (told["entry_point"], told["prompt"]) == (None, PROGRAM["질문"])


def test_other_labels_and_other_rows_golds_are_wrong(tmp_path: Path) -> None:
    """Of a closed set all others; of free words the row before, unless one holds the other."""
    spec, rows, _ = CASES["many labels"]
    assert {f"의도{i}" for i in range(40) if i != 7} <= set(expected(rows[0], spec).wrong)
    cities = [{"질문": "수도는?", "정답": g} for g in ("서울", "서울 특별시", "파리", "파리")]
    write(tmp_path, TEXT, cities)
    found = list(expectations(sorted(tmp_path.rglob("*.parquet")), TEXT))
    before = [{"서울", "서울 특별시", "파리"} & set(want.wrong) for want in found]
    assert before == [set(), set(), {"서울 특별시"}, set()]
