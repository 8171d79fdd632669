"""A gold grades what is asked, or nothing is graded, and a sentence says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Value

from hret_agents.job import Event, PortJob, Stage
from hret_agents.plan.choices import nested
from hret_agents.plan.infer import infer_plan
from hret_agents.plan.look import Look
from hret_agents.plan.programs import is_code
from hret_agents.plan.records import Plan, Role, check_against
from hret_agents.plan.schema import Leaf, leaves_of, values
from hret_agents.plan.several import answers_one_of_several
from hret_agents.plan.tested import find_tested
from hret_agents.source import open_source
from hret_agents.steps.prepare import planned
from tests.schemas import Row

TOWNS = ("Wexmoor", "Little Skerry", "Dunmere", "Osier Mill", "Carrow", "Stonegate")
PICKS = ("a spirit level", "the hedgehog", "water vapour", "the canopy")


def told(i: int) -> str:
    """A statement."""
    return f"In the year {1700 + i} the bell of {TOWNS[i % 6]} was cast a second time."


def asked(i: int) -> str:
    """A question."""
    return f"What was done to the bell of {TOWNS[i % 6]} in the year {1700 + i}?"


def plan_of(rows: list[Row], types: dict[str, Any] | None = None) -> tuple[Plan, list[str]]:
    """The plan for rows, and what was said about it."""
    data = Dataset.from_list(rows)
    if types:
        data = data.cast(Features(dict(data.features) | types))
    said: list[str] = []
    plan = infer_plan(
        data.features, data.to_list(), source="o/n", target_lang="ko", say=said.append
    )
    check_against(plan, [leaf.path for leaf in leaves_of(data.features)], "the plan")
    return plan, said


# -- several questions -----------------------------------------------------------------------------

PARTS = {"parts": [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}]}


@pytest.mark.parametrize(
    ("row", "path", "one"),
    [
        ({"questions": ["a", "b"], "answers": ["c", "d"]}, "answers[]", True),
        ({"questions": ["a", "b"], "answers": [["c"], ["d", "e"]]}, "answers[][]", True),
        ({"questions": ["a", "b"], "answers": {"text": ["c", "d"]}}, "answers.text[]", True),
        (PARTS, "parts[].answer", True),
        ({"questions": ["a", "b"], "answers": ["c", "d", "e"]}, "answers[]", False),
        ({"questions": ["a"], "answers": ["c"]}, "answers[]", False),
        ({"question": "a", "answers": ["c", "d"]}, "answers[]", False),
        ({"question": "a", "answer": "c"}, "answer", False),
        ({"question_ids": ["a", "b"], "answers": ["c", "d"]}, "answers[]", False),
    ],
)
def test_one_answer_of_several(row: Row, path: str, one: bool) -> None:
    """An answer in a list with one place for each question is right for that question only."""
    leaves = leaves_of(Dataset.from_list([row]).features)
    roles = {x.path: Role.id if "ids" in x.path else Role.prose for x in leaves}
    assert answers_one_of_several(path, leaves, [row] * 3, roles) == one


def test_no_answer_to_one_question_grades_another() -> None:
    """The pieces of a context that answer two questions are found again there, and grade none."""
    rows = []
    for i in range(12):
        pair = [{"question": asked(i), "answer": {"text": TOWNS[i % 6], "start": 29}},
                {"question": f"In which year was that, {i}?",
                 "answer": {"text": str(1700 + i), "start": 12}}]  # fmt: skip
        rows.append({"context": told(i), "pairs": pair})
    plan, said = plan_of(rows)
    assert (plan.task.kind, plan.task.answer) == ("ungraded", None)
    assert plan.task.span is not None and plan.roles["pairs[].answer.text"] is Role.answer_span
    assert said == [
        "not graded: pairs[].answer.text answers several questions of a row, each its own"
    ]


# -- what is asked, and is not shown ---------------------------------------------------------------

LISTED = str(list(PICKS))


@pytest.mark.parametrize(
    ("options", "golds", "kind"),
    [
        (LISTED, "ABCD", "ungraded"),
        ('["dry", "wet", "hot", "old"]', "ABCD", "ungraded"),
        ("{'A': 'dry', 'B': 'wet', 'C': 'hot', 'D': 'old'}", "ABCD", "ungraded"),
        (LISTED, ("(A)", "(B)", "(C)", "(D)"), "ungraded"),
        (LISTED, (0, 1, 2, 3), "ungraded"),
        (LISTED, (1, 2, 3, 4), "ungraded"),
        (LISTED, PICKS, "text"),
        ("['12', '35', '7', '81']", (12, 35, 7, 81), "number"),
    ],
)
def test_choices_in_one_text(options: str, golds: Any, kind: str) -> None:
    """A place among choices that no prompt shows grades nothing; the text of one does."""
    rows = [{"question": asked(i), "options": options, "answer": golds[i % 4]} for i in range(16)]
    plan, said = plan_of(rows)
    assert plan.task.kind == kind
    assert plan.roles["options"] is Role.code
    assert said == (
        ["not graded: options holds the choices as one text, and is not shown"]
        if kind == "ungraded"
        else []
    )


def test_choices_in_one_text_and_in_the_question() -> None:
    """Where the question itself has the choices, their letters are graded."""
    shown = "\n".join(f"({c}) {text}" for c, text in zip("ABCD", PICKS, strict=True))
    rows = [
        {"query": f"{asked(i)}\n{shown}", "options": LISTED, "answer": f"({'ABCD'[i % 4]})"}
        for i in range(16)
    ]
    plan, said = plan_of(rows)
    assert (plan.task.kind, plan.task.answer, said) == ("text", "answer", [])


def test_few_letters_and_another_gold() -> None:
    """Rows without choices do not make a closed set of the letters of the others."""
    rows = [
        {"question": asked(i), "options": LISTED if i % 8 else "[]",
         "answer": "ABC"[i % 3] if i % 8 else "12"}
        for i in range(24)
    ]  # fmt: skip
    plan, said = plan_of(rows)
    assert (plan.task.kind, plan.task.fixed_choices, len(said)) == ("ungraded", [], 1)


def test_all_languages_in_a_list() -> None:
    """The texts of a list of languages stay, and what they ask is missing: nothing is graded."""
    from datasets import ClassLabel, Translation, TranslationVariableLanguages

    names = ["entailment", "neutral", "contradiction"]
    features = Features(
        premise=Translation(languages=["de", "en"]),
        hypothesis=TranslationVariableLanguages(languages=["de", "en"]),
        label=ClassLabel(names=names),
    )
    rows = [
        {"premise": {"de": f"Die Glocke {i} wurde gegossen.", "en": told(i)},
         "hypothesis": {"de": f"Es war {i}.", "en": f"It was in winter, {i} times."},
         "label": i % 3}
        for i in range(12)
    ]  # fmt: skip
    data = Dataset.from_list([features.encode_example(row) for row in rows], features=features)
    said: list[str] = []
    plan = infer_plan(
        data.features, data.to_list(), source="o/n", target_lang="ko", say=said.append
    )
    assert plan.translated == ["premise.en"]
    assert (plan.task.kind, plan.task.answer) == ("ungraded", None)
    assert said == [
        "not graded: hypothesis.translation[] holds all languages of what is asked, and is not "
        "shown"
    ]


def test_a_port_says_why_it_is_not_graded(tmp_path: Path) -> None:
    """The sentence reaches whoever watches the port."""
    rows = [{"question": asked(i), "options": LISTED, "answer": "ABCD"[i % 4]} for i in range(16)]
    Dataset.from_list(rows).to_parquet(tmp_path / "quiz.parquet")
    job = PortJob(dataset=str(tmp_path / "quiz.parquet"))
    events: list[Event] = []
    plan, _ = planned(job, open_source(job), events.append)
    assert plan.task.kind == "ungraded"
    assert events == [
        Stage("plan", "not graded: options holds the choices as one text, and is not shown")
    ]


# -- questions that stand in a row twice -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "question"),
    [
        ("search_query", "{}", "question"),
        ("Pre-Revision Question", "{}", "question"),
        ("translation", "{}", "question"),
        ("output", "It is said to be so. {}", "question"),
    ],
)
def test_a_question_is_no_answer(name: str, text: str, question: str) -> None:
    """A question that another column repeats is asked."""
    rows = [
        {"question": asked(i), name: text.format(asked(i)), "answer": TOWNS[i % 6]}
        for i in range(9)
    ]
    plan, _ = plan_of(rows)
    assert plan.task.question == [question]


def test_a_text_that_is_the_answer_is_not_shown() -> None:
    """A text that equals an output tells it, whatever its name is."""
    rows = [{"prompt": asked(i), "text": told(i), "output": told(i)} for i in range(9)]
    plan, _ = plan_of(rows)
    assert plan.task.question == ["prompt"]


# -- programs --------------------------------------------------------------------------------------

C_COMMENT = "/*\nAdd the two numbers, the one to the other,\nand return their sum.\n>>> add(1, 2)\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{C_COMMENT}3\n*/\nint add(int a, int b) {{\n", True),
        (C_COMMENT + "A long story of how they are added. " * 40, True),
        (f"{C_COMMENT}*/\nconst add = (a, b) => {{\n", True),
        ('import (\n  "math"\n  "sort"\n)\n\n// Add two numbers.\n// They may be large.\n'
         "func Add(a, b int) int {\n", True),
        ("-- Add two numbers, as they are.\n-- They may be large.\nlocal function add(a, b)\n",
         True),
        ("# Add two numbers, as they are.\n# They may be large.\ndef add(a, b)\n", True),
        ("// Add two numbers and return their sum.\n// They may be large.\n", False),
        ("# How to bake bread\nIf you want to bake, do this:\n", False),
        ("# The mill\n\nThe mill burned down. Nobody knows why.\n\n# The well\n\nIt is deep.\n",
         False),
        ("- Bring bread (and salt)\n- Bring oil\n- Sing\n", False),
        ("-- Hello, said the goat.\n-- Good day, said the fox.\n", False),
    ],
)  # fmt: skip
def test_comments_do_not_hide_code(text: str, code: bool) -> None:
    """However long the comment over it, code is code; a heading or a dash makes no code."""
    assert is_code(Look([text] * 8, 8)) == code


BODY = "    n = a + b\n    return n\n"
CHECK = "def check(f):\n    assert f(1, 2) == 3\n"
C_BODY = "    return a + b;\n}\n"


@pytest.mark.parametrize(
    ("solution", "test", "runs"),
    [
        (BODY, CHECK, True),
        (f"def add(a, b):\n{BODY}", "assert add(1, 2) == 3", True),
        (f"```python\ndef add(a, b):\n{BODY}```", "assert add(1, 2) == 3", True),
        (C_BODY, "int main() {\n    assert (add(1, 2) == 3);\n}\n", False),
        (C_BODY, "assert (add(1, 2) == 3);", False),
        (BODY, "console.assert(add(1, 2) === 3)\n", False),
        ("    return a + b\n", "func TestAdd(t *testing.T) {\n    assert.Equal(3, Add(1, 2))\n}",
         False),
    ],
)  # fmt: skip
def test_only_python_is_run(solution: str, test: str, runs: bool) -> None:
    """A program and its tests are a task only if both are Python."""
    leaves = [Leaf("canonical_solution", "string"), Leaf("test", "string")]
    looks = {"canonical_solution": Look([solution], 1), "test": Look([test], 1)}
    roles = dict.fromkeys(looks, Role.code)
    assert (find_tested(leaves, looks, roles) is not None) == runs


@pytest.mark.parametrize(
    ("gold", "role"),
    [
        ("travel_time(way=20{}, speed=80)", Role.code),
        ("shell.cd(folder='old{}')", Role.code),
        ("API-Request: [GetTime(city='Town {}')]", Role.code),
        ("os.path{}", Role.category),
        ("the old mill {}", Role.answer_free),
        ("Wexmoor (no. {})", Role.answer_free),
    ],
)
def test_a_call_is_no_text(gold: str, role: Role) -> None:
    """A call of a function and a name of a program are kept as they are, and grade nothing."""
    rows = [{"question": asked(i), "ground_truth": [gold.format(i)]} for i in range(9)]
    plan, _ = plan_of(rows)
    assert plan.roles["ground_truth[]"] is role
    assert (plan.task.answer is not None) == role.translated


# -- labels, numbers and flags ---------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, 1])
def test_numbered_labels_are_no_numbers_to_find(base: int) -> None:
    """Labels 1, 2 as well as 0, 1 name something that is nowhere said."""
    rows = [{"story": told(i), "first": told(i + 1), "label": base + i % 2} for i in range(12)]
    plan, _ = plan_of(rows)
    assert (plan.task.kind, plan.roles["label"]) == ("ungraded", Role.answer_label)


def test_numbers_in_lists_of_lists_are_no_answer() -> None:
    """Of several numbers for each of several things none is the one to find."""
    rows = [
        {"question": asked(i), "votes": [{"answers": [i, 40 + i]}, {"answers": [7]}]}
        for i in range(9)
    ]
    plan, _ = plan_of(rows)
    assert (plan.task.kind, plan.roles["votes[].answers[]"]) == ("ungraded", Role.number)


@pytest.mark.parametrize(
    ("answer", "kind", "gold"),
    [
        ("{}. " + "Nobody knows what became of the mill and of its wheel. " * 3, "ungraded", None),
        ("${}$", "number", "answer"),
        ("$x={}$", "math", "answer"),
        ("", "multiple_choice", "is_rude"),
    ],
)
def test_a_flag_is_a_gold_where_nothing_else_is(answer: str, kind: str, gold: str | None) -> None:
    """What may be the gold, and holds something, is never left for a flag."""
    rows = [
        {"question": asked(i), "answer": answer.format(i), "is_rude": i % 2 == 0} for i in range(12)
    ]
    plan, _ = plan_of(rows)
    assert (plan.task.kind, plan.task.answer) == (kind, gold)


# -- what is paid for, and what is shown -----------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "path", "chosen"),
    [
        (
            {"answers": [{"text": "the mill", "tokens": ["the", "mill"]}]},
            "answers[].tokens[]",
            False,
        ),
        ({"answers": [{"spans": [["in", "town"]]}]}, "answers[].spans[][]", False),
        ({"quiz": [{"answers": [{"text": "a mill"}]}]}, "quiz[].answers[].text", True),
        ({"options": [["a mill", "a well"]]}, "options[][]", True),
    ],
)
def test_what_each_answer_has_is_no_choice(row: Row, path: str, chosen: bool) -> None:
    """The tokens of an answer are not chosen from; the answers to several questions may be."""
    leaves = leaves_of(Dataset.from_list([row]).features)
    looks = {x.path: Look(values(row, x.path) * 3, 3) for x in leaves}
    assert (path in nested(leaves, looks)) == chosen


@pytest.mark.parametrize("name", ["id", "dialogue_id", "turn_ids"])
def test_a_key_is_no_formula(name: str) -> None:
    """C_0 and f001_2 are keys, and never shown."""
    rows = [{name: f"C_{i}_q#{i}", "question": asked(i)} for i in range(9)]
    plan, _ = plan_of(rows, {name: Value("string")})
    assert plan.roles[name] is Role.id
    assert plan.task.question == ["question"]


def test_a_continuation_is_not_shown() -> None:
    """What a prompt was gone on with is no part of it."""
    rows = [{"prompt": {"text": told(i)}, "continuation": {"text": told(i + 1)}} for i in range(9)]
    plan, _ = plan_of(rows)
    assert plan.task.question == ["prompt.text"]
