"""Tables of texts as files that people edit: .xlsx, .csv and .jsonl, read as they were written.

What a spreadsheet cannot hold stands in its cells as `⟦U+0000⟧`. In .csv a cell that a spreadsheet
would take for a formula, a number, a date or a time has an apostrophe before it, as it would save
another text than it read (5월 5일 becomes 05월 05일); reading takes it away again.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_eval.errors import MissingExtra, UserError
from llm_eval.files import replaced

SUFFIXES = (".xlsx", ".csv", ".jsonl")
Cells = Sequence[str]
_MOST_ROWS, _LONGEST_CELL = 1_048_576, 32_767  # of a sheet, in every spreadsheet program
_LONGEST_FIELD = 1 << 26
_WIDTHS = {"source": 60, "translation": 60, "corrected": 60, "leaf": 20, "checks": 24, "id": 22}
_JSON = "write each line as it was exported, in whole: hret review export"
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]"
    r"|x(?=005F_)|_(?=x[0-9A-Fa-f]{4}_)|⟦(?=U\+[0-9A-F]{4,6}⟧)"
)
_ESCAPED = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
_UNITS = (  # the words of dates, times and numbers, whatever stands between them
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|[ap]m?|e|오전|오후|[월화수목금토일]요일|[년월일시분초年月日時时分秒]"
)
_READ = re.compile(  # by a spreadsheet as more than text; a short whole number it saves as it is
    r"[=+\-@\t＝＋－＠]|(?:true|false)\s*\Z"
    rf"|(?!(?:0|[1-9][0-9]{{0,10}})\Z)(?=\D*\d)(?:{_UNITS}|[\W\d_])+\Z",
    re.IGNORECASE,
)
_CODED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how Excel writes what XML cannot hold
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref=[\"']([^\"']+)")  # in a sheet's XML
_PLAIN = ("General", "@", "0")  # formats of a cell that shows a number as it is


def escaped(text: str) -> str:
    r"""A text as a spreadsheet can hold it.

    >>> escaped("a\x00b"), unescaped("a⟦U+0000⟧b") == "a\x00b"
    ('a⟦U+0000⟧b', True)
    """
    return _UNSAFE.sub(lambda m: f"⟦U+{ord(m[0]):04X}⟧", text)


def unescaped(text: str) -> str:
    """Undo `escaped`. A number that is no character's stays as it is."""
    return _ESCAPED.sub(lambda m: chr(n) if (n := int(m[1], 16)) < 0x110000 else m[0], text)


def disarmed(text: str) -> str:
    """A cell of a .csv file that every spreadsheet takes for a text.

    >>> disarmed("=1+1"), armed(disarmed("=1+1")), armed("'so'")
    ("'=1+1", '=1+1', "'so'")
    >>> [disarmed(t) for t in ("5월 5일", "March 5", "0.50", "1,000", "true", "42", "5 apples")]
    ["'5월 5일", "'March 5", "'0.50", "'1,000", "'true", '42', '5 apples']
    """
    return f"'{text}" if _READ.match(text.lstrip("'")) else text


def armed(text: str) -> str:
    """Undo `disarmed`."""
    return text[1:] if text.startswith("'") and _READ.match(text.lstrip("'")) else text


