"""What is shown of a row: all that is asked about, one question, and what is kept as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datasets import Dataset, Features, Value

from hret_agents.plan.infer import infer_plan
from hret_agents.plan.languages import sides_that_stay
from hret_agents.plan.look import Look
from hret_agents.plan.programs import is_code
from hret_agents.plan.records import Plan, Role
from hret_agents.plan.roles import role_of
from hret_agents.plan.schema import Leaf

TOWNS = ("Wexmoor", "Little Skerry", "Dunmere", "Osier Mill", "Carrow", "Stonegate", "Pell")
DEEDS = ("was cast a second time", "fell from the old tower", "rang through the whole night")
LONG = "a baker, two sisters and their blind uncle"
SAID = "Er trug die Uhr die schmale Treppe hinauf"


def tells(i: int) -> str:
    """A statement, eleven words and more."""
    return f"In the year {1700 + i} the bell of {TOWNS[i % 7]} {DEEDS[i % 3]}."


def report(i: int) -> str:
    """A text of forty words and more, with short and long pieces to ask for."""
    return f"{tells(i)} {tells(i + 1)} {tells(i + 2)} It was paid for by {LONG}, of house {i}."


def asks(i: int) -> str:
    """A question."""
    return f"What was done to the bell of {TOWNS[i % 7]} in the year {1700 + i}?"


def plan_of(row: Callable[[int], dict[str, Any]], types: dict[str, Any] | None = None) -> Plan:
    """The plan for 40 rows."""
    data = Dataset.from_list([row(i) for i in range(40)])
    features = Features(dict(data.features) | (types or {}))
    return infer_plan(features, data.to_list(), source="o/n", target_lang="ko")


def piece(i: int) -> str:
    """A piece of `report(i)`; one in ten is long."""
    return LONG if i % 10 == 0 else f"house {i}"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (lambda i: {"context": report(i), "question": asks(i), "answer": piece(i)},
         ["context", "question"]),
        (lambda i: {"passage": report(i), "question": asks(i), "answers": [LONG]},
         ["passage", "question"]),
        (lambda i: {"question": asks(i), "answer": piece(i),
                    "context": {"title": ["A"], "sentences": [[tells(i)], [report(i)]]}},
         ["context.sentences[][]", "question"]),
        (lambda i: {"question": asks(i), "plot": report(i), "answer": piece(i)},
         ["plot", "question"]),
    ],
    ids=["flat", "long pieces", "sentences", "another name"],
)  # fmt: skip
def test_a_context_that_answers_are_pieces_of_is_shown(
    row: Callable[[int], dict[str, Any]], shown: list[str]
) -> None:
    """That long answers stand in it makes no written-out example of a context."""
    assert plan_of(row).task.question == shown


@pytest.mark.parametrize("name", ["text", "dialogue", "sample"])
def test_an_example_written_out_is_not_shown(name: str) -> None:
    """What holds nearly every answer, and these long, would tell it."""
    plan = plan_of(lambda i: {
        "instruction": asks(i), "output": "Yes." if i % 10 == 0 else tells(i),
        name: f"### Instruction:\n{asks(i)}\n### Response:\n{'Yes.' if i % 10 == 0 else tells(i)}",
    })  # fmt: skip
    assert plan.task.question == ["instruction"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("knowledge", report), ("report", report), ("review", report), ("rules", report),
        ("pre_text", lambda i: [tells(i), tells(i + 1)]), ("docs", lambda i: [report(i)]),
        ("ctxs", lambda i: [{"title": "A", "text": report(i), "score": 0.5}]),
    ],
)  # fmt: skip
def test_a_long_text_beside_a_question_is_its_context(
    column: str, value: Callable[[int], Any]
) -> None:
    """Whatever it is called, and in a list too."""
    plan = plan_of(lambda i: {"question": asks(i), "answer": piece(i), column: value(i)})
    assert [path.split("[")[0] for path in plan.task.question] == [column, "question"]


@pytest.mark.parametrize("name", ["rubric", "editorial", "explanation", "thinking_trace"])
def test_what_is_written_of_the_answer_is_no_context(name: str) -> None:
    """However long it is."""
    plan = plan_of(lambda i: {"question": asks(i), "answer": f"house {i}", name: report(i)})
    assert plan.task.question == ["question"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("question", "original_question"), ("query", "original_question"), ("prompt", "prompt_norm"),
     ("question", "seed_question"), ("question", "question_paraphrased"), ("utt", "annot_utt")],
)  # fmt: skip
def test_one_question_is_asked(first: str, second: str) -> None:
    """A question that another was made from is not asked with it; alone it is."""
    both = plan_of(lambda i: {first: asks(i), second: asks(i + 1), "label": ("so", "not")[i % 2]})
    assert both.task.question == [first]
    alone = plan_of(lambda i: {second: asks(i), "label": ("so", "not")[i % 2]})
    assert alone.task.question == [second]


def test_a_context_alone_asks_nothing() -> None:
    """Beside it stands what is asked, though its name does not say so."""
    plan = plan_of(lambda i: {"Behavior": f"Write a song about {TOWNS[i % 7]}, verse {i}.",
                              "ContextString": tells(i) if i % 2 else None})  # fmt: skip
    assert plan.task.question == ["ContextString", "Behavior"]


def test_a_kept_concept_is_not_shown_as_a_bare_line() -> None:
    """The question says all of it."""
    plan = plan_of(lambda i: {"question": asks(i), "question_concept": TOWNS[i % 7],
                              "answer": f"house {i}"})  # fmt: skip
    assert plan.task.question == ["question"]


@pytest.mark.parametrize(
    ("texts", "worked"),
    [
        (
            [
                f"How many bells has house {i}? Put your answer within \\boxed{{}}."
                for i in range(9)
            ],
            0,
        ),
        ([f"How many has house {i}? End with \\boxed{{ANSWER}}." for i in range(9)], 0),
        ([f"Six and {i} more, and that is \\boxed{{{6 + i}}}." for i in range(9)], 1),
        (["Six and one more, and that is \\boxed{7}."], 1),
    ],
)
def test_a_prompt_that_asks_for_a_box_is_no_worked_answer(texts: list[str], worked: int) -> None:
    """A worked answer has its result in the box."""
    assert Look(texts, len(texts)).boxed == bool(worked)


@pytest.mark.parametrize(
    ("names", "stay"),
    [
        (("lp", "source", "target", "original_target"), ["target", "original_target"]),
        (("lp", "src", "mt", "ref"), ["mt", "ref"]),
        (("source_lang", "target_lang", "source", "target"), ["target"]),
        (("style", "source", "target"), []),
    ],
)
def test_translations_and_references_stay(names: tuple[str, ...], stay: list[str]) -> None:
    """Beside a language pair the side that was translated is neither sent, shown nor graded."""
    tags = {"lp": "en-de_DE", "source_lang": "en", "target_lang": "de", "style": "plain"}
    asked = [n for n in names if n in ("source", "src")]

    def row(i: int) -> dict[str, Any]:
        texts = {n: tells(i) if n in asked else f"{SAID} ({n} {i})." for n in names}
        return {**texts, **{n: tags[n] for n in names if n in tags}, "is_bad": i % 5 == 0}

    plan = plan_of(row)
    leaves = [Leaf(n, "string") for n in names]
    looks = {n: Look([tags.get(n, tells(0))], 1) for n in names}
    roles = {n: Role.category if n in tags else Role.prose for n in names}
    assert list(sides_that_stay(leaves, looks, roles)) == stay
    if stay:
        assert [n for n in names if not plan.roles[n].translated and n not in tags] == stay
        assert plan.task.question == asked
        assert plan.task.kind == "ungraded"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("theorem sum_of_two (y : ℂ) : 7 * (3 * y + 2) = 21 * y + 14 := by\n", True),
        ("lemma tiny (x : ℝ) : x ≤ x := by sorry", True),
        ('theorem\n  fixes x :: real\n  assumes "x + 2 = 7"\n  shows "x = 5"\n  sorry', True),
        ("x : ℝ\nh₀ : x + 1 = 7\n⊢ x = 6", True),
        ("theorem 3 says: a bell that is rung twice is heard once.", False),
        ("Example: say which of the bells was cast first.", False),
        ('<!DOCTYPE html>\n<html lang="en"><body>\n<p>A bell was cast.</p>\n</body></html>', True),
        ("Write a page that begins with <html> and says which bell was cast.", False),
    ],
)
def test_theorems_and_pages_are_code(text: str, code: bool) -> None:
    """Statements of Lean and Isabelle, and whole pages of HTML; not what is said about them."""
    assert is_code(Look([text] * 8, 8)) == code


def test_params_of_a_check_are_kept() -> None:
    """A phrase that a reply must end with is compared with the reply, byte by byte."""
    plan = plan_of(lambda i: {
        "prompt": f"Write a poem about {TOWNS[i % 7]} in {i + 5} lines.",
        "kwargs": [{"end_phrase": "Is there anything else I can help with?", "options": ["a", "no"],
                    "prompt_to_repeat": tells(i)}],
    })  # fmt: skip
    assert plan.translated == ["prompt"]
    assert plan.task.choices == []


@pytest.mark.parametrize(
    ("name", "role"),
    [("input", "prose"), ("system_prompt", "prose"), ("title", "prose"), ("note", "prose"),
     ("question_type", "category"), ("text_label", "category"), ("answer", "category"),
     ("prompt_id", "category"), ("remark", "category")],
)  # fmt: skip
def test_a_column_without_values_is_what_its_name_says(name: str, role: str) -> None:
    """A text that stands in few rows may be in none of those that were looked at."""
    assert role_of(Leaf(name, "string"), Look([None, ""], 2)) == role


@pytest.mark.parametrize(
    ("texts", "opaque"),
    [
        (["Qm9i2sWf+1xTq0Zk8yA=", "a8Fz3KpQ7/LmWd4uXoY1", "Zm9vYmFyIGJheiBxdXg="], True),
        (["Dunmere", "Little Skerry", "Stonegate"], False),
        (["internationalization", "counterrevolutionary"], False),
        (["Boeing747", "Apollo11", "Voyager2"], False),
    ],
)
def test_encrypted_bytes_are_opaque(texts: list[str], opaque: bool) -> None:
    """They are no words, and translating them would cost and break them."""
    assert Look(texts, len(texts)).opaque == opaque


def test_an_encrypted_answer_grades_nothing() -> None:
    """It is kept, and no gold."""
    packed = [f"Zm9vYmFy{i:02d}IGJhe+Bxdw" for i in range(40)]
    plan = plan_of(lambda i: {"problem": asks(i), "answer": packed[i]}, {"answer": Value("string")})
    assert (plan.roles["answer"], plan.task.answer) == (Role.id, None)
