"""A plan is a file that can be read, edited and passed back, and says what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, Value

from hret_agents.plan.infer import infer_plan
from hret_agents.plan.records import (
    EACH,
    IGNORABLE,
    STRUCTURAL,
    Plan,
    Role,
    Span,
    TaskPlan,
    check_against,
    keys_of,
    path_of,
    read_plan,
)
from hret_agents.plan.schema import leaves_of, replaced, values
from llm_eval.errors import UserError

PLAN = Plan(
    source="owner/이름: quiz #1",
    source_lang="no",
    target_lang="ko",
    roles={
        "question": Role.prose,
        "choices.text[]": Role.choices,
        "choices.label[]": Role.category,
        r"a\.b": Role.id,
        "answer": Role.answer_label,
        "yes": Role.number,
        "1": Role.url,
    },
    names={"question": "질문", "yes": "null", "1": "~", "a.b": "x: [y]"},
    task=TaskPlan(
        kind="multiple_choice",
        question=["question"],
        choices=["choices.text[]"],
        labels="choices.label[]",
        answer="answer",
        answer_kind="label",
    ),
)
CLOSED = replace(
    PLAN,
    task=TaskPlan(
        kind="multiple_choice",
        question=["question"],
        fixed_choices=["no", "yes", "1", "null", "참"],
        lettered=True,
        answer="answer",
        answer_kind="index",
        index_base=1,
    ),
)
FULL = replace(
    PLAN,
    register="polite",
    style="초등학생에게 말하듯이: #1",
    glossary={"dog": "개|강아지", "no": "아니오"},
    ignore={"question": ["numbers", "unchanged"], "*": ["register"]},
    task=replace(PLAN.task, span=Span(context="question", text="answer", start="yes")),
)
LEAVES = list(PLAN.roles)
ODD = [
    ("question",), ("choices", "text", EACH), ("messages", EACH, "content"), ("a", EACH, EACH),
    ("a.b",), ("a.b", "c.d", EACH), ("x[0]",), ("x[]",), ("[x]", EACH), ("back\\slash",), ("\\",),
    ("a b", "ㄱ ㄴ"), (".", ".."), ("질문", EACH), ("a\\.b",), ("[",), ("]", "][", EACH),
]  # fmt: skip


def written(folder: Path, plan: Plan, **edits: Any) -> Path:
    """The plan's file, some keys changed (None: taken out; dots go down)."""
    raw = yaml.safe_load(plan.to_yaml())
    for name, value in edits.items():
        place, _, key = name.rpartition("__")
        target = raw[place] if place else raw
        if value is None:
            del target[key]
        else:
            target[key] = value
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("plan", [PLAN, CLOSED, FULL])
def test_a_plan_comes_back_from_its_file(tmp_path: Path, plan: Plan) -> None:
    """Written and read, a plan is itself, with names that YAML would take for something else."""
    path = tmp_path / "plan.yaml"
    path.write_text(plan.to_yaml(), encoding="utf-8")
    assert read_plan(path) == plan
    assert read_plan(path).to_yaml() == plan.to_yaml() and read_plan(path).sha256 == plan.sha256
    assert list(read_plan(path).roles) == list(plan.roles)


def test_the_file_says_how_it_is_used() -> None:
    """The file begins with the roles there are and the flag that takes it back."""
    head = PLAN.to_yaml().split("source:")[0]
    assert "--plan" in head and all(role in head for role in Role)


