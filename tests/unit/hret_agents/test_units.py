"""A row becomes the unit that is sent, and the unit's texts become the row again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.translate.units import Segment, Unit, translated_row, unit_of
from tests.fakes.translit import back, forward

Row = dict[str, Any]


def plan_of(
    roles: Mapping[str, str], *, choices: Sequence[str] = (), lettered: bool = False
) -> Plan:
    """A plan for a row, with nothing but roles and choices."""
    task = TaskPlan(kind="ungraded", question=[], choices=list(choices), lettered=lettered)
    named = {path: Role(role) for path, role in roles.items()}
    return Plan(source="s", source_lang="en", target_lang="ko", roles=named, names={}, task=task)


def ported(row: Row, plan: Plan, say: Callable[[str], str] = forward) -> Row:
    """The row with every text of its unit said anew."""
    unit, _ = unit_of(row, plan)
    return translated_row(row, unit, [say(t) for t in unit.texts], plan)


CHOICES = {"q": "prose", "c[]": "choices"}
CHAT = {"messages[].role": "category", "messages[].content": "prose"}
ROWS: list[tuple[Row, Plan]] = [
    ({"q": " Which one?\n"}, plan_of({"q": "prose"})),
    ({"q": "Which?", "c": ["one cat", "two cats"]}, plan_of(CHOICES, choices=["c[]"])),
    ({"q": None, "c": [None, "", " ", "two cats", "12"]}, plan_of(CHOICES, choices=["c[]"])),
    ({"q": "Which?", "c": None}, plan_of(CHOICES, choices=["c[]"])),
    ({"q": "Which?", "c": []}, plan_of(CHOICES, choices=["c[]"])),
    ({"a": {"b": [{"c": "one cat", "n": 1}, None, {"c": None, "n": 2}]}},
     plan_of({"a.b[].c": "prose", "a.b[].n": "number"})),
    ({"a": [["one cat", "two"], [], None, ["six"]]}, plan_of({"a[][]": "prose"})),
    ({"a": None}, plan_of({"a.b.c": "prose"})),
    ({"messages": [{"role": "user", "content": "Hi there"}, {"role": "system", "content": ""}]},
     plan_of(CHAT)),
    ({"a.b": "one cat", "c[0]": "two cats"}, plan_of({r"a\.b": "prose", r"c\[0]": "prose"})),
    ({"q": "It is {x} {{ y }} {% z %} ⟦1⟧ `c`"}, plan_of({"q": "prose"})),
]  # fmt: skip


@pytest.mark.parametrize(("row", "plan"), ROWS)
def test_a_row_comes_back_whole(row: Row, plan: Plan) -> None:
    """With the source's own texts put in, a row is what it was; and the source row is untouched."""
    before = copy.deepcopy(row)
    assert ported(row, plan, lambda t: t) == row
    assert row == before


@pytest.mark.parametrize(("row", "plan"), ROWS)
def test_a_translated_row_reads_back_as_its_source(row: Row, plan: Plan) -> None:
    """Every text lands in its own place: transliterated back, the row is its source."""
    new = ported(row, plan)
    assert json.loads(back(json.dumps(new, ensure_ascii=False))) == row
    sent = unit_of(row, plan)[0].segments
    assert (new != row) == bool(sent)


@pytest.mark.data
def test_real_rows_come_back(shared_data: Path) -> None:
    """Rows of real multiple-choice data, choices lettered, read back as their source."""
    roles = {"question": "prose", "options[]": "choices", "rationale": "prose",
             "correct": "answer_letter"}  # fmt: skip
    plan = plan_of(roles, choices=["options[]"], lettered=True)
    lines = (shared_data / "aqua_rat_test.jsonl").read_text("utf-8").split("\n")
    for row in (json.loads(line) for line in lines if line):
        new = ported(row, plan)
        assert [o[:2] for o in new["options"]] == [o[:2] for o in row["options"]]
        assert new["correct"] == row["correct"]
        assert json.loads(back(json.dumps(new, ensure_ascii=False))) == row


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("  one cat\n", ("  ", "\n")),
        ("\tone cat", ("\t", "")),
        ("\u3000one cat\u00a0", ("\u3000", "\u00a0")),
        ("one cat", ("", "")),
    ],
)
def test_outer_whitespace_is_not_sent_and_stays(text: str, around: tuple[str, str]) -> None:
    """What is sent has no outer spaces, and the row's own stand around the translation."""
    plan = plan_of({"q": "prose"})
    assert unit_of({"q": text}, plan)[0].texts == ("one cat",)
    assert ported({"q": text}, plan, lambda _: "고양이")["q"] == f"{around[0]}고양이{around[1]}"


@pytest.mark.parametrize(
    ("option", "kept", "sent"),
    [
        ("A)two cats", "A)", "two cats"),
        ("B. two cats", "B. ", "two cats"),
        ("(C) two cats", "(C) ", "two cats"),
        (" D : two cats ", " D : ", "two cats"),
        ("E)a. m. and more", "E)", "a. m. and more"),
    ],
)
def test_an_options_letter_is_not_sent(option: str, kept: str, sent: str) -> None:
    """The letter inside an option stays in front of its translation."""
    plan = plan_of({"c[]": "choices"}, choices=["c[]"], lettered=True)
    assert unit_of({"c": [option]}, plan)[0].texts == (sent,)
    new = ported({"c": [option]}, plan, lambda _: "고양이")["c"][0]
    assert new.startswith(f"{kept}고양이")


def test_a_wordless_option_is_kept() -> None:
    """`A)21` holds nothing to translate, and its neighbours keep their places."""
    plan = plan_of({"c[]": "choices"}, choices=["c[]"], lettered=True)
    row = {"c": ["A)21", "B)two cats", "C)$x+y$", "D)or so"]}
    assert unit_of(row, plan)[0].texts == ("two cats", "or so")
    assert ported(row, plan, lambda _: "말")["c"] == ["A)21", "B)말", "C)$x+y$", "D)말"]


