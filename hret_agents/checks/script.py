"""Is a text in the target language? By its script, by words left over, by fastText's model."""

from __future__ import annotations

import re
from functools import cache

from hret_agents.checks.base import Rules
from hret_agents.checks.code import is_program, prose_of
from hret_agents.checks.language import wrong_language
from hret_agents.checks.names import UNITS, written_short
from hret_agents.translate.masks import letters_outside, spans_of
from hret_agents.translate.scripts import LETTER, SCRIPTS, worth_translating

_LETTERS = re.compile(f"{LETTER}+")
_QUOTED = (
    r"\"[^\"\n]*\"|“[^“”\n]*”|‘[^‘’\n]*’|(?<!\w)'[^'\n]*'|「[^「」]*」|『[^『』]*』|«[^«»]*»|〈[^〈〉]*〉|"
    r"《[^《》]*》"
)
_BRACKETED = r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）"
_QUOTE = re.compile(_QUOTED)
_BRACKETS = re.compile(_BRACKETED)
_ASIDE = re.compile(f"{_QUOTED}|{_BRACKETED}")
_TOKEN = re.compile(r"[A-Za-z0-9_À-ɏ][A-Za-z0-9_À-ɏ./+#&'’-]*")
_ORDINARY = re.compile(r"[a-zà-ɏ]{2,}(?:['’-][a-zà-ɏ]+)*\Z")  # a word in lower case, no name
_RUN = re.compile(
    r"(?<![A-Za-z0-9_'’-])[a-z]+(?:['’-][a-z]+)*(?:[,;:]?\s+[a-z]+(?:['’-][a-z]+)*){3,}"
)
_SPLIT = re.compile(r"[,;:]?\s+")
_CODE_LINE = re.compile(
    r"^[ \t]*(?:for|while|if|elif|else|def|class|with|try|except)\b[^\n]*:[ \t]*$", re.MULTILINE
)
_FOREIGN_TO_KOREAN = re.compile(r"[a-zà-ɏͰ-ӿ֐-ᄀ぀-ヿ㐀-鿿]{2}")
_LETTERS_OF = {
    "Hangul": "가-힣",
    "Han": "㐀-䶿一-鿿",
    "kana": "ぁ-ゖァ-ヺ",
    "Cyrillic": "Ѐ-ԯ",
    "Arabic": "ء-ۓ",
    "Hebrew": "א-ת",
    "Thai": "ก-๎",
    "Devanagari": "ऀ-ॣ",
}
_OF_LETTERS = re.compile(  # a source that speaks of letters may name one of them
    r"\b(?:hangul|hanja|kanji|hiragana|katakana|kana|cyrillic|devanagari|"
    r"(?:korean|chinese|japanese|russian|ukrainian|bulgarian|arabic|persian|hebrew|thai|hindi|"
    r"sanskrit)\s+(?:alphabet|character|letter|name|phrase|radical|script|symbol|word|writing)s?)\b",
    re.IGNORECASE,
)
LEAST_SHARE = 0.3


def target_script(source: str, target: str, rules: Rules) -> str:
    """The text must be in the target language, as far as its script or its words tell.

    >>> rules = Rules(lang="ko")
    >>> target_script("Which animal is a mammal?", "Which animal is a mammal?", rules)
    'the text came back untranslated'
    >>> target_script("Water boils at once.", "Wasser kocht sofort.", rules)
    "there is no letter of the language 'ko' in it"
    >>> target_script("It boils when it is hot enough.", "물은 when it is hot enough", rules)
    "a run of the source was left as it is: 'when it is hot'"
    >>> target_script("The boy went to school.", "소년은 学校에 갔다.", rules)
    "it holds Han letters, which the source does not: '学校'"
    >>> target_script("DNA and RNA", "DNA와 RNA", rules)
    ''
    >>> target_script("60 km per hour", "60km/h", rules)
    ''
    """
    if "\ufffd" in target and "\ufffd" not in source:
        return "it holds a replacement character (U+FFFD): write the letter that was lost"
    outside, new = letters_outside(source), letters_outside(target)
    if third := _third_script(source, new, rules.lang):
        return third
    if not worth_translating(source, rules.source_lang):
        return ""  # a formula, a number: nothing to translate
    if is_program(source):
        unchanged = source.strip() == target.strip() and prose_of(source)
        return "the comments and docstrings came back untranslated" if unchanged else ""
    if unchanged_text(source, target):
        return "the text came back untranslated"
    script = SCRIPTS.get(rules.lang)
    if script is None:
        if wrong := wrong_language(new, rules.lang):
            return f"it is not in the language {rules.lang!r}, but in {wrong!r}"
        return ""
    if not script.search(new):
        if not _LETTERS.search(new) and any(map(str.isdecimal, new)) and len(outside.split()) < 4:
            return ""  # `twelve` may become 12
        if written_short(outside, new):
            return ""
        return f"there is no letter of the language {rules.lang!r} in it"
    if not _foreign(new, rules.lang):
        return ""
    if (run := _left_over(source, target)) and _left_over(source, _without_kept(source, target)):
        return f"a run of the source was left as it is: {run!r}"
    if len(outside.split()) > 2 and unchanged_text(source, _BRACKETS.sub("", target)):
        return "it is the source with a translation in brackets: write the translation alone"
    if _share(new, script) < LEAST_SHARE:
        return f"most of it is not in the language {rules.lang!r}: translate all of it"
    return ""


