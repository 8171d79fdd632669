"""What was paid for is in one file: nothing in it is lost, mixed up, or found under a wrong key."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hret_agents.translate.memory import Entry, Kept, Memory, Request, unit_key
from hret_agents.translate.memory_tables import VERSION
from hret_agents.translate.units import Segment, Unit
from llm_eval.errors import UserError
from llm_eval.records import Usage

POLICY = {
    "model": "m",
    "prompt": "p1",
    "temperature": "0",
    "source_lang": "en",
    "target_lang": "ko",
}
WRITER = """
import sys
from pathlib import Path
from hret_agents.translate.memory import Kept, Memory, unit_key
from hret_agents.translate.units import Segment, Unit

policy = {"model": "m", "prompt": "p", "source_lang": "en", "target_lang": "ko"}
path, name, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Memory(path) as memory:
    for i in range(rows):
        unit = Unit((Segment("q", 0, f"{name} {i}"),))
        memory.put([Kept(unit_key(unit, {}), unit, [f"{name} 답 {i}"])], policy)
        print(i, flush=True)
"""


def unit(*texts: str, path: str = "q", place: int = 0) -> Unit:
    """A unit of some texts."""
    return Unit(tuple(Segment(path, place + i, text) for i, text in enumerate(texts)))


def put(memory: Memory, source: Unit, *texts: str, insisted: bool = False) -> str:
    """Keep a translation; its key."""
    key = unit_key(source, POLICY)
    memory.put([Kept(key, source, texts, insisted)], POLICY)
    return key


def known(path: Path, name: str, rows: int) -> dict[int, tuple[str, ...]]:
    """What the file knows of a writer's rows, by number."""
    keys = {unit_key(unit(f"{name} {i}"), {}): i for i in range(rows)}
    with Memory(path) as memory:
        return {keys[key]: entry.texts for key, entry in memory.get(list(keys)).items()}


