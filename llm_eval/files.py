"""Writing files so that a reader, or a kill, sees the old one or the new one, and no half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends well.

    Several threads and processes may write one path: the last one's file stays. A link stays, and
    what it leads to is replaced; a device is written itself. `sync` also waits for the disk.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    target, new = Path(path), beside(Path(path))
    if new == target:
        yield target
        return
    try:
        yield new
        if sync:
            _sync(new)
        new.replace(os.path.realpath(target))
    finally:  # Ctrl-C too leaves no half of a file
        new.unlink(missing_ok=True)
    if sync:
        with suppress(OSError):  # some file systems cannot do so with a folder
            _sync(new.parent)


def write_text(path: str | Path, text: str, *, sync: bool = True) -> None:
    """Write a small file by `replaced`; its folder is made if it is missing.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replaced(path, sync=sync) as new:
        new.write_text(text, encoding="utf-8")


def beside(path: Path) -> Path:
    """Where a file is written before it takes the place of `path`: a name that nobody else has.

    It has the same suffix. A device, which nothing can take the place of, is named itself.
    """
    if path.exists() and not path.is_file():
        return path
    target = Path(os.path.realpath(path))
    own = f"{os.getpid()}.{os.urandom(4).hex()}"
    return target.with_name(f".{target.stem[:40]}.{own}{target.suffix}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
