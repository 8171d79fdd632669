"""The numbers of an English text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from hret_agents.checks.english_words import (
    CARDINAL,
    DECADES,
    DOSES,
    HOLDING,
    MONTH,
    ORDINAL,
    PARTED,
    SCALE,
)
from hret_agents.checks.numerals import (
    MOST,
    Mention,
    Value,
    at_digits,
    clock,
    fraction,
    number,
    soft,
    tidy,
)

_DOSES = {word.lower(): values for word, values in DOSES.items()}
_KNOWN = frozenset([*CARDINAL, *SCALE, *ORDINAL, *PARTED, *MONTH, *HOLDING, *DECADES, *_DOSES])
_WORD = re.compile(r"[A-Za-z]+")
_JOINED = re.compile(r"(?:[\s-]{1,2}|[\s-]and[\s-])\Z")
_ROMAN = re.compile(r"[IVXLC]+(?![\w'’])")
_ROMAN_FORM = re.compile(r"(?:XC|XL|L?X{0,3}|C{1,3})(?:IX|IV|V?I{0,3})")
_DIGITS = re.compile(
    r"(?:"
    r"(?P<h>\d{1,2}):(?P<m>\d\d)(?![:\d])"
    r"|(?:(?P<whole>\d+)[\s-]+(?:and\s+)?)?(?<![\d/])(?P<over>\d{1,4})\s?[/⁄]\s?(?P<under>\d{1,4})(?![\d/])"
    r"|(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]\d)|\d+(?:\.\d+)?(?!\.?\d)|\d+)"
    r")|(?<![\w.])(?P<dot>\.\d+)"
)
_HALF_DAY = re.compile(
    r"\s*(?:o['’]clock\b\s*)?(?:([ap])\.?\s?m\b\.?|in\s+the\s+(morning|afternoon|evening)\b|"
    r"at\s+(night)\b)",
    re.I,
)
_OCLOCK = re.compile(r"\s*o['’]clock\b", re.I)
_RANGE_TO_TIME = re.compile(
    r"\s*(?:-|–|—|to|and|or|until|till)\s*\d{1,2}(?::\d\d)?\s*(?:[ap]\.?\s?m\b|o['’]clock)", re.I
)
_RANGE = re.compile(
    r"\s*(?:-|–|—|to|and|or|~)\s*\$?\d[\d,.]*\s*(hundred|thousand|million|billion|trillion|dozen)\b",
    re.I,
)
_SCALED = re.compile(r"[\s-]?(hundred|thousand|million|billion|trillion|dozen|bn|mn)\b", re.I)
_SUFFIX = re.compile(r"([KkMBT])\b(?!\.)")
_SUFFIXES = {"k": 1000, "K": 1000, "M": 10**6, "B": 10**9, "T": 10**12}
_AFTER_MONTH = re.compile(r"\.?,?\s+(?:the\s+)?\d")
_BEFORE_MONTH = re.compile(r"\d(?:st|nd|rd|th)?\s+(?:of\s+|day\s+of\s+)?\Z")
_AND_HALF = re.compile(r"\s+and\s+(?:a|one)[\s-](half|quarter)\b", re.I)
_YEARS = re.compile(r"[\s-](?:an?[\s-])?years?\b", re.I)
_BEHIND = re.compile(
    r"[\s-](?:(decades?|century|centuries|scores?|weeks?)\b|"
    r"(?:or|to)\s[a-z]{3,9}[\s-](hundred|thousand|million|billion)\b)",
    re.I,
)
_UNITS = {"decade": 10, "century": 100, "centurie": 100, "score": 20, "week": 7}
_PAST = re.compile(
    rf"\b(half|quarter)[\s-](past|to|after|before|till)[\s-]({'|'.join(list(CARDINAL)[1:13])})\b",
    re.I,
)
_OF_AN_HOUR = re.compile(r"\s(?:of\s)?an?\s?hours?\b", re.I)
_LENGTHS = re.compile(r"[\s-]?(months?|minutes?|mins?|seconds?|secs?|hours?|hrs?|days?)\b", re.I)
_HOLDS = {"mo": 12, "mi": 60, "se": 60, "ho": 24, "hr": 24, "da": 7}
_HOURS = re.compile(r"[\s-]*(?:hours?|hrs?)\b", re.I)
_HALVES = {"morning": "a", "afternoon": "p", "evening": "p", "night": "n"}


def english(text: str) -> list[Mention]:
    """The numbers of an English text, in no order."""
    return [*_in_digits(text), *_in_words(text)]


# -- digits ----------------------------------------------------------------------------------------


def _in_digits(text: str) -> Iterator[Mention]:
    for m in at_digits(_DIGITS, text):
        if m["h"]:
            yield _hour(text, m)
        elif m["over"]:
            yield _fraction(m)
        else:
            yield _plain(text, m)


def _half(text: str, pos: int) -> str:
    """a, p, n, or nothing: which half of the day stands at `pos`."""
    if not (m := _HALF_DAY.match(text, pos)):
        return ""
    return m[1].lower() if m[1] else _HALVES[(m[2] or m[3]).lower()]


def _hour(text: str, m: re.Match[str]) -> Mention:
    hour, minute = int(m["h"]), int(m["m"])
    if hour > 24 or minute > 59:
        return Mention(m[0], (m[0],), True, "fraction", [(hour, minute)])
    return clock(m[0], hour, minute, _half(text, m.end()))


def _fraction(m: re.Match[str]) -> Mention:
    over, under = int(m["over"]), int(m["under"])
    if not m["whole"]:
        mention = fraction(m[0], over, under)
        if under and _OF_AN_HOUR.match(m.string, m.end()):
            mention.values += (tidy(over * 60 / under),)
        if (over, under) == (24, 7):
            mention.values += (24,)  # around the clock
        return mention
    whole = int(m["whole"][:40])
    part = tidy(over / under) if under else 0
    mixed: list[tuple[Value, ...]] = [(whole, part), (whole, over, under)]
    return Mention(m[0], (tidy(whole + part),), True, "plain", mixed)


def _plain(text: str, m: re.Match[str]) -> Mention:
    written = m["n"] or m["dot"]
    value, end, start = number(written), m.end(), m.start()
    behind = text[end : end + 1]
    before = text[max(0, start - 12) : start]
    values: list[Value] = [value]
    parts: list[tuple[Value, ...]] = []
    hard = not before[-1:].isalpha()
    if behind and (behind.isalpha() or behind in " -–~"):
        if scaled := _SCALED.match(text, end):
            values = [number(written, SCALE[scaled[1].lower()])]
        elif suffix := _SUFFIX.match(text, end):
            values.append(number(written, _SUFFIXES[suffix[1]]))
        elif (
            m["n"]
            and len(written) <= 2
            and (_HALF_DAY.match(text, end) or _OCLOCK.match(text, end))
        ):
            if int(written) <= 24:
                return clock(m[0], int(written), 0, _half(text, end))
        elif m["n"] and len(written) <= 2 and _RANGE_TO_TIME.match(text, end):
            if int(written) <= 24:
                return clock(m[0], int(written), 0, "")
        elif ranged := _RANGE.match(text, end):
            values.append(number(written, SCALE[ranged[1].lower()]))
        elif more := _AND_HALF.match(text, end):
            part = 0.5 if more[1].lower() == "half" else 0.25
            values = [tidy(float(value) + part)] if not isinstance(value, str) else values
            parts = [(value, part), (value, int(part * 60))]
    if isinstance(value, float) and value % 1 == 0.5 and _HOURS.match(text, end):
        parts.append((int(value), 30))
    values += [*_other_readings(text, written, before, end), *_shared(text, end, value)]
    if m["n"] and isinstance(value, int) and (unit := _LENGTHS.match(text, end)):
        larger, rest = divmod(value, _HOLDS[unit[1][:2].lower()])
        if larger:  # 12 months are a year, 90 minutes an hour and 30 minutes
            parts.append((larger, rest) if rest else (larger,))
        if len(written) == 4 and unit[1][0] in "hH" and value % 100 < 60 and value < 2460:
            parts.append((value // 100, value % 100) if value % 100 else (value // 100,))
    if before[-1:] in "$€£" and re.fullmatch(r"[\d,]*\.\d\d", written):
        whole, _, cents = written.replace(",", "").rpartition(".")
        big = int(whole) if whole and len(whole) < 40 else 0
        parts.append((big, int(cents)) if big else (int(cents),))
    return Mention(m[0], tuple(values), hard, "plain", parts)


def _other_readings(text: str, written: str, before: str, end: int) -> Iterator[Value]:
    """Years written short, and the centuries of 1800s."""
    if len(written) == 2 and written.isdecimal():
        if years := re.search(r"(\d\d)\d\d\s?[-–—/]\s?$", before):
            yield int(years[1] + written)
        elif before[-1:] in "'’‘" or re.match(r"['’]?s\b", text[end : end + 3]):
            yield from (1900 + int(written), 2000 + int(written))
    elif (
        len(written) == 4 and written.endswith("00") and re.match(r"['’]?s\b", text[end : end + 3])
    ):
        yield int(written[:2]) + 1


# -- words -----------------------------------------------------------------------------------------


def _in_words(text: str) -> Iterator[Mention]:
    words = [m for m in _WORD.finditer(text) if m[0].lower() in _KNOWN][:MOST]
    place = 0
    while place < len(words):
        run = _run(text, words, place)
        used = 0
        if len(run) > 1:
            said = [m[0].lower() for m in run]
            ends = [m.end() for m in run]
            mention, used = _compound(said, _between(text, run[0].start(), ends))
            if mention:
                mention.values += tuple(_shared(text, run[used - 1].end(), mention.values[0]))
                yield mention
        if not used:
            yield from _single(text, words[place])
        place += max(used, 1)
    for m in islice(_ROMAN.finditer(text), MOST):
        before = text[m.start() - 1 : m.start()] if m.start() else ""
        if _ROMAN_FORM.fullmatch(m[0]) and not (before.isalnum() or before in ("'", "’")):
            yield soft(m[0], _roman(m[0]))
    if "half" in text or "uarter" in text or "Half" in text:
        yield from (_past(m) for m in islice(_PAST.finditer(text), MOST))


def _between(text: str, start: int, ends: Sequence[int]) -> Callable[[int], str]:
    return lambda words: text[start : ends[words - 1]]


def _run(text: str, words: Sequence[re.Match[str]], place: int) -> list[re.Match[str]]:
    """The words from `place` on that may make up one number."""
    run = [words[place]]
    if not _counts(run[0][0].lower()):
        return run
    for following in words[place + 1 : place + 16]:
        gap = text[run[-1].end() : following.start()]
        if len(gap) > 6 or not _JOINED.match(gap) or not _counts(following[0].lower()):
            break
        run.append(following)
    return run


def _counts(word: str) -> bool:
    return (
        word in CARDINAL
        or word in SCALE
        or word in ORDINAL
        or word in PARTED
        or word in ("a", "an")
    )


def _compound(words: list[str], said: Callable[[int], str]) -> tuple[Mention | None, int]:
    """A number of several words at the beginning of `words`, and how many they are; else 0.

    `said` gives the text of so many words.
    """
    if words[0] == "half":
        place = 2 if words[1] in ("a", "an") else 1
        if place < len(words) and words[place] in SCALE:
            return soft(said(place + 1), tidy(SCALE[words[place]] / 2)), place + 1
        return None, 0
    value, used, scale = _integer(words)
    rest = words[used:]
    if not used:
        return None, 0
    if rest and rest[0] in PARTED and value < 20 and _divides(rest[0], value):
        over, under = value, PARTED[rest[0]]
        mention = fraction(said(used + 1), over, under, False)
        if under == 4:  # in cents, in minutes; so many coins
            mention.values += (over * 25, over * 15)
            mention.parts.append((over, 25))
        return mention, used + 1
    if rest and ORDINAL.get(rest[0], 99) < 10 and value >= 20 and not value % 10:
        whole = value + ORDINAL[rest[0]]
        return soft(said(used + 1), whole, counted=True), used + 1
    if len(rest) > 1 and rest[0] in ("a", "an", "one") and rest[1] in ("half", "quarter"):
        return _and_half(value, scale, rest, used, said)
    if used < 2:
        return None, 0
    mention = soft(said(used), value, counted=True)
    if words[0] in CARDINAL and words[1] in CARDINAL and scale == 1:
        mention.parts = [(CARDINAL[words[0]], value % 100)]  # ten thirty: a time
    return mention, used


def _divides(word: str, over: int) -> bool:
    """Is a word behind a number the fraction's lower part, as in two thirds?"""
    return over == 1 or word.endswith("s")


