"""A port says what it could not find: answers, questions, choices; and never shows an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from hret_agents.plan.records import Plan, read_plan
from hret_agents.port import dry_run
from llm_eval.dataset import load_datasets
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from tests.conftest import Cli
from tests.e2e.test_port_shapes import parquet, port, quiz, written
from tests.fakes.chat import ChatServer

LONG = "It was written by the author number {} in the year of the great flood."


def test_a_long_answer_is_never_shown(chat: ChatServer, work: Path) -> None:
    """An answer in whole sentences cannot be matched; it is no part of the question either."""
    rows = [{"question": f"Who wrote book {i}?", "answer": LONG.format(i)} for i in range(6)]
    result = port(chat, written(work / "books_test.jsonl", rows))
    assert (result.rows["passed"], result.rows["graded"]) == (6, 0)
    for row, sample in zip(parquet(result), load_datasets(result.slug).load(), strict=True):
        assert row["질문"] in sample["input"]
        assert row["정답"] not in sample["input"]
    assert "**Not graded:**" in Path(str(result.card_path)).read_text("utf-8")


def test_a_wrong_gold_in_twenty_costs_its_row_alone(chat: ChatServer, work: Path) -> None:
    """One gold beyond the choices leaves the other rows graded, and is counted and named."""
    rows = [r | {"answer": "ABCD"[i % 4]} for i, r in enumerate(quiz(20))]
    rows[7]["answer"] = "E"
    result = port(chat, written(work / "quiz_test.jsonl", rows))
    assert (result.rows["passed"], result.rows["graded"]) == (20, 19)
    assert result.checks == {"source_anomaly": 1}
    assert Evaluator().run("oracle", result.path).metrics["n"] == 19


def test_a_row_may_have_fewer_choices(chat: ChatServer, work: Path) -> None:
    """Of columns A to D, those that a row leaves empty at the end are no choices of it."""
    rows = [
        {
            "question": f"Which is number {i}?",
            "A": "one thing",
            "B": f"thing {i}",
            "C": None,
            "D": None,
        }
        | {"answer": "AB"[i % 2]}
        for i in range(4)
    ]
    rows[0] |= {"C": "a third", "D": "a fourth"}
    result = port(chat, written(work / "quiz_test.jsonl", rows))
    samples = load_datasets(result.slug).load()
    assert [len(s["options"]) for s in samples] == [4, 2, 2, 2]
    assert not any("None" in s["input"] for s in samples)


def test_a_row_that_asks_nothing_is_flagged(chat: ChatServer, work: Path) -> None:
    """A row without a question is ported and named."""
    rows = quiz(5)
    rows[2]["question"] = ""
    assert port(chat, written(work / "quiz_test.jsonl", rows)).checks == {"source_anomaly": 1}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("answer: answer_index\n", "answer: answer_letter\n", None),
        ("  answer: answer\n", "  answer: null\n", "task.answer names none"),
        (
            "  question:\n  - question\n",
            "  question:\n  - question\n  - answer\n",
            "shows the answer",
        ),
    ],
)
def test_a_half_edited_plan_is_refused(
    old: str, new: str, said: str | None, chat: ChatServer, work: Path
) -> None:
    """Roles and task must agree on where the answer is, and that it is not shown."""
    from hret_agents.job import PortJob

    data = written(work / "quiz_test.jsonl", quiz(8))
    text = dry_run(PortJob(dataset=str(data), model="m")).plan.to_yaml()
    assert old in text
    (work / "plan.yaml").write_text(text.replace(old, new), "utf-8")
    if said is None:
        assert isinstance(read_plan(work / "plan.yaml"), Plan)
        return
    with pytest.raises(UserError, match=said):
        port(chat, data, plan=work / "plan.yaml")
    assert chat.requests == []


def test_a_port_is_shown_whatever_its_evaluation_does(
    cli: Cli, chat: ChatServer, work: Path
) -> None:
    """`first` has no options to pick from: the port's paths are printed, and the status is 2."""
    rows = [{"question": f"What is thing {i}?", "answer": f"thing {i}"} for i in range(3)]
    data = written(work / "things_test.jsonl", rows)
    env = {"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": "sk"}
    done = cli("port", "--dataset", str(data), "--evaluate", "oracle,first", env=env)
    assert done.returncode == 2, done.stderr
    assert "accuracy of oracle" in done.stdout
    assert "picks an option" in done.stdout
    assert "dataset.py" in done.stdout


def test_oracle_is_refused_before_a_port_without_answers(chat: ChatServer, work: Path) -> None:
    """What cannot be evaluated is told before anything is paid."""
    rows = [{"question": f"Who wrote book {i}?", "answer": LONG.format(i)} for i in range(6)]
    data = written(work / "books_test.jsonl", rows)
    with pytest.raises(UserError, match="'oracle' has none"):
        port(chat, data, evaluate=("oracle",))
    assert chat.count() == 0


def test_readable_answers_are_counted_by_who_reads_them(chat: ChatServer, work: Path) -> None:
    """`string_match` knows how many replies held an answer; a module's own verdict does not say."""
    slug = port(chat, written(work / "quiz_test.jsonl", quiz(4))).slug
    model = lambda prompt: "모르겠습니다."  # noqa: E731
    assert Evaluator().run(model, slug).metrics["answer_rate"] is None
    matched = Evaluator().run(model, slug, evaluation_method="string_match").metrics
    assert (matched["answer_rate"], matched["accuracy"]) == (0.0, 0.0)