def suffix_of(path: Path) -> str:
    """A file's kind; a `UserError` if it is none of ours, or openpyxl is missing for .xlsx."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path} is none of {', '.join(SUFFIXES)}", hint="name it accordingly")
    if suffix == ".xlsx" and importlib.util.find_spec("openpyxl") is None:
        raise MissingExtra(f"{path.name}: a file of the kind .xlsx", "xlsx")
    return suffix


def write_table(path: Path, columns: Cells, lines: Iterable[Cells]) -> int:
    """Write a table of texts, which is there whole or not at all; how many lines it has.

    Raises:
        UserError: the file cannot be written, or a sheet cannot hold a line.
    """
    write = {".xlsx": _write_xlsx, ".csv": _write_csv, ".jsonl": _write_jsonl}[suffix_of(path)]
    try:
        with replaced(path) as new:
            return write(new, columns, lines)
    except OSError as e:
        raise UserError(
            f"{path} cannot be written: {e.strerror or e}", hint="name another file"
        ) from None


def _write_xlsx(path: Path, columns: Cells, lines: Iterable[Cells]) -> int:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("review")
    for number, name in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = _WIDTHS.get(name, 10)
    sheet.freeze_panes = "A2"
    top = Alignment(vertical="top", wrap_text=True)

    def cell(text: str, **style: Any) -> Any:
        made = WriteOnlyCell(sheet, text)
        made.data_type, made.number_format, made.alignment = "s", "@", top
        if text[:1] in tuple("=+-@'"):
            made.quotePrefix = True  # text it stays, when somebody edits it
        for name, value in style.items():
            setattr(made, name, value)
        return made

    count = 0
    try:
        sheet.append([cell(name, font=Font(bold=True)) for name in columns])
        for count, line in enumerate(lines, 1):
            sheet.append([cell(text) for text in _held(line, count)])
    finally:
        book.save(path)  # whatever came: it lets go of its own files then
    return count


def _held(line: Cells, number: int) -> list[str]:
    """The texts of a line as a sheet can hold them; a `UserError` if it cannot."""
    hint = "write .csv or .jsonl"
    if number >= _MOST_ROWS:
        raise UserError(f"a sheet holds no more than {_MOST_ROWS:,} lines", hint=hint)
    texts = [escaped(text) for text in line]
    if any(len(text) > _LONGEST_CELL for text in texts):
        said = f"longer than the {_LONGEST_CELL:,} characters that a sheet can hold"
        raise UserError(f"a cell of {line[0]} is {said}", hint=hint)
    return texts


def _write_csv(path: Path, columns: Cells, lines: Iterable[Cells]) -> int:
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # spreadsheets look for the BOM
        writer = csv.writer(file)
        writer.writerow(columns)
        for line in lines:
            writer.writerow([disarmed(escaped(text)) for text in line])
            count += 1
    return count


def _write_jsonl(path: Path, columns: Cells, lines: Iterable[Cells]) -> int:
    count = 0
    with path.open("wb") as file:
        for line in lines:
            value = dict(zip(columns, line, strict=True))
            try:
                raw = json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:  # half a character, which only JSON's own escapes can hold
                raw = json.dumps(value).encode()
            file.write(raw + b"\n")
            count += 1
    return count


def read_table(path: Path, columns: Cells) -> Iterator[tuple[str, dict[str, str]]]:
    """(where it stands, its texts by column) for each line of a table.

    Raises:
        UserError: the file or a line is not what `write_table` wrote and somebody edited.
    """
    read: dict[str, Callable[[Path, Cells], Iterator[tuple[int, dict[str, str]]]]] = {
        ".xlsx": _read_xlsx,
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
    }
    empty = True
    for number, line in read[suffix_of(path)](path, columns):
        empty = False
        yield f"{path.name}, line {number}", line
    if empty:
        raise UserError(f"{path} holds no lines", hint="export it again: hret review export")


def _read_xlsx(path: Path, columns: Cells) -> Iterator[tuple[int, dict[str, str]]]:
    names: list[str] | None = None
    for number, cells in enumerate(_rows_of(path), 1):
        where = f"{path.name}, line {number}"
        if names is None:
            names = _named(path, [str(cell.value or "") for cell in cells], columns)
            continue
        ours = ((n, c) for n, c in zip(names, cells, strict=False) if n in columns)
        line = {name: unescaped(_text(cell, where)) for name, cell in ours}
        if any(line.values()):
            yield number, line


def _rows_of(path: Path) -> Iterator[Sequence[Any]]:
    """The rows of cells of a workbook's sheet."""
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True)
        try:
            sheet = book["review"] if "review" in book.sheetnames else book.active
            _unmerged(path, sheet)
            sheet.reset_dimensions()  # what a file says of its size may be of an earlier state
            yield from sheet.iter_rows()
        finally:
            book.close()
    except UserError:
        raise
    except OSError as e:
        raise _unreadable(path, e.strerror or str(e)) from None
    except (BadZipFile, InvalidFileException, SyntaxError, LookupError, ValueError, AttributeError):
        raise UserError(f"{path} is no .xlsx file", hint="save it as an Excel workbook") from None


