"""What is written is what it must be, and the audit, which reads it anew, misses nothing."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import Array2D, ClassLabel, Dataset, Features, Image, LargeList, List, Value

from hret_agents.checks import Finding, row_fault
from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.translate import write
from hret_agents.translate.audit import AuditError, audit, split_fault
from hret_agents.translate.units import translated_row, unit_of
from hret_agents.translate.write import Notes, SplitWriter, tables
from llm_eval.records import Failure
from tests.fakes.translit import forward

Row = dict[str, Any]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
UTC = dt.UTC
FEATURES = Features(
    {
        "id": Value("string"),
        "question": Value("string"),
        "c": {"text": List(Value("string")), "n": List(Value("int8"))},
        "answer": Value("string"),
        "steps": Value("large_string"),
        "label": ClassLabel(names=["no", "yes"]),
        "deep": List(
            {"q": Value("string"), "t": Value("timestamp[us, tz=UTC]"), "x": List(Value("float32"))}
        ),
        "score": Value("float64"),
        "day": Value("date32"),
        "at": Value("timestamp[ns]"),
        "took": Value("duration[ms]"),
        "price": Value("decimal128(10, 2)"),
        "image": Image(),
        "raw": Value("binary"),
        "grid": Array2D((2, 2), "int32"),
        "many": LargeList(Value("uint64")),
        "flag": Value("bool"),
        "nothing": Value("null"),
    }
)  # fmt: skip
ROLES = {
    "id": "id", "question": "prose", "c.text[]": "choices", "c.n[]": "number",
    "answer": "answer_text", "steps": "answer_steps", "label": "answer_label", "deep[].q": "prose",
    "deep[].t": "number", "deep[].x[]": "number", "score": "number", "day": "number",
    "at": "number", "took": "number", "price": "number", "image": "binary", "raw": "binary",
    "grid": "number", "many[]": "number", "flag": "binary", "nothing": "category",
}  # fmt: skip
PLAN = Plan(
    source="s",
    source_lang="en",
    target_lang="ko",
    roles={path: Role(role) for path, role in ROLES.items()},
    names={"question": "질문", "answer": "정답", "label": "레이블"},
    task=TaskPlan(
        kind="multiple_choice",
        question=["question"],
        choices=["c.text[]"],
        answer="answer",
        answer_kind="text",
    ),
)


def row(i: int) -> Row:
    """A row with every kind of value."""
    return {
        "id": f"row-{i}",
        "question": f" What is the name of {i}?\n",
        "c": {"text": [f"one cat {i}", f"two cats {i}", "12"], "n": [1, None]},
        "answer": f"two cats {i}",
        "steps": f"It is so.\n#### {i}",
        "label": i % 2,
        "deep": [{"q": "Why so?", "t": dt.datetime(2024, 5, 1, tzinfo=UTC), "x": [0.5, None]}],
        "score": i / 3,
        "day": dt.date(2024, 5, 1),
        "at": dt.datetime(2024, 5, 1, 12, 0, 0, 123456),
        "took": dt.timedelta(milliseconds=15 + i),
        "price": decimal.Decimal("1.50"),
        "image": {"bytes": PNG + bytes([i % 256]), "path": None},
        "raw": b"\x00\xff",
        "grid": [[1, 2], [3, i]],
        "many": [2**62 + 1],
        "flag": i % 2 == 0,
        "nothing": None,
    }


BLANK: Row = dict.fromkeys(FEATURES) | {"id": "blank"}
EMPTY: Row = row(7) | {"question": "", "c": {"text": [], "n": []}, "answer": "", "deep": []}


def dataset(rows: Sequence[Row]) -> Any:
    """The rows as a dataset (which needs one to know its types)."""
    whole = Dataset.from_list([*rows, BLANK], features=FEATURES)
    return whole.select(range(len(rows)))


def ported(folder: Path, data: Any, plan: Plan = PLAN, drop: Sequence[int] = ()) -> list[Path]:
    """The files of a port, each text transliterated."""
    writer = SplitWriter(folder, "test", data.features, plan)
    number = 0
    for table in tables(data):
        out: list[Row | None] = []
        for source in table.to_pylist():
            unit, _ = unit_of(source, plan)
            new = translated_row(source, unit, [forward(t) for t in unit.texts], plan)
            assert row_fault(source, new, plan) == ""
            out.append(None if number in drop else new)
            number += 1
        writer.write(table, out)
    return writer.close()


def rewritten(path: Path, change: Callable[[list[Row]], Any]) -> None:
    """The file with its rows changed, its schema as it was."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows = change(rows) or rows
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)


