"""Loops: the same stretch of characters over and over in a row."""

from __future__ import annotations

import re
from collections.abc import Iterator

SHORT, LONG = 7, 200  # characters of a stretch
SHORT_TIMES, LONG_TIMES = 9, 4  # times in a row, from which on it is a loop
_GRAM = 8  # a loop of two characters or more holds these signs of it twice, a stretch apart
_FURTHER = 25  # places at most where a stretch may end
_ONE = re.compile(rf"(.)\1{{{SHORT_TIMES - 1},}}", re.DOTALL)
_LINE = re.compile(r"([^\w\s]|_)\1\1")  # `...`, `---`
_DRAWN_OUT = re.compile(  # `Hahaha`, `Nooo`, `knock, knock, knock`
    r"(?i:([^\W\d_]{1,6}?)(?:[\s,.!~-]{0,2}\1){2}|\b(?:lol|lmao|rofl|haha|hehe)\b)"
)
_NO_WORDS = re.compile(r"[IVXLCDM]+|[wW]{3}")
_GAP = re.compile(r"\s{3}")
_SEEN = {"\n": "⏎", "\t": "⇥"}


def loops(text: str) -> Iterator[str]:
    """The stretches that loop, those of one character first.

    >>> list(loops("왕관을 " * 9)), list(loops("왕관을 " * 8)), list(loops("Ha! " * 9))
    (['왕관을 '], [], ['Ha! '])
    """
    yield from (m[1] for m in _ONE.finditer(text))
    place, last = 0, len(text) - _GRAM - 2
    while place <= last:
        if period := _period(text, place):
            yield text[place : place + period]
            place += period * (SHORT_TIMES if period <= SHORT else LONG_TIMES)
        place += _GRAM


def _period(text: str, place: int) -> int:
    """The length of the stretch that loops around `place`, 0 if none does.

    A loop that begins in the `_GRAM` characters up to `place` holds the signs that stand there
    again, one stretch further on.
    """
    gram = text[place : place + _GRAM]
    if gram == gram[0] * _GRAM:
        return 0  # of one character: found otherwise
    found = place
    for _ in range(_FURTHER):
        found = text.find(gram, found + 1, place + LONG + _GRAM)
        if found < 0:
            return 0
        if _looping(text, place, found - place):
            return found - place
    return 0


def _looping(text: str, place: int, period: int) -> bool:
    times = SHORT_TIMES
    if period > SHORT:
        times, stretch = LONG_TIMES, text[place : place + period]
        if not text.startswith(stretch[:_GRAM], place + 2 * period):
            return False
        if (stretch * 2).find(stretch, 1) < period:
            return False  # a shorter stretch, to be judged by its own number of times
    size = (times - 1) * period
    return any(
        text[start : start + size] == text[start + period : start + period + size]
        for start in range(max(0, place - _GRAM + 1), place + 1)
    )


def loop_of_its_own(source: str, target: str) -> str:
    """The stretch that loops in `target`, where none of its kind loops in `source`.

    Words, digits, signs and white space are kinds; a line of signs (`...`, `---`) in the source
    allows for any such line, and a word that is drawn out or said three times (`Nooo`, `Hahaha`)
    for one or two syllables that loop. White space is given as signs that can be seen.

    >>> loop_of_its_own("Go, go!", "가자 " * 12), loop_of_its_own("Go! " * 9, "가자! " * 9)
    (' 가자', '')
    >>> loop_of_its_own("Hahaha!", "하" * 9), loop_of_its_own("World War III", "ㅋ" * 9)
    ('', 'ㅋ')
    >>> loop_of_its_own("Stop.", "멈춰." + " " * 9), loop_of_its_own("Stop.", "멈춰." + "\\n" * 9)
    ('␣', '⏎')
    >>> loop_of_its_own("One\\n---\\nTwo", "하나\\n-----------\\n둘")
    ''
    """
    known: set[str] | None = None
    sounds = False
    for stretch in loops(f" {target} "):  # so that the last word counts like the others
        if known is None:
            known = {_kind(s) for s in loops(f" {source} ")}
            known |= {"signs"} if _LINE.search(source) else set()
            known |= {"space"} if _GAP.search(source) else set()
            sounds = _drawn_out(source)
        if _kind(stretch) in known or (not stretch.strip("_") and "__" in source):
            continue
        if not sounds or len(stretch.strip(" ,.!?~")) > 2:
            return stretch if stretch.strip() else "".join(_SEEN.get(c, "␣") for c in stretch)
    return ""


def _drawn_out(source: str) -> bool:
    """Does a text imitate sounds, or draw a word out? In Korean these may go on for longer."""
    return any(not _NO_WORDS.fullmatch(m[0]) for m in _DRAWN_OUT.finditer(source))


def _kind(stretch: str) -> str:
    if not stretch.strip():
        return "space"
    if not any(c.isalnum() for c in stretch):
        return "signs"
    return "words" if any(c.isalpha() for c in stretch) else "digits"
