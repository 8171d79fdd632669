"""Corrections: which rows are made again, and that a later port makes the same bytes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hret.cli import main
from hret_agents.job import PortResult
from hret_agents.review.correct import Corrected, import_file
from hret_agents.review.lines import export
from hret_agents.review.opened import port_named
from hret_agents.review.shards import layout
from hret_agents.translate import write
from hret_agents.translate.memory import NONE_LOCKED, Memory
from llm_eval import settings
from llm_eval.errors import UserError
from tests.unit.hret_agents.review.ported import finished, ported, written

Line = dict[str, str]
FRUIT = [
    {"question": "Which fruit is long?", "choices": ["a banana", "none of these"], "answer": 0},
    {"question": "Which fruit is a stone?", "choices": ["a pear", "none of these"], "answer": 1},
    {"question": "Which fruit has 3 legs?", "choices": ["a fig", "none of these"], "answer": 1},
]
KNOWN = {
    "Which fruit is long?": "긴 과일은?",
    "Which fruit is a stone?": "돌인 과일은?",
    "Which fruit has 3 legs?": "다리가 넷인 과일은?",
    "a banana": "바나나",
    "a pear": "배",
    "none of these": "없음",
}  # the fig is not known, so the last row fails


def lines_of(result: PortResult, only: Any = "all") -> list[Line]:
    """The lines of an export."""
    export(finished(result), Path("a.jsonl"), only)
    return [json.loads(line) for line in Path("a.jsonl").read_text("utf-8").splitlines()]


def correct(result: PortResult, texts: Mapping[str, str]) -> Corrected:
    """Import the lines of a port with `texts` corrected, wherever they stand."""
    lines = [line | {"corrected": texts.get(line["source"], "")} for line in lines_of(result)]
    return import_file(port_named(result.slug), written(Path("b.jsonl"), lines))


def bytes_of(result: PortResult) -> dict[str, bytes]:
    """Each file of a port."""
    folder = Path(result.path)
    paths = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(paths)}


def rows_of(result: PortResult) -> list[dict[str, Any]]:
    """The rows of a port."""
    import pyarrow.parquet as pq

    files = sorted(Path(result.data_path, "default").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_a_correction_is_locked_and_found_everywhere(work: Path) -> None:
    """An equal text elsewhere changes with it; a failed row that is whole stands in its place."""
    result = ported(FRUIT, KNOWN)
    assert (result.rows["failed"], result.checks) == (1, {"unknown_text": 1})
    legs = {"Which fruit has 3 legs?": "다리가 3개인 과일은?", "a fig": "무화과"}
    done = correct(result, {"none of these": "해당 없음"} | legs)
    assert done == Corrected(texts=3, rows=3, named=3, mended=1)
    assert [row["선택지"][1] for row in rows_of(result)] == ["해당 없음"] * 3
    now = bytes_of(result)
    assert bytes_of(ported(FRUIT, KNOWN)) == now


def test_a_csv_that_a_spreadsheet_has_saved_holds_no_corrections(work: Path) -> None:
    """Dates among sources and translations come back as they were: Korean Excel would write them
    in another way, and what nobody corrected is not locked."""
    rows = [{"question": "When is it?", "choices": ["March 5", "May 5"], "answer": 0}]
    result = ported(rows, {"When is it?": "언제인가요?", "March 5": "3월 5일", "May 5": "5월 5일"})
    export(finished(result), Path("a.csv"))
    with Path("a.csv").open(encoding="utf-8-sig", newline="") as file:
        table = [[excel(cell) for cell in line] for line in csv.reader(file)]
    with Path("b.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(table)
    with pytest.raises(UserError, match=r"no line of b\.csv is corrected"):
        import_file(port_named(result.slug), Path("b.csv"))


def excel(text: str) -> str:
    """What Korean Excel makes of a cell of a .csv file that it opens and saves."""
    days = re.fullmatch(r"(\d+)월 (\d+)일", text)
    if days:
        return f"{int(days[1]):02d}월 {int(days[2]):02d}일"
    return {"March 5": "05-Mar", "May 5": "05-May"}.get(text, text)


def test_only_some_of_a_failed_row_leaves_it_failed(work: Path) -> None:
    """What is not in the port yet is not asked for; the other rows with the text change."""
    result = ported(FRUIT, KNOWN)
    done = correct(result, {"none of these": "해당 없음"})
    assert done == Corrected(texts=1, rows=2, named=2, failing=("default/test/2",))
    now = bytes_of(result)
    assert bytes_of(ported(FRUIT, KNOWN)) == now


def test_export_tells_flagged_from_failed(work: Path) -> None:
    """`--only`: rows with a finding that passed, rows that failed; each line names its checks."""
    result = ported(FRUIT, KNOWN | {"a fig": "무화과"})
    assert result.checks == {"numbers": 1}
    flagged = lines_of(result, "flagged")
    assert {line["id"] for line in flagged} == {"default/test/2"}
    assert [line["checks"] for line in flagged] == ["numbers", "", ""]
    assert lines_of(result, "failed") == []
    assert len(lines_of(result)) == 9
    done = correct(result, {"Which fruit has 3 legs?": "다리가 3개인 과일은?"})
    assert done.rows == 1 and Path(result.checks_path).read_text() == ""
    assert json.loads(Path(str(result.manifest_path)).read_text())["checks"] == {}


def test_shards_are_rewritten_as_a_port_would(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that passes now moves the bounds of shards; those that stay the same are not written
    again; a user's file and edited module stay."""
    monkeypatch.setattr(write, "SHARD_ROWS", 1000)
    rows = [{"question": f"What is box {n} for?", "id": n} for n in range(2200)]
    known = {f"What is box {n} for?": f"{n}번 상자는 무엇에 쓰나요?" for n in range(2200)}
    del known["What is box 7 for?"]
    result = ported(rows, known)
    data = Path(result.data_path, "default")
    Path(result.path, "notes.txt").write_text("mine")
    assert len(list(data.iterdir())) == 2
    node = (data / "test-00000-of-00002.parquet").stat().st_ino
    assert correct(result, {"What is box 2100 for?": "2100번 상자의 쓰임은?"}).rows == 1
    assert (data / "test-00000-of-00002.parquet").stat().st_ino == node
    node = (data / "test-00001-of-00002.parquet").stat().st_ino
    assert correct(result, {"What is box 7 for?": "7번 상자는 무엇에 쓰나요?"}).mended == 1
    assert len(list(data.iterdir())) == 3
    assert (data / "test-00002-of-00003.parquet").stat().st_ino == node
    assert [row["id"] for row in rows_of(result)] == list(range(2200))
    now = bytes_of(result)
    assert now["notes.txt"] == b"mine"
    assert bytes_of(ported(rows, known)) == now


