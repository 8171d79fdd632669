"""An export that a person edited comes back: the edits are locked, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

from hret_agents.translate.exchange import export_file, import_files
from hret_agents.translate.memory import Kept, Memory, unit_key
from hret_agents.translate.units import Segment, Unit

POLICY = {"model": "m", "prompt": "p1", "source_lang": "en", "target_lang": "ko"}
UNIT = {
    "type": "unit", "key": "k", "source": ["a"], "target": ["b"], "model": "m", "prompt": "p",
    "source_lang": "en", "target_lang": "ko", "insisted": False, "made": "2025-01-31 23:59:59",
}  # fmt: skip


def unit(*texts: str) -> Unit:
    """A unit of some texts."""
    return Unit(tuple(Segment("q", i, text) for i, text in enumerate(texts)))


def put(memory: Memory, source: Unit, *texts: str, **policy: str) -> None:
    """Keep a model's translation."""
    under = POLICY | policy
    memory.put([Kept(unit_key(source, under), source, texts)], under)


def test_only_the_edit_of_an_export_is_locked(tmp_path: Path) -> None:
    """What a model said, in any version of a source, is no edit and contradicts none."""
    path = tmp_path / "out.tmx"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit(" one ", "two"), " 하나 ", "둘")
        put(memory, unit("one", "six"), "한 개", "육", register="formal")
        memory.lock([("red", "빨강")], "en", "ko")
        export_file(memory, path)
        none = import_files(memory, [path])
        assert (none.locked, none.changed, none.conflicts) == (0, 0, 0)
        assert (none.known, none.there) == (4, 1)
        path.write_text(path.read_text().replace(" 하나 ", " 일 "))
        done = import_files(memory, [path])
        assert (done.locked, done.conflicts, done.known, done.by_model) == (1, 0, 3, 1)
        assert list(memory.rows("SELECT source, target FROM locked ORDER BY seq")) == [
            ("red", "빨강"), ("one", "일")
        ]  # fmt: skip


def test_a_models_words_are_locked_where_someone_says_so(tmp_path: Path) -> None:
    """A plain line of them is no edit; in another language, or as a locked line, they count."""
    pair = {"source": "one", "target": "하나"}
    german = pair | {"source_lang": "de", "source": "two"}
    lines = [pair, german, UNIT, {"source": "a", "target": "b"}]
    path = tmp_path / "a.jsonl"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit("one", "two"), "하나", "하나")
        path.write_text("\n".join(map(json.dumps, lines)))
        done = import_files(memory, [path])
        assert (done.units, done.known, done.locked) == (1, 2, 1)
        path.write_text(json.dumps(pair | {"type": "locked"}))
        assert import_files(memory, [path]).locked == 1
        assert memory.locked(["one", "two", "a"], "en", "ko") == {"one": "하나"}
        assert memory.locked(["one", "two", "a"], "de", "ko") == {"two": "하나"}
        path.write_text(json.dumps(pair))
        assert import_files(memory, [path], suggestions=True).suggested == 1
