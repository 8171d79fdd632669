"""Tables as files: what is written comes back exactly, and nothing in them is run."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest
from openpyxl import Workbook, load_workbook

from hret_agents.review.sheet import read_table, write_table
from llm_eval.errors import MissingExtra, UserError

COLUMNS = ("id", "text")
TEXTS = [
    "plain",
    "=1+1",
    '=HYPERLINK("http://example.com")',
    "+82 10",
    "-5 degrees",
    "@here",
    "'quoted'",
    "'=already",
    "''=twice",
    "\tindented",
    "two\nlines",
    "windows\r\nlines and a lone \r sign",
    "a,b;c\td \"quoted\" 'so'",
    "⟦b1⟧ and ⟦U+0041⟧",
    "_x0041_ and x005F_ and _x005F_",
    "nothing \x00 here, \x07, \x85",
    "line\u2028paragraph\u2029",
    "half \ud83d a character",
    "\ufeffmarked",
    "שלום \u202e evil",
    "빈칸에 ____를 쓰시오",
    " spaces around ",
    "1,000",
    "12345678901234567890",
    "5월 3일",
    "TRUE",
    "'false",
    "#N/A",
    "1e5",
    "'0.50",
    "''5월 3일",
    "'90s",
    "'42",
    "42",
]


@pytest.mark.parametrize("suffix", [".xlsx", ".csv", ".jsonl"])
def test_what_is_written_comes_back(suffix: str, work: Path) -> None:
    """Every text, whatever signs it holds; no half file is left beside it."""
    path = work / f"a{suffix}"
    assert write_table(path, COLUMNS, [(f"r{n}", t) for n, t in enumerate(TEXTS)]) == len(TEXTS)
    read = list(read_table(path, COLUMNS))
    assert [line["text"] for _, line in read] == TEXTS
    first = 1 if suffix == ".jsonl" else 2
    assert read[0][0] == f"{path.name}, line {first}" or suffix == ".csv"
    assert list(work.iterdir()) == [path]


def test_a_spreadsheet_takes_no_cell_for_a_formula(work: Path) -> None:
    """In .csv none begins with a sign that starts one; in .xlsx all are texts."""
    write_table(work / "a.csv", COLUMNS, [("r", t) for t in TEXTS])
    with (work / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert not [t for _, t in csv.reader(file) if t[:1] in tuple("=+-@\t\r")]
    assert (work / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    write_table(work / "a.xlsx", COLUMNS, [("r", t) for t in TEXTS])
    for row in load_workbook(work / "a.xlsx").active.iter_rows():
        assert {cell.data_type for cell in row} == {"s"}


READ = (
    "5월 5일|2024년 3월 5일|２０２４年３月５日|March 5|5-Mar|Mar 2024|Monday, July 1, 2024|1/2|1-2"
    "|2024.3.5|10:30|10:30 PM|오전 10시 30분|1,000|0.50|007|1e5|50%|₩1,000|$5|(5)|1 1/2| 5 |１２"
    "|12345678901234567890|true|FALSE"
).split("|")


def test_a_spreadsheet_takes_no_text_for_a_number_or_a_date(work: Path) -> None:
    """In .csv an apostrophe stands before each, as it would be saved as another text; a spreadsheet
    that does not know it so gives back what was written. Plain numbers and words go without."""
    plain = ["42", "5 apples", "5일간", "1번", "May", "서울", "default/test/0", "참"]
    write_table(work / "a.csv", COLUMNS, [("r", t) for t in (*READ, *plain)])
    with (work / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [text for _, text in csv.reader(file)][1:]
    assert cells == [*(f"'{t}" for t in READ), *plain]
    assert [line["text"] for _, line in read_table(work / "a.csv", COLUMNS)] == [*READ, *plain]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_other_separators_and_columns_are_read(sign: str, work: Path) -> None:
    """Spreadsheets save .csv with other signs between cells; columns may be added and moved."""
    path = work / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=sign)
        writer.writerows([["note", "text", "id"], ["x", "하나\r\n둘", "1"], [], ["", "셋", "2"]])
    lines = [line for _, line in read_table(path, COLUMNS)]
    assert [(line["id"], line["text"]) for line in lines] == [("1", "하나\n둘"), ("2", "셋")]


def _workbook(value: object, shown: str = "General", kind: str = "") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        book = Workbook()
        assert book.active is not None
        book.active.append([*COLUMNS, "seen"])
        book.active.append(["r", value, date(2024, 3, 5)])
        cell = book.active.cell(2, 2)
        cell.number_format, cell.data_type = shown, kind or cell.data_type
        book.save(path)

    return make


def _merged(path: Path) -> None:
    write_table(path, COLUMNS, [("1", "하나"), ("2", "둘")])
    book = load_workbook(path)
    book["review"].merge_cells("B2:B3")
    book.save(path)


def _bytes(content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.xlsx", _workbook("=1+1"), "a.xlsx, line 2: the cell B2 holds a formula"),
        ("a.xlsx", _workbook(True), "line 2: the cell B2 holds no text"),
        ("a.xlsx", _workbook(date(2024, 3, 5), "yyyy-mm-dd"), "the cell B2 holds no text"),
        ("a.xlsx", _workbook("#N/A", kind="e"), "the cell B2 holds the error #N/A"),
        ("a.xlsx", _workbook("#NAME?", kind="e"), "the cell B2 holds the error #NAME?"),
        ("a.xlsx", _workbook(0.1, "0%"), "the cell B2 holds the number 0.1, which is shown in"),
        ("a.xlsx", _workbook(1234.5, "₩#,##0"), "the number 1234.5, which is shown in another way"),
        ("a.xlsx", _workbook(7, "000"), "another way (000)"),
        ("a.xlsx", _workbook(5, '0"월"'), "the number 5"),
        ("a.xlsx", _workbook(3.7, "0"), "the number 3.7"),
        ("a.xlsx", _workbook(12345678901234567), "the number 1.23456789012346e+16"),
        ("a.xlsx", _workbook(1e-7), "the number 1e-07"),
        ("a.xlsx", _merged, "a.xlsx: the cells B2:B3 are merged"),
        ("a.xlsx", _bytes(b""), "no .xlsx file"),
        ("a.xlsx", _bytes(b"id,text"), "no .xlsx file"),
        ("a.csv", _bytes(b"\xff\xfe"), "not in UTF-8"),
        ("a.csv", _bytes(b'id,text\n1,"open'), "no .csv file"),
        ("a.csv", _bytes(b"id,text\n1,2,3\n"), "line 2: more cells than columns"),
        ("a.csv", _bytes(b"id,text\n"), "holds no lines"),
        ("a.csv", _bytes(b"id,id,text\n1,1,2\n"), "'id' stands there twice"),
        ("a.csv", _bytes(b"name,text\n1,2\n"), "'id' is missing"),
        ("a.jsonl", _bytes(b'{"id": "1", "text": 2}'), "line 1: a value is no text"),
        ("a.jsonl", _bytes(b'{"id": "1"}'), "line 1: the column 'text' is missing"),
        ("a.jsonl", _bytes(b"[" * 100_000), "line 1: this is no JSON"),
        ("a.jsonl", _bytes(b"[1]"), "line 1: this is no JSON object"),
        ("a.jsonl", lambda path: path.mkdir(), "cannot be read"),
        ("a.ods", _bytes(b""), "is none of"),
    ],
)
def test_what_is_no_table_is_a_sentence(
    name: str, make: Callable[[Path], None], said: str, work: Path
) -> None:
    """The file and, where there is one, the line."""
    make(work / name)
    with pytest.raises(UserError) as caught:
        list(read_table(work / name, COLUMNS))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown", "read"),
    [
        (42, "General", "42"),
        (-3, "0", "-3"),
        (0.1 + 0.2, "General", "0.3"),
        (123456789012345, "@", "123456789012345"),
        ("첫 줄_x000D_\n둘째 줄", "General", "첫 줄\n둘째 줄"),
        ("_x005F_x0041_", "@", "_x0041_"),
    ],
)
def test_a_cell_is_read_as_it_is_shown(value: object, shown: str, read: str, work: Path) -> None:
    """Somebody types into a cell that was formatted anew; a column of theirs may hold anything."""
    _workbook(value, shown)(work / "a.xlsx")
    assert [line for _, line in read_table(work / "a.xlsx", COLUMNS)] == [{"id": "r", "text": read}]


def test_a_sheet_is_read_to_its_end(work: Path) -> None:
    """Whatever the file says of its size: a script may have added lines since."""
    write_table(work / "a.xlsx", COLUMNS, [(str(i), "하나") for i in range(9)])
    with ZipFile(work / "a.xlsx") as old, ZipFile(work / "b.xlsx", "w") as new:
        for name in old.namelist():
            raw = re.sub(rb"<dimension [^>]*/>", b"", old.read(name))
            size = b'<dimension ref="A1:A4"/><sheetViews>'
            new.writestr(name, raw.replace(b"<sheetViews>", size, 1))
    lines = [line for _, line in read_table(work / "b.xlsx", COLUMNS)]
    assert lines == [{"id": str(i), "text": "하나"} for i in range(9)]


def test_what_a_sheet_cannot_hold_is_said(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of more than 32,767 characters is not cut; without openpyxl the extra is named."""
    with pytest.raises(UserError, match=r"longer than the 32,767.*\n.*\.csv or \.jsonl"):
        write_table(work / "a.xlsx", COLUMNS, [("r", "long " * 10_000)])
    assert list(work.iterdir()) == []
    long = json.dumps("long " * 100_000)
    assert write_table(work / "a.csv", COLUMNS, [("r", long)]) == 1
    assert next(read_table(work / "a.csv", COLUMNS))[1]["text"] == long
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtra, match="xlsx"):
        write_table(work / "a.xlsx", COLUMNS, [])
