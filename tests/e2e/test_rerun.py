"""A port that is run again: unchanged it costs nothing, changed it costs what changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.e2e.scenario import Machine, back, rows_of
from tests.e2e.test_stop_and_resume import tree, wait_until
from tests.e2e.test_translation import Row, ported_rows, texts_of, translations, written
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer
from tests.fakes.translit import forward

HEAVY = {"datasets", "pyarrow", "pandas", "openai", "aiohttp", "torch", "numpy", "jinja2", "httpx"}
MODULES = (
    "import sys; from hret.cli import main\n"
    "status = main(sys.argv[1:])\n"
    "print('LOADED', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    "sys.exit(status)\n"
)


def quiz(count: int) -> list[Row]:
    """Questions with choices; every third is about a dog."""
    return [
        {
            "question": f"Where did the {('dog', 'cat', 'hen')[i % 3]} hide bone {i}?",
            "choices": [f"under tree {i}", f"behind house {i}"],
            "answer": i % 2,
        }
        for i in range(count)
    ]


def test_a_finished_port_is_answered_from_its_record(chat: ChatServer, tmp_path: Path) -> None:
    """No request of any kind, nothing heavy imported, the same result; only in its own home."""
    machine = Machine(tmp_path, chat=chat)
    port = ("--dataset", written(machine, "quiz_test.jsonl", quiz(12)), "--concurrency", "2")
    first = machine.ported(*port)
    asked = chat.count()
    before = tree(Path(first["path"]))
    chat.reset()
    done = machine.run("-c", MODULES, "port", *port, "--json")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED ")[2].split())
    assert "hret_agents" in loaded and not loaded & HEAVY
    again = json.loads(done.stdout)
    assert chat.requests == []
    assert again["usage"]["requests"] == again["estimated"]["requests"] == again["cost_usd"] == 0
    assert again["rows"] == first["rows"] | {"from_memory": 12}
    spent = {"usage", "estimated", "cost_usd", "seconds", "rows"}
    assert {k: again[k] for k in first if k not in spent} == {
        k: first[k] for k in first if k not in spent
    }
    assert tree(Path(first["path"])) == before

    machine.more = {"HRET_HOME": str(tmp_path / "another-home")}
    assert machine.ported(*port)["usage"]["requests"] == chat.count() == asked
    assert tree(Path(first["path"])) == before


def test_a_record_that_cannot_be_written_costs_no_port(chat: ChatServer, tmp_path: Path) -> None:
    """The port is done, and its result is told; the next run makes it again, from the memory."""
    machine = Machine(tmp_path, chat=chat, within=True)
    home = Path(machine.environment["HRET_HOME"])
    home.mkdir()
    (home / "finished").write_text("no folder", "utf-8")
    port = ("--dataset", written(machine, "quiz_test.jsonl", quiz(3)))
    assert machine.ported(*port)["rows"]["passed"] == 3
    chat.reset()
    assert machine.ported(*port)["rows"]["from_memory"] == 3
    assert chat.count() == 0


def test_whatever_differs_is_no_longer_answered_from_the_record(tmp_path: Path) -> None:
    """Nothing is asked of a server that refuses the key: exit status 2 tells that it would be."""
    with ChatServer(key="sk-test-key") as chat:
        machine = Machine(tmp_path, chat=chat, within=True)
        for split in ("train", "test"):
            written(machine, f"quiz/{split}.jsonl", quiz(3 if split == "test" else 5))
        said = machine.ported("--dataset", "quiz", "--dry-run")["plan"]
        (machine.work / "plan.yaml").write_text(said, "utf-8")
        port = ["--dataset", "quiz", "--plan", "plan.yaml"]
        result = machine.ported(*port)
        chat.key = "sk-another"

        def answered(*more: str) -> bool:
            done = machine.main(*port, *more, "--json")
            assert done.returncode in (0, 2), done.stderr
            assert done.returncode == 0 or "API key" in done.stderr, done.stderr
            return done.returncode == 0

        made = Path(result["path"])
        for path in (
            machine.work / "plan.yaml",
            Path(result["module_path"]),
            next(made.rglob("*.parquet")),
        ):
            kept = path.read_bytes()
            path.write_bytes(kept + b"\n")
            assert not answered(), path
            path.write_bytes(kept)
        Path(result["checks_path"]).rename(tmp_path / "checks.jsonl")
        assert not answered()
        (tmp_path / "checks.jsonl").rename(result["checks_path"])
        assert not answered("--limit", "2", "--output-dir", "trial")
        assert answered("--concurrency", "3", "--max-cost", "1")
        assert all(r.status == 200 for r in translations(chat))


def test_a_split_that_was_renamed_is_ported_anew(chat: ChatServer, tmp_path: Path) -> None:
    """The name of a file in a folder names its split, and so is part of the source."""
    machine = Machine(tmp_path, chat=chat, within=True)
    written(machine, "quiz/test.jsonl", quiz(4))
    machine.ported("--dataset", "quiz")
    (machine.work / "quiz" / "test.jsonl").rename(machine.work / "quiz" / "train.jsonl")
    result = machine.ported("--dataset", "quiz")
    assert "train" in {p.name.split("-")[0] for p in Path(result["data_path"]).rglob("*.parquet")}


def test_an_edit_during_a_port_is_not_taken_for_ported(chat: ChatServer, tmp_path: Path) -> None:
    """A port takes hours: the next run sees what was saved meanwhile."""
    machine = Machine(tmp_path, chat=chat)
    port = ("--dataset", written(machine, "quiz_test.jsonl", quiz(4)), "--json")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "src" / "main.py"), *port],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        with chat.held():
            wait_until(process, lambda: chat.count() >= 1)
            written(machine, "quiz_test.jsonl", quiz(5))
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert machine.ported(*port[:-1])["rows"]["total"] == 5


def test_what_changed_is_asked_and_nothing_else(chat: ChatServer, tmp_path: Path) -> None:
    """A row added or changed: one request. A term edited: exactly the rows with it. A translation
    locked by a person: no request, and it is in the port."""
    machine = Machine(tmp_path, chat=chat, within=True)
    rows = quiz(12)
    (machine.work / "terms.csv").write_text("dog,개\ncow,소\n", "utf-8")

    def port() -> list[Row]:
        chat.reset()
        data = written(machine, "quiz_test.jsonl", rows)
        result = machine.ported("--dataset", data, "--glossary", "terms.csv")
        assert result["rows"]["passed"] == len(rows)
        assert result["rows"]["from_memory"] == len(rows) - len(asked_rows())
        return ported_rows(result)

    def asked_rows() -> set[str]:
        return {text for r in translations(chat) for text in texts_of(r) if "bone" in text}

    before = port()
    rows.append(quiz(99)[98])
    rows[4] = rows[4] | {"question": "Where did the cat hide bone number 4?"}
    after = port()
    assert asked_rows() == {rows[4]["question"], rows[12]["question"]}
    assert after[:4] + after[5:12] == before[:4] + before[5:]
    assert chat.count() <= 2

    rows.append(quiz(101)[100])
    port()
    assert (chat.count(), asked_rows()) == (1, {rows[13]["question"]})

    (machine.work / "terms.csv").write_text("dog,강아지\ncow,젖소\n", "utf-8")
    port()
    assert asked_rows() == {r["question"] for r in rows if "dog" in r["question"]}

    locked = {"source": rows[1]["question"], "target": "고양이는 뼈다귀 1을 어디에 숨겼을까요?"}
    written(machine, "people.jsonl", [locked])
    done = machine.hret("memory", "import", "people.jsonl")
    assert done.returncode == 0, done.stderr
    last = port()
    assert chat.count() == 0
    assert last[1]["질문"] == locked["target"]


def test_failed_rows_are_asked_again(tmp_path: Path) -> None:
    """A port with a failed row is no finished one: the next run asks for that row, and no other."""

    class Stubborn(ChatServer):
        def _said(self, ask: Any, fault: Any) -> str:
            said = super()._said(ask, fault)
            return said.replace(forward("bone 7?"), "bone 7?" * 40) if self.lang == "ko" else said

    machine = Machine(tmp_path, within=True)
    rows = quiz(9)
    port = ("--dataset", written(machine, "quiz_test.jsonl", rows), "--max-retries", "1")
    with Stubborn() as machine.chat:
        result = machine.ported(*port, status=1)
    assert [f["row"] for f in rows_of(Path(result["failed_path"]))] == [7]
    with ChatServer() as machine.chat:
        result = machine.ported(*port)
        once = dict.fromkeys((rows[7]["question"], *rows[7]["choices"]), 1)
        assert machine.chat.sources() == once
    assert [back(r["질문"]) for r in ported_rows(result)] == [r["question"] for r in rows]


def test_a_new_commit_on_the_hub_is_ported(
    chat: ChatServer, hub: HubServer, tmp_path: Path
) -> None:
    """The Hub is asked for its commit, and only for that while it stays the same."""

    def lines(count: int) -> bytes:
        return "".join(json.dumps(row) + "\n" for row in quiz(count)).encode()

    hub.put("org/quiz", {"data/test.jsonl": lines(4)})
    machine = Machine(tmp_path, hub, chat)
    machine.ported("--dataset", "org/quiz")
    chat.reset()
    hub.seen.clear()
    assert machine.ported("--dataset", "org/quiz")["rows"]["passed"] == 4
    assert chat.requests == [] and len(hub.seen) == 1
    hub.put("org/quiz", {"data/test.jsonl": lines(5)})
    assert machine.ported("--dataset", "org/quiz")["rows"]["passed"] == 5
    assert (chat.count(), len(chat.sources())) == (1, 3)


def test_all_splits_go_through_one_engine(chat: ChatServer, tmp_path: Path) -> None:
    """Rows of three splits share requests, an equal row is sent once, and each split is right."""
    machine = Machine(tmp_path, chat=chat, within=True)
    rows = quiz(9)
    parts = {"train": rows[:5], "validation": [rows[0], *rows[5:7]], "test": [*rows[7:], rows[1]]}
    for split, some in parts.items():
        written(machine, f"quiz/{split}.jsonl", some)
    result = machine.ported("--dataset", "quiz", "--concurrency", "1", "--batch-size", "9")
    assert (result["rows"]["total"], chat.count()) == (11, 1)
    for split, some in parts.items():
        port = ported_rows(result, split=split)
        assert [back(r["질문"]) for r in port] == [r["question"] for r in some]
        assert [back(r["선택지"]) for r in port] == [r["choices"] for r in some]
        assert [r["정답"] for r in port] == [r["answer"] for r in some]
