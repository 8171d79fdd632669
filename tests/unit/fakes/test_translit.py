"""The fake translation can be undone, keeps lengths, and leaves everything but letters alone."""

import doctest
import json
import random
import unicodedata
from string import ascii_letters

import pytest

from tests.fakes import chat_protocol, translit
from tests.fakes.translit import ALPHABETS, HANGUL, asked, back, forward, translated

ODDS = " \n\t0123456789.,;:!?'\"\\/{}[]()<>|$%&*+-=_~^#@`⟦⟧가나다힣ㄱéßЖ中の🙂\u0301\u200b\ud800"


def strings(count: int, *, seed: int) -> list[str]:
    """Random texts of letters, marks, other scripts and mask signs, closed or not."""
    lots = random.Random(seed)
    pieces = [*ascii_letters, *ODDS, "⟦12⟧", "⟦b1⟧", "⟦", "⟧"]
    return ["".join(lots.choices(pieces, k=lots.randrange(60))) for _ in range(count)]


@pytest.mark.parametrize("module", [translit, chat_protocol])
def test_the_examples_in_the_docstrings_are_true(module: object) -> None:
    """Every doctest passes, and there are some."""
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.failed == 0 and result.attempted > 0


@pytest.mark.parametrize("lang", sorted(ALPHABETS))
def test_what_goes_forward_comes_back(lang: str) -> None:
    """Text without the alphabet's own signs survives the round trip, at the same length."""
    for text in strings(3000, seed=1):
        if set(text) & set(ALPHABETS[lang]):
            continue
        there = forward(text, lang)
        assert back(there, lang) == text
        assert len(there) == len(text)


def test_two_texts_never_become_one() -> None:
    """Different texts have different transliterations."""
    texts = set(strings(3000, seed=2)) | set(ascii_letters)
    assert len({forward(text) for text in texts}) == len(texts)


def test_each_letter_has_a_hangul_syllable_of_its_own() -> None:
    """All 52 are distinct precomposed syllables that normalisation leaves alone."""
    assert len(HANGUL) == len(set(HANGUL)) == 52
    assert all("가" <= sign <= "힣" for sign in HANGUL)
    assert unicodedata.normalize("NFC", HANGUL) == HANGUL
    assert forward(ascii_letters) == HANGUL


def test_real_korean_holds_none_of_the_syllables() -> None:
    """None of ours is among the 2,350 of KS X 1001, those that euc-kr writes in two bytes."""
    assert len("읊".encode("euc-kr")) == 2
    assert all(len(sign.encode("euc-kr")) > 2 for sign in HANGUL)


def test_what_is_not_a_letter_stays() -> None:
    """Digits, marks, spaces, other scripts and lone surrogates pass through."""
    assert forward(ODDS) == ODDS


def test_mask_marks_stay_whole_wherever_they_stand() -> None:
    """What a pair of mask brackets encloses is untouched; a lone bracket shields nothing."""
    assert forward("⟦ab⟧c⟦12⟧⟦⟧d") == "⟦ab⟧" + forward("c") + "⟦12⟧⟦⟧" + forward("d")
    assert forward("⟦ab") == "⟦" + forward("ab")
    assert forward("⟦a⟦b⟧") == "⟦" + forward("a") + "⟦b⟧"


def test_an_unknown_language_is_an_error() -> None:
    """A language without an alphabet is no silent Korean."""
    with pytest.raises(KeyError, match="xx"):
        forward("a", "xx")


@pytest.mark.parametrize(
    "content",
    [
        "2+2?",
        "[1]",
        '{"row": []}',
        '{"rows": 3}',
        '{"rows": [{"t": ["a"]}]}',
        '{"rows": [{"id": 1, "t": "a"}]}',
        '{"rows": [{"id": 1, "t": [1]}]}',
    ],
)
def test_only_rows_of_texts_ask_for_a_translation(content: str) -> None:
    """Anything but JSON with well-formed rows is an ordinary chat."""
    assert asked([{"role": "user", "content": content}]) is None


def test_the_last_user_message_counts() -> None:
    """Neither an earlier user message nor a later assistant message is translated."""
    messages = [
        {"role": "user", "content": json.dumps({"rows": [{"id": "old", "t": []}]})},
        {"role": "user", "content": json.dumps({"rows": [{"id": "new", "t": ["a"]}]})},
        {"role": "assistant", "content": "…"},
    ]
    assert asked(messages) == [{"id": "new", "t": ["a"]}]
    assert asked(messages[2:]) is None


def test_a_translated_row_keeps_its_id_and_its_number_of_texts() -> None:
    """Only `id` and `t` come back, in the asked order."""
    rows: list[translit.Row] = [{"id": 2, "t": ["a", "", "b1"], "why": "x"}, {"id": "1", "t": []}]
    assert translated(rows) == [
        {"id": 2, "t": [forward("a"), "", forward("b1")]},
        {"id": "1", "t": []},
    ]