def test_layout_is_that_of_the_writer() -> None:
    """A shard ends with the batch that fills it; batches of failed rows are in none."""
    full = write.SHARD_ROWS // 1000
    assert layout([1000] * (full + 1)) == [list(range(full)), [full]]
    assert layout([999] + [1000] * full) == [list(range(full + 1))]
    assert layout([0, 5, 0]) == [[1]]


def test_texts_of_a_program_are_corrected_one_by_one(work: Path) -> None:
    """A docstring's paragraphs and comments have a line each; the code stays as it is."""
    code = (
        'def add(x):\n    """Add one to it.\n\n    Give the sum back.\n    """\n'
        "    return x + 1  # the next one\n"
    )
    Path("plan.yaml").write_text(PROGRAM_PLAN, "utf-8")
    known = {
        "Add one to it.": "하나를 더한다.",
        "Give the sum back.": "합을 돌려준다.",
        "the next one": "다음 수",
    }
    result = ported([{"prompt": code}], known, plan=Path("plan.yaml"))
    assert result.rows["passed"] == 1, result.failures
    lines = lines_of(result)
    assert [line["place"] for line in lines] == ["0", "0#1", "0#2"]
    assert [line["translation"] for line in lines] == list(known.values())
    correct(result, {"the next one": "그다음 수"})
    (row,) = rows_of(result)
    expected = code
    for source, target in (known | {"the next one": "그다음 수"}).items():
        expected = expected.replace(source, target)
    assert row["문제"] == expected
    now = bytes_of(result)
    assert bytes_of(ported([{"prompt": code}], known, plan=Path("plan.yaml"))) == now


