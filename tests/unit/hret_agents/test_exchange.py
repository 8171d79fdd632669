"""The memory as files: what goes out comes back, and a bad file brings in nothing at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hret_agents.translate.exchange import export_file, import_files
from hret_agents.translate.memory import Entry, Kept, Memory, unit_key
from hret_agents.translate.tmx import read_tmx
from hret_agents.translate.units import Segment, Unit
from llm_eval.errors import UserError

POLICY = {"model": "gpt <&\"'>", "prompt": "p1", "source_lang": "en", "target_lang": "ko"}
HOSTILE = [
    "a ]]> b", "<b>bold</b>", "AT&T &amp; &lt;", "one\ntwo\r\nthree\rfour\tfive", "👩‍🔬 𝕏",
    "  leading and trailing  ", "\u2028\u0085\ufeff", "<!-- x --> <![CDATA[y]]> <?z?>",
    '"\'', "%s {x}",
]  # fmt: skip
XML = "{http://www.w3.org/XML/1998/namespace}"


def unit(*texts: str) -> Unit:
    """A unit of some texts."""
    return Unit(tuple(Segment("q", i, text) for i, text in enumerate(texts)))


def put(memory: Memory, source: Unit, *texts: str, **policy: str) -> str:
    """Keep a translation; its key."""
    key = unit_key(source, POLICY | policy)
    memory.put([Kept(key, source, texts)], POLICY | policy)
    return key


def tmx(body: str, header: str = '<header srclang="en"/>', before: str = "") -> str:
    """A TMX file's text."""
    return f'{before}<tmx version="1.4">{header}<body>{body}</body></tmx>'


def tu(source: str, target: str, langs: tuple[str, str] = ("en", "ko")) -> str:
    """A translation unit's text."""
    tuvs = zip(langs, (source, target), strict=True)
    return f"<tu>{''.join(f'<tuv xml:lang={lang!r}><seg>{s}</seg></tuv>' for lang, s in tuvs)}</tu>"


def bring(path: Path, content: str | bytes, **options: Any) -> tuple[Any, dict[str, str]]:
    """Import a file into a new memory: (what it says of it, all that is locked into Korean)."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with Memory(path.with_suffix(".sqlite")) as memory:
        done = import_files(memory, [path], **options)
        return done, dict(memory.rows("SELECT source, target FROM locked WHERE target_lang = 'ko'"))


def test_a_tmx_file_brings_hostile_texts_back(tmp_path: Path) -> None:
    """Markup, line ends, spaces, and signs beyond the BMP come back as they were."""
    path = tmp_path / "out.tmx"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit(*HOSTILE), *(f"{text}번역" for text in HOSTILE))
        done = export_file(memory, path)
    assert (done.units, done.pairs, done.unwritable) == (1, len(HOSTILE), 0)
    found = [dict(u.texts) for u in read_tmx(path)]
    assert found == [{"en": text, "ko": f"{text}번역"} for text in HOSTILE]
    assert {u.model for u in read_tmx(path)} == {POLICY["model"]}


def test_a_tmx_file_is_as_the_standard_wants_it(tmp_path: Path) -> None:
    """All of the header's attributes; prop before tuv; two languages; times as TMX writes them."""
    path = tmp_path / "out.tmx"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit("one", "two", "one"), "하나", "둘", "하나")
        put(memory, unit("two"), "둘")
        memory.lock([("one", "하나"), ("red", "빨강")], "en", "ko")
        done = export_file(memory, path)
    root = ET.parse(path).getroot()
    header, body = root
    assert (root.tag, root.attrib, header.tag, body.tag) == (
        "tmx", {"version": "1.4"}, "header", "body"
    )  # fmt: skip
    assert header.attrib.keys() == {
        "creationtool", "creationtoolversion", "segtype", "o-tmf", "adminlang", "srclang",
        "datatype",
    }  # fmt: skip
    assert header.attrib["srclang"] == "en"
    shapes = [[child.tag for child in u] for u in body]
    assert shapes == [["prop", "tuv", "tuv"], ["tuv", "tuv"], ["tuv", "tuv"]]
    assert [[(v.get(f"{XML}lang"), v[0].text) for v in u.iter("tuv")] for u in body] == [
        [("en", "two"), ("ko", "둘")], [("en", "one"), ("ko", "하나")],
        [("en", "red"), ("ko", "빨강")],
    ]  # fmt: skip
    assert body[0].attrib["changeid"] == POLICY["model"] == body[0][0].text
    assert all(len(u.attrib["creationdate"]) == 16 for u in body)
    assert (done.units, done.locked, done.pairs, done.repeated) == (2, 2, 3, 1)