def unchanged_text(source: str, target: str) -> bool:
    """Is a translation its source, spaces aside?

    >>> unchanged_text("5 km", "5km"), unchanged_text("NASA", "나사")
    (True, False)
    """
    return source == target or "".join(source.split()) == "".join(target.split())


def quoted_left(source: str, target: str, rules: Rules) -> str:
    """A quotation of the source that stands in the translation as it was: four words and more.

    >>> rules = Rules(lang="ko")
    >>> quoted_left('What is "once in a blue moon"?', '"once in a blue moon"은 무엇?', rules)
    "a quotation was left as it is: 'once in a blue'"
    >>> quoted_left('What is "once in a blue moon"?', "‘아주 드물게’는 무엇?", rules)
    ''
    """
    if rules.lang not in SCRIPTS or not _RUN.search(target) or unchanged_text(source, target):
        return ""
    run = _left_over(source, target)
    if not run or _left_over(source, _without(target, _kept_quotes(source, target))):
        return ""
    return f"a quotation was left as it is: {run!r}"


# -- other scripts ---------------------------------------------------------------------------------


@cache
def _third_scripts(lang: str) -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]] | None:
    """The letters of scripts that a language has not, together and one by one; None if unknown."""
    own = SCRIPTS.get(lang)
    if own is None:
        return None
    third = {
        name: re.compile(f"[{letters}]+")
        for name, letters in _LETTERS_OF.items()
        if not own.search(letters)
    }
    return re.compile(f"[{''.join(_LETTERS_OF[name] for name in third)}]"), third


def _third_script(source: str, new: str, lang: str) -> str:
    """Letters of a script that is neither the target's nor the source's, outside quotes and
    brackets."""
    if new.isascii() or (known := _third_scripts(lang)) is None or not known[0].search(new):
        return ""
    bare = _ASIDE.sub(" ", new)
    for name, letters in known[1].items():
        if (m := letters.search(bare)) and not letters.search(source):
            if not _OF_LETTERS.search(source):
                return f"it holds {name} letters, which the source does not: {m[0][:40]!r}"
    return ""


# -- what was left over ----------------------------------------------------------------------------


def _foreign(text: str, lang: str) -> bool:
    """Might a text hold words of another language? A quick look, for most hold none."""
    return lang != "ko" or _FOREIGN_TO_KOREAN.search(text) is not None


def _left_over(source: str, target: str, words: int = 4) -> str:
    """Four lower-case words in a row that stand in source and target alike; what is protected
    ends a row."""
    runs = _runs(target)
    if not runs:
        return ""
    known = {
        tuple(run[i : i + words]) for run in _runs(source) for i in range(len(run) - words + 1)
    }
    for run in runs:
        for i in range(len(run) - words + 1):
            if tuple(run[i : i + words]) in known:
                return " ".join(run[i : i + words])
    return ""


def _runs(text: str) -> list[list[str]]:
    parts, last = [], 0
    for start, end in spans_of(text):
        parts.append(text[last:start])
        last = end
    parts.append(text[last:])
    return [_SPLIT.split(m[0]) for part in parts for m in _RUN.finditer(part)]


def _without_kept(source: str, target: str) -> str:
    """`target` without what may stand as it was: quotations, and lines of code."""
    lines = {m[0].strip() for m in _CODE_LINE.finditer(source)}
    code = [m.span() for m in _CODE_LINE.finditer(target) if m[0].strip() in lines]
    return _without(target, sorted([*code, *_kept_quotes(source, target)]))


def _kept_quotes(source: str, target: str) -> list[tuple[int, int]]:
    """Where `target` quotes what `source` quotes, sign by sign."""
    quoted = {_inner(m[0]) for m in _QUOTE.finditer(source)}
    return [m.span() for m in _QUOTE.finditer(target) if _inner(m[0]) in quoted]


def _inner(quote: str) -> str:
    return quote[1:-1].strip(" .,!?;:")


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts, last = [], 0
    for start, end in spans:
        if start >= last:
            parts.append(text[last:start])
            last = end
    return " | ".join([*parts, text[last:]])


def _share(text: str, script: re.Pattern[str]) -> float:
    """The share of a script in the letters of a text. Names, acronyms, units, single letters and
    words of other scripts in quotes or brackets are not counted."""
    bare = _ASIDE.sub(lambda m: f" {''.join(script.findall(m[0]))} ", text)
    letters = "".join(_LETTERS.findall(_TOKEN.sub(_ordinary, bare)))
    return len(script.findall(letters)) / len(letters) if letters else 1.0


def _ordinary(m: re.Match[str]) -> str:
    word = m[0].rstrip("./+#&'’-")
    return word if _ORDINARY.match(word) and word not in UNITS else " "
