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
