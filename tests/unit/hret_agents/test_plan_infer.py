"""The plan that is inferred from a schema and some rows: what is translated, and what never is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from hret_agents.plan.infer import infer_plan, source_language
from hret_agents.plan.names import KOREAN, column_names
from hret_agents.plan.records import Plan, Role, check_against
from hret_agents.plan.schema import leaves_of
from llm_eval.errors import UserError

Row = dict[str, Any]
ASKED = [
    "Which gas do green plants take in from the air?",
    "What is the name of the town on the hill?",
    "How many legs does a garden spider have?",
    "Who wrote the long letter to the old king?",
    "Where do the birds go when the winter comes?",
    "Why does the ice on the lake melt in spring?",
]
TOLD = [
    "The baker sold six loaves of bread in the morning.",
    "A heavy stone fell from the wall of the castle.",
    "My neighbour keeps three cats and an old dog.",
    "Nobody saw the boat that came in last night.",
    "The children sing a song about the summer rain.",
    "Her brother repaired the clock in the kitchen.",
]
PICKS = [
    ["a river", "the old mill", "fresh bread", "blue ink"],
    ["some salt", "the garden", "a loud bell", "wet sand"],
    ["a candle", "the market", "sweet milk", "dry wood"],
    ["a mirror", "the tower", "warm wool", "grey dust"],
    ["a basket", "the stable", "cold soup", "thin rope"],
    ["a saddle", "the harbour", "ripe figs", "old coins"],
]
NLI = ["entailment", "neutral", "contradiction"]


class Case(NamedTuple):
    """A schema as rows, and what its plan must say."""

    rows: list[Row]
    sent: set[str]
    kind: str
    answer: str | None = None
    answer_kind: str | None = None
    choices: list[str] = []
    features: Mapping[str, Any] | None = None


def rows(count: int = 6, **columns: Any) -> list[Row]:
    """Rows by column: a list of values, a function of the row's number, or a constant."""
    return [
        {
            name: value[i] if isinstance(value, list) else value(i) if callable(value) else value
            for name, value in columns.items()
        }
        for i in range(count)
    ]


def q(name: str) -> dict[str, Any]:
    """Six texts, questions unless the column tells something."""
    return {name: ASKED if name in ("question", "Question", "query", "prompt") else TOLD}


def right(i: int) -> int:
    """The index of the right choice of a row."""
    return [1, 0, 3, 2, 1, 0][i % 6]


def letter(i: int) -> str:
    """Its letter."""
    return "ABCD"[right(i)]


def pick(i: int) -> str:
    """Its text."""
    return PICKS[i][right(i)]


def picks(name: str, start: int, count: int) -> dict[str, Any]:
    """Numbered columns of choices."""
    return {f"{name}{start + c}": [p[c] for p in PICKS] for c in range(count)}


def labelled(i: int, labels: str = "ABCD") -> dict[str, list[str]]:
    """The choices of a row with their labels."""
    return {"text": PICKS[i], "label": list(labels)}


COLUMNS: dict[str, Any] = {letter: [p[i] for p in PICKS] for i, letter in enumerate("ABCD")}
CH = "choices[]"
TEXTS = "choices.text[]"