def test_features_and_values_come_through(tmp_path: Path) -> None:
    """Types are the source's up to column names, and every value but the texts is the same."""
    data = dataset([row(0), BLANK, EMPTY, row(1)])
    files = ported(tmp_path, data)
    audit(data, files, set(), PLAN, "test")
    expected = Features({PLAN.names.get(n, n): f for n, f in FEATURES.items()})
    table = pq.read_table(files[0])
    assert table.schema.equals(expected.arrow_schema, check_metadata=False)
    again = Dataset.from_parquet(str(files[0]), cache_dir=str(tmp_path / "cache"))
    assert again.features == expected
    assert again.features["레이블"].names == ["no", "yes"]
    old, new = data.with_format("arrow")[:].to_pylist(), table.to_pylist()
    kept = ["id", "score", "day", "at", "took", "price", "image", "raw", "grid", "many", "flag"]
    assert [[r[k] for k in kept] for r in new] == [[r[k] for k in kept] for r in old]
    assert [r["c"]["text"] if r["c"] else None for r in new] == [
        [forward("one cat 0"), forward("two cats 0"), "12"],
        None,
        [],
        [forward("one cat 1"), forward("two cats 1"), "12"],
    ]
    assert [r["정답"] for r in new] == [forward("two cats 0"), None, "", forward("two cats 1")]
    assert new[0]["deep"][0]["t"] == row(0)["deep"][0]["t"]
    assert new[0]["image"]["bytes"] == PNG + b"\x00"


@pytest.mark.parametrize(
    "nan", [{"score": float("nan")}, {"deep": [{"q": "Why?", "x": [float("nan")]}]}]
)
def test_a_float_that_is_no_number_is_no_difference(tmp_path: Path, nan: Row) -> None:
    """NaN, which stands for a gap in many tables, is kept and not called a change."""
    data = dataset([row(0) | nan])
    audit(data, ported(tmp_path, data), set(), PLAN, "test")


@pytest.mark.parametrize(
    "texts", [["1.5", "15"], [".", "?", "!"], ["10%", "10"], ["a", "A"], [None, "None"]]
)
def test_choices_that_differ_by_signs_are_no_collapse(
    tmp_path: Path, texts: list[str | None]
) -> None:
    """Choices that are kept as they were are as distinct as they were."""
    data = dataset([row(0) | {"c": {"text": texts, "n": []}, "answer": texts[-1]}])
    audit(data, ported(tmp_path, data), set(), PLAN, "test")


@pytest.mark.parametrize(("rows", "shards"), [(0, 1), (4, 1), (5, 1), (6, 2), (23, 5)])
def test_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, shards: int) -> None:
    """A split goes on in another file when one is full; names say which of how many."""
    monkeypatch.setattr(write, "SHARD_ROWS", 5)
    monkeypatch.setattr(write, "BATCH_ROWS", 1)
    data = dataset([row(i) for i in range(rows)])
    files = ported(tmp_path / "data", data)
    names = [f"test-{i:05d}-of-{shards:05d}.parquet" for i in range(shards)]
    assert [f.name for f in files] == names == sorted(p.name for p in (tmp_path / "data").iterdir())
    audit(data, files, set(), PLAN, "test")
    assert sum(pq.read_metadata(f).num_rows for f in files) == rows