def _and_half(
    value: int, scale: int, rest: Sequence[str], used: int, said: Callable[[int], str]
) -> tuple[Mention, int]:
    """Two and a half (million), a million and a half."""
    part = 0.5 if rest[1] == "half" else 0.25
    used += 2
    values: tuple[Value, ...] = (tidy(value + part * scale), tidy(value + part))
    if len(rest) > 2 and rest[2] in SCALE:
        used += 1
        values = (tidy((value + part) * SCALE[rest[2]]),)
    mention = soft(said(used), *values)
    mention.parts = [(value, part), (value, int(part * 60))]
    return mention, used


def _integer(words: Sequence[str]) -> tuple[int, int, int]:
    """(the whole number at the beginning of `words`, how many words it has, its last scale).

    >>> _integer(["one", "hundred", "twenty", "three"]), _integer(["nineteen", "eighty", "four"])
    ((123, 4, 1), (1984, 3, 1))
    """
    total, section, used, ending = 0, 0, 0, 1
    for place, word in enumerate(words):
        if word in ("a", "an") and place == 0 and words[1] in SCALE:
            continue
        if word in CARDINAL:
            value = CARDINAL[word]
            fills = not section % 100 or (value < 10 and section % 10 == 0 and section % 100 >= 20)
            if place and words[place - 1] in CARDINAL and not (section >= 20 and fills):
                if not (10 <= section <= 99 and value >= 10 and not total):
                    break
                section *= 100  # nineteen eighty
            elif not fills:
                break
            section, ending = section + value, 1
        elif word in ("hundred", "dozen"):
            section, ending = (section or 1) * SCALE[word], SCALE[word]
        elif word in SCALE:
            ending = SCALE[word]
            if section == 0 and total:
                total *= ending  # hundred thousand million
            else:
                total += (section or 1) * ending
            section = 0
        else:
            break
        used = place + 1
    return total + section, used, ending