def writer(
    path: Path, name: str, rows: int, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """A process that writes rows and says the number of each once it is committed."""
    command = [sys.executable, "-c", WRITER, str(path), name, str(rows)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("part", POLICY)
def test_the_key_holds_every_part_of_the_policy(part: str) -> None:
    """Another model, prompt, parameter or language asks anew."""
    other = POLICY | {part: POLICY[part] + "x"}
    fewer = {k: v for k, v in POLICY.items() if k != part}
    source = unit("one", "two")
    assert len({unit_key(source, p) for p in (POLICY, other, fewer)}) == 3


def test_the_key_holds_every_part_of_the_unit() -> None:
    """An edited text, another order, another grouping or another leaf asks anew."""
    units = [
        unit("one", "two"), unit("two", "one"), unit("one"), unit("onetwo"), unit("one two"),
        unit("one", "two", path="c[]"), unit("one", "two "), unit("One", "two"), unit('one","two'),
        Unit((Segment("q", 0, "one"), Segment("c[]", 0, "two"))), unit(), unit(""),
    ]  # fmt: skip
    assert len({unit_key(u, POLICY) for u in units}) == len(units)


def test_the_key_is_the_contents_alone() -> None:
    """Where a text stands, what stands around it and the policy's order do not matter."""
    a, b = Unit((Segment("q", 0, "one", " ", "\n"),)), Unit((Segment("q", 7, "one"),))
    assert unit_key(a, POLICY) == unit_key(b, dict(reversed(POLICY.items())))


def test_the_key_is_stable_over_releases() -> None:
    """The key of a unit never changes by accident: that would pay for everything twice."""
    pinned = "d2790bbbc9efc3872e96f44661c6c8222092f950f9e73866323586801c88eab9"
    assert unit_key(unit("one", "둘"), POLICY) == unit_key(unit("one", "둘"), POLICY, []) == pinned


def test_the_key_holds_the_terms_that_occur() -> None:
    """Another translation of a term asks anew; their order does not."""
    terms = [("ion", "이온"), ("atom", "원자")]
    keys = [unit_key(unit("one"), POLICY, t) for t in (terms, terms[::-1], terms[:1], ())]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_what_is_put_is_found_after_a_reopening(tmp_path: Path) -> None:
    """Texts come back as they were, with what the model insisted on; the unknown is left out."""
    odd = ("가\n나", "", "{x} ⟦1⟧ \u2028", '"', "👩‍🔬")
    with Memory(tmp_path / "a" / "b" / "memory.sqlite") as memory:
        key = put(memory, unit("one", "two"), *odd)
        name = put(memory, unit("Python"), "Python", insisted=True)
    with Memory(tmp_path / "a" / "b" / "memory.sqlite") as memory:
        assert memory.get([key, name, "unknown"]) == {
            key: Entry(odd),
            name: Entry(("Python",), insisted=True),
        }
        assert memory.get([]) == {}


def test_thousands_of_keys_are_looked_up_at_once(tmp_path: Path) -> None:
    """More keys than SQLite takes in one query are all found."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        units = [unit(f"text {i}") for i in range(2501)]
        keys = [unit_key(u, POLICY) for u in units]
        memory.put([Kept(k, u, ["답"]) for k, u in zip(keys, units, strict=True)], POLICY)
        assert set(memory.get(keys)) == set(keys)


def test_a_later_translation_replaces_an_earlier_one(tmp_path: Path) -> None:
    """One entry a key: the last one put."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        put(memory, unit("one"), "하나")
        key = put(memory, unit("one"), "일")
        assert memory.get([key]) == {key: Entry(("일",))}


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """When one entry of a batch cannot be written, none of it is half there."""
    path = tmp_path / "memory.sqlite"
    good, bad = unit("one"), unit("two")
    with Memory(path) as memory, pytest.raises(TypeError):
        entries = [Kept("g", good, ["하나"]), Kept("b", bad, [object()])]  # type: ignore[list-item]
        memory.put(entries, POLICY)
    with Memory(path) as memory:
        assert memory.get(["g", "b"]) == {}


def test_several_processes_share_the_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """Two processes write 1,000 rows at once, into a file that is not there yet: all are kept."""
    path = tmp_path / "memory.sqlite"
    children = [writer(path, f"w{i}", 1000, environment) for i in range(2)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 2
    assert [len(s.split()) for s in said] == [1000] * 2
    for i in range(2):
        assert known(path, f"w{i}", 1000) == {n: (f"w{i} 답 {n}",) for n in range(1000)}
    with Memory(path) as memory:
        assert memory.last() == 2000
        assert len(list(memory.pairs("en", "ko", 2000))) == 2000


def test_a_new_file_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """Whoever comes while another is setting up the file waits; nobody is told it is unusable."""
    start = threading.Barrier(8)
    said: list[str] = []

    def open_all(_: int) -> None:
        for i in range(200):
            start.wait(timeout=60)
            try:
                Memory(tmp_path / f"{i}.sqlite").close()
            except UserError as e:
                said.append(e.message)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_all, range(8)))
    assert said == []


def test_a_kill_loses_nothing_that_was_committed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """After kill -9 of a writing process, what it had committed is there and the file is whole."""
    path = tmp_path / "memory.sqlite"
    child = writer(path, "w", 1_000_000, environment)
    assert child.stdout is not None
    committed = [int(child.stdout.readline()) for _ in range(60)]
    os.kill(child.pid, signal.SIGKILL)
    committed += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    assert child.wait() == -signal.SIGKILL
    there = known(path, "w", len(committed) + 100)
    assert set(committed) <= set(there) and len(there) <= len(committed) + 1
    assert all(texts == (f"w 답 {n}",) for n, texts in there.items())
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@pytest.mark.parametrize("content", [b"not a database at all " * 300, b"SQLite format 3\0" * 300])
def test_a_corrupt_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is named, left as it is, and the way out is said."""
    path = tmp_path / "memory.sqlite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"memory\.sqlite cannot be used.*\n.*HRET_HOME"):
        Memory(path)
    assert path.read_bytes() == content


def test_a_file_that_is_corrupt_inside_is_a_sentence(tmp_path: Path) -> None:
    """Damage beyond the header is told as a sentence too, when it is met."""
    path = tmp_path / "memory.sqlite"
    units = [unit(f"text {i}") for i in range(500)]
    with Memory(path) as memory:
        memory.put([Kept(unit_key(u, POLICY), u, ["답" * 50]) for u in units], POLICY)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with (
        pytest.raises(UserError, match=r"memory\.sqlite") as said,
        Memory(path) as memory,
    ):
        memory.get([unit_key(u, POLICY) for u in units])
    assert f"sqlite3 {path} .recover" in said.value.hint and "move the file" in said.value.hint


def test_a_newer_file_is_a_sentence(tmp_path: Path) -> None:
    """A file of a newer version is refused and left as it is, its entries too."""
    path = tmp_path / "memory.sqlite"
    with Memory(path) as memory:
        key = put(memory, unit("one"), "하나")
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    with pytest.raises(UserError, match="newer version"):
        Memory(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert db.execute("SELECT key FROM units").fetchall() == [(key,)]
    db.close()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """Where the memory's folder is a file, the error names it instead of a traceback."""
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="home"):
        Memory(tmp_path / "home" / "memory.sqlite")


