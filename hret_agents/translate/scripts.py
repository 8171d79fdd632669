"""Scripts of languages: is a text in the target language, is there anything to translate?"""

from __future__ import annotations

import re

from hret_agents.translate.masks import letters_outside

SCRIPTS = {
    "ko": re.compile(r"[가-힣ㄱ-ㆎ]"),
    "ja": re.compile(r"[぀-ヿ一-鿿]"),
    "zh": re.compile(r"[一-鿿]"),
    "ru": re.compile(r"[Ѐ-ӿ]"),
    "uk": re.compile(r"[Ѐ-ӿ]"),
    "bg": re.compile(r"[Ѐ-ӿ]"),
    "ar": re.compile(r"[؀-ۿ]"),
    "fa": re.compile(r"[؀-ۿ]"),
    "he": re.compile(r"[֐-׿]"),
    "hi": re.compile(r"[ऀ-ॿ]"),
    "th": re.compile(r"[฀-๿]"),
    "el": re.compile(r"[Ͱ-Ͽ]"),
}
_NAME_LIKE = re.compile(r"^[\W\d_]*(?:[A-Z][\w.&'+#-]*|\d\S*|[a-z]{0,2}[A-Z]\w*|[^\W\d_])[\W_]*$")


def worth_translating(text: str) -> bool:
    """Does a text hold a word (two letters in a row) outside its protected spans?

    >>> worth_translating("12.5"), worth_translating("$x+y$"), worth_translating("or")
    (False, False, True)
    """
    return re.search(r"[^\W\d_]{2,}", letters_outside(text)) is not None


def in_language(text: str, lang: str) -> bool:
    """Is a text in `lang` already, by the script of most of its letters? False where none tells.

    >>> in_language("DNA 검사", "ko"), in_language("DNA test", "ko"), in_language("Test", "de")
    (True, False, False)
    """
    script = SCRIPTS.get(lang)
    bare = letters_outside(text)
    letters = sum(map(str.isalpha, bare))
    return script is not None and letters > 0 and len(script.findall(bare)) / letters >= 0.4


def has_script(text: str, lang: str) -> bool | None:
    """Does a text hold a letter of the script of `lang`? None where the script tells nothing."""
    script = SCRIPTS.get(lang)
    return None if script is None else script.search(letters_outside(text)) is not None


UNITS = frozenset(
    "sin cos tan log ln exp sqrt mod max min km cm mm nm kg mg lb lbs oz ft yd mi mph kmh sec hr "
    "hz khz mhz ghz kb mb gb tb mol rad deg".split()
)


_FORMULA = re.compile(r"[=^+*<>≤≥→⇌√×÷∫∑]")
_ORDINARY = frozenset(  # capitals make no name of these
    "a all any both either false he i it neither never no none not she that the they this true we "
    "yes you".split()
)


def name_like(text: str) -> bool:
    """Names, acronyms, units, functions: what a good translation may leave as it is.

    >>> name_like("iPhone 15"), name_like("60 mph"), name_like("TCP/IP"), name_like("The big one")
    (True, True, True, False)
    >>> name_like("None"), name_like("The Beatles"), name_like("E = mc^2")
    (False, True, True)
    """
    bare = letters_outside(text)
    parts = [part for part in re.split(r"\W+", bare) if part and part not in UNITS]
    if _FORMULA.search(bare):
        return all(len(part) <= 2 or _NAME_LIKE.match(part) for part in parts)
    if parts and all(len(part) > 1 and part.lower() in _ORDINARY for part in parts):
        return False
    return len(bare.split()) <= 4 and all(map(_NAME_LIKE.match, parts))
