"""What a number in a text is, whatever the language: values, and what may stand in its place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hret_agents.translate.masks import letters_outside

Value = int | float | str
Kind = Literal["plain", "time", "fraction"]
MOST = 1000  # mentions of a text that are read closely
_SIGNS = re.compile(r"[`$\\<{%_@&⟦⟧]|://|[wW]{3}\.")  # no part is protected without one
_START = re.compile(r"\.?\d")
_WIDE = str.maketrans("０１２３４５６７８９，．：／％", "0123456789,.:/%")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_BARE = re.compile(r"\d+(?:[.,\u00a0\u202f ']\d{3})*(?:[.,]\d+)?")
_ODD = re.compile("[０-９½⅓⅔¼¾⅕⅛−]")


class Time(NamedTuple):
    """A time of day: its hour on the 24-hour clock if `known`, else as it is written."""

    hour: int
    minute: int
    known: bool

    def fits(self, other: Time) -> bool:
        """May both mean the same time?"""
        if self.minute != other.minute:
            return False
        if self.known and other.known:
            return self.hour % 24 == other.hour % 24
        return self.hour % 12 == other.hour % 12


@dataclass(slots=True)
class Mention:
    """A number in a text.

    `values` are the readings, any of which it may mean. `hard` ones are written in digits: they
    must not vanish, nor appear. `parts` are numbers that may stand in its place, all of them: of
    3/4 its 3 and its 4. `counted`: a word that is a cardinal number for certain.
    """

    text: str
    values: tuple[Value, ...]
    hard: bool
    kind: Kind = "plain"
    parts: list[tuple[Value, ...]] = field(default_factory=list)
    time: Time | None = None
    counted: bool = False


def has_protected_signs(text: str) -> bool:
    """May a text hold protected parts? A cheap test before a costly one."""
    return _SIGNS.search(text) is not None


def at_digits(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches of `pattern`, which begin with a digit or a point before one."""
    place = 0
    while start := _START.search(text, place):
        if m := pattern.match(text, start.start()):
            yield m
            place = m.end()
        else:
            place = start.start() + 1


def outside(text: str) -> str:
    """`text` without protected parts, its digits as in ASCII."""
    if has_protected_signs(text):
        text = letters_outside(text)
    if _ODD.search(text):
        text = text.translate(_WIDE).replace("−", "-")
        for sign, written in _VULGAR.items():
            text = text.replace(sign, f" {written}")
    return text


def number(written: str, scale: int = 1) -> Value:
    """The value of digits as they are written: int, a rounded float, or a text if it is huge.

    >>> number("1,250"), number("0.50"), number(".25"), number("2.5", 10**9)
    (1250, 0.5, 0.25, 2500000000)
    """
    bare = written.replace(",", "")
    if len(bare) > 40:
        return bare
    if "." not in bare:
        return int(bare) * scale
    return tidy(float(bare) * scale)


def tidy(value: float) -> int | float:
    """A float as an int if it is one, rounded so that equal numbers are equal."""
    value = round(value, 9)
    return int(value) if value == int(value) else value


def fraction(text: str, over: int, under: int, hard: bool = True) -> Mention:
    """The mention of a fraction: its value, or its parts. A division (36/2) has no value."""
    parts: list[tuple[Value, ...]] = [(over, under)]
    if under == 0 or over % under == 0:
        return Mention(text, (f"{over}/{under}",), hard, "fraction", parts)
    return Mention(text, (tidy(over / under),), hard, "fraction", parts)


def clock(text: str, hour: int, minute: int, half: str, hard: bool = True) -> Mention:
    """The mention of a time. `half`: "a" before noon, "p" after it, "n" at night, "" unknown."""
    known = bool(half) or hour > 12 or hour == 0
    if half == "p" and hour < 12:
        full = hour + 12
    elif (half == "a" and hour == 12) or (half == "n" and hour in (12, 24)):
        full = 0
    elif half == "n" and 6 <= hour < 12:
        full = hour + 12
    else:
        full = hour
    parts: list[tuple[Value, ...]] = [(hour, minute) if minute else (hour,)]
    time = Time(full, minute, known)
    return Mention(text, (), hard, "time", parts, time)


def soft(text: str, *values: Value, counted: bool = False) -> Mention:
    """The mention of a number in words."""
    return Mention(text, values, False, counted=counted)


def digits(text: str) -> Counter[str]:
    """The numbers of a text that is not read: digits, whatever parts their groups.

    >>> digits("1.250,50 and 1 250")
    Counter({'125050': 1, '1250': 1})
    """
    found = _BARE.findall(text)
    return Counter(re.sub(r"\D", "", n).lstrip("0") or "0" for n in found)