def test_an_option_that_begins_like_a_letter_is_whole_where_none_are_lettered() -> None:
    """`A. M.` is only cut where the plan says that the options carry letters."""
    plan = plan_of({"c[]": "choices"}, choices=["c[]"])
    assert unit_of({"c": ["A. Lincoln was"]}, plan)[0].texts == ("A. Lincoln was",)


@pytest.mark.parametrize("gold", ["#### 42", "\n#### 1,234", " #### -3.5\n", "\n####$7"])
def test_the_gold_of_a_worked_answer_is_not_sent(gold: str) -> None:
    """The steps are translated and the last line stays, byte for byte."""
    plan = plan_of({"answer": "answer_steps"})
    row = {"answer": f"He has six cats.{gold}"}
    assert unit_of(row, plan)[0].texts == ("He has six cats.",)
    assert ported(row, plan, lambda _: "고양이 여섯.")["answer"] == f"고양이 여섯.{gold}"


def test_a_gold_alone_is_not_sent() -> None:
    """A worked answer without steps holds nothing to translate."""
    assert unit_of({"answer": "#### 42"}, plan_of({"answer": "answer_steps"}))[0] == Unit(())


def test_the_answers_text_follows_its_choice() -> None:
    """A gold that equals a choice becomes that choice's translation and is never sent itself."""
    plan = plan_of(CHOICES | {"a": "answer_text"}, choices=["c[]"])
    row = {"q": "Which?", "c": [" one cat", "two cats", "12"], "a": "two cats"}
    unit, _ = unit_of(row, plan)
    assert unit.fields == ("q", "c[]", "c[]")
    assert translated_row(row, unit, ["어느?", "하나", "둘"], plan)["a"] == "둘"
    for gold, new in (
        (" one cat", " 하나"),
        ("12", "12"),
        (None, None),
        ("no choice", "no choice"),
    ):
        other = row | {"a": gold}
        assert translated_row(other, unit, ["어느?", "하나", "둘"], plan)["a"] == new


def test_the_answers_text_follows_among_columns() -> None:
    """One column per choice: the gold still follows the column it equals."""
    roles = {"A": "choices", "B": "choices", "a": "answer_text"}
    plan = plan_of(roles, choices=["A", "B"])
    new = ported({"A": "one cat", "B": "two cats", "a": "two cats"}, plan)
    assert new["a"] == new["B"] == forward("two cats")


def test_cells_in_the_target_language_are_kept_and_counted() -> None:
    """A cell that is Korean already is not sent, stays as it is, and is counted; blanks are not."""
    plan = plan_of(CHOICES, choices=["c[]"])
    row = {"q": "다음 중 옳은 것은?", "c": ["하나", "two cats", "DNA 검사입니다", "", None, "12"]}
    unit, kept = unit_of(row, plan)
    assert (unit.texts, kept) == (("two cats",), 3)
    assert translated_row(row, unit, ["둘"], plan) == row | {
        "c": ["하나", "둘", "DNA 검사입니다", "", None, "12"]
    }


def test_a_wholly_korean_row_is_an_empty_unit() -> None:
    """Nothing is sent for a row that is in the target language as a whole."""
    plan = plan_of({"q": "prose"})
    assert unit_of({"q": "무엇입니까?"}, plan) == (Unit(()), 1)


def test_only_texts_with_a_translated_role_are_sent() -> None:
    """Ids, letters, code, categories, addresses and numbers never enter a unit."""
    kept = [r for r in Role if not r.translated]
    plan = plan_of({r.value: r.value for r in kept} | {"q": "prose"})
    row = {r.value: "some words here" for r in kept} | {"q": "some words here", "n": 3}
    unit, _ = unit_of(row, plan)
    assert unit.segments == (Segment("q", 0, "some words here"),)
    assert ported(row, plan) == row | {"q": forward("some words here")}


def test_a_value_that_is_no_text_is_passed_over() -> None:
    """A number or flag under a translated role (a plan may say so) is kept."""
    plan = plan_of({"c[]": "prose"})
    assert ported({"c": [1, True, None, 2.5, "one cat"]}, plan, lambda _: "말")["c"] == [
        1, True, None, 2.5, "말"
    ]  # fmt: skip


def test_a_program_that_does_not_parse_is_kept() -> None:
    """Its line breaks are code, so it is not sent as a text; its neighbours are."""
    broken = "def f(x):\n    # The sum of both is\n    # returned here.\n"
    plan = plan_of({"q": "prose", "p": "code_prompt"})
    row = {"q": "Write it.", "p": broken}
    assert unit_of(row, plan)[0].texts == ("Write it.",)
    assert ported(row, plan)["p"] == broken


def test_the_source_language_says_what_is_a_word() -> None:
    """One sign is a choice of a Chinese row, and Chinese is not taken for Japanese."""
    plan = replace(plan_of({"q": "prose", "c[]": "prose"}), source_lang="zh")
    row = {"q": "哪个对？", "c": ["对", "错", "②", "5"]}
    assert unit_of(row, plan) == (unit_of(row, replace(plan, target_lang="ja"))[0], 0)
    assert unit_of(row, plan)[0].texts == ("哪个对？", "对", "错")


def test_too_few_texts_are_refused() -> None:
    """A unit's texts are never shifted: a wrong count raises."""
    plan = plan_of(CHOICES, choices=["c[]"])
    row = {"q": "Which?", "c": ["one cat", "two cats"]}
    with pytest.raises(ValueError, match="zip"):
        translated_row(row, unit_of(row, plan)[0], ["어느?", "하나"], plan)