def test_what_xml_cannot_carry_is_counted(tmp_path: Path) -> None:
    """A control character leaves its pair out of a TMX file, never out of JSON Lines."""
    with Memory(tmp_path / "a.sqlite") as memory:
        key = put(memory, unit("a\0b", "bell \x07", "fine"), "가\0나", "종", "좋음")
        done = export_file(memory, tmp_path / "out.tmx")
        export_file(memory, tmp_path / "out.jsonl")
    assert (done.pairs, done.unwritable) == (1, 2)
    assert [dict(u.texts)["en"] for u in read_tmx(tmp_path / "out.tmx")] == ["fine"]
    with Memory(tmp_path / "b.sqlite") as memory:
        import_files(memory, [tmp_path / "out.jsonl"])
        assert memory.get([key]) == {key: Entry(("가\0나", "종", "좋음"))}


def test_json_lines_restore_everything(tmp_path: Path) -> None:
    """On another machine every key is known, what people locked is locked, and a second import
    changes nothing; exported again it is the same file."""
    with Memory(tmp_path / "a.sqlite") as memory:
        keys = [put(memory, unit(*HOSTILE), *HOSTILE), put(memory, unit("one"), "하나", model="n")]
        memory.put([Kept("copy", unit("Python"), ["Python"], insisted=True)], POLICY)
        put(memory, unit("one"), "일", model="n")
        put(memory, unit("one"), "한 개", register="formal")
        memory.lock([("red", "빨강")], "en", "ko")
        memory.put_divided("long", 4000)
        (tmp_path / "more.jsonl").write_text('{"source": "blue", "target": "파랑"}\n')
        import_files(memory, [tmp_path / "more.jsonl"], suggestions=True)
        wanted = memory.get([*keys, "copy"])
        version = memory.locked_version("ko")
        export_file(memory, tmp_path / "out.jsonl")
    with Memory(tmp_path / "b.sqlite") as memory:
        done = import_files(memory, [tmp_path / "out.jsonl"])
        assert (done.units, done.locked, done.suggested, done.divided) == (4, 1, 1, 1)
        again = import_files(memory, [tmp_path / "out.jsonl"])
        assert (again.units, again.units_there, again.locked, again.there) == (0, 4, 0, 2)
        assert ("p1|formal|",) in list(memory.rows("SELECT prompt FROM units"))
        assert memory.get([*keys, "copy"]) == wanted and wanted[keys[1]].texts == ("일",)
        assert memory.locked_version("ko") == version
        assert memory.divided(["long"]) == {"long": 4000}
        assert memory.locked(["blue", "red"], "en", "ko") == {"red": "빨강"}
        assert (("blue",), ("파랑",)) in list(memory.pairs("en", "ko", memory.last()))
        export_file(memory, tmp_path / "again.jsonl")
    lines = [sorted((tmp_path / f"{n}.jsonl").read_text().split("\n")) for n in ("out", "again")]
    assert lines[0] == lines[1]


