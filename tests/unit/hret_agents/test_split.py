"""Long texts are cut at sensible places and put together without loss."""

from __future__ import annotations

import random

import pytest

from hret_agents.translate.masks import spans_of
from hret_agents.translate.split import divided, joined, pieces
from hret_agents.translate.units import Segment, Unit

PARAGRAPH = "The river was slow that year. Boats came late, and the mill stood still. "
HOSTILE = [
    PARAGRAPH * 40,
    "\n\n".join([PARAGRAPH * 3] * 12),
    "word " * 1500,
    "x" * 5000,
    "x" * 900 + " y " + "z" * 900,
    "A line\n" * 700,
    "See `" + "code " * 300 + "` here. " + PARAGRAPH * 10,
    "$" + "a+" * 1200 + "b$ is long. " + PARAGRAPH * 5,
    "   leading and trailing   " + PARAGRAPH * 30 + "\n\n  ",
    "12345 " * 400 + PARAGRAPH * 3 + " 6789" * 400,
    "중국어? 日本語。" * 300 + PARAGRAPH * 5,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("most", [200, 777, 4000])
def test_pieces_are_the_text(text: str, most: int) -> None:
    """Nothing is lost, added or moved, and no piece is longer than it must be."""
    cut = pieces(text, most)
    assert "".join(cut) == text
    longest = max([b - a for a, b in spans_of(text)], default=0)
    assert all(0 < len(piece) <= most + longest for piece in cut)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_protected_is_cut(text: str) -> None:
    """A formula or a code span lies in one piece, whatever its length."""
    ends, place = set(), 0
    for piece in pieces(text, 300):
        place += len(piece)
        ends.add(place)
    assert not [span for span in spans_of(text) if any(span[0] < e < span[1] for e in ends)]


def test_paragraphs_come_before_sentences_and_sentences_before_words() -> None:
    """The best bound in the later half of a piece is taken, not the last one."""
    text = "One two three. " * 8 + "\n\n" + "Four five six. " * 12
    assert pieces(text, 200)[0].endswith("\n\n")
    assert pieces("One two three. " * 30, 200)[0].endswith("three. ")
    assert pieces("one two three " * 30, 200)[0].endswith(" ")


def unit(*texts: str) -> Unit:
    """A unit of a question and choices."""
    return Unit(tuple(Segment("q" if i == 0 else "c[]", i, t) for i, t in enumerate(texts)))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_divided_unit_is_joined_to_the_same_texts(text: str) -> None:
    """With a translation that changes nothing, every text comes back as it was."""
    whole = unit("Short?", text.strip(), "one choice", "another one")
    parts = divided(whole, 600)
    assert joined(whole, parts, [part.texts for part in parts]) == whole.texts
    assert all(part.texts and all(t == t.strip() and t for t in part.texts) for part in parts)


def test_texts_that_need_no_cut_stay_together() -> None:
    """Question and choices agree because they travel as one."""
    parts = divided(unit("Short?", PARAGRAPH * 40, "one choice", "another one"), 600)
    assert parts[0].texts == ("Short?", "one choice", "another one")
    assert len(parts) > 4


def test_pieces_without_a_word_are_not_sent() -> None:
    """Rows of digits stay what they are, on either side of the words."""
    whole = unit("12345 " * 200 + "Some words here. " + "6789 " * 200 + "7")
    parts = divided(whole, 300)
    assert all(any(c.isalpha() for c in t) for part in parts for t in part.texts)
    assert joined(whole, parts, [part.texts for part in parts]) == whole.texts


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_survives(seed: int) -> None:
    """Words, blanks, code, formulas and line ends in any order and length."""
    dice = random.Random(seed)
    atoms = [
        "word ",
        "A sentence. ",
        "\n",
        "\n\n",
        " ",
        "`code` ",
        "$x^2$ ",
        "____ ",
        "⟦1⟧ ",
        "가. ",
    ]
    text = "".join(dice.choice(atoms) * dice.randint(1, 9) for _ in range(200)).strip() + " end"
    whole = unit(text, text[: len(text) // 3].strip() + " tail")
    for most in (200, 500, 1500):
        parts = divided(whole, most)
        assert joined(whole, parts, [part.texts for part in parts]) == whole.texts
