"""Translation from the command line: faults, long cells, glossary, spans, ignored checks.

Whatever the server does, a row ends proved right by transliterating it back, or failed and named.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.scenario import Machine, back, has_hangul, rows_of
from tests.fakes.chat import ChatServer, Fault, Record
from tests.fakes.chat_protocol import Refused
from tests.fakes.chat_rules import Rule
from tests.fakes.translit import asked, terms_asked

Row = dict[str, Any]
FINE = {Fault.slow, Fault.reordered, Fault.fenced}  # served, and yet a right answer


def written(machine: Machine, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """A JSON Lines file in the user's folder; its name there."""
    path = machine.work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return name


def ported_rows(result: Mapping[str, Any], subset: str = "default", split: str = "") -> list[Row]:
    """The rows of a port, from its parquet files."""
    import pyarrow.parquet as pq

    paths = sorted(Path(result["data_path"], subset).glob(f"{split}*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def translations(chat: ChatServer) -> list[Record]:
    """The requests for translation, in the order in which they arrived."""
    return [r for r in chat.requests if r.path == "/v1/chat/completions"]


def texts_of(record: Record) -> list[str]:
    """What a request wanted translated."""
    return [text for row in asked(record.body["messages"]) or () for text in row["t"]]


def checks_of(result: Mapping[str, Any]) -> list[Row]:
    """The findings of a port."""
    return rows_of(Path(result["checks_path"]))


def planned(machine: Machine, data: str, **changes: Any) -> str:
    """The plan that a dry run prints, with `changes` at its top level; its file's name."""
    plan = yaml.safe_load(machine.ported("--dataset", data, "--dry-run")["plan"])
    task = plan["task"] | changes.pop("task", {})
    text = yaml.safe_dump(plan | {"task": task} | changes, allow_unicode=True, sort_keys=False)
    (machine.work / "plan.yaml").write_text(text, "utf-8")
    return "plan.yaml"


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("seed", "options", "structured"),
    [
        (11, (), True),
        (12, ("--concurrency", "4"), False),
        (13, ("--max-retries", "1", "--concurrency", "4"), True),
    ],
)
def test_thirty_percent_faults_leave_nothing_silently_wrong(
    seed: int, options: Sequence[str], structured: bool, shared_data: Path, tmp_path: Path
) -> None:
    """All kinds of faults on 30 % of replies: a row is its source's translation, or named as
    failed; the status says which. Once the server is well, only what failed is asked again."""
    everything = rows_of(shared_data / "gsm8k_test.jsonl")
    source = random.Random(seed).sample(everything, 300)
    machine = Machine(tmp_path, within=structured)
    data = written(machine, "gsm8k_test.jsonl", source)
    port = ("--dataset", data, "--batch-size", "3", "--json", *options)
    with ChatServer(fault_rate=0.3, seed=seed, structured=structured, slow_seconds=0.05) as chat:
        machine.chat = chat
        if "--max-retries" in options:
            chat.rules.append(breaks_at(source[0]["question"].strip()))
        done = machine.main(*port)
        served = Counter(r.fault for r in translations(chat) if r.fault)
    assert done.returncode in (0, 1), done.stderr
    assert len(served) >= 10 and served.total() >= 30, served
    result = json.loads(done.stdout)
    lost = every_row_is_right_or_named(result, source)
    assert done.returncode == (1 if lost else 0)
    assert (result["rows"]["failed"], result["rows"]["passed"]) == (len(lost), 300 - len(lost))
    if "--max-retries" not in options:
        assert len(lost) <= 15
        return
    assert 0 in lost
    with ChatServer() as chat:
        machine.chat = chat
        result = machine.ported(*port[:4], *options)
        assert set(chat.sources()) == sent_of(source, lost)
    assert every_row_is_right_or_named(result, source) == set()


def breaks_at(text: str) -> Rule:
    """The server breaks whenever it is asked for this text."""

    def rule(path: str, body: Any) -> None:
        rows = asked(body["messages"]) if path.endswith("/chat/completions") else None
        if any(text in row["t"] for row in rows or ()):
            raise Refused(500, "The server had an error.", kind="server_error")

    return rule


def every_row_is_right_or_named(result: Mapping[str, Any], source: Sequence[Row]) -> set[int]:
    """Each row is back in its place, in Korean, or in failed.jsonl with its source; those rows."""
    failed = rows_of(Path(result["failed_path"]))
    assert all(f["source"] == source[f["row"]] and f["error"]["message"] for f in failed)
    lost = {f["row"] for f in failed}
    assert len(lost) == len(failed)
    left = [row for i, row in enumerate(source) if i not in lost]
    for old, new in zip(left, ported_rows(result), strict=True):
        assert {"question": back(new["질문"]), "answer": back(new["정답"])} == old
        assert has_hangul(new["질문"]) and has_hangul(new["정답"])
    return lost


def sent_of(source: Sequence[Row], places: Iterable[int]) -> set[str]:
    """What is sent of GSM8K's rows: the question, and the answer without its `#### 42`; calculator
    marks are masked."""
    found = set()
    for place in places:
        for text in (source[place]["question"], source[place]["answer"].rsplit("\n####")[0]):
            marks = iter(range(1, 100))
            found.add(re.sub("<<[^<>\n]*>>", lambda m: f"⟦{next(marks)}⟧", text.strip()))  # noqa: B023
    return found


# -- long cells ------------------------------------------------------------------------------------


def article(seed: int, size: int, *, stop: str = ". ", paragraph: int = 7) -> str:
    """Words that do not repeat themselves, in sentences and paragraphs."""
    dice = random.Random(seed)
    parts: list[str] = []
    while sum(len(part) for part in parts) < size:
        words = ["".join(dice.choices("abcdefghijklmnoprstuvwy", k=dice.randint(2, 9)))
                 for _ in range(dice.randint(4, 18))]  # fmt: skip
        parts.append(" ".join(words).capitalize() + stop)
        if paragraph and len(parts) % paragraph == 0:
            parts.append("\n\n")
    return "".join(parts)[:size].rstrip()


def longest(record: Record) -> int:
    """The longest text of a request, in characters."""
    return max(map(len, texts_of(record)))


@pytest.mark.parametrize("limit", [None, 500])
def test_an_article_of_50_000_characters_is_ported_whole(
    limit: int | None, chat: ChatServer, tmp_path: Path
) -> None:
    """In paragraphs, in one line, in one endless sentence, beside short rows: each comes back
    whole, from a server too whose replies end after 500 tokens."""
    chat.longest = limit
    rows = [
        {"question": f"What is article {i} about?", "article": text}
        for i, text in enumerate(
            [
                article(1, 50_000),
                article(2, 50_000, paragraph=0),
                article(3, 20_000, stop=" ", paragraph=0),
                "Only a word or two.",
                article(4, 9_000) + "\n\n\n\t" + article(5, 50).upper() + "\r\n  end",
            ]
        )
    ]
    machine = Machine(tmp_path, chat=chat, within=True)
    result = machine.ported("--dataset", written(machine, "articles_test.jsonl", rows))
    assert result["rows"]["passed"] == len(rows)
    for old, new in zip(rows, ported_rows(result), strict=True):
        assert {"question": back(new["질문"]), "article": back(new[other(new)])} == old
    assert max(longest(r) for r in translations(chat)) <= 8_000
    if limit is None:
        assert set(chat.sources().values()) == {1}
    else:
        chat.reset()
        machine.ported("--dataset", "articles_test.jsonl", "--output-dir", "again")
        assert chat.count() == 0


def other(row: Row) -> str:
    """The column that is not the question."""
    (name,) = set(row) - {"질문"}
    return name


# -- glossary, register, style ---------------------------------------------------------------------

ANIMALS = [
    {"question": f"Where does the {who} live, in house {i}?", "answer": f"It lives in the {where}."}
    for i, (who, where) in enumerate(
        [
            ("dog", "kennel"),
            ("cat", "basket"),
            ("dogs", "yard"),
            ("hot dog", "bun"),
            ("cow", "barn"),
        ]
    )
]


def test_glossary_register_and_style_reach_the_prompt(chat: ChatServer, tmp_path: Path) -> None:
    """Only the terms of a request's rows travel with it, and they are kept to; the register and the
    style stand in every system prompt. As JSON the same terms ask nothing again."""
    machine = Machine(tmp_path, chat=chat, within=True)
    data = written(machine, "animals_test.jsonl", ANIMALS)
    terms = {"dog": "개", "hot dog": "핫도그", "barn": "외양간", "zebra": "얼룩말"}
    csv = "term,translation\n" + "".join(f"{k},{v}\n" for k, v in terms.items())
    (machine.work / "terms.csv").write_text(csv, "utf-8")
    (machine.work / "terms.json").write_text(json.dumps(terms, ensure_ascii=False), "utf-8")
    said = ("--dataset", data, "--register", "polite", "--style", "For young children.",
            "--batch-size", "1")  # fmt: skip
    result = machine.ported(*said, "--glossary", "terms.csv")
    assert (result["rows"]["passed"], result["checks"]) == (5, {})
    requests = translations(chat)
    assert len(requests) == 5
    for record in requests:
        system, user = (m["content"] for m in record.body["messages"])
        assert "해요체" in system and "For young children." in system
        assert "얼룩말" not in user
        text = " ".join(texts_of(record))
        expected = {"hot dog" if "hot" in text else "dog"} if "dog" in text else set()
        expected |= {"barn"} if "barn" in text else set()
        assert {term for term, _ in terms_asked(record.body["messages"])} == expected
    questions = [row["질문"] for row in ported_rows(result)]
    assert ["개" in q for q in questions] == [True, False, True, False, False]
    assert "핫도그" in questions[3] and "외양간" in ported_rows(result)[4]["정답"]
    chat.reset()
    again = machine.ported(*said, "--glossary", "terms.json")
    assert chat.count() == 0 and again["rows"]["from_memory"] == 5


def test_a_term_that_the_model_will_not_use_is_flagged(chat: ChatServer, tmp_path: Path) -> None:
    """Asked for once more with the reason, then kept and named: nothing is hidden, nothing lost."""
    chat.obeys = False
    machine = Machine(tmp_path, chat=chat, within=True)
    (machine.work / "terms.csv").write_text("cow,소\n", "utf-8")
    data = written(machine, "animals_test.jsonl", ANIMALS)
    result = machine.ported("--dataset", data, "--glossary", "terms.csv", "--concurrency", "1")
    assert (result["rows"]["passed"], result["checks"]) == (5, {"glossary": 1})
    (found,) = checks_of(result)
    assert (found["row"], found["check"], found["severity"]) == (4, "glossary", "flag")
    first, second = translations(chat)
    assert len(texts_of(first)) == 10 and texts_of(second) == list(ANIMALS[4].values())
    (row,) = asked(second.body["messages"]) or [{}]
    assert "소" in row["because"] and "cow" in row["because"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("terms.csv", "term,translation\ndog,개\ncat,\n", "line 3"),
        ("terms.csv", "dog,개\ncat,고양이,냐옹\n", "line 2"),
        ("terms.json", '{\n"dog": "개",\n"cat": }', "line 3"),
    ],
)
def test_a_wrong_glossary_is_refused_with_its_line(
    name: str, content: str, said: str, chat: ChatServer, tmp_path: Path
) -> None:
    """Before anything is asked."""
    machine = Machine(tmp_path, chat=chat, within=True)
    (machine.work / name).write_text(content, "utf-8")
    data = written(machine, "animals_test.jsonl", ANIMALS)
    done = machine.main("--dataset", data, "--glossary", name)
    assert done.returncode == 2, done.stderr
    assert name in done.stderr and said in done.stderr and "Traceback" not in done.stderr
    assert chat.requests == []


