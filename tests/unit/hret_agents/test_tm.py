"""The translator `memory` answers exactly what its files say, and nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hret_agents.plan.infer import infer_plan
from hret_agents.translate.base import Ask
from hret_agents.translate.tm import MemoryTranslator, read_memory, shipped_memory
from hret_agents.translate.units import Segment, Unit, unit_of
from llm_eval.errors import UserError
from llm_eval.records import Failure, Usage


def memory_file(folder: Path, *pairs: tuple[str, str], name: str = "tm.jsonl") -> Path:
    """A memory in a file."""
    path = folder / name
    lines = [json.dumps({"source": s, "target": t}, ensure_ascii=False) for s, t in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ask(*texts: str) -> Ask:
    """One unit to translate."""
    return Ask(Unit(tuple(Segment("q", i, text) for i, text in enumerate(texts))))


def replies(translator: MemoryTranslator, *asks: Ask) -> list[tuple[str, ...] | Failure]:
    """What it answers."""
    return list(asyncio.run(translator.translate(asks)).replies)


def test_each_unit_gets_its_own_texts_in_order(tmp_path: Path) -> None:
    """Units are answered in order, each text by its exact source."""
    path = memory_file(tmp_path, ("one", "하나"), ("two", "둘"), ("", "없음"))
    translator = MemoryTranslator("ko", path)
    assert replies(translator, ask("two", "one"), ask(), ask("one", "one")) == [
        ("둘", "하나"),
        (),
        ("하나", "하나"),
    ]


@pytest.mark.parametrize("text", ["three", "One", "one ", "on"])
def test_an_unknown_text_fails_its_unit_alone(tmp_path: Path, text: str) -> None:
    """A text that is not known to the letter fails its row, by name, and no other row."""
    translator = MemoryTranslator("ko", memory_file(tmp_path, ("one", "하나")))
    first, second = replies(translator, ask("one", text), ask("one"))
    assert isinstance(first, Failure) and first.kind == "unknown_text" and not first.retryable
    assert repr(text) in first.message and second == ("하나",)


def test_the_users_file_comes_before_the_shipped_one(tmp_path: Path) -> None:
    """A user's own translation of a shipped sentence is the one that counts."""
    source = next(iter(shipped_memory("ko")))
    translator = MemoryTranslator("ko", memory_file(tmp_path, (source, "내 번역")))
    assert replies(translator, ask(source)) == [("내 번역",)]


def test_the_sample_is_known_whole() -> None:
    """Every text of the shipped sample is in the shipped memory."""
    sample = Path(__file__).parents[3] / "hret_agents" / "sample" / "quiz.jsonl"
    rows = [json.loads(line) for line in sample.read_text("utf-8").split("\n") if line]
    from datasets import Dataset

    features = Dataset.from_list(rows).features
    plan = infer_plan(features, rows, source="sample", target_lang="ko")
    answers = replies(MemoryTranslator("ko"), *(Ask(unit_of(row, plan)[0]) for row in rows))
    assert len(rows) > 10 and not any(isinstance(a, Failure) for a in answers)


def test_another_language_has_no_shipped_memory() -> None:
    """The sample's memory is Korean: no other language is answered from it."""
    assert shipped_memory("ja") == {} and shipped_memory("../ko") == {}
    assert isinstance(replies(MemoryTranslator("ja"), ask("evaporation"))[0], Failure)


def test_it_costs_nothing_and_never_waits() -> None:
    """No use is counted, nothing is worth keeping, and one pack is under way at a time."""
    translator = MemoryTranslator("ko")
    asyncio.run(translator.check())
    replies(translator, ask("evaporation"))
    asyncio.run(translator.close())
    assert translator.usage == Usage() and not translator.paid
    assert (translator.width, translator.cost(Usage())) == (1, 0.0)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_line_ends_at_a_newline_alone(tmp_path: Path, sign: str) -> None:
    """Unicode's other line ends may stand inside a text: JSON Lines does not end there."""
    path = memory_file(tmp_path, (f"a{sign}b", f"가{sign}나"))
    assert read_memory(path) == {f"a{sign}b": f"가{sign}나"}


@pytest.mark.parametrize(
    "line", ["no json", '["a", "b"]', '{"source": "a"}', '{"target": "b"}', "null", '{"source"']
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    """What is no pair is told by file and line, and nothing is read around it."""
    path = tmp_path / "tm.jsonl"
    path.write_text('{"source": "one", "target": "하나"}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"tm\.jsonl, line 3"):
        read_memory(path)


def test_a_target_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A null or a number is no translation: it must not become the text `None`."""
    path = tmp_path / "tm.jsonl"
    path.write_text('{"source": "one", "target": null}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 1"):
        read_memory(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors on Windows put a mark in front; the first pair is read all the same."""
    path = tmp_path / "tm.jsonl"
    path.write_text('{"source": "one", "target": "하나"}\r\n', encoding="utf-8-sig")
    assert read_memory(path) == {"one": "하나"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A missing file, and one that is no UTF-8, are sentences with the path."""
    path = tmp_path / "tm.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"tm\.jsonl cannot be read"):
        read_memory(path)
