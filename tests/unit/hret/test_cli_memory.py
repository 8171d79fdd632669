"""`hret memory`: what it prints, what it leaves out, and the status that it ends with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hret_agents.translate import upkeep
from hret_agents.translate.memory import Kept, Memory, Request, unit_key
from hret_agents.translate.units import Segment, Unit
from llm_eval.records import Usage
from tests.conftest import Cli

POLICY = {"model": "gpt-4o-mini", "prompt": "p1", "source_lang": "en", "target_lang": "ko"}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """The memory that the commands of this test use."""
    with Memory(tmp_path / "hret-home" / "memory.sqlite") as opened:
        yield opened


def put(memory: Memory, *texts: str, request: Request | None = None, **policy: str) -> None:
    """Keep rows of one text each."""
    units = [Unit((Segment("q", 0, text),)) for text in texts]
    under = POLICY | policy
    memory.put([Kept(unit_key(u, under), u, [f"{u.texts[0]} 번역"]) for u in units], under, request)


def aged(memory: Memory, days: int, *texts: str) -> None:
    """Make rows and locked entries look unused for so many days."""
    with memory.writing() as db:
        for table in ("units", "locked"):
            for text in texts:
                db.execute(
                    f"UPDATE {table} SET made = datetime('now', ?) WHERE source IN (?, ?)",
                    (f"-{days} days", text, json.dumps([text])),
                )


def sources(memory: Memory) -> set[str]:
    """What the memory holds, whoever translated it."""
    query = "SELECT source FROM units UNION SELECT source FROM locked"
    return {str(row[0]).strip('[]"') for row in memory.rows(query)}


def said(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed as JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_stats_of_an_empty_memory(cli: Cli) -> None:
    """A fresh machine is told how the memory is filled."""
    done = cli("memory", "stats")
    assert done.returncode == 0 and "nothing yet: hret port" in done.stdout
    found = said(cli("memory", "stats", "--json"))
    assert (found["units"], found["locked"], found["requests"]) == ([], [], [])


def test_stats_count_rows_and_money(cli: Cli, memory: Memory) -> None:
    """By languages and model; tokens beside what was estimated; money where the price is known."""
    priced = Request("gpt-4o-mini", 2, Usage(1, 300, 200), 1.5, Usage(1, 250, 220), 0.25)
    put(memory, "one", "two", request=priced)
    put(memory, "two", request=Request("gpt-4o-mini", 1, Usage(2, 1000, 9), 1.0))
    put(memory, "one", model="own", target_lang="ja", request=Request("own", 1, Usage(1), 1.0))
    memory.lock([("red", "빨강")], "en", "ko")
    found = said(cli("memory", "stats", "--json"))
    rows = [(r["source_lang"], r["target_lang"], r["model"], r["entries"]) for r in found["units"]]
    assert rows == [("en", "ja", "own", 1), ("en", "ko", "gpt-4o-mini", 2)]
    assert found["locked"] == [{"source_lang": "en", "target_lang": "ko", "entries": 1}]
    mini, own = found["requests"]
    assert (mini["requests"], mini["prompt_tokens"], mini["estimated_prompt_tokens"]) == (
        3, 1300, 250
    )  # fmt: skip
    assert (mini["cost_usd"], mini["unpriced"], own["cost_usd"]) == (0.25, 1, None)
    assert found["bytes"] == upkeep.size(memory.path) and found["path"] == str(memory.path)
    done = cli("memory", "stats")
    assert "en → ko  2 rows by gpt-4o-mini" in done.stdout
    assert "3 requests, 1,300 + 209 tokens (estimated 250 + 220), 0.2500 USD" in done.stdout
    assert "1 requests, 0 + 0 tokens (estimated 0 + 0)\n" in done.stdout


def test_export_and_import_move_a_memory(cli: Cli, memory: Memory, tmp_path: Path) -> None:
    """What one machine exported, another holds; a file that is there is not written over."""
    put(memory, "one", "two")
    memory.lock([("red", "빨강")], "en", "ko")
    for name in ("out.jsonl", "out.tmx"):
        done = cli("memory", "export", name)
        assert done.returncode == 0 and "2 rows by models, 1 locked translations" in done.stdout
        again = cli("memory", "export", name)
        assert again.returncode == 2 and "--force" in again.stderr
        assert cli("memory", "export", name, "--force").returncode == 0
    other = {"HRET_HOME": str(tmp_path / "other")}
    done = cli("memory", "import", "out.jsonl", env=other)
    assert done.stdout == "imported 2 rows by models, 1 locked translations, 0 suggestions\n"
    done = cli("memory", "import", "out.tmx", env=other)
    assert done.stdout.splitlines() == [
        "imported 0 rows by models, 0 locked translations, 0 suggestions",
        "  1 were there already and stay as they were",
        "  2 already known, not locked: a model's, as the memory holds them",
    ]
    done = cli("memory", "import", "out.tmx", env={"HRET_HOME": str(tmp_path / "third")})
    assert done.stdout.splitlines() == [
        "imported 0 rows by models, 3 locked translations, 0 suggestions",
        "  2 pairs bear a model's name: edited since, or of another memory",
    ]
    found = said(cli("memory", "stats", "--json", env=other))
    assert [row["entries"] for row in found["units"] + found["locked"]] == [2, 1]


def test_import_names_what_contradicts(cli: Cli, work: Path) -> None:
    """Two translations of one text are named, and how to choose the languages works."""
    lines = [{"source": "rot", "target": t} for t in ("빨강", "붉은", "")]
    (work / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    done = cli("memory", "import", "a.jsonl", "--source-lang", "de", "--suggestions")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "imported 0 rows by models, 0 locked translations, 1 suggestions",
        "  1 pairs left out: a text is empty",
        "  1 translations replaced by a later one of the same source:",
        "    a.jsonl, line 2: 'rot' → '붉은', not '빨강'",
    ]
    found = said(cli("memory", "stats", "--json"))
    assert found["suggested"] == [{"source_lang": "de", "target_lang": "ko", "entries": 1}]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["import", "none.tmx"], "none.tmx cannot be read"),
        (["import", "bad.jsonl"], "bad.jsonl, line 1: "),
        (["import", "bad.csv"], "neither .tmx nor .jsonl"),
        (["import"], "Missing argument"),
        (["export", "bad.csv"], "neither .tmx nor .jsonl"),
        (["export", "folder/out.tmx"], "cannot be written"),
        (["gc"], "nothing says what to remove"),
        (["gc", "--locked"], "nothing says what to remove"),
        (["gc", "--locked-only", "--model", "m"], "no model's"),
        (["gc", "--locked-only"], "nothing says what to remove"),
        (["gc", "--older-than", "-1"], "greater than or equal to 0"),
    ],
)
def test_mistakes_end_with_status_2(
    cli: Cli, work: Path, arguments: list[str], wanted: str
) -> None:
    """A sentence, no traceback, and nothing in the memory."""
    (work / "bad.jsonl").write_text("{")
    done = cli("memory", *arguments)
    assert done.returncode == 2
    assert wanted in done.stderr and "Traceback" not in done.stderr
    assert said(cli("memory", "stats", "--json"))["locked"] == []


def test_gc_goes_by_age_and_model(cli: Cli, memory: Memory) -> None:
    """Both together mean both; a dry run only counts; what is used stays."""
    put(memory, "old", "used", "new")
    put(memory, "old other", "new other", model="other")
    aged(memory, 100, "old", "used", "old other")
    memory.get([unit_key(Unit((Segment("q", 0, "used"),)), POLICY)])
    put(memory, "new")
    both = ("memory", "gc", "--older-than", "90", "--model", "other")
    assert said(cli(*both, "--dry-run", "--json"))["units"] == 1
    assert sources(memory) == {"old", "used", "new", "old other", "new other"}
    assert said(cli(*both, "--json"))["units"] == 1
    assert sources(memory) == {"old", "used", "new", "new other"}
    done = cli("memory", "gc", "--older-than", "90")
    assert "removed 1 rows by models and 0 entries by people" in done.stdout
    assert sources(memory) == {"used", "new", "new other"}
    cli("memory", "gc", "--model", "other")
    assert sources(memory) == {"used", "new"}
    last = memory.last()
    put(memory, "next")
    assert memory.last() == last + 1


def test_gc_leaves_people_alone_unless_told(cli: Cli, memory: Memory) -> None:
    """Locked entries go only with --locked, by their last use, and the version says so."""
    none = memory.locked_version("ko")
    memory.lock([("red", "빨강"), ("blue", "파랑"), ("green", "초록")], "en", "ko")
    three = memory.locked_version("ko")
    aged(memory, 100, "red", "blue")
    memory.locked(["blue"], "en", "ko")
    put(memory, "one")
    assert said(cli("memory", "gc", "--older-than", "90", "--json"))["locked"] == 0
    assert said(cli("memory", "gc", "--model", "x", "--locked", "--json"))["locked"] == 0
    assert memory.locked_version("ko") == three
    done = said(cli("memory", "gc", "--older-than", "90", "--locked", "--json"))
    assert (done["locked"], sources(memory)) == (1, {"blue", "green", "one"})
    two = memory.locked_version("ko")
    memory.lock([("red", "빨강")], "en", "ko")
    assert memory.locked_version("ko") == three and len({none, two, three}) == 3


def test_an_import_of_today_is_undone(cli: Cli, memory: Memory, work: Path) -> None:
    """0 days means all; with --locked-only nothing that was paid for goes."""
    none = memory.locked_version("ko")
    put(memory, "one", "two")
    aged(memory, 100, "two")
    memory.lock([("red", "빨강"), ("blue", "파랑")], "en", "ko")
    (work / "a.jsonl").write_text('{"source": "green", "target": "초록"}')
    cli("memory", "import", "a.jsonl", "--suggestions")
    undo = ("memory", "gc", "--locked-only", "--json", "--older-than")
    done = said(cli(*undo, "1"))
    assert (done["units"], done["locked"], done["suggested"]) == (0, 0, 0)
    for more in (("--dry-run",), ()):
        done = said(cli(*undo, "0", *more))
        assert (done["units"], done["locked"], done["suggested"]) == (0, 2, 1)
    assert sources(memory) == {"one", "two"} and memory.locked_version("ko") == none
    memory.lock([("red", "빨강")], "en", "ko")
    done = said(cli("memory", "gc", "--locked", "--older-than", "0", "--json"))
    assert (done["units"], done["locked"], sources(memory)) == (2, 1, set())


def test_gc_gives_the_space_back(cli: Cli, memory: Memory) -> None:
    """The file is smaller afterwards by what is said."""
    put(memory, *(f"{i} {'x' * 2000}" for i in range(1000)), model="old")
    put(memory, "kept")
    memory.close()
    before = upkeep.size(memory.path)
    done = said(cli("memory", "gc", "--model", "old", "--json"))
    after = upkeep.size(memory.path)
    assert done["units"] == 1000 and done["kept_space"] == ""
    assert after < 200_000 < before
    assert done["freed"] >= 2_000_000
    with Memory(memory.path) as again:
        assert sources(again) == {"kept"} and again.last() == 1001


def test_help_names_the_commands(cli: Cli) -> None:
    """`hret memory --help` lists them, `hret --help` names it."""
    shown = cli("memory", "--help").stdout
    assert all(f"  {name} " in shown for name in ("stats", "export", "import", "gc"))
    assert "memory" in cli("--help").stdout