# -- extractive answers ----------------------------------------------------------------------------

SPAN = {"context": "context", "text": "answers.text[]", "start": "answers.answer_start[]"}


def squad() -> list[Row]:
    """Rows whose answer stands twice in the context, the second place being meant; in every other
    one a formula stands before it, so that masks are on the way."""
    rows = []
    for i in range(6):
        name = f"Rowan of the {('north', 'south', 'west')[i % 3]}"
        formula = "$x^2$ and `code()` stood on it. " if i % 2 else ""
        context = f"Bridge {i} was built by {name}. {formula}Later {name} mended it again."
        answers = {"text": [name, "Bridge"], "answer_start": [context.rindex(name), 0]}
        rows.append({"context": context, "question": f"Who mended it in {i}?", "answers": answers})
    return rows


class Rewording(ChatServer):
    """Words the answers of one row in another way than its context."""

    def _said(self, ask: Any, fault: Fault | None) -> str:
        said = json.loads(super()._said(ask, fault))
        for row in said["rows"]:
            if "3" in back(row["t"][1]):
                row["t"][2] = row["t"][2][::-1]
        return json.dumps(said)


def test_an_extractive_answer_starts_where_it_stands(tmp_path: Path) -> None:
    """Of two places it keeps its own; an answer that its context does not hold fails the row."""
    rows = squad()
    with Rewording() as chat:
        machine = Machine(tmp_path, chat=chat, within=True)
        data = written(machine, "squad_test.jsonl", rows)
        plan = planned(machine, data, task={"span": SPAN})
        result = machine.ported("--dataset", data, "--plan", plan, status=1)
    (failed,) = rows_of(Path(result["failed_path"]))
    assert (failed["row"], failed["error"]["kind"]) == (3, "span_realigned")
    left = [row for i, row in enumerate(rows) if i != 3]
    for old, new in zip(left, ported_rows(result), strict=True):
        assert back(new["맥락"]) == old["context"]
        assert back(new["정답"]["text"]) == old["answers"]["text"]
        assert new["정답"]["answer_start"] == old["answers"]["answer_start"]
        for text, start in zip(*new["정답"].values(), strict=True):
            assert new["맥락"].startswith(text, start)


