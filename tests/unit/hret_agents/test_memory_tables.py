"""Older files, snapshots and locked entries: what the memory's tables hold beside units."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hret_agents.translate.memory import Entry, Kept, Memory, unit_key, voice_of
from hret_agents.translate.memory_tables import MIGRATIONS, bring
from hret_agents.translate.units import Segment, Unit
from llm_eval.errors import UserError

POLICY = {"model": "m", "prompt": "p1", "source_lang": "en", "target_lang": "ko"}


def unit(*texts: str) -> Unit:
    """A unit of some texts."""
    return Unit(tuple(Segment("q", i, text) for i, text in enumerate(texts)))


def put(memory: Memory, source: Unit, *texts: str) -> str:
    """Keep a translation; its key."""
    key = unit_key(source, POLICY)
    memory.put([Kept(key, source, texts)], POLICY)
    return key


OLD = """
CREATE TABLE units (key TEXT PRIMARY KEY, source TEXT NOT NULL, target TEXT NOT NULL,
    model TEXT NOT NULL, insisted INTEGER NOT NULL DEFAULT 0,
    made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID;
INSERT INTO units VALUES ('b', '["two"]', '["둘"]', 'm', 1, '2025-01-02 00:00:00');
INSERT INTO units VALUES ('a', '["one","x"]', '["하나","엑스"]', 'm', 0, '2025-01-03 00:00:00');
PRAGMA user_version=1;
"""


def old_file(path: Path) -> sqlite3.Connection:
    """A file as the first version wrote it, and a connection that this version left open."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(OLD)
    return db


def test_an_older_file_keeps_all_that_it_holds(tmp_path: Path) -> None:
    """A file of the first version is brought up to date in place, its entries under their keys."""
    path = tmp_path / "memory.sqlite"
    old_file(path).close()
    for _ in range(2):
        with Memory(path) as memory:
            assert memory.get(["a", "b"]) == {
                "a": Entry(("하나", "엑스")),
                "b": Entry(("둘",), insisted=True),
            }
            assert memory.last() == 2
            made = list(memory.rows("SELECT key, made FROM units ORDER BY seq"))
            assert made == [("b", "2025-01-02 00:00:00"), ("a", "2025-01-03 00:00:00")]


def test_an_older_file_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """Eight come at once: one brings the file up to date, all find everything."""
    start = threading.Barrier(8)
    for i in range(30):
        old_file(tmp_path / f"{i}.sqlite").close()

    def open_all(_: int) -> list[int]:
        found = []
        for i in range(30):
            start.wait(timeout=60)
            with Memory(tmp_path / f"{i}.sqlite") as memory:
                found.append(len(memory.get(["a", "b"])))
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_all, range(8))) == [[2] * 30] * 8


def test_a_process_of_the_older_version_loses_nothing(tmp_path: Path) -> None:
    """One that was running when the file was brought up to date can go on writing to it."""
    path = tmp_path / "memory.sqlite"
    older = old_file(path)
    with Memory(path) as memory:
        memory.lock([("red", "빨강")], "en", "ko")
        older.execute(
            "INSERT OR REPLACE INTO units (key, source, target, model, insisted)"
            " VALUES ('a', '[\"one\"]', '[\"일\"]', 'm', 0)"
        )
        key = put(memory, unit("three"), "셋")
        assert memory.get(["a", "b", key]).keys() == {"a", "b", key}
        assert memory.get(["a"]) == {"a": Entry(("일",))}
        assert memory.last() == 5
    older.close()


def test_a_migration_that_is_killed_is_made_again(tmp_path: Path) -> None:
    """Half a migration leaves the old file; whoever opens it next makes it whole."""
    path = tmp_path / "memory.sqlite"
    older = old_file(path)
    older.execute("CREATE TABLE uses (something)")  # stands in the migration's way, at its end
    with pytest.raises(UserError, match="cannot be used"):
        Memory(path)
    assert older.execute("PRAGMA user_version").fetchone() == (1,)
    assert older.execute("SELECT count(*) FROM units").fetchone() == (2,)
    older.execute("DROP TABLE uses")
    older.close()
    with Memory(path) as memory:
        assert memory.get(["a", "b"]).keys() == {"a", "b"}


