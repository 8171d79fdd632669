"""What is worth sending, and what is in the target language already."""

from __future__ import annotations

import re

import pytest

from hret_agents.translate.scripts import LETTER, in_language, worth_translating


@pytest.mark.parametrize(
    "cell",
    ["9.8 m/s²", "5 m²", "x²", "x² + y²", "x²y", "O(n²)", "a₁", "v₀", "v₀t", "aₙ", "πr²", "2πr",
     "10⁶ m³", "ΔG°", "ħω/2", "ℏω", "5 µm", "5 μm", "f′(x)", "4πr²", "30 ºC", "①②", "Ⅳ", "3½"],
)  # fmt: skip
def test_a_formula_in_letters_and_signs_is_not_sent(cell: str) -> None:
    """Superscripts and numbers in one sign are no letters; a Greek letter is a symbol."""
    assert not worth_translating(cell)


@pytest.mark.parametrize("cell", ["or", "α-helix", "5 km²", "H₂SO₄", "και", "Да", "été²"])
def test_two_letters_in_a_row_are_sent(cell: str) -> None:
    """Of one script, that is, whatever else the cell holds."""
    assert worth_translating(cell)


@pytest.mark.parametrize("lang", ["zh", "zh-CN", "ja", "ko", "yue"])
@pytest.mark.parametrize(
    ("cell", "word"), [("猫", True), ("②", False), ("x", False), ("A: 5", False)]
)
def test_one_sign_is_a_word_where_signs_are_words(cell: str, word: bool, lang: str) -> None:
    """对 is a choice of a Chinese benchmark; in an English one it is an example of a sign."""
    assert worth_translating(cell, lang) is word
    assert not worth_translating(cell, "en")


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("东京是日本的首都。", "zh", "ja"),
        ("东京是日本的首都。", "zh-CN", "ja"),
        ("東京は日本の首都です。", "ja", "zh"),
        ("Москва — столица России.", "ru", "uk"),
        ("Мінск — сталіца Беларусі.", "be", "ru"),
        ("باريس عاصمة فرنسا.", "ar", "fa"),
    ],
)
def test_a_shared_script_tells_no_language(text: str, source: str, target: str) -> None:
    """A text of the source is not kept because the target is written with the same letters."""
    assert not in_language(text, target, source)
    assert in_language(text, target, "en")


def test_a_letter_is_what_unicode_calls_one() -> None:
    """Of the Latin, Greek, Cyrillic, Hangul, Han and kana letters, digits and signs in use."""
    blocks = ((0x20, 0x250), (0x370, 0x530), (0x2070, 0x209D), (0x2460, 0x2500), (0x3041, 0x3100),
              (0x4E00, 0x5000), (0xAC00, 0xAD00), (0xFF10, 0xFF5B))  # fmt: skip
    small = set("ªºⁱⁿ") | {chr(c) for c in range(0x2090, 0x209D)}
    for sign in (chr(c) for start, end in blocks for c in range(start, end)):
        assert bool(re.fullmatch(LETTER, sign)) == (sign.isalpha() and sign not in small), sign