def test_failed_rows_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that failed is in no file, its neighbours stay in order, over batches and shards."""
    monkeypatch.setattr(write, "SHARD_ROWS", 4)
    monkeypatch.setattr(write, "BATCH_ROWS", 3)
    data = dataset([row(i) for i in range(12)])
    drop = {0, 3, 4, 5, 11}
    files = ported(tmp_path, data, drop=sorted(drop))
    audit(data, files, drop, PLAN, "test")
    there = [r["id"] for f in files for r in pq.read_table(f).to_pylist()]
    assert there == [f"row-{i}" for i in range(12) if i not in drop]
    for wrong, said in (
        (drop - {4}, "from row 4 on there are 5 rows, and the source has 6"),
        (drop | {10}, "there are 1 more rows than the source has"),
        (drop | {99}, "the source has no row 99"),
    ):
        with pytest.raises(AuditError, match=f"row_count: {said}"):
            audit(data, files, wrong, PLAN, "test")


def test_a_selection_is_written_as_it_is_seen(tmp_path: Path) -> None:
    """A dataset that was filtered or shuffled is ported in the order it shows."""
    data = dataset([row(i) for i in range(9)]).select([7, 2, 2, 0])
    files = ported(tmp_path, data)
    audit(data, files, set(), PLAN, "test")
    assert [r["id"] for r in pq.read_table(files[0]).to_pylist()] == [
        "row-7",
        "row-2",
        "row-2",
        "row-0",
    ]


def edit(place: int, change: Callable[[Row], Any]) -> Callable[[list[Row]], None]:
    """Change one row."""

    def at(rows: list[Row]) -> None:
        change(rows[place])

    return at


KEPT, GOLD = "immutable_leaf: row 0", "gold_numeric_equal: row 1"
CHANGES: dict[str, tuple[Callable[[list[Row]], Any], str]] = {
    "a label": (edit(1, lambda r: r.update(레이블=0)), "immutable_leaf: row 1"),
    "an id": (edit(2, lambda r: r.update(id="x")), "immutable_leaf: row 2"),
    "an image": (edit(0, lambda r: r["image"].update(bytes=PNG)), KEPT),
    "a time in a list": (edit(0, lambda r: r["deep"][0].update(t=None)), KEPT),
    "a number in a struct": (edit(0, lambda r: r["c"].update(n=[2, None])), KEPT),
    "swapped rows": (lambda rows: [rows[1], rows[0], *rows[2:]], "row_order: the rows from 0"),
    "a lost row": (lambda rows: rows[:-1], "row_count: row 2"),
    "a lost first row": (lambda rows: rows[1:], "row_count: from row 0 on there are 2"),
    "a row twice": (lambda rows: [*rows, rows[-1]], "row_count: there are 1 more rows"),
    "a row in the place of another": (
        lambda rows: [rows[0], rows[2], rows[2]], "row_count: from row 1 on a row is missing"),
    "a #### gold": (edit(1, lambda r: r.update(steps="그렇다.\n#### 2")), GOLD),
    "no #### gold": (edit(1, lambda r: r.update(steps="그렇다.")), GOLD),
    "collapsed options": (
        edit(0, lambda r: r["c"].update(text=["가", "가.", "12"])), "option_distinct: row 0"),
    "a gold that left its choice": (
        edit(2, lambda r: r.update(정답=r["c"]["text"][0])), "gold_equal: row 2"),
    "a choice too few": (edit(0, lambda r: r["c"]["text"].pop()), "list_len: row 0"),
    "an emptied text": (edit(1, lambda r: r.update(질문=" ")), "empty: row 1"),
    "a lost text": (edit(1, lambda r: r.update(질문=None)), "empty: row 1"),
    "a list item lost": (edit(0, lambda r: r.update(deep=[])), "list_len: row 0"),
    "a list gone": (edit(0, lambda r: r.update(deep=None)), KEPT),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_audit_catches(tmp_path: Path, name: str) -> None:
    """Whatever was changed behind our back is found, with the check and the row."""
    change, said = CHANGES[name]
    data = dataset([row(i) for i in range(3)])
    files = ported(tmp_path, data)
    audit(data, files, set(), PLAN, "test")
    rewritten(files[0], change)
    with pytest.raises(AuditError, match=said):
        audit(data, files, set(), PLAN, "test")


def test_the_audit_catches_another_schema(tmp_path: Path) -> None:
    """A column of another type, or one that is missing, is found before any row is read."""
    data = dataset([row(0)])
    files = ported(tmp_path, data)
    table = pq.read_table(files[0])
    for other in (
        table.drop_columns(["flag"]),
        table.rename_columns([*table.column_names[:-1], "x"]),
    ):
        pq.write_table(other, files[0])
        with pytest.raises(AuditError, match="features_equal"):
            audit(data, files, set(), PLAN, "test")


def test_the_audit_reads_the_schema_of_every_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second shard whose columns are of other types does not hide behind the first."""
    monkeypatch.setattr(write, "SHARD_ROWS", 2)
    monkeypatch.setattr(write, "BATCH_ROWS", 1)
    data = dataset([row(i) for i in range(3)])
    files = ported(tmp_path, data)
    table = pq.read_table(files[1])
    place = table.column_names.index("score")
    pq.write_table(table.set_column(place, "score", table["score"].cast("float32")), files[1])
    with pytest.raises(AuditError, match="features_equal: 'score' is float, not double"):
        audit(data, files, set(), PLAN, "test")


