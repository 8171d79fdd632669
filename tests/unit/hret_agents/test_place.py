"""A file is known by where it lies: edited it is ported anew, another of its name is not it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hret_agents.job import PortJob, PortResult
from hret_agents.port import port_dataset
from llm_eval import settings
from llm_eval.errors import UserError
from tests.unit.hret_agents.review.ported import written

KNOWN = {"Who was that?": "누구였나요?", "What was that?": "무엇이었나요?"}
WHO, WHAT = KNOWN


def port(folder: str, question: str, out: str = "out") -> PortResult:
    """The port of a file "test.jsonl" in `folder` that holds one question."""
    data = written(Path(folder, "test.jsonl"), [{"question": question}])
    known = written(Path("known.jsonl"), [{"source": s, "target": t} for s, t in KNOWN.items()])
    job = PortJob(dataset=str(data), model=f"memory:{known}", output_dir=Path(out))
    return port_dataset(job)


def held(result: PortResult) -> str:
    """The question that a port holds."""
    import pyarrow.parquet as pq

    (file,) = Path(result.data_path, "default").iterdir()
    (row,) = pq.read_table(file).to_pylist()
    return str(next(iter(row.values())))


def test_another_file_of_the_same_name_leaves_the_port_alone(work: Path) -> None:
    """It is told where the port's own file lies, and goes into a folder of its own."""
    first = port("a", WHO)
    with pytest.raises(UserError, match="a/test.jsonl") as told:
        port("b", WHAT)
    assert "--output-dir" in told.value.hint and f"rm {first.slug}" in told.value.hint
    assert held(first) == KNOWN[WHO]
    other = port("b", WHAT, "other")
    assert (other.slug, held(other)) == (first.slug, KNOWN[WHAT])


def test_an_edited_file_is_ported_anew(work: Path) -> None:
    """By whatever path it is named; and so is one that was copied as it is, and edited there."""
    port("a", WHO)
    assert held(port(str(work / "a"), WHAT)) == KNOWN[WHAT]
    assert held(port("b", WHAT)) == KNOWN[WHAT]
    assert held(port("b", WHO)) == KNOWN[WHO]


def test_a_port_of_which_nothing_is_known(work: Path) -> None:
    """Where `HRET_HOME` is gone, the same content is taken for the same file, and no other is."""
    first = port("a", WHO)
    shutil.rmtree(settings.home())
    with pytest.raises(UserError, match=r"some test\.jsonl"):
        port("a", WHAT)
    assert held(first) == KNOWN[WHO]
    port("a", WHO)
    assert held(port("a", WHAT)) == KNOWN[WHAT]
    (note,) = (settings.home() / "review").iterdir()
    assert len(json.loads(note.read_text("utf-8"))["revisions"]) == 2
