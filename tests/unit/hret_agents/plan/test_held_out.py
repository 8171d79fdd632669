"""The planner against schemas that were written after it, and what is taken for what in them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from datasets import Features, Value

from hret_agents.module.spec import spec_of
from hret_agents.plan.infer import infer_plan
from hret_agents.plan.languages import other_languages
from hret_agents.plan.look import Look
from hret_agents.plan.programs import begins_in_words
from hret_agents.plan.records import Plan, Role, check_against
from hret_agents.plan.schema import Leaf, leaves_of
from hret_agents.plan.tested import find_tested
from llm_eval.dataset.gold import golds_of
from tests.schemas import HELD_OUT, Row, fixtures

SCHEMAS = {fixture.name: fixture for fixture in fixtures(HELD_OUT)}
ENOUGH = 0.95
MISSED = ("headqa_answer_structs",)  # its gold is called "ra": it is kept, and nothing is graded


@cache
def plan_of(name: str) -> Plan:
    """The plan that is inferred for a fixture."""
    fixture = SCHEMAS[name]
    rows = fixture.table().to_pylist()
    return infer_plan(fixture.features, rows, source=name, target_lang="ko", keep_columns=True)


def kept(name: str) -> list[str]:
    """The leaves that must stay."""
    roles = SCHEMAS[name].plan["roles"]
    return [path for path, role in roles.items() if not Role(role).translated]


def test_nearly_all_leaves_are_right() -> None:
    """At least 95 in 100 leaves have the very role that a person gave them."""
    pairs = [
        (f"{f.name}: {path} is {role}, not {plan_of(f.name).roles[path]}", role)
        for f in SCHEMAS.values()
        for path, role in f.plan["roles"].items()
    ]
    wrong = [said for said, role in pairs if not said.endswith(f"not {role}")]
    print(f"{len(pairs) - len(wrong)} of {len(pairs)} leaves", *wrong, sep="\n")
    assert len(SCHEMAS) >= 36
    assert len(pairs) - len(wrong) >= ENOUGH * len(pairs)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_kept_is_never_translated(name: str) -> None:
    """No label, id, key, gold or code gets a translated role, and the plan agrees with the data."""
    plan = plan_of(name)
    assert not [path for path in kept(name) if plan.roles[path].translated]
    check_against(plan, [leaf.path for leaf in leaves_of(SCHEMAS[name].features)], name)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_rows_give_nothing_away(name: str, count: int) -> None:
    """However few rows are looked at, what is kept gets no translated role."""
    fixture = SCHEMAS[name]
    rows = fixture.table().to_pylist()[:count]
    roles = infer_plan(fixture.features, rows, source=name, target_lang="ko").roles
    assert not [path for path in kept(name) if roles[path].translated]


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_gold_is_another_than_the_one_meant(name: str) -> None:
    """What is graded is graded by the gold that a person reads, row by row."""
    fixture, plan = SCHEMAS[name], plan_of(name)
    graded = fixture.answers is not None and name not in MISSED
    assert (plan.task.kind != "ungraded") == graded
    if not graded:
        return
    spec = spec_of(plan, slug=f"{name}_ko", repo=None, subsets={"default": ["test"]})
    found = [golds_of(row, spec) for row in fixture.table().to_pylist()]
    assert found == [a if isinstance(a, list) else [a] for a in fixture.answers or []]


PROGRAM = "def double(x):\n    return 2 * x\n"
CLASS = "import unittest\n\nclass T(unittest.TestCase):\n    def test(self):\n        {}\n"


@pytest.mark.parametrize(
    ("test", "judges"),
    [
        ("assert double(2) == 4", True),
        ("def check(candidate):\n    assert candidate(2) == 4\n", True),
        ("for i in range(3):\n    assert double(i) == i + i\n", True),
        ("def test_double():\n    assert double(2) == 4\n\ntest_double()\n", True),
        ("def test_double():\n    assert double(2) == 4\n", False),
        (CLASS.format("self.assertEqual(double(2), 4)"), False),
        (CLASS.format("pass") + "\nif __name__ == '__main__':\n    unittest.main()\n", False),
    ],
)
def test_tests_that_nothing_runs_judge_nothing(test: str, judges: bool) -> None:
    """Tests that only define something would be passed by every program."""
    leaves = [Leaf("solution", "string"), Leaf("test", "string")]
    looks = {"solution": Look([PROGRAM], 1), "test": Look([test], 1)}
    roles = {"solution": Role.code, "test": Role.code}
    assert (find_tested(leaves, looks, roles) is not None) == judges


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Problem:\nI have a table `df`. How do I sort it?\n<code>\nimport os\n</code>\n", True),
        ("// Add two numbers and return their sum.\nint add(int a, int b) {\n", False),
        ("/**\n * Add two numbers and return their sum.\n */\nint add(int a, int b) {\n", False),
        ("-- Which of the towns has the most people in it?\nselect name from town\n", False),
        ("import os\n# Say which of the files is the largest.\n", False),
    ],
)
def test_code_with_a_comment_in_front_is_code(text: str, words: bool) -> None:
    """A sentence before the code makes a question of it; a comment does not."""
    assert begins_in_words(Look([text], 1)) == words


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("∀x (Heron(x) → CanFly(x))", "logic"),
        ("Prove that ∀x in the set there is a larger one.", ""),
        ("Go to the harbour → take the ferry.", ""),
        ("[1, 'a']", "literals"),
        ('"I would rather walk," she said.', ""),
        ("'Tis the season to be jolly.", ""),
        ("a ) 38 , b ) 27.5 , c ) none of these", "listing"),
        ("A bee flew b) over the fence", ""),
        ("10 - 15 minutes", "dates"),
        ("5 minutes is too short for a walk", ""),
    ],
)
def test_what_values_show(text: str, what: str) -> None:
    """Formulas, values of Python, options and durations are seen, and plain text is none."""
    look = Look([text] * 8, 8)
    names = ("logic", "literals", "listing", "dates", "canary")
    assert [name for name in names if getattr(look, name)] == ([what] if what else [])


@pytest.mark.parametrize(
    ("paths", "stay"),
    [
        (["text_en", "text_de"], ["text_de"]),
        (["de", "en", "fr"], ["de", "fr"]),
        (["en_title", "en_body", "de_title"], ["de_title"]),
        (["t.fr", "t.de"], ["t.de"]),
        (["question_id", "question_no_answer", "question"], []),
        (["text_en"], []),
    ],
)
def test_one_language_of_several_is_translated(paths: list[str], stay: list[str]) -> None:
    """Columns that differ in their language only are sides of one text."""
    leaves = [Leaf(path, "string") for path in paths]
    assert list(other_languages(leaves, dict.fromkeys(paths, Role.prose))) == stay


def test_ids_and_answers_in_columns_like_languages_are_no_languages() -> None:
    """`id` and `no` are codes of languages, and far more often something else."""
    roles = {"id": Role.id, "no": Role.number, "text": Role.prose}
    assert other_languages([Leaf(path, "string") for path in roles], roles) == {}


def inferred(rows: list[Row], types: dict[str, Any]) -> Plan:
    """The plan for a few columns."""
    return infer_plan(Features(types), rows, source="x/y", target_lang="ko")


def test_an_index_without_its_choices_is_no_number_to_find() -> None:
    """Where the choices are nowhere found, their place is kept, and no gold is made of it."""
    rows = [
        {"question": f"Who of the guests ate cake number {i + 1}?", "answer_idx": i % 2}
        for i in range(8)
    ]
    plan = inferred(rows, {"question": Value("string"), "answer_idx": Value("int64")})
    assert (plan.task.kind, plan.task.answer) == ("ungraded", None)


def test_a_flag_of_how_a_row_was_made_is_no_gold() -> None:
    """is_translated tells nothing that could be asked."""
    rows = [{"text": f"The ferry number {i} left at dawn.", "is_x": i % 2 == 0} for i in range(8)]
    for name, kind in (("is_translated", "ungraded"), ("is_rude", "multiple_choice")):
        named = [{"text": row["text"], name: row["is_x"]} for row in rows]
        plan = inferred(named, {"text": Value("string"), name: Value("bool")})
        assert plan.task.kind == kind