def _single(text: str, m: re.Match[str]) -> Iterator[Mention]:
    """What one word says."""
    word, end = m[0].lower(), m.end()
    if word in MONTH:
        yield from _month(text, m)
    if word in CARDINAL:
        yield _cardinal(text, m[0], end, CARDINAL[word])
    elif m[0] in DOSES:
        yield from (soft(m[0], times) for times in DOSES[m[0]])
    elif word in HOLDING:
        yield soft(m[0], *HOLDING[word])
        if word == "half" and _YEARS.match(text, end):
            yield soft(m[0], 6)
    elif word in ORDINAL:
        part = (tidy(1 / ORDINAL[word]),) if ORDINAL[word] > 2 else ()
        yield soft(m[0], ORDINAL[word], *part, counted=ORDINAL[word] > 2)
    elif word in PARTED:
        yield soft(m[0], tidy(1 / PARTED[word]))
    elif word in SCALE:
        if not text[max(0, m.start() - 2) : m.start()].strip(" -").isdecimal():
            yield soft(m[0], SCALE[word])
    elif word in DECADES:
        yield soft(m[0], DECADES[word], 1900 + DECADES[word])


def _cardinal(text: str, said: str, end: int, value: int) -> Mention:
    if 1 <= value <= 12 and (_HALF_DAY.match(text, end) or _OCLOCK.match(text, end)):
        return clock(said, value, 0, _half(text, end), False)
    return soft(said, value, *_shared(text, end, value), counted=value > 1)


def _past(m: re.Match[str]) -> Mention:
    """Half past two, quarter to five."""
    minute = 30 if m[1].lower() == "half" else 15
    hour = CARDINAL[m[3].lower()]
    if m[2].lower() in ("to", "before", "till"):
        hour, minute = (hour - 1) or 12, 60 - minute
    return clock(m[0], hour, minute, "", False)


def _shared(text: str, end: int, value: Value) -> Iterator[Value]:
    """What else a number may come to by the word behind it: two decades, two or three hundred."""
    if isinstance(value, str) or not (m := _BEHIND.match(text, end)):
        return
    if m[1]:
        yield tidy(value * _UNITS[m[1].lower().rstrip("s")])
    else:
        yield tidy(value * SCALE[m[2].lower()])


def _month(text: str, m: re.Match[str]) -> Iterator[Mention]:
    """A month's name is a number for certain where a day or a year stands beside it."""
    if not m[0][0].isupper():
        return
    beside = _AFTER_MONTH.match(text, m.end()) or _BEFORE_MONTH.search(
        text, max(0, m.start() - 16), m.start()
    )
    yield Mention(m[0], (MONTH[m[0].lower()],), bool(beside))


def _roman(word: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[c] for c in word]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-v if v < after else v for v, after in pairs)
