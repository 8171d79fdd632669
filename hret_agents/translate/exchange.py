"""The memory as files: JSON Lines, which lose nothing, and TMX 1.4, which other tools read.

JSON Lines restore paid units under their keys, so another machine pays for none of them again. TMX
has no keys: its pairs, and plain lines of {"source": ..., "target": ...}, come in as a person's
translations. An import is written in one transaction, after all of it has been read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hret_agents.translate.incoming import Imported, Incoming, text_of, unit_of_line
from hret_agents.translate.memory import CURRENT, Memory
from hret_agents.translate.tmx import TmxUnit, TmxWriter, primary, read_tmx, writable
from llm_eval.errors import UserError
from llm_eval.files import replaced

_LONGEST_LINE = 1 << 26  # bytes


@dataclass(slots=True)
class Exported:
    """What went into a file, and what could not.

    `pairs` are a TMX file's units; `repeated` pairs were in it already; `unwritable` ones hold
    characters that XML has no place for; `of_no_language` are units kept before languages were.
    """

    units: int = 0
    locked: int = 0
    suggested: int = 0
    divided: int = 0
    pairs: int = 0
    repeated: int = 0
    unwritable: int = 0
    of_no_language: int = 0


def export_file(
    memory: Memory, path: Path, *, target_lang: str | None = None, locked_only: bool = False
) -> Exported:
    """Write the memory to a .jsonl or .tmx file, which is there whole or not at all.

    Raises:
        UserError: the suffix says neither, or the file cannot be written.
    """
    write = {".jsonl": _write_jsonl, ".tmx": _write_tmx}[_suffix(path)]
    with _whole(path) as file:
        return write(memory, file, target_lang, locked_only)


def import_files(
    memory: Memory,
    paths: list[Path],
    *,
    source_lang: str = "en",
    target_lang: str = "ko",
    suggestions: bool = False,
) -> Imported:
    """Bring files into the memory: all of them, or none.

    The languages are those of lines that name none. Pairs that are nobody's yet (TMX, plain lines)
    are locked, or with `suggestions` only shown to the model as examples. Not locked is what the
    memory holds from a model, word for word: nobody edited it.

    Raises:
        UserError: a file or a line cannot be read; nothing was imported.
    """
    readers = {".jsonl": _read_jsonl, ".tmx": _read_tmx}
    chosen = [(readers[_suffix(path)], path) for path in paths]
    with Incoming("suggested" if suggestions else "locked", source_lang, target_lang) as incoming:
        for read, path in chosen:
            read(path, incoming)
        return incoming.commit(memory)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".tmx"):
        raise UserError(f"{path} is neither .tmx nor .jsonl", hint="name the file accordingly")
    return suffix


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A file that takes its place only when all of it is written."""
    try:
        with replaced(path) as new, new.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as e:
        raise UserError(
            f"{path} cannot be written: {e.strerror}", hint="name another file"
        ) from None


def _write_jsonl(memory: Memory, file: TextIO, lang: str | None, locked_only: bool) -> Exported:
    done = Exported()

    def line(kind: str, **values: object) -> None:
        file.write(json.dumps({"type": kind, **values}, ensure_ascii=False) + "\n")

    if not locked_only:
        done.of_no_language = _of_no_language(memory) if lang else 0
        for row in _units(memory, lang):
            row |= {name: memory.texts(row[name]) for name in ("source", "target")}
            line("unit", **row | {"insisted": bool(row["insisted"])})
            done.units += 1
        if lang is None:
            for key, chars in memory.rows("SELECT key, chars FROM divided"):
                line("divided", key=key, chars=chars)
                done.divided += 1
        for row in _brought(memory, "suggested", lang):
            line("suggestion", **row)
            done.suggested += 1
    for row in _brought(memory, "locked", lang):
        line("locked", **row)
        done.locked += 1
    return done


def _write_tmx(memory: Memory, file: TextIO, lang: str | None, locked_only: bool) -> Exported:
    """Locked entries come last: where a reader takes the last of two, a person's counts."""
    done = Exported(of_no_language=0 if locked_only else _of_no_language(memory))
    tables = ("locked",) if locked_only else ("units", "locked")
    query = " UNION ".join(f"SELECT source_lang FROM {table}" for table in tables)
    langs = {str(row[0]) for row in memory.rows(query)} - {""}
    writer = TmxWriter(file, langs.pop() if len(langs) == 1 else "")
    human = {_digest(row, row["source"], row["target"]) for row in _brought(memory, "locked", lang)}
    seen = set(human)
    for row in [] if locked_only else _units(memory, lang):
        done.units += 1
        for source, target in zip(
            memory.texts(row["source"]), memory.texts(row["target"]), strict=True
        ):
            digest = _digest(row, source, target)
            if digest in seen:
                done.repeated += digest not in human
            elif row["source_lang"]:
                seen.add(digest)
                _write_pair(writer, done, row, source, target)
    for row in _brought(memory, "locked", lang):
        done.locked += 1
        _write_pair(writer, done, row, row["source"], row["target"])
    writer.close()
    return done