def test_a_snapshot_does_not_change(tmp_path: Path) -> None:
    """What comes after a snapshot is not in it, a second translation of a unit neither."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        assert memory.last() == 0 and list(memory.pairs("en", "ko", 0)) == []
        put(memory, unit("one", "two"), "하나", "둘")
        memory.lock([("red", "빨강")], "en", "ko")
        put(memory, unit("three"), "셋")
        upto = memory.last()
        before = list(memory.pairs("en", "ko", upto))
        assert before == [
            (("one", "two"), ("하나", "둘")), (("red",), ("빨강",)), (("three",), ("셋",))
        ]  # fmt: skip
        put(memory, unit("one", "two"), "일", "이")
        put(memory, unit("four"), "넷")
        memory.lock([("blue", "파랑"), ("three", "삼")], "en", "ko")
        assert list(memory.pairs("en", "ko", upto)) == before
        assert list(memory.pairs("en", "ko", upto, newest=2)) == before[1:]
        assert list(memory.pairs("en", "ko", memory.last())) == [
            (("red",), ("빨강",)), (("three",), ("삼",)), (("one", "two"), ("일", "이")),
            (("four",), ("넷",)), (("blue",), ("파랑",)), (("three",), ("삼",)),
        ]  # fmt: skip
        assert list(memory.pairs("en", "ja", memory.last())) == []


def test_pairs_are_of_one_voice(tmp_path: Path) -> None:
    """Units of another register or style stay away; what people brought in always comes."""
    voices: list[dict[str, str]] = [
        {}, {"register": "formal"}, {"style": "a|b"}, {"register": "formal", "style": "dry"}
    ]  # fmt: skip
    with Memory(tmp_path / "memory.sqlite") as memory:
        for i, voice in enumerate(voices):
            source = unit(f"text {i}")
            memory.put([Kept(unit_key(source, POLICY | voice), source, ["답"])], POLICY | voice)
        memory.lock([("red", "빨강")], "en", "ko")
        with memory.writing() as db:
            bring(db, "suggested", [("blue", "파랑", "en", "ko")])
        for i, voice in enumerate(voices):
            found = memory.pairs("en", "ko", memory.last(), voice=voice_of(POLICY | voice))
            assert [sources for sources, _ in found] == [(f"text {i}",), ("red",), ("blue",)]
        prompts = [row[0] for row in memory.rows("SELECT prompt FROM units ORDER BY seq")]
    assert prompts == ["p1", "p1|formal|", "p1||a|b", "p1|formal|dry"]


def test_a_snapshot_is_read_while_it_is_written_to(tmp_path: Path) -> None:
    """A run reads its snapshot and keeps translations through one object."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        units = [unit(f"text {i}") for i in range(1200)]
        memory.put([Kept(unit_key(u, POLICY), u, ["답"]) for u in units], POLICY)
        pairs = memory.pairs("en", "ko", memory.last())
        next(pairs)
        put(memory, unit("another"), "또")
        assert sum(1 for _ in pairs) == 1199


def test_locked_entries_are_found_by_text_and_language(tmp_path: Path) -> None:
    """The last one of a source counts; outer spaces of a source are not part of it."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        assert (
            memory.lock([("red", "빨강"), (" blue ", " 파랑\n"), ("x", " 엑스")], "en", "ko") == 3
        )
        assert memory.lock([("red", "赤")], "en", "ja") == 1
        assert memory.lock([("red", "빨강"), ("blue", "푸른")], "en", "ko") == 1
        texts = ["red", "blue", "x", "green", *(f"text {i}" for i in range(1500))]
        assert memory.locked(texts, "en", "ko") == {"red": "빨강", "blue": "푸른", "x": " 엑스"}
        assert memory.locked(set(texts), "en", "ja") == {"red": "赤"}
        assert memory.locked([], "en", "ko") == {}


def test_a_locked_entry_is_of_its_source_language(tmp_path: Path) -> None:
    """A German Gift is no English one; what is of no known language serves where no other does."""
    with Memory(tmp_path / "memory.sqlite") as memory:
        assert memory.lock([("Gift", "독")], "de", "ko") == 1
        assert memory.locked(["Gift"], "en", "ko") == {}
        assert memory.lock([("Gift", "선물")], "en", "ko") == 1
        assert memory.lock([("Gift", "기프트"), ("Rat", "쥐")], "", "ko") == 2
        put(memory, unit("Gift"), "기부")
        assert memory.locked(["Gift", "Rat"], "en", "ko") == {"Gift": "선물", "Rat": "쥐"}
        assert memory.locked(["Gift"], "de-AT", "ko") == {"Gift": "독"}
        assert memory.locked(["Gift"], "fr", "ko") == {"Gift": "기프트"}
        pairs = list(memory.pairs("en", "ko", memory.last()))
        assert pairs == [(("Gift",), ("선물",)), (("Gift",), ("선물",))]


TWO = """
INSERT INTO locked VALUES (7, 'red', '빨강', 'en', 'ko', '2025-01-04 00:00:00');
INSERT INTO suggested VALUES (8, 'blue', '파랑', '', 'ko', '2025-01-05 00:00:00');
INSERT INTO uses VALUES (7, '2025-02-01');
UPDATE sqlite_sequence SET seq = 8 WHERE name = 'units';
"""


def test_locked_entries_of_the_second_version_stay(tmp_path: Path) -> None:
    """Their numbers, days and languages too; from then on languages tell them apart."""
    path = tmp_path / "memory.sqlite"
    db = sqlite3.connect(path, isolation_level=None)
    for migrate in MIGRATIONS[:2]:
        migrate(db)
    db.executescript(f"{TWO} PRAGMA user_version=2;")
    held = {t: db.execute(f"SELECT * FROM {t}").fetchall() for t in ("locked", "suggested", "uses")}
    db.close()
    with Memory(path) as memory:
        assert {t: list(memory.rows(f"SELECT * FROM {t}")) for t in held} == held
        memory.lock([("red", "붉은")], "de", "ko")
        assert memory.locked(["red"], "en", "ko") == {"red": "빨강"}


def test_the_locked_version_follows_what_is_locked(tmp_path: Path) -> None:
    """It changes with every entry, goes back with it, and is the language's and contents' alone."""
    with Memory(tmp_path / "a.sqlite") as memory, Memory(tmp_path / "b.sqlite") as other:
        none = memory.locked_version("ko")
        memory.lock([("red", "빨강")], "en", "ko")
        one = memory.locked_version("ko")
        memory.lock([("red", "붉은")], "en", "ko")
        two = memory.locked_version("ko")
        memory.lock([("red", "붉은")], "en", "ko")
        put(memory, unit("one"), "하나")
        assert memory.locked_version("ko") == two and len({none, one, two}) == 3
        assert memory.locked_version("ja") == none
        memory.lock([("red", "빨강"), ("blue", "파랑")], "en", "ko")
        other.lock([("blue", "파랑"), ("red", "빨강")], "en", "ko")
        assert memory.locked_version("ko") == other.locked_version("ko") != one
