"""Reading the answer out of a reply: pure rules, Korean and English, the last mark wins.

Thinking (`<think>…</think>`) is set aside, an unfinished thought is no answer. A mark is "정답:",
"답은", "answer is", `####`, `\\boxed{}`. None means that no answer could be read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CIRCLED = {chr(0x2460 + i): i for i in range(20)}
_MARK = r"(?:정답|(?<![가-힣])답|[Ff]inal answer|[Aa]nswer|ANSWER)(?:\s*(?:은|는|is))?\s*[:：]?\s*"
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_NUMBER = r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"


def visible(reply: str) -> str:
    """The reply in NFC, without thoughts and bold marks.

    >>> visible("<think>답: 3?</think> **정답: 4**")
    '정답: 4'
    >>> visible("<think>아직 생각 중")
    ''
    """
    text = unicodedata.normalize("NFC", reply)
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    text = text.rsplit("</think>", 1)[-1]
    return text.split("<think>")[0].replace("**", "").strip()


def plain(text: str) -> str:
    """`text` for comparison: NFC, one case, single spaces, no closing punctuation.

    >>> plain(" 서울 특별시. ") == plain("서울  특별시")
    True
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(folded.split()).strip(" .。!?\"'`“”‘’")


def marked(reply: str) -> str | None:
    """What stands after the last answer mark, to the end of its line; None without a mark.

    >>> marked("답은 3일까? 아니다.\\n정답: ④번")
    '④번'
    """
    text = visible(reply)
    if boxed := _BOXED.findall(text):
        return str(boxed[-1]).strip()
    if "####" in text:
        return text.rsplit("####", 1)[1].strip().split("\n")[0]
    parts = re.split(_MARK, text)
    if len(parts) == 1:
        return None
    lines = parts[-1].strip().split("\n")
    return lines[0].strip()


def last_line(reply: str) -> str:
    """The last line that holds anything."""
    lines = [line for line in visible(reply).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def option(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply chooses, as it stands in `options`.

    Options may be letters ("A" or "(A)") or texts. A reply may name one by letter, by number
    ("③", "3번") or by its text.

    >>> option("생각해 보면 B 같지만, 정답은 (C)입니다.", ["A", "B", "C", "D"])
    'C'
    >>> option("정답: ②", ["서울", "부산"]), option("부산", ["서울", "부산"])
    ('부산', '부산')
    >>> option("A or B", ["A", "B"]) is None
    True
    """
    text = visible(reply)
    tail = marked(reply)
    for place in (tail, text):
        if place is not None and (found := _named(place, options)) is not None:
            return found
    if tail is not None and (found := _leading(tail, options)) is not None:
        return found
    if (found := _leading(text, options, closed=True)) is not None:
        return found
    return _alone(text, options)


def _named(place: str, options: Sequence[str]) -> str | None:
    """The option whose text `place` is, a letter prefix aside."""
    bare = re.sub(r"^\(?[A-Z][).:]\s+", "", place)
    same = [o for o in options if plain(o) in (plain(place), plain(bare))]
    return same[0] if len(same) == 1 else None


def _leading(place: str, options: Sequence[str], *, closed: bool = False) -> str | None:
    """The option whose letter or number `place` begins with.

    `closed`: the letter must have a bracket, a stop, or nothing after it.
    """
    end = r"(?:[).:]|\s*$)" if closed else r"(?![A-Za-z])"
    if m := re.match(rf"[(\[]?([A-Z]){end}", place):
        return _nth(LETTERS.index(m[1]), options)
    if place[:1] in _CIRCLED:
        return _nth(_CIRCLED[place[0]], options)
    if m := re.match(r"\(?(\d+)\s*번", place):
        return _nth(int(m[1]) - 1, options)
    return None


def _alone(text: str, options: Sequence[str]) -> str | None:
    """The one letter, or circled number, that stands alone in the reply."""
    last = LETTERS[: len(options)][-1:] or "A"
    letters = set(re.findall(rf"(?<![A-Za-z])([A-{last}])(?![A-Za-z])", text))
    circled = {c for c in text if c in _CIRCLED}
    if len(letters) + len(circled) != 1:
        return None
    return _nth(LETTERS.index(letters.pop()) if letters else _CIRCLED[circled.pop()], options)


def _nth(place: int, options: Sequence[str]) -> str | None:
    return options[place] if 0 <= place < len(options) else None


def number(reply: str) -> float | None:
    """The number a reply gives: the one after the last mark, else the last one.

    >>> number("2 더하기 2는 4이므로 정답: 1,204개"), number("없음") is None
    (1204.0, True)
    """
    tail = marked(reply)
    found = re.findall(_NUMBER, tail) if tail else []
    if found:
        return as_number(found[0])
    found = re.findall(_NUMBER, visible(reply))
    return as_number(found[-1]) if found else None


def as_number(text: str) -> float | None:
    """The number that a whole text is.

    >>> as_number("70,000"), as_number("$18"), as_number("열")
    (70000.0, 18.0, None)
    """
    bare = text.strip().strip("$₩€%").replace(",", "")
    try:
        return float(bare) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", bare) else None
    except ValueError:
        return None