def test_a_folder_in_the_files_place_is_a_sentence(tmp_path: Path) -> None:
    """Where the memory is a folder, the error names it."""
    (tmp_path / "memory.sqlite").mkdir()
    with pytest.raises(UserError, match="cannot be used"):
        Memory(tmp_path / "memory.sqlite")


def test_units_that_are_too_long_are_noted(tmp_path: Path) -> None:
    """Into pieces of how many characters they go is found again, the last word counts."""
    path = tmp_path / "memory.sqlite"
    with Memory(path) as memory:
        memory.put_divided("long", 9000)
        memory.put_divided("long", 4000)
    with Memory(path) as memory:
        assert memory.divided(["long", "short"]) == {"long": 4000}


def test_a_request_is_kept_with_what_it_brought(tmp_path: Path) -> None:
    """Both are there or neither; a request that brought nothing is kept as well."""
    path = tmp_path / "memory.sqlite"
    request = Request("m", 2, Usage(1, 30, 20), 1.5, Usage(1, 25, 22), 0.001)
    with Memory(path) as memory:
        memory.put([Kept("a", unit("one"), ["하나"])], POLICY, request)
        memory.put([], POLICY, Request("m", 1, Usage(1), 0.5))
        with pytest.raises(TypeError):
            memory.put([Kept("b", unit("two"), [object()])], POLICY, request)  # type: ignore[list-item]
        rows = list(memory.records("SELECT * FROM requests ORDER BY id"))
    assert [(r["units"], r["prompt_tokens"], r["estimated_completion_tokens"]) for r in rows] == [
        (2, 30, 22),
        (1, 0, 0),
    ]
    assert [r["cost_usd"] for r in rows] == [0.001, None]


def test_a_use_is_noted_once_a_day(tmp_path: Path) -> None:
    """What is found counts as used today, once the file is closed or written to."""
    path = tmp_path / "memory.sqlite"
    day = "SELECT coalesce(day, date(made)) = CURRENT_DATE FROM units LEFT JOIN uses USING (seq)"
    with Memory(path) as memory:
        keys = [put(memory, unit(text), "답") for text in ("one", "two", "three")]
        with memory.writing() as db:
            db.execute("UPDATE units SET made = '2020-01-01 00:00:00'")
    with Memory(path) as memory:
        memory.get(keys[:1])
    with Memory(path) as memory:
        assert [row[0] for row in memory.rows(f"{day} ORDER BY seq")] == [1, 0, 0]
        memory.get(keys[:2])
        put(memory, unit("four"), "넷")
        assert [row[0] for row in memory.rows(f"{day} ORDER BY seq")] == [1, 1, 0, 1]
        assert memory.rows("SELECT count(*) FROM uses").__next__() == (2,)


def test_a_file_that_another_process_holds_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory that stays locked is not called broken: nobody is told to move it away."""
    monkeypatch.setattr("llm_eval.wal.WAIT", 0.05)
    path = tmp_path / "memory.sqlite"
    with (
        Memory(path) as memory,
        Memory(path) as other,
        memory.writing(),
        pytest.raises(UserError) as said,
    ):
        put(other, unit("one"), "하나")
    assert "another process" in said.value.hint and "move" not in said.value.hint