PROGRAM_PLAN = """
source: rows_test.jsonl
source_lang: en
target_lang: ko
roles: {prompt: code_prompt}
names: {prompt: 문제}
task: {kind: ungraded, question: [prompt]}
"""

Change = Callable[[list[Line]], list[Line]]


def first(**changes: str) -> Change:
    """A file of the first line alone, with `changes`."""
    return lambda lines: [lines[0] | changes]


def each(correction: Callable[[int, Line, Sequence[Line]], str]) -> Change:
    """All lines, corrected as a function of their number says."""
    return lambda lines: [
        line | {"corrected": correction(n, line, lines)} for n, line in enumerate(lines)
    ]


BAD: dict[str, tuple[Change, str]] = {
    "row": (first(id="default/test/99", corrected="가"), "no row 'default/test/99'"),
    "split": (first(id="default/dev/0", corrected="가"), "no row 'default/dev/0'"),
    "id": (first(id="what?", corrected="가"), "no row 'what?'"),
    "leaf": (first(leaf="hint", corrected="가"), "has no text 'hint'"),
    "place": (first(place="1", corrected="가"), "has no text 'question' '1'"),
    "source": (first(source="Why?", corrected="가"), "not the source"),
    "key": (first(key="3.14E+27", corrected="가"), "the key '3.14E+27'"),
    "port": (first(key="k" + "0" * 24), "exported from another port"),
    "emptied": (first(translation=" "), "was taken out"),
    "half": (first(corrected="가\ud800"), "half a character"),
    "column": (lambda lines: [{"id": lines[0]["id"]}], "'leaf' is missing"),
    "nothing": (lambda lines: lines, "no line of"),
    "empty": (lambda lines: [], "holds no lines"),
    "contradiction": (
        each(lambda n, line, _: f"{n}번" if line["source"] == "none of these" else ""),
        "corrected in another way than in",
    ),
    "alike": (
        each(lambda n, _, lines: lines[2]["translation"] if n == 1 else ""),
        "row default/test/0 would fail",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_was_edited_badly_changes_nothing(
    kind: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the line, exit status 2, the port and the memory as they were."""
    result = ported(FRUIT, KNOWN)
    now = bytes_of(result)
    bad, said = BAD[kind]
    escaped = "".join(json.dumps(line) + "\n" for line in bad(lines_of(result)))
    Path("b.jsonl").write_text(escaped, "utf-8")
    assert main(["review", "import", result.slug, "b.jsonl"]) == 2
    assert said in capsys.readouterr().err
    assert bytes_of(result) == now
    with Memory(settings.home() / "memory.sqlite") as memory:
        assert memory.locked_version("ko") == NONE_LOCKED


@pytest.mark.parametrize(
    "name", ["plan.yaml", "failed.jsonl", "data/default/test-00000-of-00001.parquet"]
)
def test_a_port_that_was_changed_by_hand_is_refused(
    name: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would be lost silently is told instead."""
    result = ported(FRUIT, KNOWN)
    lines = lines_of(result)
    path = Path(result.path, name)
    content = path.read_bytes()
    if path.suffix == ".yaml":
        path.write_bytes(content.replace(b"choices", b"prose", 1) + b"style: short\n")
    else:
        path.write_bytes(content * 2)
    now = bytes_of(result)
    written(Path("b.jsonl"), [line | {"corrected": "빠나나"} for line in lines[1:2]])
    assert main(["review", "import", result.slug, "b.jsonl"]) == 2
    assert path.name in capsys.readouterr().err
    assert bytes_of(result) == now


def test_an_edited_module_is_kept_beside_the_one_that_was_verified(work: Path) -> None:
    """As a port does it."""
    result = ported(FRUIT, KNOWN)
    module = Path(str(result.module_path))
    code = module.read_bytes()
    module.write_bytes(code + b"# mine\n")
    correct(result, {"a banana": "빠나나"})
    assert module.read_bytes() == code
    assert (module.parent / "dataset.edited.py").read_bytes() == code + b"# mine\n"
