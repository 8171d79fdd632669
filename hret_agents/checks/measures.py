"""Signs and units of numbers: a minus, a percent sign, a currency, a unit that was swapped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

_SIGNS = re.compile(  # a cheap test: nothing below speaks without one
    r"[-−$€£]\$?\s?\d|\d[\s-]?(?:%|per ?c|pct|mile|kilo|km|pound|lb|kg|f[eo][eo]t|met|inch|"
    r"centi|cm|doll|gallon|quart|yard|ounce|oz|acre|°|degree)",
    re.IGNORECASE,
)
_MINUS = re.compile(  # no range, no hyphen, no subtraction, no bullet
    r"[-−](?=\$?\d)(?<![\w)\]%$.'’\"”\n-].)(?<!\b\w\s.)(?<!\)\s.)\$?\d[\d,.]*"
)
_BELOW = re.compile(
    r"[-−–‐—]|영하|마이너스|음수|음의|음전|기원전|빼|뺀|뺄|줄|감소|하락|손실|손해|적자|미만|이하|아래|낮|해저|지하|벌점|"
    r"감점|부채|빚|떨어|내[려린리]|잃|깎"
)
_PERCENT = re.compile(r"(\d[\d,.]*)\s?(?:%|per ?cent\b|pct\b)", re.I)
_PARTED = re.compile(r"[%％‰]|퍼센|프로|백분|분의|배|할|반|포인트|%p")
_BEGINNINGS = (
    "mile kilo km pound lb kg feet foot met inch cm cent gallon quart yard ounce oz acre ° degree"
).split()
_MEASURED = re.compile(
    r"(\d[\d,.]*)[\s-]?(?:(?P<mile>miles?)|(?P<km>kilomet(?:er|re)s?|kms?)|(?P<pound>pounds?|lbs?)|"
    r"(?P<kg>kilograms?|kgs?)|(?P<foot>feet|foot)|(?P<m>meters?|metres?)|(?P<inch>inch(?:es)?)|"
    r"(?P<cm>centimet(?:er|re)s?|cms?)|(?P<gallon>gallons?)|(?P<quart>quarts?)|(?P<yard>yards?)|"
    r"(?P<ounce>ounces?|oz)|(?P<acre>acres?)|(?P<f>(?:°|degrees?)\s?F(?:ahrenheit)?)|"
    r"(?P<c>(?:°|degrees?)\s?C(?:elsius)?))\b",
    re.IGNORECASE,
)
_UNITS = {  # of each: itself in Korean, and what it must not have become
    "mile": (r"마일|mi\b|mph", r"킬로(?!그)|km|㎞|미터"),
    "km": (r"킬로|km|㎞", r"마일|mi\b"),
    "pound": (r"파운드|lbs?", r"킬로그램|kg|㎏|그램"),
    "kg": (r"킬로|kg|㎏", r"파운드|lbs?\b"),
    "foot": (r"피트|ft|풋|척|자", r"미터|m\b|센티미터|cm|인치"),
    "m": (r"미터|m", r"피트|ft\b|야드"),
    "inch": (r"인치|in\b", r"센티미터|cm|㎝|피트"),
    "cm": (r"센티|cm|㎝", r"인치|미터|m\b"),
    "gallon": (r"갤런|gal", r"리터|L\b|ℓ|쿼트"),
    "quart": (r"쿼트|qt", r"리터|L\b|ℓ|갤런"),
    "yard": (r"야드|yd", r"미터|m\b|피트"),
    "ounce": (r"온스|oz", r"그램|g\b|밀리리터|mL"),
    "acre": (r"에이커", r"제곱미터|m²|㎡|헥타르|평"),
    "f": (r"화씨|℉|°\s?F", r"℃|°\s?C"),
    "c": (r"섭씨|℃|°\s?C", r"℉|°\s?F"),
}
_BEFORE = {"f": "섭씨", "c": "화씨"}  # what it must not have become, before its number
_PRICED = re.compile(r"([€£])\s?(\d[\d,.]*)")
_PRICES = {  # of each: itself in Korean, and what it must not have become
    "€": (r"유로|€|EUR", r"달러|파운드|원|엔|위안"),
    "£": (r"파운드|£|GBP|스털링", r"달러|유로|원|엔|위안"),
}
_WON = re.compile(r"\d\s?[십백천만억조]*\s?원(?=[이을은의에으짜씩어\s.,?!)]|$)")
_DOLLARS = re.compile(r"\$\s?\d|\bdollars?\b", re.I)
_NO_WON = re.compile(r"달러|불|\$|센트|USD|미화")


def measures(source: str, target: str) -> Iterator[str]:
    """What became of the signs and units of an English text in Korean.

    Both are without protected parts. It speaks only where nothing in the translation may stand for
    what is missing.

    >>> list(measures("It is -5 °C.", "5도이다.")), list(measures("It is -5 °C.", "영하 5도이다."))
    (['the minus of -5 is missing'], [])
    >>> list(measures("It fell by 20%.", "20 줄었다.")), list(measures("Half: 50%.", "절반"))
    (['the percent sign of 20% is missing'], [])
    >>> list(measures("He ran 5 miles.", "그는 5킬로미터를 달렸다."))
    ["5 miles became '5킬로'"]
    >>> list(measures("It is $5.", "5원이다.")), list(measures("It is $5.", "5달러이다."))
    (["dollars became '5원'"], [])
    """
    if not _SIGNS.search(source):
        return
    if (m := _MINUS.search(source)) and not _BELOW.search(target):
        yield f"the minus of {m[0]} is missing"
    low = source.lower()
    if ("%" in low or "cent" in low or "pct" in low) and not _PARTED.search(target):
        if m := _without_its_sign(source, target):
            yield f"the percent sign of {' '.join(m[0].split())} is missing"
    if any(unit in low for unit in _BEGINNINGS):
        yield from _swapped(source, target)
    for m in islice(_PRICED.finditer(source), 20):
        own, rival = _PRICES[m[1]]
        if not re.search(own, target):
            number = _number(m[2])
            if became := re.search(
                rf"{number}\s?[십백천만억조]*\s?(?:{rival})|\$\s?{number}", target
            ):
                yield f"{m[0]} became {became[0]!r}"
    if ("$" in low or "dollar" in low) and not _NO_WON.search(target) and _DOLLARS.search(source):
        if (m := _WON.search(target)) and not re.search(r"\bwon\b|₩|KRW", source):
            yield f"dollars became {m[0]!r}"


def _without_its_sign(source: str, target: str) -> re.Match[str] | None:
    """The first percentage of `source`, if `target` holds its number."""
    m = _PERCENT.search(source)
    return m if m and re.search(_number(m[1]), target) else None


def _number(written: str) -> str:
    """A pattern of a number that is no part of another."""
    return rf"(?<![\d.,]){re.escape(written.rstrip('.,'))}(?!\d|[.,]\d)"


def _swapped(source: str, target: str) -> Iterator[str]:
    """Units that stand behind the same number, and are others now."""
    for m in islice(_MEASURED.finditer(source), 20):
        own, rival = _UNITS[m.lastgroup or ""]
        if not re.search(own, target):
            number = _number(m[1])
            before = _BEFORE.get(m.lastgroup or "")
            pattern = rf"{number}\s?(?:{rival})" + (rf"|{before}\s?{number}" if before else "")
            if became := re.search(pattern, target):
                yield f"{m[0]} became {became[0]!r}"


_COMPARED = re.compile(  # no arrow, no shift, no quote's mark; behind it a number or a variable
    r"(?<![-=<>&|])(?:([<>])(=?)|([≤≥⩽⩾≦≧]))(?![-<>=])\s*(-?\d[\d,.]*|[b-zB-Z](?![A-Za-z0-9]))"
)
_ORDERED = {"⩽": "≤", "≦": "≤", "⩾": "≥", "≧": "≥", "<=": "≤", ">=": "≥"}


def compared(source: str, target: str) -> str:
    """Which signs of comparison were turned: others stand before the same number or variable.

    A sign that became words, or was added, says nothing.

    >>> compared("x < 5 and y >= 2", "x > 5이고 y ≥ 2"), compared("x < 5", "x는 5보다 작다")
    ("'< 5' became '> 5'", '')
    """
    if not _COMPARED.search(source):
        return ""
    old, new = _comparisons(source), _comparisons(target)
    added = {operand: sign for sign, operand in new - old}
    for sign, operand in old - new:
        if operand in added:
            return f"'{sign} {operand}' became '{added[operand]} {operand}'"
    return ""


def _comparisons(text: str) -> Counter[tuple[str, str]]:
    """(sign, what stands behind it) of each comparison."""
    found: Counter[tuple[str, str]] = Counter()
    for m in _COMPARED.finditer(text):
        sign = m[3] or m[1] + m[2]
        found[_ORDERED.get(sign, sign), m[4].rstrip(".,")] += 1
    return found
