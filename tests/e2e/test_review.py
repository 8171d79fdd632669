"""The review from the command line: a port's report, its texts corrected, and brought back."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.e2e.scenario import Machine, rows_of, upload
from tests.e2e.test_translation import ported_rows, translations, written
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

Line = dict[str, str]
PROGRAM = (
    "total = 0\nfor i in range(3):\n    total = total + i\nprint(total)"  # never comes back whole
)
FRUIT = [
    ("Which fruit is yellow and long?", ["a banana", "an apple", "none of these"], 0),
    ("Which fruit grows under the sea?", ["a pear", "a cherry", "none of these"], 2),
    (PROGRAM, ["three apples", "two apples", "none of these"], 0),
    ("Which fruit makes a good pie?", ["an apple", "a stone", "a spoon"], 0),
]


def fruit() -> list[dict[str, Any]]:
    """Rows of which one fails with the fake server: it translates a program's names too."""
    return [{"question": q, "choices": c, "answer": a} for q, c, a in FRUIT]


def ported(machine: Machine, *more: str, status: int = 1) -> dict[str, Any]:
    """The port of the fruit."""
    data = written(machine, "fruit_test.jsonl", fruit())
    return machine.ported("--dataset", data, "--model", "fake", *more, status=status)


def hret(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`hret ARGUMENTS...`"""
    return machine.hret(*arguments)


def files_of(result: dict[str, Any]) -> dict[str, str]:
    """A hash of each file of a port."""
    folder = Path(result["path"])
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def exported(machine: Machine, name: str, *more: str) -> list[Line]:
    """The lines that an export writes into the file `name`."""
    done = hret(machine, "review", "export", "fruit_test_ko", "-o", name, "--force", *more)
    assert done.returncode == 0, done.stderr
    return read(machine.work / name)


def read(path: Path) -> list[Line]:
    """The lines of an exported file, as another program reads them."""
    if path.suffix == ".jsonl":
        return rows_of(path)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    first, *rest = load_workbook(path).active.iter_rows(values_only=True)
    return [{str(k): v or "" for k, v in zip(first, row, strict=True)} for row in rest]


def save(path: Path, lines: Sequence[Line]) -> None:
    """Write the lines back, as a person's program does."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(lines)
    else:
        book = load_workbook(path)
        for row, line in zip(book.active.iter_rows(min_row=2), lines, strict=True):
            for cell, text in zip(row, line.values(), strict=True):
                cell.value = text or None
        book.save(path)


def corrected(lines: Sequence[Line], texts: dict[str, str]) -> list[Line]:
    """The lines with what is right of the first line of each source."""
    left = dict(texts)
    out = [line | {"corrected": left.pop(line["source"], "")} for line in lines]
    assert not left, left
    return out


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv", "a.jsonl"])
def test_corrections_come_in_and_a_later_port_makes_the_same_bytes(
    name: str, chat: ChatServer, tmp_path: Path
) -> None:
    """A corrected cell, an equal one elsewhere, a failed row that is whole now: nothing is asked,
    then or later."""
    machine = Machine(tmp_path, chat=chat, within=name != "a.xlsx")
    result = ported(machine)
    assert [f["row"] for f in rows_of(Path(result["failed_path"]))] == [2]
    lines = exported(machine, name)
    assert [line["id"] for line in lines if not line["translation"]] == ["default/test/2"] * 4
    right = {
        "none of these": "해당 없음",
        PROGRAM: PROGRAM,
        "three apples": "사과 세 개",
        "two apples": "사과 5개",  # which is for review, and yet a person's
    }
    save(machine.work / name, corrected(lines, right))
    asked = chat.count()
    done = hret(machine, "review", "import", "fruit_test_ko", name)
    assert done.returncode == 0, done.stderr
    assert "locked 4 texts; made 3 rows again" in done.stdout
    assert "1 of them are not in the file" in done.stdout and "1 had failed" in done.stdout
    rows = ported_rows(result)
    assert [row["선택지"][2] for row in rows[:3]] == ["해당 없음"] * 3
    assert rows[2]["질문"] == PROGRAM and len(rows) == 4
    assert rows_of(Path(result["failed_path"])) == []
    findings = rows_of(Path(result["checks_path"]))
    assert [(f["row"], f["check"], f["severity"]) for f in findings] == [(2, "numbers", "flag")]
    manifest = json.loads(Path(result["manifest_path"]).read_text())
    assert manifest["splits"]["default"]["test"]["passed"] == 4
    now = files_of(result)
    assert files_of(ported(machine, status=0)) == now
    assert chat.count() == asked
    done = hret(machine, "eval", "--model", "oracle", "--dataset", "fruit_test_ko")
    assert done.returncode == 0 and "1.0" in done.stdout, done.stderr


def test_an_edited_translation_counts_and_a_stale_file_does_not(
    chat: ChatServer, tmp_path: Path
) -> None:
    """Edits in place; the same import again changes nothing; a file from before is refused."""
    machine = Machine(tmp_path, chat=chat, within=True)
    result = ported(machine)
    lines = exported(machine, "a.csv", "--only", "all")
    place = next(i for i, line in enumerate(lines) if line["source"] == "a banana")
    save(machine.work / "a.csv", [
        line | ({"translation": "바나나"} if i == place else {}) for i, line in enumerate(lines)
    ])  # fmt: skip
    save(machine.work / "b.csv", corrected(lines, {"a banana": "빠나나"}))
    assert hret(machine, "review", "import", "fruit_test_ko", "a.csv").returncode == 0
    assert ported_rows(result)[0]["선택지"][0] == "바나나"
    now = files_of(result)
    assert hret(machine, "review", "import", "fruit_test_ko", "a.csv").returncode == 0
    assert files_of(result) == now
    done = hret(machine, "review", "import", "fruit_test_ko", "b.csv")
    assert done.returncode == 2 and f"b.csv, line {place + 2}: the port has another" in done.stderr
    assert files_of(result) == now


def test_files_that_are_none_are_refused(chat: ChatServer, tmp_path: Path) -> None:
    """Empty ones, others' bytes, another suffix, a folder, an unknown port, a source that went."""
    machine = Machine(tmp_path, chat=chat, within=True)
    ported(machine)
    for name, content, said in (
        ("a.xlsx", b"PK\x03\x04 no", "no .xlsx file"),
        ("b.csv", b"", "holds no lines"),
        ("c.csv", "id,leaf\n하나".encode("cp949"), "not in UTF-8"),
        ("d.jsonl", b"{", "line 1: this is no JSON"),
        ("e.txt", b"", "none of .xlsx, .csv, .jsonl"),
    ):
        (machine.work / name).write_bytes(content)
        done = hret(machine, "review", "import", "fruit_test_ko", name)
        assert done.returncode == 2 and said in done.stderr, (name, done.stderr)
    assert hret(machine, "review", "import", "fruit_test_ko", "missing.csv").returncode == 2
    assert "no port called" in hret(machine, "review", "nothing").stderr
    lines = exported(machine, "a.csv")
    save(machine.work / "a.csv", corrected(lines, {"a banana": "바나나"}))
    (machine.work / "fruit_test.jsonl").rename(machine.work / "moved.jsonl")
    done = hret(machine, "review", "import", "fruit_test_ko", "a.csv")
    assert done.returncode == 2 and "--source" in done.stderr
    (machine.work / "other.jsonl").write_text('{"question": "another?"}\n')
    done = hret(machine, "review", "import", "fruit_test_ko", "a.csv", "--source", "other.jsonl")
    assert done.returncode == 2 and "is not what was ported" in done.stderr


def test_a_failed_row_stays_failed_until_all_of_it_is_there(
    chat: ChatServer, tmp_path: Path
) -> None:
    """Half a row is locked and named; exit status 1; the rest can follow."""
    machine = Machine(tmp_path, chat=chat, within=True)
    result = ported(machine)
    lines = exported(machine, "a.jsonl", "--only", "failed")
    assert {line["id"] for line in lines} == {"default/test/2"}
    save(machine.work / "a.jsonl", corrected(lines, {PROGRAM: PROGRAM}))
    done = hret(machine, "review", "import", "fruit_test_ko", "a.jsonl")
    assert done.returncode == 1 and "default/test/2 still fails" in done.stdout, done.stderr
    assert len(rows_of(Path(result["failed_path"]))) == 1
    rest = {"three apples": "세 개", "two apples": "두 개", "none of these": "없음"}
    save(machine.work / "a.jsonl", corrected(lines, rest))
    done = hret(machine, "review", "import", "fruit_test_ko", "a.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mended"] == 1
    assert rows_of(Path(result["failed_path"])) == []


def test_splits_of_several_runs_are_corrected_together(chat: ChatServer, tmp_path: Path) -> None:
    """A split that an earlier run ported is opened again, and shown with its source."""
    machine = Machine(tmp_path, chat=chat, within=True)
    for split in ("train", "test"):
        rows = [{"question": f"What is a {split} of {n} boxes?"} for n in range(3)]
        written(machine, f"boxes/{split}.jsonl", rows)
    for split in ("train", "test"):
        result = machine.ported("--dataset", "boxes", "--model", "fake", "--split", split)
    done = hret(machine, "review", "export", "boxes_ko", "-o", "a.jsonl")
    assert done.returncode == 0, done.stderr
    lines = read(machine.work / "a.jsonl")
    assert {line["id"].rsplit("/", 1)[0] for line in lines} == {"default/train", "default/test"}
    save(machine.work / "a.jsonl", corrected(lines, {lines[0]["source"]: "상자가 뭐예요?"}))
    assert hret(machine, "review", "import", "boxes_ko", "a.jsonl").returncode == 0
    now, asked = files_of(result), chat.count()
    port = ("--dataset", "boxes", "--model", "fake")
    assert files_of(machine.ported(*port, "--split", "test")) == now
    machine.ported(*port)
    assert chat.count() == asked


MOVED_ON = """
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj="boxes.jsonl", path_in_repo="data/test.jsonl",
                    repo_id="org/boxes", repo_type="dataset")
"""


def test_a_port_from_the_hub_is_opened_at_its_revision(
    hub: HubServer, chat: ChatServer, tmp_path: Path
) -> None:
    """The repo has moved on since, and the port is corrected as it was made."""
    machine = Machine(tmp_path, hub, chat)
    rows = [{"question": f"What are {n} boxes good for?"} for n in range(3)]
    upload(hub, "org/boxes", machine.work / written(machine, "boxes.jsonl", rows))
    result = machine.ported("--dataset", "org/boxes", "--model", "fake")
    more = [{"question": "A new first row, is it?"}, *rows]
    written(machine, "boxes.jsonl", more)
    assert machine.run("-c", MOVED_ON).returncode == 0
    done = hret(machine, "review", "export", "org/boxes", "-o", "a.jsonl")
    assert done.returncode == 0, done.stderr
    lines = read(machine.work / "a.jsonl")
    save(machine.work / "a.jsonl", corrected(lines, {lines[1]["source"]: "상자 1개의 쓰임은?"}))
    done = hret(machine, "review", "import", "org__boxes_ko", "a.jsonl")
    assert done.returncode == 0, done.stderr
    assert [row["질문"] for row in ported_rows(result)][1] == "상자 1개의 쓰임은?"
    now, asked = files_of(result), chat.count()
    again = ("--dataset", "org/boxes", "--model", "fake", "--revision")
    revision = json.loads(Path(result["manifest_path"]).read_text())["revision"]
    assert files_of(machine.ported(*again, revision)) == now
    assert chat.count() == asked


def test_the_report_is_the_same_on_every_machine(chat: ChatServer, tmp_path: Path) -> None:
    """Its path is printed; one that is missing is written again, byte for byte."""
    pages = []
    for name in ("one", "two"):
        machine = Machine(tmp_path / name, chat=chat, within=name == "two")
        result = ported(machine)
        page = Path(result["path"], "report.html")
        pages.append(page.read_bytes())
        page.unlink()
        done = hret(machine, "review", "fruit_test_ko")
        assert done.returncode == 0 and done.stdout.strip() == str(page), done.stderr
        pages.append(page.read_bytes())
    assert len(set(pages)) == 1
    assert len(translations(chat)) > 0
