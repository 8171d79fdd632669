"""Removing a folder that hostile code has filled."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def remove(top: Path) -> None:
    """Remove a folder and all in it, however deep it is nested; links are not followed.

    Nobody may be writing to it any more.
    """
    place, count, mark = str(top), 0, secrets.token_hex(8)
    while folders := _emptied(place):
        for folder in folders:
            for inner in _emptied(folder):  # moved up: a path must not get too long for the system
                os.rename(inner, os.path.join(place, f"{mark}-{count}"))
                count += 1
            os.rmdir(folder)
    os.rmdir(place)


def _emptied(folder: str) -> list[str]:
    """Remove the files of a folder; the folders in it."""
    os.chmod(folder, 0o700)
    folders = []
    with os.scandir(folder) as found:
        for entry in list(found):
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                folders.append(entry.path)
            else:
                os.unlink(entry.path)
    return folders
