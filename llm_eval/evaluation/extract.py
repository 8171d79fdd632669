"""Reading the answer out of a reply: pure rules, Korean and English, the last mark wins.

Thinking (`llm_eval.thoughts`) is set aside; an unfinished thought is no answer. Strong marks are
"정답:", "정답은", "answer is", `####` and `\\boxed{}`; weak ones, used where there is no other, are
"답은" and a bare "정답 C". None means that no answer could be read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from llm_eval import thoughts
from llm_eval.dataset.gold import boxed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CIRCLED = {chr(0x2460 + i): i for i in range(20)}
_KEY = r"(?:정답|(?<![가-힣])(?:제\s*)?(?:답변|대답|답)|\b(?:[Ff]inal\s+)?[Aa]nswer|\bANSWER)"
_SAID_SO = r"(?:\s*다음과\s*같습니다)?"
_STRONG = re.compile(
    rf"{_KEY}(?:은|는|이|\s+is)?{_SAID_SO}\s*[:：]|정답(?:은|이)\s*|\b[Aa]nswer\s+is\s|####|"
    rf"^[#*\s]*{_KEY}\s*$",
    re.MULTILINE,
)
_WEAK = re.compile(rf"{_KEY}(?:은|는)\s|정답\s+(?=[(\[「\"'`]?[A-Za-z0-9①-⑳](?![a-z]))")
_AROUND = " \t()[]{}「」『』'\"“”‘’`$*.,。!"
_COPULA = re.compile(r"(?:번)?(?:입니다|이에요|예요|이다|이며|이고)(?:[.,].*)?$")
_LABEL = re.compile(r"^[(\[]?(?:[A-Za-z]\s*[)\].:]|[①-⑳]|\d+\s*(?:번|[)\].]))\s*(?=\S)", re.DOTALL)
_LETTER = re.compile(  # of a choice: "C", "(C) 나라", "C. 나라", "C입니다"
    r"(?:\\text\{)?[(\[$'\"`]*(?<![A-Za-z])([A-Za-z])"
    r"(?:[)\]}]|[.:$'\"`](?![A-Za-z])|\s*$|\s+\(|입니다|이다|(?:가|이)\s*정답)",
    re.MULTILINE,
)
_LONE_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?\.?")
_BOLD = re.compile(r"(?<![\w)\]])\*\*(?=\S)|(?<=\S)\*\*(?![\w(\[])", re.ASCII)  # and no x**2
_NUMBER = re.compile(r"(?<![\d.])(?<!\d,)(?:(?<![\d)])-)?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")


def visible(reply: str) -> str:
    """The reply in NFC, without thoughts and bold marks.

    >>> visible("<think>답: 3?</think> **정답: 4**")
    '정답: 4'
    >>> visible("<think>아직 생각 중")
    ''
    """
    return _BOLD.sub("", thoughts.without(unicodedata.normalize("NFC", reply))).strip()


def plain(text: str) -> str:
    """`text` for comparison: NFC, one case, single spaces, no bold print or closing punctuation.

    >>> plain(" 서울 **특별시.** ") == plain("서울  특별시"), plain("x**2") == plain("x2")
    (True, False)
    """
    text = _BOLD.sub("", unicodedata.normalize("NFC", text)) or text
    folded = " ".join(text.casefold().split())
    return folded.strip(" .。!?\"'`“”‘’") or folded


def marked(reply: str) -> str | None:
    """What stands after the last of the strongest marks, to the end of its line; None without one.

    >>> marked("답은 3일까? 아니다.\\n정답: ④번")
    '④번'
    >>> marked("정답: C\\n해설: A는 답이 될 수 없다.")
    'C'
    """
    text = visible(reply)
    places = [(m.end(), _line_after(text, m.end())) for m in _STRONG.finditer(text)]
    if inside := boxed(text):
        places.append((text.rindex("\\boxed{") + 1, inside))
    places = places or [(m.end(), _line_after(text, m.end())) for m in _WEAK.finditer(text)]
    return max(places)[1] if places else None


def _line_after(text: str, place: int) -> str:
    """The first line after `place` that holds anything."""
    lines = [line for line in text[place:].split("\n") if line.strip()]
    return lines[0].strip() if lines else ""


def last_line(reply: str) -> str:
    """The last line that holds anything."""
    lines = [line for line in visible(reply).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def option(reply: str, options: Sequence[str], first: int = 1) -> str | None:
    """The option that a reply chooses, as it stands in `options`.

    Options may be letters ("A" or "(A)") or texts. A reply may name one by its text, by letter, or
    by number ("③", "3번"; a bare 3 only where no option is a number), `first` being that of the
    first one.

    >>> option("생각해 보면 B 같지만, 정답은 (C)입니다.", ["A", "B", "C", "D"])
    'C'
    >>> option("정답: ②", ["서울", "부산"]), option("부산입니다.", ["서울", "부산"])
    ('부산', '부산')
    >>> option("A or B", ["A", "B"]) is None
    True
    """
    if exact := [o for o in options if same(o, reply)]:
        return exact[0]
    tail, text = marked(reply), visible(reply)
    if tail is not None:
        return _named(tail, options) or _placed(tail, options, first, firmly=False)
    placed = _named(text, options) or _placed(text, options, first, firmly=True)
    return placed or _alone(text, options)


def _named(place: str, options: Sequence[str]) -> str | None:
    """The option whose text a place is, brackets, label and copula aside."""
    for said in readings(place):
        for alike in (same, _plainly, _barely):
            found = [o for o in options if alike(o, said)]
            if len(found) == 1:
                return found[0]
    return None


def same(one: str, other: str) -> bool:
    """The same text, Unicode form and outer space aside."""
    return unicodedata.normalize("NFC", one).strip() == unicodedata.normalize("NFC", other).strip()


def _plainly(one: str, other: str) -> bool:
    return plain(one) == plain(other)


def _barely(one: str, other: str) -> bool:
    return plain(one.strip(_AROUND)) == plain(other)


def readings(place: str, *, labels: bool = True) -> Iterator[str]:
    r"""A place as it stands, and with less and less around it; `labels`: "C." before it goes too.

    >>> list(readings(r"\text{(C)} 대구입니다."))[-1]
    '대구'
    """
    yield place
    bare = re.sub(r"\\text\{([^{}]*)\}", r"\1", place).strip(_AROUND)
    yield bare
    short = _COPULA.sub("", bare).strip(_AROUND)
    yield short
    if not labels:
        return
    yield _LABEL.sub("", re.sub(r"\\text\{([^{}]*)\}", r"\1", place).strip()).strip(_AROUND)
    yield _LABEL.sub("", short).strip(_AROUND)


def _placed(place: str, options: Sequence[str], first: int, *, firmly: bool) -> str | None:
    """The option whose letter or number a place begins with.

    `firmly`: the letter must stand as an answer does, not as a word of a sentence.
    """
    start = re.sub(r"\\text\{([^{}]*)\}", r"\1", place).lstrip(" ([「『'\"“‘`$")
    end = r"(?:[)\].:」]|\s*$|번|입니다|(?:가|이)\s*정답)" if firmly else r"(?![A-Za-z])"
    if m := re.match(rf"([A-Z]){end}|([a-z])(?=[)\].」'\"`$]*\s*$)", start):
        return _nth(LETTERS.index((m[1] or m[2]).upper()), options)
    if start[:1] in _CIRCLED:
        return _nth(_CIRCLED[start[0]], options)
    if m := re.match(r"(\d+)\s*번", start):
        return _nth(int(m[1]) - first, options)
    numeric = any(as_number(o) is not None for o in options)
    if not numeric and (m := re.match(r"(\d{1,2})(?:\s*$|[).](?!\d))", start)):
        return _nth(int(m[1]) - first, options)
    return None


def _alone(text: str, options: Sequence[str]) -> str | None:
    """The one letter or circled number that stands alone in the reply; articles are none."""
    last = LETTERS[: len(options)][-1:] or "A"
    text = re.sub(r"\bA(?=\s(?!or\b|and\b|is\b)[a-z])|\bI\b(?=\s[a-z])", "", text)
    letters = set(re.findall(rf"(?<![A-Za-z])([A-{last}])(?![A-Za-z'’])", text))
    circled = {c for c in text if c in _CIRCLED}
    if len(letters) + len(circled) != 1:
        return None
    return _nth(LETTERS.index(letters.pop()) if letters else _CIRCLED[circled.pop()], options)


def _nth(place: int, options: Sequence[str]) -> str | None:
    return options[place] if 0 <= place < len(options) else None


def lone_letter(reference: str) -> str | None:
    """The letter that a reference is, in brackets or not.

    >>> lone_letter("(C)"), lone_letter("c"), lone_letter("C++")
    ('C', 'C', None)
    """
    m = _LONE_LETTER.fullmatch(reference.strip())
    return m[1].upper() if m else None


def letter(reply: str) -> str | None:
    """The letter that a reply marks, as one does that of a choice, or else its last line or its
    first begins with.

    >>> letter("정답은 (C) 나라입니다."), letter("C. 나라"), letter("C++")
    ('C', 'C', None)
    """
    for place in (marked(reply), last_line(reply), visible(reply)):
        if m := _LETTER.match(place or ""):
            return m[1].upper()
    return None


def number(reply: str) -> float | None:
    """The number a reply gives: the one after the last mark, else the last one.

    Of an equation it is what stands after the last `=`; what stands in brackets is an aside.

    >>> number("2 더하기 2는 4이므로 정답: 1,204개"), number("없음") is None
    (1204, True)
    >>> number("정답: 3 + 4 = 7 (확인함)")
    7
    """
    tail = marked(reply)
    if tail is None:
        found = _numbers(visible(reply))
        return as_number(found[-1]) if found else None
    for place in (tail.split("(")[0].rsplit("=", 1)[-1], tail):
        if found := _numbers(place):
            return as_number(found[0])
    return None


def _numbers(text: str) -> list[str]:
    return [m[0].rstrip(",") for m in _NUMBER.finditer(text.replace("\u2212", "-"))]


def as_number(text: str) -> float | None:
    """The number that a whole text is. A comma groups three digits; else it makes a list.

    >>> as_number("70,000"), as_number("$18"), as_number("열"), as_number("1,2")
    (70000, 18, None, None)
    """
    bare = text.replace("\u2212", "-").strip().strip("$₩€%")
    if not re.fullmatch(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|-?\.\d+", bare, re.ASCII):
        return None
    bare = bare.replace(",", "").rstrip(".")
    return float(bare) if "." in bare else int(bare)  # a whole number is kept to the last digit