def _unmerged(path: Path, sheet: Any) -> None:
    """A `UserError` where cells are merged: all but the first of them would be read as empty."""
    tail = b""
    with sheet.parent._archive.open(sheet._worksheet_path) as file:
        while piece := file.read(1 << 20):
            if found := _MERGED.search(tail + piece):
                raise UserError(
                    f"{path.name}: the cells {found[1].decode('ascii', 'replace')} are merged",
                    hint="unmerge them, and write into each what it should say",
                )
            tail = piece[-200:]


def _text(cell: Any, where: str) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str) and cell.data_type not in ("f", "e"):
        decoded = _CODED.sub(lambda m: chr(int(m[1], 16)), value)
        return decoded.replace("\r\n", "\n")
    kind = {"f": "a formula", "e": f"the error {value}"}.get(cell.data_type, "no text")
    if isinstance(value, int | float) and not isinstance(value, bool):
        text, shown = f"{value:.15g}", cell.number_format
        whole = shown != "0" or value % 1 == 0
        if shown in _PLAIN and whole and abs(value) < 1e15 and "e" not in text:
            return text
        kind = f"the number {text}, which is shown in another way ({shown})"
    raise UserError(
        f"{where}: the cell {cell.coordinate} holds {kind}",
        hint="format the column as text, and write into the cell what it should say",
    )


def _read_csv(path: Path, columns: Cells) -> Iterator[tuple[int, dict[str, str]]]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            sign = max(",;\t", key=head.count)  # what spreadsheets put between cells differs
            names: list[str] | None = None
            for number, line in enumerate(csv.reader(file, delimiter=sign, strict=True), 1):
                if names is None:
                    names = _named(path, line, columns)
                elif any(line):
                    if len(line) > len(names):
                        said = f"{path.name}, line {number}: more cells than columns"
                        raise UserError(said, hint='a text with commas stands between two "')
                    cells = (unescaped(armed(t.replace("\r\n", "\n"))) for t in line)
                    yield number, dict(zip(names, cells, strict=False))
    except OSError as e:
        raise _unreadable(path, e.strerror or str(e)) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8", hint="save it as 'CSV UTF-8'") from None
    except csv.Error as e:
        raise UserError(f"{path} is no .csv file: {e}", hint="export it again") from None
    finally:
        csv.field_size_limit(before)


def _read_jsonl(path: Path, columns: Cells) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.strip():
                    continue
                where = f"{path.name}, line {number}"
                try:
                    line = json.loads(raw.decode("utf-8-sig"))
                except (ValueError, RecursionError):
                    raise UserError(f"{where}: this is no JSON in UTF-8", hint=_JSON) from None
                if not isinstance(line, dict):
                    raise UserError(f"{where}: this is no JSON object", hint=_JSON)
                _named(path, list(line), columns, where)
                if any(not isinstance(line[name], str) for name in columns):
                    raise UserError(f"{where}: a value is no text", hint='write "" for nothing')
                yield number, line
    except OSError as e:
        raise _unreadable(path, e.strerror or str(e)) from None


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(f"{path} cannot be read: {why}", hint="check the path and its rights")


def _named(path: Path, names: list[str], columns: Cells, where: str = "") -> list[str]:
    """The names of the columns; all of `columns` must be among them, once."""
    names = [name.strip() for name in names]
    for name in columns:
        if names.count(name) != 1:
            said = "is missing" if name not in names else "stands there twice"
            raise UserError(
                f"{where or f'{path.name}, line 1'}: the column {name!r} {said}",
                hint="keep the columns as they were exported: hret review export",
            )
    return names
