"""TMX 1.4 in and out: one translation unit at a time, in memory that does not grow with the file.

Reading takes what other tools write: `lang` or `xml:lang`, region subtags, several languages in a
unit, inline codes (their text stays where it stands), UTF-8 or UTF-16. A DOCTYPE may be there and
is never fetched; entities are refused, declared or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from llm_eval.errors import UserError

LONGEST = 1_000_000  # characters of one text
MODEL = "x-hret-model"  # the prop that says which model translated a unit
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class TmxUnit:
    """A `<tu>`: its texts by language, each as (language without region, text).

    `source_lang` is what the unit or the header says, "" for any; `model` the prop of ours.
    """

    line: int
    source_lang: str
    texts: tuple[tuple[str, str], ...]
    model: str = ""


def primary(lang: str) -> str:
    """A language without its region.

    >>> primary("en-US"), primary("ZH_hant_TW"), primary("*all*")
    ('en', 'zh', '')
    """
    found = re.match("[A-Za-z]+", lang.strip())
    return found[0].lower() if found else ""


def read_tmx(path: Path) -> Iterator[TmxUnit]:
    """The units of a TMX file, as they are read.

    Raises:
        UserError: the file cannot be read or is no TMX; file, line and reason are named.
    """
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            while data := file.read(_READ):
                yield from reader.feed(data)
        yield from reader.feed(b"", last=True)
    except OSError as e:
        raise UserError(
            f"{path} cannot be read: {e}", hint="check the path and its rights"
        ) from None


class _Reader:
    """What expat says of a file, put together into units."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._units: list[TmxUnit] = []
        self._root = False
        self._header_lang = self._unit_lang = self._lang = self._model = self._prop = ""
        self._line = 0
        self._texts: list[tuple[str, str]] = []
        self._text: list[str] | None = None
        self._length = 0
        parser = self._parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._entity

    def feed(self, data: bytes, *, last: bool = False) -> list[TmxUnit]:
        """Parse on; the units that are whole now."""
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as e:
            raise self._bad(expat.ErrorString(e.code), e.lineno) from None
        except (ValueError, LookupError) as e:  # an encoding that nobody knows, or a wide one
            if isinstance(e, UserError):
                raise
            raise self._bad(f"its encoding cannot be read: {e}", 1) from None
        units, self._units = self._units, []
        return units

    def _bad(self, said: str, line: int | None = None) -> UserError:
        line = self._parser.CurrentLineNumber if line is None else line
        return UserError(
            f"{self._path}, line {line}: {said}", hint="export it anew as TMX 1.4 in UTF-8"
        )

    def _entity(self, name: str, *_: object) -> None:
        raise self._bad(f"the entity {name!r} is refused: a TMX file needs none")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._root:
            if name != "tmx" or not attributes.get("version", "1").startswith("1"):
                raise self._bad("this is no TMX 1 file")
            self._root = True
        lang = primary(attributes.get("xml:lang") or attributes.get("lang") or "")
        if name == "header":
            self._header_lang = primary(attributes.get("srclang", ""))
        elif name == "tu":
            self._unit_lang = primary(attributes.get("srclang", "")) or self._header_lang
            self._line, self._texts, self._model = self._parser.CurrentLineNumber, [], ""
        elif name == "tuv":
            self._lang = lang
        elif name == "prop":
            self._prop = attributes.get("type", "")
            self._text = [] if self._prop == MODEL else None
        elif name == "seg":
            self._text, self._length = [], 0

    def _end(self, name: str) -> None:
        if name == "tu":
            unit = TmxUnit(self._line, self._unit_lang, tuple(self._texts), self._model)
            self._units.append(unit)
        elif name == "seg" and self._text is not None:
            if not self._lang:
                raise self._bad("a text without its language (xml:lang)")
            self._texts.append((self._lang, "".join(self._text)))
            self._text = None
        elif name == "prop" and self._text is not None:
            self._model, self._text = "".join(self._text), None

    def _data(self, data: str) -> None:
        if self._text is None:
            return
        self._length += len(data)
        if self._length > LONGEST:
            raise self._bad(f"a text of more than {LONGEST:,} characters")
        self._text.append(data)


def writable(*texts: str) -> bool:
    """Can XML carry these texts? It has no place for most control characters."""
    return not any(_ILLEGAL.search(text) for text in texts)


class TmxWriter:
    """Writes a TMX 1.4 file to `file`; `source_lang` "" where there are several."""

    def __init__(self, file: TextIO, source_lang: str) -> None:
        self._file = file
        header = {
            "creationtool": "hret-agents",
            "creationtoolversion": _version(),
            "segtype": "block",
            "o-tmf": "hret",
            "adminlang": "en",
            "srclang": source_lang or "*all*",
            "datatype": "plaintext",
        }
        said = " ".join(f"{name}={quoteattr(value)}" for name, value in header.items())
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
            f"  <header {said}/>\n  <body>\n"
        )

    def pair(
        self, source: tuple[str, str], target: tuple[str, str], *, made: str, model: str = ""
    ) -> None:
        """Write one unit: (language, text) twice; `made` as SQLite writes a time (UTC)."""
        digits = re.sub(r"\D", "", made)
        created = f' creationdate="{digits[:8]}T{digits[8:14]}Z"' if len(digits) == 14 else ""
        changed = f" changeid={quoteattr(model)}" if model else ""
        lines = [f"    <tu srclang={quoteattr(source[0])}{created}{changed}>"]
        if model:
            lines.append(f'      <prop type="{MODEL}">{_escaped(model)}</prop>')
        for lang, text in (source, target):
            lines.append(f"      <tuv xml:lang={quoteattr(lang)}><seg>{_escaped(text)}</seg></tuv>")
        self._file.write("\n".join([*lines, "    </tu>\n"]))

    def close(self) -> None:
        """Write what ends the file."""
        self._file.write("  </body>\n</tmx>\n")


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})  # a reader makes a line feed of a bare one


def _version() -> str:
    try:
        return version("hret-agents")
    except PackageNotFoundError:
        return "0"