def test_a_split_is_judged_without_a_file() -> None:
    """Types by column name, rows from any iterable; a failed row that no row is, is a fault."""
    rows = [{"id": "a", "question": "Why?"}, {"id": "b", "question": "Who?"}]
    ported = [{"id": "a", "질문": "왜?"}, {"id": "b", "질문": "누구?"}]
    plan = Plan(
        source="s",
        source_lang="en",
        target_lang="ko",
        roles={"id": Role.id, "question": Role.prose},
        names={"question": "질문"},
        task=TaskPlan(kind="ungraded", question=["question"]),
    )
    old, new = {"id": "string", "question": "string"}, {"질문": "string", "id": "string"}

    def fault(target: Sequence[Row], failed: Sequence[int] = (), types: Row = new) -> str:
        return split_fault(iter(rows), iter(target), failed, plan, old, types)

    assert fault(ported) == fault(ported[1:], [0]) == fault([], [0, 1]) == ""
    assert fault(ported[::-1]).startswith("row_order: the rows from 0")
    assert fault(ported[:1]).startswith("row_count: row 1 and what follows")
    assert fault(ported, [7]).startswith("row_count: the source has no row 7")
    assert fault(ported, types={"질문": "string"}) == "features_equal: 'id' is missing"
    assert fault(ported, types=new | {"x": "int8"}) == "features_equal: 'x' was added"


def test_a_row_is_judged_without_a_file() -> None:
    """A row whose port is right has no fault, and judging changes neither."""
    source = row(3)
    unit, _ = unit_of(source, PLAN)
    new = translated_row(source, unit, [forward(t) for t in unit.texts], PLAN)
    before = copy.deepcopy((source, new))
    assert row_fault(source, new, PLAN) == "" and (source, new) == before
    assert row_fault(source, new | {"score": 9.0}, PLAN).startswith("immutable_leaf")


FAILURE = Failure(where="translate", kind="empty", message="the translation is empty")


def test_notes_say_what_failed_and_what_to_review(tmp_path: Path) -> None:
    """A failed row is kept with its source and reason; findings stand with their place."""
    with Notes(tmp_path) as notes:
        notes.failed("default", "test", 3, row(3), FAILURE)
        notes.found("default", "test", 4, [Finding("numbers", "flag", "question", "3 lost")])
    (failed,) = [json.loads(x) for x in notes.failed_path.read_text("utf-8").split("\n")[:-1]]
    assert (failed["row"], failed["error"]["kind"]) == (3, "empty")
    assert failed["source"]["question"] == row(3)["question"]
    checks = [json.loads(x) for x in notes.checks_path.read_text("utf-8").split("\n")[:-1]]
    assert [(c["row"], c["check"], c["severity"]) for c in checks] == [
        (3, "empty", "gate"),
        (4, "numbers", "flag"),
    ]
    assert notes.counts == {"empty": 1, "numbers": 1}
    assert notes.named == ["default/test row 3: empty: the translation is empty"]


@pytest.mark.parametrize("text", ["Why so?", "a\u2028b", "a\u2029b\x85c", "a\nb\r\x0b\x0c"])
def test_notes_of_splits_that_stay_are_carried(tmp_path: Path, text: str) -> None:
    """A port of one split takes over what stands of the others, whatever signs their rows hold."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with Notes(old) as notes:
        notes.failed("s", "train", 0, {"question": text}, FAILURE)
        notes.failed("s", "test", 1, {"question": text}, FAILURE)
    with Notes(new) as notes:
        notes.carried(old, {("s", "train")})
    (line,) = notes.failed_path.read_text("utf-8").split("\n")[:-1]
    assert json.loads(line)["source"] == {"question": text} and notes.counts == {"empty": 1}