def test_a_language_alone_and_locked_entries_alone(tmp_path: Path) -> None:
    """Only what is asked for is written; several source languages are said in the header."""
    path = tmp_path / "out.tmx"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit("one"), "하나")
        put(memory, unit("one"), "一", target_lang="ja")
        put(memory, unit("eins"), "하나", source_lang="de")
        memory.lock([("red", "빨강")], "en", "ko")
        export_file(memory, path, target_lang="ja")
        assert [dict(u.texts) for u in read_tmx(path)] == [{"en": "one", "ja": "一"}]
        export_file(memory, path, locked_only=True)
        assert [dict(u.texts) for u in read_tmx(path)] == [{"en": "red", "ko": "빨강"}]
        export_file(memory, path)
        assert 'srclang="*all*"' in path.read_text()
        assert [u.source_lang for u in read_tmx(path)] == ["en", "en", "de", "en"]
        done = export_file(memory, tmp_path / "out.jsonl", target_lang="ko", locked_only=True)
        assert (done.units, done.locked) == (0, 1)


def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    """What cannot be written leaves the earlier file, and no part of a new one."""
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit("one"), "하나")
        with pytest.raises(UserError, match="cannot be written"):
            export_file(memory, tmp_path / "no folder" / "out.tmx")
        with pytest.raises(UserError, match=r"neither \.tmx nor \.jsonl"):
            export_file(memory, tmp_path / "out.csv")
        (tmp_path / "out.tmx").write_text("earlier")
        with memory.writing() as db:
            db.execute("UPDATE units SET target = 'no list'")
        with pytest.raises(UserError, match="cannot be used"):
            export_file(memory, tmp_path / "out.tmx")
    assert (tmp_path / "out.tmx").read_text() == "earlier"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_other_tools_files_are_read(tmp_path: Path, encoding: str) -> None:
    """A DOCTYPE, regions, `lang`, inline codes, notes, several languages, another encoding."""
    name = "utf-16" if encoding == "utf-16" else "utf-8"
    body = (
        '<tu tuid="1"><note>about</note><prop type="x">y</prop>'
        '<tuv xml:lang="EN-US"><note>n</note><seg>Click <bpt i="1">&lt;b&gt;</bpt>here'
        '<ept i="1">&lt;/b&gt;</ept> <ph x="1">%s</ph> or <hi>there</hi></seg></tuv>'
        '<tuv lang="ko_KR"><seg><bpt i="1">&lt;b&gt;</bpt>여기<ept i="1">&lt;/b&gt;</ept>'
        '<it pos="begin"/> <ph x="1">%s</ph></seg></tuv><tuv lang="ja"><seg>ここ</seg></tuv></tu>'
        "<tu srclang='ko'><tuv xml:lang='en'><seg>two</seg></tuv>"
        "<tuv xml:lang='ko'><seg>둘</seg></tuv></tu>"
        "<tu><tuv xml:lang='ko'><seg>영어 없음</seg></tuv></tu><tu></tu>"
    )
    before = f'<?xml version="1.0" encoding="{name}"?>\n<!DOCTYPE tmx SYSTEM "http://x.invalid/tmx14.dtd">\n'
    content = tmx(body, '<header srclang="en-GB"><note>h</note></header>', before).encode(encoding)
    done, locked = bring(tmp_path / "a.tmx", content)
    assert locked == {"Click <b>here</b> %s or there": "<b>여기</b> %s"}
    assert (done.locked, done.without_pair) == (3, 2)
    with Memory(tmp_path / "a.sqlite") as memory:
        assert memory.locked(["Click <b>here</b> %s or there"], "en", "ja")
        assert memory.locked(["둘"], "ko", "en") == {"둘": "two"}


@pytest.mark.parametrize("header", ["", '<header srclang="*all*"/>'])
def test_without_a_source_language_the_first_text_is_the_source(
    tmp_path: Path, header: str
) -> None:
    """A file of all languages, or one that does not say."""
    assert bring(tmp_path / "a.tmx", tmx(tu("one", "하나"), header))[1] == {"one": "하나"}