def _write_pair(
    writer: TmxWriter, done: Exported, row: dict[str, Any], source: str, target: str
) -> None:
    model = row.get("model", "")
    if not writable(source, target, model):
        done.unwritable += 1
        return
    done.pairs += 1
    pair = ((row["source_lang"], source), (row["target_lang"], target))
    writer.pair(*pair, made=row["made"], model=model)


def _units(memory: Memory, lang: str | None) -> Iterator[dict[str, Any]]:
    columns = "key, source, target, model, prompt, source_lang, target_lang, insisted, made"
    last = memory.last()
    query = f"SELECT {columns} FROM units WHERE seq <= ? AND {CURRENT}{_of(lang)} ORDER BY seq"
    return memory.records(query, [last, last, *([lang] if lang else [])])


def _brought(memory: Memory, table: str, lang: str | None) -> Iterator[dict[str, Any]]:
    columns = "source, target, source_lang, target_lang, made"
    query = f"SELECT {columns} FROM {table} WHERE 1{_of(lang)} ORDER BY seq"
    return memory.records(query, [lang] if lang else [])


def _of(lang: str | None) -> str:
    return " AND target_lang = ?" if lang else ""


def _of_no_language(memory: Memory) -> int:
    return sum(n for (n,) in memory.rows("SELECT count(*) FROM units WHERE target_lang = ''"))


def _digest(row: dict[str, Any], source: str, target: str) -> bytes:
    content = json.dumps([row["source_lang"], row["target_lang"], source, target])
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def _read_tmx(path: Path, incoming: Incoming) -> None:
    for unit in read_tmx(path):
        where = f"{path}, line {unit.line}"
        pairs = list(_pairs_of(unit))
        incoming.without_pair += not pairs
        for source_lang, source, target_lang, target in pairs:
            incoming.pair(
                where, source, target, source_lang, target_lang, by_model=bool(unit.model)
            )


def _pairs_of(unit: TmxUnit) -> Iterator[tuple[str, str, str, str]]:
    """The source with each other language: (language, text) twice."""
    if not unit.texts:
        return
    source_lang = unit.source_lang or unit.texts[0][0]
    source = next((text for lang, text in unit.texts if lang == source_lang), "")
    for lang, text in unit.texts:
        if lang != source_lang and source.strip():
            yield source_lang, source, lang, text


def _read_jsonl(path: Path, incoming: Incoming) -> None:
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError("this is no JSON object")
            _take_line(where, found, incoming)
        except RecursionError:
            raise UserError(
                f"{where}: nested too deeply", hint="keep the lines as they were exported"
            ) from None
        except ValueError as e:
            if isinstance(e, UserError):
                raise
            raise UserError(f"{where}: {e}", hint="nothing was imported") from None


def _take_line(where: str, found: dict[str, Any], incoming: Incoming) -> None:
    match found.get("type"):
        case "unit":
            incoming.unit(where, unit_of_line(found))
        case "divided":
            chars = found.get("chars")
            if type(chars) is not int or chars < 1:
                raise ValueError("chars must be a whole number above 0")
            incoming.divided(text_of(found, "key"), chars)
        case None | "locked" | "suggestion" as kind:
            langs = [
                primary(text_of(found, name)) if name in found else default
                for name, default in incoming.languages.items()
            ]
            table = {"locked": "locked", "suggestion": "suggested"}.get(kind or "")
            source, target = text_of(found, "source"), text_of(found, "target")
            incoming.pair(where, source, target, *langs, table=table)
        case kind:
            raise ValueError(f"no line is of the type {kind!r}")


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise UserError(
                        f"{path}, line {number}: longer than {_LONGEST_LINE:,} bytes",
                        hint="is it a file of lines, one a text?",
                    )
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except OSError as e:
        raise UserError(
            f"{path} cannot be read: {e}", hint="check the path and its rights; it is to be UTF-8"
        ) from None
    except UnicodeDecodeError as e:
        raise UserError(f"{path}, line {number}: {e}", hint="save it as UTF-8") from None
