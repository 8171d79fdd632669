"""What a jailed process says that its code tried, in words (see `watch`).

The notes come from a process that may be hostile: so much is read and no more, a detail is cut and
loses its control characters, and what is no note says that the code writes notes itself.
"""

from __future__ import annotations

import json
import os
import unicodedata

_LONGEST = 200
_MOST = 1 << 20
_FORGED = "tried to write to the notes that are taken of it"
_WORDS = {
    "call": "tried to call {}",
    "change": "tried to change {}",
    "connect": "tried to reach {}",
    "fork": "tried to start a process",
    "function": "tried to call {} by ctypes",
    "host": "tried to look up {}",
    "import": "tried to import {}",
    "library": "tried to load the library {} by ctypes",
    "limits": "tried to change its limits",
    "list": "tried to list {}",
    "look": "tried to look at {}",
    "open": "tried to open {}",
    "run": "tried to run {}",
    "signal": "tried to send a signal to process {}",
    "socket": "tried to open a socket",
    "unpickle": "tried to unpickle {}",
    "write": "tried to write to {}",
}


class Notes:
    """The parent's end of the pipe that a jail's notes come by."""

    def __init__(self, fd: int) -> None:
        self._fd, self._rest, self._left = fd, b"", _MOST
        self._said: dict[str, None] = {}

    def said(self) -> list[str]:
        """All that was noted so far, in order, each once."""
        while self._left > 0 and (piece := self._piece()):
            self._left -= len(piece)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._said |= dict.fromkeys(map(sentence, lines))
        return list(self._said)

    def _piece(self) -> bytes:
        try:
            return os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return b""


def sentence(line: bytes) -> str:
    """One note in words.

    >>> sentence(b'["open", "/etc/passwd"]')
    'tried to open /etc/passwd'
    >>> sentence(b'["verdict", "all is well"]')
    'tried to write to the notes that are taken of it'
    """
    try:
        kind, detail = json.loads(line)
        return _WORDS[kind].format(plain(detail, _LONGEST) or "something")
    except (ValueError, TypeError, KeyError, RecursionError):
        return _FORGED


def plain(text: str, longest: int) -> str:
    """Foreign text, cut, with a question mark for each control character but a line's end.

    >>> plain("one\\x1b[2J two", 8)
    'one?[2J '
    """
    cut = text[:longest]
    return "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "?" for c in cut)