BOMB = "<!DOCTYPE tmx [" + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
).replace("&a;", "lol") + "]>"  # fmt: skip
BAD_TMX = {
    "entities that grow": (tmx(tu("&i;", "x"), before=BOMB), "line 1: the entity 'b' is refused"),
    "a file's content": (
        tmx(tu("&f;", "x"), before='<!DOCTYPE tmx [<!ENTITY f SYSTEM "file:///etc/passwd">]>'),
        "line 1: the entity 'f' is refused",
    ),
    "a parameter entity": (
        tmx("", before='<!DOCTYPE tmx [<!ENTITY % p SYSTEM "http://x.invalid/">%p;]>'),
        "the entity 'p' is refused",
    ),
    "an entity of the DTD": (
        tmx(tu("&eacute;", "x"), before='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'),
        "line 2: the entity 'eacute' is refused",
    ),
    "an unknown entity": (tmx(tu("one &nbsp;", "x")), "line 1: undefined entity"),
    "no end": (tmx(tu("one", "하나"))[:-20], "line 1: "),
    "no TMX": ("<html></html>", "no TMX 1 file"),
    "TMX 2": ('<tmx version="2.0"></tmx>', "no TMX 1 file"),
    "nothing": ("", "line 1: no element found"),
    "no language": (tmx("<tu><tuv><seg>x</seg></tuv></tu>"), "line 1: a text without its language"),
    "a huge text": (tmx(tu("x" * 1_000_001, "y")), "more than 1,000,000 characters"),
    "a wide encoding": (b'<?xml version="1.0" encoding="euc-kr"?><tmx/>', "encoding"),
    "no encoding": (b'<?xml version="1.0" encoding="utf-8"?><tmx version="1.4">\xff', "line 1: "),
}


@pytest.mark.parametrize(("content", "said"), BAD_TMX.values(), ids=BAD_TMX.keys())
def test_a_bad_tmx_file_brings_in_nothing(tmp_path: Path, content: str | bytes, said: str) -> None:
    """File, line and reason are named, and the good file before it is not imported either."""
    (tmp_path / "good.tmx").write_text(tmx(tu("one", "하나")))
    (tmp_path / "bad.tmx").write_bytes(content.encode() if isinstance(content, str) else content)
    with Memory(tmp_path / "a.sqlite") as memory:
        with pytest.raises(UserError) as error:
            import_files(memory, [tmp_path / "good.tmx", tmp_path / "bad.tmx"])
        assert "bad.tmx, line" in error.value.message and said in error.value.message
        assert memory.last() == 0


