"""The numbers of a Korean text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

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

_SMALL = {"십": 10, "백": 100, "천": 1000}
_BIG = {"만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_SINO = {c: n for n, c in enumerate("영일이삼사오육칠팔구")} | {"륙": 6, "공": 0}
_UNITS = dict(zip("하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉".split(), range(1, 10), strict=True))
_UNITS |= {"한": 1, "두": 2, "세": 3, "석": 3, "네": 4, "넉": 4}
_TENS = dict(
    zip("열 스물 서른 마흔 쉰 예순 일흔 여든 아흔".split(), range(10, 100, 10), strict=True)
)
_TENS |= {"스무": 20}
_BARE = "한 두 세 네 석 넉".split()  # they count only before what is counted

_COUNTERS = (
    "명|개|원|달러|유로|엔|위안|파운드|센트|년|달|월|주|일|시간|분|초|대|마리|권|장|부|석|톤|킬로|미터|"
    "센티|밀리|그램|리터|여|가지|건|곳|가구|가정|평|표|번|회|배|에이커|헥타르|그루|송이|병|통|자루|상자|점|"
    "쪽|페이지|단어|자|볼트|와트|칼로리|마일|피트|인치|야드|제곱|세제곱|층|세기|세|살|도|인|호|퍼센트|프로|"
    "학년|학기|주일|개월|단계|편|곡|벌|켤레|쌍|채|척|줄|조각|잔|컵|판|봉지|묶음|다발|사람|분기|대조|위|차|"
    "바퀴|걸음|군데|글자|문제|단위|관중|인구|관객|볼|사|km|kg|cm|mm|m|g|t|%|㎞|㎏|㎡|㎝"
)
_COUNTER = re.compile(rf"\s?(?:{_COUNTERS})")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]\d)|\d+(?:\.\d+)?(?!\.?\d)|\d+"
_HALF_DAY = re.compile(r"(오전|오후|새벽|아침|한낮|대낮|낮|저녁|밤|[ap]\.m\.)\s?\Z")
_DIGITS = re.compile(
    r"(?:"
    r"(?P<h>\d{1,2})(?::(?P<m>\d\d)(?![:\d])|\s?시(?![간즌리도립민장군절내청집댁험술합])"
    r"(?:\s?(?P<min>\d{1,2})\s?분(?!의)|\s?(?P<halfpast>반)(?![가-힣]{2}))?)"
    r"|(?:(?P<whole>\d{1,9})(?:\s?[과와]\s?|\s|,\s))?(?<![\d/])"
    r"(?:(?P<under>\d{1,9})\s?분의\s?(?P<over>\d{1,9})|(?P<num>\d{1,4})\s?[/⁄]\s?(?P<den>\d{1,4})(?![\d/]))"
    rf"|(?P<n>{_NUMBER})"
    r")|(?<![\w.])(?P<dot>\.\d+)"
)
_NEXT = re.compile(rf"\s?({_NUMBER})")
_HALVES = {
    "오전": "a",
    "새벽": "a",
    "아침": "a",
    "a.m.": "a",
    "오후": "p",
    "저녁": "p",
    "p.m.": "p",
}
_HALVES |= {"밤": "n"}
_DOZEN = re.compile(r"\s?(?:다스|타(?![가-힣]))")
_RANGED = re.compile(
    rf"\s?(?:~|-|–|,|에서|부터|내지|또는|이나)\s?(?:{_NUMBER})\s?([천백십])?([만억조])?"
)

_FIRST = re.compile(r"[열스서마쉰예일여아하한둘두셋세석넷네넉다](?<![가-힣].)")
_WORDS = re.compile(
    r"(?:"
    r"(?P<tens>열|스물|스무|서른|마흔|쉰|예순|일흔|여든|아흔)?"
    r"(?P<unit>하나|한|둘|두|셋|세|석|넷|네|넉|다섯|여섯|일곱|여덟|아홉)?(?P<native>)"
    rf"(?=(?P<counter>\s?(?:{_COUNTERS}|째|번째|시|다스|끼|손|발|눈|팔|골|배))?(?P<next>\s?[가-힣])?)"
    r")(?<=[가-힣])"
)
_SINO_RUN = re.compile(
    rf"(?<![가-힣])(?:(?P<under>[일이삼사오육칠팔구십백천만]+)분의\s?(?P<over>[일이삼사오육칠팔구십백천]+)"
    rf"|(?P<run>[영일이삼사오육륙칠팔구십백천만억조]+)(?=(?P<space>\s)?(?:{_COUNTERS})))"
)
_A_TIME = re.compile(r"\s(?:년|개월|주일|분|초)(?![가-힣]{2})")
_HOLDING: dict[str, tuple[Value, ...]] = {
    "하루": (1, 24), "이틀": (2,), "사흘": (3,), "나흘": (4,), "닷새": (5,), "엿새": (6,),
    "이레": (7,), "여드레": (8,), "아흐레": (9,), "열흘": (10,), "보름": (15,), "일주일": (7, 1),
    "첫": (1,), "절반": (0.5, 50), "반": (0.5, 50, 30), "갑절": (2,), "곱절": (2,), "양쪽": (2,),
    "쌍": (2,), "혼자": (1,), "홀로": (1,), "유월": (6,), "시월": (10,), "한두": (1, 2),
    "두세": (2, 3), "두어": (2,), "서너": (3, 4), "네댓": (4, 5), "너덧": (4, 5),
    "대여섯": (5, 6), "예닐곱": (6, 7), "일고여덟": (7, 8), "다스": (12,), "십대": (10,),
    "매년": (1,), "매일": (1,), "단일": (1,), "유일": (1,), "전체": (100,), "모두": (100, 2),
    "전부": (100,), "제로": (0,), "이중": (2,), "삼각": (3,), "사각": (4,), "오각": (5,),
    "육각": (6,), "팔각": (8,), "삼차": (3,), "이차": (2,), "일차": (1,), "제곱": (2,),
    "세제곱": (3,), "쌍둥이": (2,), "세쌍둥이": (3,), "부부": (2,), "남매": (2,), "삼형제": (3,),
    "이산화": (2,), "아니": (0,), "없": (0,),
}  # fmt: skip
_HELD = re.compile("|".join(sorted(_HOLDING, key=len, reverse=True)) + "|정오|자정")


def korean(text: str) -> list[Mention]:
    """The numbers of a Korean text, in no order."""
    return [*_in_digits(text), *_native(text), *_sino(text), *_held(text)]


# -- digits ----------------------------------------------------------------------------------------


def _in_digits(text: str) -> Iterator[Mention]:
    end = 0
    for m in at_digits(_DIGITS, text):
        if m.start() < end:
            continue  # read with what stands before
        if m["h"]:
            yield _time(text, m)
        elif m["under"] or m["num"]:
            over, under = int(m["over"] or m["num"]), int(m["under"] or m["den"])
            if m["whole"]:
                part = tidy(over / under) if under else 0
                whole = int(m["whole"])
                parts: list[tuple[Value, ...]] = [(whole, part), (whole, over, under)]
                yield Mention(m[0].strip(), (tidy(whole + part),), True, "plain", parts)
            else:
                yield fraction(m[0].strip(), over, under)
        else:
            mention, end = _scaled(text, m)
            yield mention


def _time(text: str, m: re.Match[str]) -> Mention:
    hour = int(m["h"])
    minute = int(m["m"] or m["min"] or (30 if m["halfpast"] else 0))
    if hour > 24 or minute > 59:
        return Mention(m[0].strip(), (m[0].strip(),), True, "fraction", [(hour, minute)])
    half = _half(text, m.start(), hour)
    return clock(m[0].strip(), hour, minute, half)


def _half(text: str, start: int, hour: int) -> str:
    """The half of the day that stands before a time: a, p, n, or nothing."""
    if not (said := _HALF_DAY.search(text[max(0, start - 6) : start])):
        return ""
    around_noon = "a" if hour in (10, 11) else "p"
    return _HALVES.get(said[1], around_noon)


def _scaled(text: str, m: re.Match[str]) -> tuple[Mention, int]:
    """A number with what 천, 만, 억 follow it, and where it ends.

    >>> text = "1억 2,000만 명"
    >>> _scaled(text, _DIGITS.match(text))[0].values
    (120000000,)
    """
    written = m["n"] or m["dot"]
    start = m.start("n") if m["n"] else m.start("dot")
    plain, end = number(written), m.end()
    if text[end : end + 1] not in "십백천만억조경" or end >= len(text) or isinstance(plain, str):
        return _unscaled(text, m, written, plain)
    total, section, current = 0.0, 0.0, float(plain)
    last, small, steps = 10**20, 10**4, 0
    while end < len(text) and text[end] in "십백천만억조경":
        sign = text[end]
        if sign in _SMALL and _SMALL[sign] < small:
            small = _SMALL[sign]
            section += (current or 1) * small
            current = 0.0
        elif sign in _BIG and _BIG[sign] < last and _is_scale(text, end, steps):
            last, small = _BIG[sign], 10**4
            total += (section + current) * last
            section = current = 0.0
        else:
            break
        steps += 1
        end += 1
        if (more := _NEXT.match(text, end)) and len(more[1]) < 12:
            value = float(more[1].replace(",", ""))
            behind = text[more.end() : more.end() + 1]
            limit = small if small < 10**4 else last
            if value >= limit or (behind == "/" or text[more.end() :].startswith("분의")):
                break
            current, end = value, more.end()
    if not steps:
        return _unscaled(text, m, written, plain)
    values: tuple[Value, ...] = (tidy(total + section + current),)
    if steps == 1 and end == m.end() + 1 and not _COUNTER.match(text, end):
        values += (plain,)  # 5만: fifty thousand, or only 5
    return Mention(text[start:end], values, True), end


def _is_scale(text: str, place: int, steps: int) -> bool:
    """Does 만, 억, 조 or 경 at `place` scale the number before it?"""
    behind = text[place + 1 : place + 3]
    if text[place] == "만":
        return not behind.startswith("큼")
    if text[place] == "억":
        return True
    return (
        bool(_COUNTER.match(text, place + 1))
        or re.match(r"\s?\d[\d,]*[천백]?[억만]", text[place + 1 :][:12]) is not None
    )


def _unscaled(text: str, m: re.Match[str], written: str, plain: Value) -> tuple[Mention, int]:
    values: tuple[Value, ...] = (plain,)
    if _DOZEN.match(text, m.end()) and not isinstance(plain, str):
        values = (tidy(plain * 12),)
    elif ranged := _RANGED.match(text, m.end()):
        scale = _SMALL.get(ranged[1] or "", 1) * _BIG.get(ranged[2] or "", 1)
        values = (plain, number(written, scale)) if scale > 1 else values
    return Mention(written, values, True), m.end()


# -- words -----------------------------------------------------------------------------------------


def _native(text: str) -> Iterator[Mention]:
    """하나, 둘, 셋; 한, 두, 세 before what they count."""
    for start in islice(_FIRST.finditer(text), MOST):
        if not (m := _WORDS.match(text, start.start())):
            continue
        unit, counter = m["unit"] or "", m["counter"] or ""
        if unit in _BARE and not counter and not (m["next"] or "").startswith(" "):
            continue
        if not unit and not counter and m["tens"] in ("열", "쉰", "스무"):
            continue
        value = _TENS.get(m["tens"] or "", 0) + _UNITS.get(unit, 0)
        counted = bool(counter) and value > 1
        if (
            counter.strip() == "시"
            and value <= 12
            and not text[m.end() :].lstrip().startswith("시간")
        ):
            yield _native_time(text, m, value)
        elif counter.strip() == "다스":
            yield soft(m[0], value * 12)
        else:
            yield soft(m[0] + counter, value, counted=counted)


def _native_time(text: str, m: re.Match[str], hour: int) -> Mention:
    half = _half(text, m.start(), hour)
    after = re.match(r"\s?시\s?(?:(반)|(\d{1,2})\s?분)?", text[m.end() : m.end() + 12])
    minute = 0
    if after:
        minute = 30 if after[1] else int(after[2] or 0)
    return clock(m[0], hour, minute, half, False)


def _sino(text: str) -> Iterator[Mention]:
    for m in islice(_SINO_RUN.finditer(text), MOST):
        if m["run"]:
            if m["run"] in ("이", "일", "조", "사", "오", "공") and m["space"]:
                if m["run"] != "일" or not _A_TIME.match(text, m.end()):
                    continue  # this, day, only, article
            value = _sino_value(m["run"])
            if value is not None:
                yield soft(m[0], value, counted=len(m["run"]) > 1 and value > 10)
        else:
            over, under = _sino_value(m["over"]), _sino_value(m["under"])
            if over is not None and under:
                yield fraction(m[0], over, under, False)


def _sino_value(run: str) -> int | None:
    """The value of a Sino-Korean numeral; None if it is none.

    >>> _sino_value("천구백팔십사"), _sino_value("이십만"), _sino_value("사이")
    (1984, 200000, None)
    """
    total = section = 0
    current: int | None = None
    small, last = 10**4, 10**20
    for c in run:
        if c in _SINO:
            if current is not None:
                return None
            current = _SINO[c]
        elif c in _SMALL:
            if _SMALL[c] >= small:
                return None
            small = _SMALL[c]
            section += (1 if current is None else current) * small
            current = None
        else:
            if _BIG[c] >= last:
                return None
            last, small = _BIG[c], 10**4
            total += (section + (current or 0) or 1) * last
            section, current = 0, None
    return total + section + (current or 0)


def _held(text: str) -> Iterator[Mention]:
    for m in islice(_HELD.finditer(text), MOST):
        if m[0] == "정오":
            yield clock(m[0], 12, 0, "p", False)
        elif m[0] == "자정":
            yield clock(m[0], 0, 0, "a", False)
        else:
            yield soft(m[0], *_HOLDING[m[0]])
