"""Suggestions: the most similar known text is found, and nothing that is less alike than asked."""

from __future__ import annotations

import random
import time

import pytest
from rapidfuzz.distance import Indel
from rapidfuzz.process import extractOne

from hret_agents.translate import suggest
from hret_agents.translate.suggest import Suggestions

WORDS = [a + b + c for a in "bdfgklmnprst" for b in ("a", "ei", "o", "u") for c in "bdklmnrst"]
KNOWN = "A farmer has 12 cows and sells 3 of them. How many cows are left?"
TARGET = "농부가 소 12마리 중 3마리를 팔았다. 몇 마리가 남았는가?"


def sentence(rng: random.Random, words: int) -> str:
    """A sentence of random words, the first ones of the list more often."""
    return " ".join(WORDS[int(len(WORDS) * rng.random() ** 2)] for _ in range(words))


def edited(rng: random.Random, text: str, share: float) -> str:
    """The text with some of its words replaced, doubled or left out."""
    words = text.split()
    for _ in range(max(1, int(len(words) * share))):
        place = rng.randrange(len(words))
        words[place : place + 1] = rng.choice([[rng.choice(WORDS)], [words[place]] * 2, []])
    return " ".join(words)


def one(known: str, target: str = "번역", least: float = 0.85) -> Suggestions:
    """Suggestions from a single text."""
    return Suggestions([((known,), (target,))], least)


@pytest.mark.parametrize(
    "text",
    [
        KNOWN.replace("12", "15"),
        KNOWN.replace("farmer", "rancher"),
        KNOWN + "\n",
        KNOWN.replace(" of them", ""),
    ],
)
def test_a_like_text_is_found(text: str) -> None:
    """Another number or name, a word more or fewer."""
    assert one(KNOWN, TARGET).like(text) == (KNOWN, TARGET)


def test_a_text_is_no_example_for_itself() -> None:
    """Asked anew, it gets the next like text, never its own old translation."""
    near = KNOWN.replace("12", "15")
    assert one(KNOWN, TARGET).like(KNOWN) is None
    found = Suggestions([((KNOWN, near), (TARGET, "번역"))])
    assert found.like(KNOWN) == (near, "번역") and found.like(near) == (KNOWN, TARGET)


@pytest.mark.parametrize("text", ["", "A farmer", "What is the capital of France, and why there?"])
def test_an_unlike_or_short_text_has_none(text: str) -> None:
    """Below the least similarity, and below 20 characters, nothing is offered."""
    assert one(KNOWN, TARGET).like(text) is None
    assert Suggestions([]).like(KNOWN) is None


def test_the_least_similarity_is_exact() -> None:
    """At the least similarity a text is offered; at a little less it is not."""
    text = KNOWN.replace("cows", "ducks")
    alike = Indel.normalized_similarity(KNOWN, text)
    assert one(KNOWN, least=alike).like(text) is not None
    assert one(KNOWN, least=alike + 1e-6).like(text) is None


def test_short_known_texts_and_copies_are_no_examples() -> None:
    """19 characters need no example, 20 may have one; a text left as it was teaches nothing."""
    for known, target, offered in (
        ("a bc defg hij klmno", "번역", False),
        ("a bc defg hij klmnop", "번역", True),
        (KNOWN, KNOWN, False),
    ):
        assert (one(known, target).like(f"{known}!") is not None) is offered


def test_the_more_similar_wins_and_the_older_of_equals() -> None:
    """The best of several; of two as similar, and of two translations of one text, the older."""
    far, near, twin = (KNOWN.replace("12", n) for n in ("twelve", "125", "127"))
    for order in ([far, near, twin], [near, twin, far]):
        found = Suggestions([((text,), (f"번역 {text}",)) for text in order])
        assert found.like(KNOWN) == (near, f"번역 {near}")
    twice = Suggestions([((KNOWN,), ("하나",)), ((KNOWN,), ("둘",))])
    assert twice.like(near) == (KNOWN, "하나")


def test_all_texts_of_a_unit_are_known() -> None:
    """A choice that is long enough is found by itself."""
    found = Suggestions([((KNOWN, "none of the cows is left at all"), (TARGET, "한 마리도"))])
    assert found.like("none of the cows was left at all") is not None
    assert len(found) == 2


def test_languages_without_spaces_are_found() -> None:
    """Where no spaces part the words, the characters do."""
    known = "農夫は牛を十二頭飼っていて、そのうち三頭を売りました。何頭残りましたか。"
    assert one(known).like(known.replace("三頭", "四頭")) is not None


@pytest.mark.parametrize(
    "known", ["la la la la la la la la", "x" * 300, "\ud800 half a character!!"]
)
def test_odd_texts_are_no_trouble(known: str) -> None:
    """One word over and over, one long word, half a character."""
    found = one(known)
    assert len(found) == 1 and found.like(known) is None
    assert found.like(known + "!") in (None, (known, "번역"))
    assert found.like("a text that is quite another one") is None


def test_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more texts than the most, the oldest are let go of."""
    monkeypatch.setattr(suggest, "MOST", 100)
    rng = random.Random(1)
    texts = [f"{i} {sentence(rng, 8)}" for i in range(150)]
    found = Suggestions([((text,), ("번역",)) for text in texts])
    offered = [found.like(f"{text}!") for text in texts]
    assert offered == [None] * 50 + [(text, "번역") for text in texts[50:]]


def test_edited_texts_are_found_among_many_in_time() -> None:
    """Of 20,000 texts, 97 % of edited ones find a text as similar as any; the answer is stable.

    The bound on time is a tenth of what comparing with each would take.
    """
    rng = random.Random(7)
    texts = list(dict.fromkeys(sentence(rng, rng.randint(6, 40)) for _ in range(20_000)))
    units = [((text,), (f"번역 {text}",)) for text in texts]
    found = Suggestions(units)
    asked = [edited(rng, rng.choice(texts), 0.07) for _ in range(400)]
    alike = [text for text in asked if len(text) >= 20]
    started = time.process_time()
    offered = [found.like(text) for text in alike]
    assert (time.process_time() - started) / len(alike) < 0.003
    ratio = Indel.normalized_similarity
    wanted = [
        best[1] if (best := extractOne(t, texts, scorer=ratio, score_cutoff=0.85)) else 0.0
        for t in alike[:60]
    ]
    got = [ratio(text, like[0]) if like else 0.0 for text, like in zip(alike, offered, strict=True)]
    pairs = list(zip(wanted, got, strict=False))
    assert all(g == 0 or g >= 0.85 for g in got)
    assert sum(g >= w for w, g in pairs) >= 0.97 * len(pairs)
    again = Suggestions(units)
    assert [again.like(text) for text in alike] == offered
