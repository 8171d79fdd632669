"""Honest modules notice nothing of the sandbox, on every layer that this kernel has."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from llm_eval.dataset.expect import Expected
from llm_eval.dataset.process import ChildModule
from llm_eval.dataset.verify import Verdict, verify
from llm_eval.errors import DatasetError
from llm_eval.sandbox import Jail, allowed, layers
from tests.unit.llm_eval.test_render import LETTERED, write

ROWS = [
    {"맥락": "글", "질문": f"물음 {i}", "선택지": ["가", "나"], "정답": gold}
    for i, gold in enumerate("AB")
]
WANTED = [
    Expected(shown=["글", f"물음 {i}", "가", "나"], golds=[gold], wrong=["AB"["BA".index(gold)]])
    for i, gold in enumerate("AB")
]
BASE = """
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset


@register_dataset("honest_ko")
class Honest(BaseDataset):
    def load(self):
        return [{"input": str(value), "reference": "A"} for value in work()]
"""
LIBRARIES = """
import json, math, random, re, tempfile, threading, typing
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy
import pandas
from llm_eval.utils.logging import get_logger

log = get_logger(__name__)


def work():
    Path("notes").mkdir()
    Path("notes/a.json").write_text(json.dumps({"답": "가"}))
    with tempfile.NamedTemporaryFile("w+") as scratch:
        scratch.write("x")
    with ThreadPoolExecutor(4) as pool:
        squares = list(pool.map(math.sqrt, range(9)))
    frame = pandas.DataFrame({"a": numpy.arange(4), "b": list("xyxy")}).groupby("b").sum()
    frame.to_csv("frame.csv")
    numpy.linalg.svd(numpy.ones((200, 200)))
    log.warning("%s", datetime.now(ZoneInfo("Asia/Seoul")))
    random.seed(0)
    return [squares[4], re.sub("a", "b", "banana"), json.loads(Path("notes/a.json").read_text()),
            list(pandas.read_csv("frame.csv")["a"])]
"""
LOADS = """
from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset
import datasets.load


def work():
    beside = sorted(map(str, (Path(__file__).parent / "data" / "default").glob("*.parquet")))
    one = load_dataset("parquet", data_files=beside, split="train")
    named = load_dataset("someone/rendered-ko", split="test[:1]")
    both = load_dataset("someone/rendered-ko", "default")
    streamed = load_dataset("someone/rendered-ko", split="test", streaming=True)
    mapped = one.map(lambda row: {"n": len(row["질문"])}).filter(lambda row: row["n"] > 0)
    assert isinstance(named, Dataset) and isinstance(both, DatasetDict)
    assert datasets.load.load_dataset is load_dataset
    return [len(one), len(named), sorted(both), len(list(streamed)), list(mapped["n"])]
"""


@pytest.fixture(params=["landlock", "bubblewrap", ""], ids=["landlock", "bubblewrap", "all"])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A layer that this kernel has, or all of them."""
    monkeypatch.setenv("HRET_SANDBOX", request.param)
    if not layers().enough:
        pytest.skip(f"this kernel has no {request.param or 'sandbox'}: {layers().says}")
    return str(request.param)


def inputs(path: Path, **more: Path) -> list[str]:
    """The inputs that a module loads in the sandbox."""
    with ChildModule(path, timeout=60, enforce=True, repos=more) as child:
        count = child.ask("open", str(child.path), None, "test")["rows"]
        rows = child.ask("rows", 0, count)
        assert child._jail.tried() == []
    return [row["input"] for row in rows]


def test_the_template_is_let_through(layer: str, tmp_path: Path) -> None:
    """What the template renders loads its parquet and holds on every row."""
    path = write(tmp_path, LETTERED, ROWS)
    parts = [("default", "test", 2, WANTED)]
    assert verify(path, "rendered_ko", parts, timeout=60, enforce=True) == Verdict(2)


def test_libraries_work(layer: str, tmp_path: Path) -> None:
    """Files of its own, threads, numpy, pandas, time zones, logs: all as outside."""
    path = tmp_path / "dataset.py"
    path.write_text(LIBRARIES + BASE)
    assert inputs(path) == ["2.0", "bbnbnb", "{'답': '가'}", "[2, 4]"]


def test_a_port_is_loaded_by_its_name(layer: str, tmp_path: Path) -> None:
    """`load_dataset` reads files beside the module, and ports by their names on the Hub."""
    port = write(tmp_path, LETTERED, ROWS).parent
    path = port / "dataset.py"
    path.write_text(LOADS + BASE)
    with ChildModule(path, timeout=60, enforce=True, repos={"someone/rendered-ko": port}) as child:
        child.ask("open", str(child.path), None, "test")
        rows = child.ask("rows", 0, 5)
    assert [row["input"] for row in rows] == ["2", "1", "['test']", "2", "[4, 4]"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("'someone/else'", r"load_dataset\('someone/else'\): the sandbox has no network"),
        ("'someone/rendered-ko', 'other'", "no such subset"),
    ],
)
def test_another_name_has_no_network(asked: str, why: str, tmp_path: Path) -> None:
    """A name that stands for no port here is refused with a sentence, at once."""
    port = write(tmp_path, LETTERED, ROWS).parent
    path = port / "dataset.py"
    path.write_text(f"from datasets import load_dataset\nload_dataset({asked})\n{BASE}")
    repos = {"someone/rendered-ko": port}
    with ChildModule(path, repos=repos) as child, pytest.raises(DatasetError, match=why):
        child.ask("open", str(child.path), None, "test")


def test_files_that_are_links_are_read(layer: str, tmp_path: Path) -> None:
    """The Hub's cache keeps files as links into a store beside them; a module reads them there."""
    made = write(tmp_path, LETTERED, ROWS).parent
    store, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "1"
    store.mkdir(parents=True)
    for i, file in enumerate(p for p in sorted(made.rglob("*")) if p.is_file()):
        link = snapshot / file.relative_to(made)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, store / str(i))
        link.symlink_to(store / str(i))
    parts = [("default", "test", 2, WANTED)]
    verdict = verify(snapshot / "dataset.py", "rendered_ko", parts, timeout=60, enforce=True)
    assert verdict == Verdict(2)


def test_the_guard_starts_fast(layer: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A guarded process is there within two seconds of a bare one."""
    code = "print(1, flush=True)"
    bare, guarded = [], []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([allowed.interpreter(), "-I", "-c", code], check=True, capture_output=True)
        bare.append(time.monotonic() - started)
        started = time.monotonic()
        with Jail(code) as jail:
            assert jail.line() == b"1"
            guarded.append(time.monotonic() - started)
    one, other = statistics.median(bare), statistics.median(guarded)
    with capsys.disabled():
        print(json.dumps({"layer": layer or "all", "bare": round(one, 3),
                          "guarded": round(other, 3), "ratio": round(other / one, 1)}))  # fmt: skip
    assert other - one < 2