CASES: dict[str, Case] = {
    "list and index": Case(
        rows(**q("question"), choices=PICKS, answer=right),
        {"question", CH}, "multiple_choice", "answer", "index", [CH]),
    "list and class label": Case(
        rows(**q("question"), choices=PICKS, answer=right, subject="physics"),
        {"question", CH}, "multiple_choice", "answer", "index", [CH],
        {"question": Value("string"), "choices": List(Value("string")),
         "answer": ClassLabel(names=["A", "B", "C", "D"]), "subject": Value("string")}),
    "text, label and key": Case(
        rows(id=lambda i: f"Mercury_70{i}31", **q("question"), choices=labelled, answerKey=letter),
        {"question", TEXTS}, "multiple_choice", "answerKey", "label", [TEXTS]),
    "numbered labels and key": Case(
        rows(**q("question"), choices=lambda i: labelled(i, "1234"),
             answerKey=lambda i: "214321"[i]),
        {"question", TEXTS}, "multiple_choice", "answerKey", "label", [TEXTS]),
    "letter columns": Case(
        rows(**q("Question"), **COLUMNS, Answer=letter, Subject="law"),
        {"Question", *"ABCD"}, "multiple_choice", "Answer", "letter", [*"ABCD"]),
    "small letters": Case(
        rows(**q("question"), **COLUMNS, answer=lambda i: "badcba"[i]),
        {"question", *"ABCD"}, "multiple_choice", "answer", "letter", [*"ABCD"]),
    "options counted from 1": Case(
        rows(sentence=TOLD, **picks("option", 1, 2), answer=lambda i: "121221"[i]),
        {"sentence", "option1", "option2"}, "multiple_choice", "answer", "index",
        ["option1", "option2"]),
    "answers counted from 0": Case(
        rows(example_id=lambda i: i, context=TOLD, **q("question"), label=lambda i: i % 3,
             **picks("ans", 0, 3)),
        {"context", "question", "ans0", "ans1", "ans2"}, "multiple_choice", "label", "index",
        ["ans0", "ans1", "ans2"]),
    "letters inside the options": Case(
        rows(**q("question"), rationale=TOLD, correct=letter,
             options=[[f"{c}){t}" for c, t in zip("ABCD", p, strict=True)] for p in PICKS]),
        {"question", "options[]", "rationale"}, "multiple_choice", "correct", "letter",
        ["options[]"]),
    "answer text among choices": Case(
        rows(**q("question"), choices=PICKS, answer=pick),
        {"question", CH}, "multiple_choice", "answer", "text", [CH]),
    "answer text and its index": Case(
        rows(**q("question"), choices=PICKS, answer=pick, answer_idx=letter),
        {"question", CH}, "multiple_choice", "answer_idx", "letter", [CH]),
    "options in a struct": Case(
        rows(**q("question"), options=lambda i: dict(zip("ABCD", PICKS[i], strict=True)),
             answer=pick, answer_idx=letter),
        {"question", *(f"options.{c}" for c in "ABCD")}, "multiple_choice", "answer_idx", "letter",
        [f"options.{c}" for c in "ABCD"]),
    "worked answers": Case(
        rows(**q("question"), answer=lambda i: f"{TOLD[i]}\n#### {i * 1000:,}"),
        {"question", "answer"}, "number", "answer", "steps"),
    "a number as text": Case(
        rows(**q("question"), answer=lambda i: f"{i}.5"),
        {"question"}, "number", "answer", "number"),
    "a number": Case(
        rows(problem=ASKED, answer=lambda i: i * 7), {"problem"}, "number", "answer", "number"),
    "string labels, many rows": Case(
        rows(18, premise=TOLD * 3, hypothesis=ASKED * 3, gold_label=NLI * 6,
             guid=lambda i: f"x-{i}"),
        {"premise", "hypothesis"}, "multiple_choice", "gold_label", "text"),
    "class label alone": Case(
        rows(text=TOLD, label=lambda i: i % 2), {"text"}, "multiple_choice", "label", "index", [],
        {"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])}),
    "yes or no": Case(
        rows(passage=TOLD, **q("question"), answer=lambda i: i % 2 == 0),
        {"passage", "question"}, "multiple_choice", "answer", "index"),
    "a short free answer": Case(
        rows(**q("question"), answer=[p[0] for p in PICKS]), {"question", "answer"}, "text",
        "answer", "text"),
    "messages": Case(
        rows(id=lambda i: f"c{i}", messages=lambda i: [{"role": "user", "content": ASKED[i]},
                                 {"role": "assistant", "content": TOLD[i]}]),
        {"messages[].content"}, "ungraded"),
    "from and value": Case(
        rows(conversations=lambda i: [{"from": "human", "value": ASKED[i]},
                                      {"from": "gpt", "value": TOLD[i]}]),
        {"conversations[].value"}, "ungraded"),
    "three deep": Case(
        rows(data=lambda i: {"doc": {"parts": [{"text": TOLD[i], "key": f"k{i}"}]},
                             "meta": {"source_url": f"https://a.org/{i}", "n": i}},
             **q("question")),
        {"data.doc.parts[].text", "question"}, "ungraded"),
    "code": Case(
        rows(task_id=lambda i: f"Eval/{i}", prompt=lambda i: f"def f{i}(x):\n    return x + {i}\n",
             question=ASKED, canonical_solution=lambda i: f"    return {i}\n",
             test=lambda i: f"def check(f):\n    assert f({i}) == 1\n",
             entry_point=lambda i: f"f{i}"),
        {"question"}, "code", "canonical_solution", "code"),
    "none and empty": Case(
        [{"question": None, "choices": None, "answer": None},
         {"question": "", "choices": [], "answer": -1},
         *rows(**q("question"), choices=PICKS, answer=right)],
        {"question", CH}, "multiple_choice", "answer", "index", [CH]),
    "keys, pictures, times": Case(
        rows(uuid=lambda i: f"{i}f3a-{i}b", hash=lambda i: "ab" * 8 + str(i),
             url=lambda i: f"https://a.org/{i}",
             image=None, made=None, level="hard", **q("question")),
        {"question"}, "ungraded", features={
            "uuid": Value("string"), "hash": Value("string"), "url": Value("string"),
            "image": Image(), "made": Value("timestamp[s]"), "level": Value("string"),
            "question": Value("string")}),
    "preferences": Case(
        rows(prompt=ASKED, chosen=TOLD, rejected=[*TOLD[1:], TOLD[0]]),
        {"prompt", "chosen", "rejected"}, "ungraded"),
}  # fmt: skip
NEVER = ("id", "key", "label", "gold", "idx", "role", "from", "url", "answerKey", "correct")


def plan_of(case: Case, **options: Any) -> Plan:
    """The plan for a case's rows."""
    features = None if case.features is None else Features(dict(case.features))
    data = Dataset.from_list(case.rows, features=features)
    plan = infer_plan(
        data.features, data.to_list(), source="o/n", **({"target_lang": "ko"} | options)
    )
    check_against(plan, [leaf.path for leaf in leaves_of(data.features)], "the plan")
    return plan


@pytest.mark.parametrize("name", CASES)
def test_what_is_translated(name: str) -> None:
    """Exactly the question and what is chosen from is sent; gold, id, key and code never are."""
    plan = plan_of(CASES[name])
    assert set(plan.translated) == CASES[name].sent
    assert not [p for p in plan.translated if p.rsplit(".", 1)[-1] in NEVER]


@pytest.mark.parametrize("name", CASES)
def test_what_the_task_is(name: str) -> None:
    """The gold is found where it lies, and read as what it is."""
    case, task = CASES[name], plan_of(CASES[name]).task
    assert (task.kind, task.answer, task.answer_kind) == (case.kind, case.answer, case.answer_kind)
    assert task.choices == case.choices
    assert task.question and task.answer not in task.question
    assert not set(task.question) & set(task.choices)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_few_rows_give_no_gold_away(name: str, count: int) -> None:
    """However few rows are looked at, no label, key, gold or role is given a translated role."""
    case = CASES[name]
    if name in ("none and empty", "a short free answer"):
        count += 5
    plan = plan_of(case._replace(rows=case.rows[:count]))
    assert set(plan.translated) <= case.sent


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("label", ["joy", "anger", "fear"]),
        ("gold", ["SUPPORTS", "REFUTES", "NOT ENOUGH INFO"]),
        ("gold_label", NLI),
        ("target", ["very positive", "negative", "neutral"]),
    ],
)
def test_a_string_label_is_kept(name: str, values: list[str]) -> None:
    """A label written out is kept with three rows as with thousands."""
    for count in (1, 3, 30):
        plan = plan_of(Case(rows(count, text=TOLD * 5, **{name: values * 10}), set(), ""))
        assert plan.translated == ["text"]


