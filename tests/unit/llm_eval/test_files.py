"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_eval.files import beside, replaced, write_text


def test_a_file_is_replaced_whole(work: Path) -> None:
    """Until the block ends the old one stands; then nothing else does."""
    path = work / "new folder" / "note.json"
    write_text(path, "old")
    with replaced(path) as new:
        assert new != path and new.parent == path.parent and new.suffix == ".json"
        new.write_text("새것", encoding="utf-8")
        assert path.read_text("utf-8") == "old"
    assert path.read_text("utf-8") == "새것"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file_and_no_other(error: BaseException, work: Path) -> None:
    """A full disk, or Ctrl-C."""
    path = work / "note.json"
    path.write_text("old")
    with pytest.raises(type(error)), replaced(path) as new:
        new.write_text("half")
        raise error
    assert path.read_text() == "old" and list(work.iterdir()) == [path]


def test_a_folder_that_is_missing_is_an_error(work: Path) -> None:
    """As for any file that is opened."""
    with pytest.raises(FileNotFoundError), replaced(work / "missing" / "note") as new:
        new.write_text("x")


def test_many_threads_write_one_path(work: Path) -> None:
    """None fails, and what stays is what one of them wrote."""
    path, together = work / "note.txt", threading.Barrier(8)
    texts = [str(n) * 10_000 for n in range(8)]

    def write(text: str) -> None:
        together.wait(30)
        for _ in range(20):
            write_text(path, text, sync=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, texts))
    assert path.read_text() in texts
    assert list(work.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays(there: bool, work: Path) -> None:
    """What it leads to is replaced, where it lies."""
    real, link = work / "there" / "real.txt", work / "link.txt"
    real.parent.mkdir()
    if there:
        real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert sorted(work.rglob("*")) == sorted([real.parent, real, link])


def test_a_device_is_written_itself(work: Path) -> None:
    """A pipe, say: nothing takes its place."""
    pipe = work / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_text(pipe, "through it")
        assert read.result(30) == "through it"
    assert pipe.is_fifo() and list(work.iterdir()) == [pipe]


def test_the_longest_names_have_room(work: Path) -> None:
    """A file system takes 255 bytes; a syllable has three."""
    path = work / ("가" * 83 + ".jsonl")
    write_text(path, "x")
    assert path.read_text() == "x" and beside(path) != beside(path)
