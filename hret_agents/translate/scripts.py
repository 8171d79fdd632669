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
_SHARED = tuple(  # languages of one script
    frozenset(langs.split())
    for langs in (
        "ja zh yue wuu lzh",
        "ru uk bg be sr mk kk ky mn tg tt ba",
        "ar fa ur ps ug ckb sd",
        "he yi",
        "hi mr ne sa",
    )
)
_HIGH_AND_LOW = "ªº¹²³¼-¾ʰ-ʸˠ-ˤᴬ-ᵪ⁰-ₜ⅐-↋①-⓿❶-➓"  # digits and letters, and numbers in one sign
LETTER = rf"[^\W\d_{_HIGH_AND_LOW}]"  # what `str.isalpha` says of `²` and `①` too
_GREEK = "µͰ-Ͽἀ-῾"
SYMBOLS = re.compile(  # between letters they make a formula of these, no word
    rf"[{_HIGH_AND_LOW}ℂ-ℹ]|(?<![{_GREEK}])[{_GREEK}]{{1,2}}(?![{_GREEK}])"
)
_WORD = re.compile(rf"[{_GREEK}]{{2}}|(?:(?![{_GREEK}ℂ-ℹ]){LETTER}){{2}}")
_ONE_SIGN_WORDS = frozenset("zh ja ko yue wuu lzh".split())  # in these one sign may be a word
_SIGN = re.compile(r"[ぁ-ゖァ-ヺ㐀-䶿一-鿿가-힣]")


def worth_translating(text: str, source_lang: str = "") -> bool:
    """Does a text hold a word outside its protected spans?

    That is two letters in a row, or a Han, kana or Hangul sign of a source written in them.

    >>> [worth_translating(t) for t in ("or", "12.5", "$x+y$", "9.8 m/s²", "πr²")]
    [True, False, False, False, False]
    >>> worth_translating("猫", "zh"), worth_translating("猫", "en")
    (True, False)
    """
    bare = letters_outside(text)
    if _WORD.search(bare):
        return True
    return _primary(source_lang) in _ONE_SIGN_WORDS and _SIGN.search(bare) is not None


def share_script(one: str, other: str) -> bool:
    """Are two different languages written in one script, as far as this module knows scripts?

    >>> share_script("zh-CN", "ja"), share_script("en", "ko")
    (True, False)
    """
    pair = {_primary(one), _primary(other)}
    return len(pair) == 2 and any(pair <= langs for langs in _SHARED)


def in_language(text: str, lang: str, source_lang: str = "") -> bool:
    """Is a text in `lang` already, by the script of most of its letters?

    False where none tells: `lang` has no script of its own, or the source is written in it too.

    >>> in_language("DNA 검사", "ko"), in_language("DNA test", "ko"), in_language("Test", "de")
    (True, False, False)
    >>> in_language("東京", "ja"), in_language("東京", "ja", "zh")
    (True, False)
    """
    script = SCRIPTS.get(lang)
    if script is None or share_script(source_lang, lang):
        return False
    bare = letters_outside(text)
    letters = sum(map(str.isalpha, bare))
    return letters > 0 and len(script.findall(bare)) / letters >= 0.4


def _primary(lang: str) -> str:
    return lang.partition("-")[0]