def test_the_hash_holds_every_part() -> None:
    """A changed role, name, language or task is another plan."""
    others = [
        PLAN,
        CLOSED,
        replace(PLAN, source_lang="en"),
        replace(PLAN, names={}),
        FULL,
        replace(PLAN, register="plain"),
        replace(PLAN, style="x"),
        replace(PLAN, glossary={"a": "b"}),
        replace(PLAN, ignore={"*": ["numbers"]}),
        replace(PLAN, roles=PLAN.roles | {"yes": Role.code}),
    ]
    assert len({p.sha256 for p in others}) == len(others)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"task__choises": []}, r"unknown key 'task\.choises'"),
        ({"roles__question": "prosa"}, r"roles\.question"),
        ({"task__kind": "riddle"}, r"task\.kind"),
        ({"task__answer_kind": "word"}, r"task\.answer_kind"),
        ({"task__question": None}, r"task\.question"),
        ({"target_lang": None}, "target_lang"),
        ({"roles": []}, "roles"),
        ({"names__question": 3}, r"names\.question"),
        ({"register": "casual"}, "register"),
        ({"register": "formal", "target_lang": "ja"}, "register is for Korean"),
        ({"glossary": {"dog": ""}}, "'dog' has an empty translation"),
        ({"glossary": {" ": "개"}}, "a term is empty"),
        ({"glossary": {True: "개"}}, "glossary"),
        ({"ignore": {"question": ["json_ids"]}}, "'json_ids' guards the data's structure"),
        ({"ignore": {"question": "numbers"}}, r"ignore\.question"),
        ({"task__span": {"context": "question"}}, r"task\.span\.text"),
        ({"format": 9}, "format 9, and this program reads format 1"),
        ({"format": "1"}, "format '1'"),
        ({"source_lang": "English"}, "source_lang: 'English' is no language code"),
        ({"source_lang": ""}, "source_lang: '' is no language code"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, edits: dict[str, Any], said: str) -> None:
    """An unknown key, a wrong value and a missing part are sentences with the key in them."""
    with pytest.raises(UserError, match=rf"plan\.yaml.*{said}"):
        read_plan(written(tmp_path, PLAN, **edits))


def test_a_check_that_is_none_is_guessed(tmp_path: Path) -> None:
    """A check's name that is mistyped is told with the one that was meant."""
    with pytest.raises(UserError, match="no check to ignore called 'number'") as told:
        read_plan(written(tmp_path, PLAN, ignore={"question": ["number"]}))
    assert "'numbers'" in told.value.hint


def test_what_is_ignored_where() -> None:
    """A leaf's own checks and those that are off everywhere; each check is of one kind."""
    assert FULL.ignored("question") == {"numbers", "unchanged", "register"}
    assert FULL.ignored("answer") == FULL.ignored("*") == {"register"}
    assert PLAN.ignored("question") == frozenset()
    assert not set(IGNORABLE) & set(STRUCTURAL)


def test_options_that_are_not_used_are_not_written() -> None:
    """A plan without options has no trace of them below its head."""
    body = PLAN.to_yaml().split("source:", 1)[1]
    assert not [k for k in ("register", "style", "glossary", "ignore", "span") if k in body]