UNIT = {
    "type": "unit", "key": "k", "source": ["a"], "target": ["b"], "model": "m", "prompt": "p",
    "source_lang": "en", "target_lang": "ko", "insisted": False, "made": "2025-01-31 23:59:59",
}  # fmt: skip
BAD_LINES = {
    "no JSON": ("{", "Expecting"),
    "no object": ("[1]", "no JSON object"),
    "no target": ('{"source": "a"}', "target is missing"),
    "a number": ('{"source": "a", "target": 1}', "target is missing or no text"),
    "half a character": ('{"source": "a\\ud800", "target": "b"}', "half a character"),
    "another type": ('{"type": "x"}', "no line is of the type 'x'"),
    "nested": ("[" * 100_000, "nested too deeply"),
    "long": (json.dumps({"source": "x" * 1_000_001, "target": "y"}), "longer than 1,000,000"),
    "no Unicode": (b'{"source": "\xff"}', "invalid start byte"),
    "divided": ('{"type": "divided", "key": "k", "chars": 0}', "chars must be"),
    **{
        f"unit with {name} {value!r}": (json.dumps(UNIT | {name: value}), name)
        for name, value in (
            ("source", "a"), ("source", []), ("target", ["b", "c"]), ("target", [1]), ("key", ""),
            ("model", None), ("insisted", 1), ("made", "yesterday"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_brings_in_nothing(tmp_path: Path, content: str | bytes, said: str) -> None:
    """File, line and reason are named, and the good lines before it are not imported."""
    good = '{"source": "one", "target": "하나"}\n\n' + json.dumps(UNIT) + "\n"
    line = content.encode() if isinstance(content, str) else content
    path = tmp_path / "bad.jsonl"
    path.write_bytes(good.encode() + line)
    with Memory(tmp_path / "a.sqlite") as memory:
        with pytest.raises(UserError) as error:
            import_files(memory, [path])
        assert "bad.jsonl, line 4: " in error.value.message and said in error.value.message
        assert memory.last() == 0


def test_doubtful_pairs_are_counted_and_named(tmp_path: Path) -> None:
    """Empty ones, repetitions and contradictions are told; of a contradiction the last counts."""
    body = tu("one", "하나") + tu("one", "하나") + tu("one", "\n일") + tu("two", " ") + tu("", "x")
    done, locked = bring(tmp_path / "a.tmx", tmx(body.replace("<tu>", "\n<tu>")))
    assert locked == {"one": "\n일"}
    assert (done.locked, done.duplicates, done.conflicts) == (1, 1, 1)
    assert (done.empty, done.without_pair) == (1, 1)
    assert done.named == (f"{tmp_path}/a.tmx, line 4: 'one' → '\\n일', not '하나'",)
    done, locked = bring(tmp_path / "a.tmx", tmx(tu("one", "하나") + tu("six", "육")))
    assert (done.locked, done.changed, done.there) == (1, 1, 0)


def test_suggestions_are_shown_and_never_used(tmp_path: Path) -> None:
    """They come as pairs of a snapshot and lock nothing."""
    done, locked = bring(tmp_path / "a.tmx", tmx(tu("one", "하나")), suggestions=True)
    assert (done.suggested, done.locked, locked) == (1, 0, {})
    with Memory(tmp_path / "a.sqlite") as memory:
        assert list(memory.pairs("en", "ko", memory.last())) == [(("one",), ("하나",))]


def test_lines_take_the_languages_that_are_said(tmp_path: Path) -> None:
    """Those of the command, unless a line has its own."""
    lines = (
        '{"source": "eins", "target": "하나"}\n'
        '{"source": "x", "target": "y", "target_lang": "fr-CA"}'
    )
    _, locked = bring(tmp_path / "a.jsonl", "\ufeff" + lines, source_lang="de")
    assert locked == {"eins": "하나"}
    with Memory(tmp_path / "a.sqlite") as memory:
        rows = set(memory.rows("SELECT source_lang, target_lang FROM locked"))
    assert rows == {("de", "ko"), ("de", "fr")}


def test_a_models_pairs_are_told_when_they_are_locked(tmp_path: Path) -> None:
    """Our own TMX says which pairs a model made; a person's translation of a text comes last."""
    path = tmp_path / "out.tmx"
    with Memory(tmp_path / "a.sqlite") as memory:
        put(memory, unit("one", "red"), "하나", "붉음")
        memory.lock([("red", "빨강")], "en", "ko")
        export_file(memory, path)
    done, locked = bring(path, path.read_bytes())
    assert locked == {"one": "하나", "red": "빨강"}
    assert (done.by_model, done.conflicts) == (2, 1)


IMPORT = """
import os, signal, sys
from pathlib import Path
from hret_agents.translate.exchange import import_files
from hret_agents.translate.memory import Memory

written = []
def killed(statement):
    written.append(1) if statement.startswith("INSERT OR REPLACE INTO locked ") else None
    if len(written) == 1000:
        os.kill(os.getpid(), signal.SIGKILL)

with Memory(Path("a.sqlite")) as memory:
    with memory.writing() as db:
        db.set_trace_callback(killed)
    import_files(memory, [Path(sys.argv[1])])
"""


@pytest.mark.parametrize("end", [False, True], ids=["while reading", "while writing"])
def test_a_kill_during_an_import_leaves_nothing(
    tmp_path: Path, environment: dict[str, str], end: bool
) -> None:
    """An import that is killed before its one transaction has ended has brought in nothing."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", IMPORT, pipe.name]
    child = subprocess.Popen(command, env=environment, cwd=tmp_path)
    with pipe.open("w") as file:
        for i in range(2000):
            file.write(json.dumps({"source": f"text {i}", "target": "번역"}) + "\n")
        file.flush()
        if not end:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
    assert child.wait(60) == -signal.SIGKILL
    with Memory(tmp_path / "a.sqlite") as memory:
        assert memory.last() == 0 and list(memory.rows("SELECT * FROM locked")) == []