def test_options_are_counted_from_their_names() -> None:
    """With option1 and option2 a gold that always says 1 is the first one, not the second."""
    data = rows(sentence=TOLD, **picks("option", 1, 2), answer="1")
    task = plan_of(Case(data, set(), "")).task
    assert (task.answer_kind, task.index_base) == ("index", 1)


@pytest.mark.parametrize(("golds", "base"), [("0123", 0), ("1234", 1), ("1243", 1), ("3210", 0)])
def test_an_index_is_counted_from_what_the_rows_say(golds: str, base: int) -> None:
    """A 0 in any row means from 0; an index as high as the count means from 1."""
    case = Case(rows(4, question=ASKED, choices=PICKS, answer=lambda i: int(golds[i])), set(), "")
    assert plan_of(case).task.index_base == base


def test_accepted_answers_are_no_options() -> None:
    """Several spellings of a gold answer are not choices that must be told apart."""
    spelled = lambda i: {"text": [PICKS[i][1], PICKS[i][1].removeprefix("the ")], "start": [1, 5]}  # noqa: E731
    plan = plan_of(Case(rows(context=TOLD, question=ASKED, answers=spelled), set(), ""))
    assert plan.task.choices == []


def test_roles_of_what_is_kept() -> None:
    """What is kept is kept under its own name: id, address, code, category, number, picture."""
    roles = plan_of(CASES["keys, pictures, times"]).roles | plan_of(CASES["code"]).roles
    assert {roles[n] for n in ("uuid", "task_id")} == {Role.id}
    assert (roles["url"], roles["canonical_solution"]) == (Role.url, Role.code)
    assert (roles["level"], roles["image"]) == (Role.category, Role.binary)
    assert roles["test"] is roles["prompt"] is Role.code


def test_columns_are_renamed_unless_they_are_kept() -> None:
    """Known columns get Korean names, once each; `keep_columns` and other languages rename none."""
    case = CASES["text, label and key"]
    assert plan_of(case).names == {"question": "질문", "choices": "선택지", "answerKey": "정답"}
    assert plan_of(case, keep_columns=True).names == plan_of(case, target_lang="ja").names == {}


@pytest.mark.parametrize("columns", [["answer", "gold"], ["question", "질문"], ["Text", "text"]])
def test_a_name_that_would_stand_twice_is_not_given(columns: list[str]) -> None:
    """Renaming never makes two columns one."""
    names = column_names(columns, "ko")
    new = [names.get(c, c) for c in columns]
    assert len(set(new)) == len(new) and set(names.values()) <= set(KOREAN.values())


def test_nothing_to_ask_is_a_sentence() -> None:
    """A table of numbers is refused, with the leaves and the way out."""
    with pytest.raises(UserError, match=r"no column reads like a question\n.*--plan.*score"):
        plan_of(Case(rows(score=lambda i: i / 2, id=lambda i: f"a{i}"), set(), ""))


def test_the_source_language_is_told_by_script() -> None:
    """Korean, Japanese, Chinese and Russian are told apart; Latin letters and nothing are "en"."""
    told = {"ko": "다음 중 옳은 것은?", "ja": "これは何ですか", "zh": "这是什么", "ru": "Что это?"}
    assert {source_language([text]) for text in told.values()} == set(told)
    assert all(source_language([text]) == lang for lang, text in told.items())
    assert source_language([]) == source_language(["", "12"]) == "en"