# -- ignored checks --------------------------------------------------------------------------------


class Miscounting(ChatServer):
    """Writes 71 for 70."""

    def _said(self, ask: Any, fault: Fault | None) -> str:
        return super()._said(ask, fault).replace("70", "71")


def test_a_flag_switched_off_for_a_leaf_is_not_raised_there(tmp_path: Path) -> None:
    """For the other leaves it is; and what guards the data's structure cannot be switched off."""
    rows = [
        {"context": f"There were 70 birds on roof {i}.", "question": f"Did all 70 sing on {i}?"}
        for i in range(4)
    ]
    with Miscounting() as chat:
        machine = Machine(tmp_path, chat=chat, within=True)
        data = written(machine, "birds_test.jsonl", rows)
        plan = planned(machine, data, ignore={"question": ["numbers"]})
        result = machine.ported("--dataset", data, "--plan", plan)
        assert result["checks"] == {"numbers": 4}
        assert {(c["check"], c["path"]) for c in checks_of(result)} == {("numbers", "context")}
        chat.reset()
        for check, said in (("list_len", "structure"), ("numbres", "did you mean 'numbers'?")):
            text = (machine.work / plan).read_text("utf-8").replace("- numbers", f"- {check}")
            (machine.work / "bad.yaml").write_text(text, "utf-8")
            done = machine.main("--dataset", data, "--plan", "bad.yaml")
            assert done.returncode == 2 and said in done.stderr, done.stderr
        assert chat.requests == []