@pytest.mark.parametrize("text", ["", "- a\n", "roles: [\n", "just words\n", "\x00"])
def test_what_is_no_plan_is_a_sentence(tmp_path: Path, text: str) -> None:
    """An empty file, a list and broken YAML are told, with the file's name."""
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.yaml"):
        read_plan(tmp_path / "plan.yaml")


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no text are told, with the path."""
    with pytest.raises(UserError, match="there is no plan file"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(UserError, match=f"{tmp_path} is a folder"):
        read_plan(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN.to_yaml(), encoding="utf-16")
    with pytest.raises(UserError, match=r"plan\.yaml is no text in UTF-8"):
        read_plan(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text("source: 2024-06-31\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.yaml is no YAML"):
        read_plan(tmp_path / "plan.yaml")


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"id": Value("int64"), "": Value("string")}, "a column of the data has no name"),
        ({"id": {"": Value("string")}}, "a field of the column 'id' has no name"),
        ({"[]": Value("string")}, r"a column of the data is called '\[\]'"),
    ],
)
def test_a_column_without_a_name_is_refused(features: dict[str, Any], said: str) -> None:
    """What a plan has no path for is told."""
    with pytest.raises(UserError, match=said):
        leaves_of(features)


def test_a_plan_that_fits_passes() -> None:
    """A plan that names each leaf of the data once is taken."""
    check_against(PLAN, LEAVES, "plan.yaml")
    check_against(PLAN, LEAVES[::-1], "plan.yaml")


@pytest.mark.parametrize(
    ("plan", "leaves", "said"),
    [
        (PLAN, [*LEAVES, "more"], "no role for the leaf 'more'"),
        (PLAN, LEAVES[1:], "the data has no leaf 'question'"),
        (replace(PLAN, names={"nowhere": "x"}), LEAVES, "'nowhere', which is no column"),
        (replace(PLAN, names={"choices.text[]": "x"}), LEAVES, "no column"),
        (replace(PLAN, names={"question": "answer"}), LEAVES, "the same name"),
        (replace(PLAN, names={"question": "x", "yes": "x"}), LEAVES, "the same name"),
        *(
            (replace(PLAN, task=task), LEAVES, "task names 'gone'")
            for task in (
                replace(PLAN.task, question=["gone"]),
                replace(PLAN.task, choices=["gone"]),
                replace(PLAN.task, labels="gone"),
                replace(PLAN.task, answer="gone"),
                replace(PLAN.task, span=Span(context="gone", text="answer", start="yes")),
            )
        ),
        (replace(PLAN, ignore={"gone": ["numbers"]}), LEAVES, "ignore names 'gone'"),
    ],
)  # fmt: skip
def test_a_plan_that_does_not_fit_is_told(plan: Plan, leaves: list[str], said: str) -> None:
    """A leaf too many or too few, a column that is none and a doubled name are sentences."""
    with pytest.raises(UserError, match=rf"plan\.yaml: .*{said}"):
        check_against(plan, leaves, "plan.yaml")


@pytest.mark.parametrize("keys", ODD)
def test_a_path_stands_for_its_keys_alone(keys: tuple[str, ...]) -> None:
    """Dots, brackets and backslashes in a column's own name survive the path."""
    assert tuple(keys_of(path_of(keys))) == keys


def test_two_leaves_never_share_a_path() -> None:
    """Different keys give different paths."""
    assert len({path_of(keys) for keys in ODD}) == len(ODD)


def test_odd_columns_are_read_and_replaced() -> None:
    """A row with dots and brackets in its names is walked by the paths of its schema."""
    row = {"a.b": "one", "x[0]": ["two", None], "s": {"c.d": [{"e[]": "three"}]}, "\\": "four"}
    paths = [leaf.path for leaf in leaves_of(Dataset.from_list([row]).features)]
    assert [values(row, p) for p in paths] == [["one"], ["two", None], ["three"], ["four"]]
    new: Any = row
    for path in paths:
        new = replaced(new, path, lambda v: v and v.upper())
    assert new == {
        "a.b": "ONE", "x[0]": ["TWO", None], "s": {"c.d": [{"e[]": "THREE"}]}, "\\": "FOUR"
    }  # fmt: skip
    assert row["a.b"] == "one"


def test_a_plan_for_odd_columns_comes_back(tmp_path: Path) -> None:
    """A plan that was inferred for odd names fits its data after a trip through the file."""
    row = {"q.uestion[0]": "What is the name of the town?", "back\\slash": 1, "ok": "yes"}
    features = Dataset.from_list([row]).features
    plan = infer_plan(features, [row], source="s", target_lang="ko")
    (tmp_path / "p.yaml").write_text(plan.to_yaml(), encoding="utf-8")
    again = read_plan(tmp_path / "p.yaml")
    assert again == plan
    check_against(again, [leaf.path for leaf in leaves_of(features)], "p.yaml")
    assert again.translated == [r"q\.uestion\[0]"]


def test_renamed_leads_to_the_ports_column() -> None:
    """The keys of a leaf in the port: its column renamed, the rest as it was."""
    assert list(PLAN.renamed("question")) == ["질문"]
    assert list(PLAN.renamed(r"a\.b")) == ["x: [y]"]
    assert list(PLAN.renamed("choices.text[]")) == ["choices", "text", EACH]
