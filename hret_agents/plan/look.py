"""What a sample of a leaf's values looks like: shares and counts, no judgement by its name."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llm_eval.dataset.gold import boxed

FITS = (
    0.9  # a column is what nine in ten of its values are; what is wrong with the tenth is flagged
)
_URL = re.compile(r"^\s*([a-z][a-z0-9+.-]*://|www\.|data:[\w/+.-]+;base64,)\S+\s*$", re.I)
_NUMBER = re.compile(r"^\s*[-+$₩€]?(\d[\d,]*)?\.?\d+\s*%?\s*$|^\s*[-+$₩€]?\d[\d,]*\.\s*$")
_LETTER = re.compile(r"^\s*\(?[A-J]\)?\.?\s*$")
_LETTERED = re.compile(r"^\s*\(?([A-J])\s*[).:]\s*\S")
_WORD = re.compile(r"[^\W\d_]{2,}")
_UNSPACED = re.compile(r"[぀-ヿ㐀-鿿\u0e00-\u0eff]")
_MATH = re.compile(r"\\[a-zA-Z]+|\w.*[\^_=+*/<>]|[\^_=+*/<>].*\w|\d\s+[-−×÷]\s+\d|\$")
_COMMAND = re.compile(r"\\(?:text|mbox|mathrm|textbf)\{[^}]*\}|\\[a-zA-Z]+|\b(?:True|False|None)\b")
CLOSED = re.compile(r"[.?!。！？…:][\"'”’)\]]*\s*$")
_OPAQUE = re.compile(r"^\s*([0-9a-f]{8,}|[0-9a-f-]{32,36}|\w+([-_/.:#]\w+)*)\s*$", re.IGNORECASE)
_NAME = re.compile(r"^\s*[A-Za-z]+(_\w+|\.\w+)+(\(.*\))?\s*$")
_SIGNS = re.compile(r"[=(){}\[\];<>]|\w_\w|->|^@@|^\+\+\+", re.MULTILINE)
_DATE = re.compile(r"^\s*\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ][\d:.+Z-]*)?\s*$")
_DURATION = re.compile(
    r"^\s*\d[\d.,]*(\s*(-|–|to)\s*\d[\d.,]*)?\s*"
    r"(sec(ond)?|min(ute)?|hour|hr|day|week|month|year)s?\.?\s*$",
    re.I,
)
_CANARY = re.compile(r"\bcanary\b.{0,20}[0-9a-f]{8}-[0-9a-f]{4}-", re.I)
_CALL = re.compile(r"^\s*([\w-]+: *)?\[?[A-Za-z_][\w.]*\([^\s()].*\)\]?\|?\s*$", re.DOTALL)
_LOGIC = re.compile(r"[∀∃∧∨¬⊕⊢⊨]|\w\(.*→|→.*\w\(")
_PLAIN = re.compile(r"[A-Za-z]{2,}[,.;:?]?")
_LISTING = re.compile(r"^\W*a\s*[).:].*?\S.*?\Wb\s*[).:]\s*\S", re.I | re.DOTALL)
_BRACKETED = re.compile(r"^\s*[\[({']")
STEPS = re.compile(r"^(.*?)(\s*####\s*)(-?[$]?[\d,]*\.?\d+)(\s*)$", re.DOTALL)
_HEAD = 1_000  # characters of a text that tell what it is
_BASE64 = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?=.*[\d+/=])[A-Za-z0-9+/]{6,}={0,2}")
_KEY = 16  # characters of base64 that are no word, on average
_FEW = 2  # results that may be equal by chance


@dataclass(frozen=True)
class Look:
    """Statistics over the non-empty values of a leaf, `rows` being how many rows were looked at."""

    values: Sequence[Any]
    rows: int

    @cached_property
    def texts(self) -> list[str]:
        """The values that are text and not blank."""
        return [v for v in self.values if isinstance(v, str) and v.strip()]

    @cached_property
    def heads(self) -> list[str]:
        """The texts, long ones cut."""
        return [t[:_HEAD] for t in self.texts]

    def share(self, pattern: re.Pattern[str]) -> float:
        """The share of texts that a pattern finds something in."""
        return share_of(self.heads, lambda t: pattern.search(t) is not None)

    @cached_property
    def distinct(self) -> set[Any]:
        """The different values, blank ones aside."""
        found = {v for v in self.values if isinstance(v, (str, int, float, bool))}
        return {v for v in found if not isinstance(v, str) or v.strip()}

    @cached_property
    def mean_words(self) -> float:
        """Mean number of words in a text."""
        return sum(map(words, self.heads)) / len(self.heads) if self.heads else 0.0

    @cached_property
    def url(self) -> bool:
        """Web addresses?"""
        return self.share(_URL) > 0.8

    @cached_property
    def numeric(self) -> bool:
        """Numbers written as text?"""
        return self.share(_NUMBER) >= FITS and not any(map(_WORD.search, self.heads))

    @cached_property
    def json(self) -> bool:
        """Objects or lists, written as JSON or as Python writes them?"""
        if share_of(self.heads, lambda t: t.lstrip()[:1] in ("{", "[")) < FITS:
            return False
        return share_of(self.texts, _structured) >= FITS

    @cached_property
    def letters(self) -> bool:
        """Option letters, A to J?"""
        return self.share(_LETTER) == 1.0

    @cached_property
    def lettered(self) -> bool:
        """Texts that each begin with an option letter ("A)21")?"""
        return self.share(_LETTERED) > 0.9

    @cached_property
    def steps(self) -> bool:
        """Worked answers that end in `#### 42`?"""
        return share_of(self.texts, lambda t: "####" in t and STEPS.match(t) is not None) >= FITS

    @cached_property
    def boxed(self) -> bool:
        r"""Worked answers, in words, that hold their result in `\\boxed{...}`? A prompt that asks
        for a box shows an empty one, or always the same."""
        results = [boxed(text) for text in self.texts]
        differ = len(set(results)) > 1 or len(results) <= _FEW
        return share_of(results, bool) >= FITS and differ and self.mean_words >= 4

    @cached_property
    def opaque(self) -> bool:
        """Bytes written as base64: encrypted, or packed?"""
        lengths = [len(t.strip()) for t in self.texts]
        return share_of(self.texts, _is_base64) >= FITS and sum(lengths) >= _KEY * len(lengths)

    @cached_property
    def math(self) -> bool:
        """Formulas, with hardly a word between them?"""
        return self.share(_MATH) > 0.6 and self.formal

    @cached_property
    def formal(self) -> bool:
        """Nothing, or nearly, but numbers, formulas, truth values and single letters?"""
        return share_of(self.heads, lambda t: not _WORD.search(_COMMAND.sub("", t))) > 0.8

    @cached_property
    def wordless(self) -> bool:
        """Nothing with two letters in a row, truth values aside?"""
        return bool(self.texts) and not any(_WORD.search(_COMMAND.sub("", t)) for t in self.heads)

    @cached_property
    def logic(self) -> bool:
        """Formulas of logic, or calls: CanFly(bo), ∀x (Heron(x) → CanFly(x))?"""
        return share_of(self.heads, _logical) > 0.5

    @cached_property
    def calls(self) -> bool:
        """Calls of functions: set_alarm(hour=7)?"""
        return self.share(_CALL) > 0.5

    @cached_property
    def literals(self) -> bool:
        """Values as Python writes them, texts in quotes among them?"""
        if self.share(_BRACKETED) < 0.3 or not any("'" in t for t in self.heads):
            return False
        return share_of(self.texts, _literal) >= FITS

    @cached_property
    def listing(self) -> bool:
        """All options in one text: "a ) 38 , b ) 27"?"""
        return self.share(_LISTING) >= FITS

    @cached_property
    def canary(self) -> bool:
        """The mark by which the texts of a benchmark are found in other data?"""
        return self.share(_CANARY) > 0.8

    @cached_property
    def sentences(self) -> bool:
        """Plain sentences, or at least many words, in most?"""
        return share_of(self.heads, is_sentence) >= 0.5

    @cached_property
    def signs(self) -> bool:
        """Do most texts hold signs that programs are made of?"""
        return self.share(_SIGNS) > 0.5

    @cached_property
    def identifiers(self) -> bool:
        """Names as programs have them: get_weather, os.path?"""
        return self.share(_NAME) > 0.5 and self.single

    @cached_property
    def single(self) -> bool:
        """One word, or token, in each?"""
        return bool(self.texts) and all(words(t) <= 1 for t in self.heads)

    @cached_property
    def dates(self) -> bool:
        """Dates, times, how long something took?"""
        return max(self.share(_DATE), self.share(_DURATION)) > 0.8

    @cached_property
    def id_like(self) -> bool:
        """No spaces, digits in most, and nearly all different?"""
        compact = all(len(t) < 100 and _OPAQUE.match(t) for t in self.heads)
        digits = self.share(re.compile(r"\d")) > 0.7
        return bool(self.texts) and compact and digits and self.different

    @cached_property
    def different(self) -> bool:
        """Are nearly all texts different?"""
        return len(self.distinct) > 0.8 * len(self.texts)

    @cached_property
    def category(self) -> bool:
        """A handful of short recurring labels?"""
        if not self.texts or self.mean_words > 3 or any(len(t) > 60 for t in self.heads):
            return False
        sentences = any(t.rstrip().endswith((".", "?", "!")) for t in self.heads)
        return not sentences and len(self.distinct) <= max(1, 0.34 * len(self.texts))


def words(text: str) -> int:
    """How many words a text has; where no spaces stand between words, three signs count as one.

    >>> words("two words"), words("你知道吗")
    (2, 2)
    """
    return len(text.split()) + len(_UNSPACED.findall(text)) // 3


def is_sentence(text: str) -> bool:
    """Do several words stand in a row, and an end behind them, or many words?

    >>> [is_sentence(t) for t in ("It rains.", "Is it raining?", "NOT ENOUGH INFO", "b: c, 1 + 2")]
    [False, True, False, False]
    """
    count = words(text)
    if count < 3 or len(_WORD.findall(text)) + len(_UNSPACED.findall(text)) // 3 < 0.5 * count:
        return False
    return count >= 6 or CLOSED.search(text) is not None


def share_of(texts: Sequence[str], test: Callable[[str], bool]) -> float:
    """The share of texts that a test is true of; 0 of none."""
    return sum(map(test, texts)) / len(texts) if texts else 0.0


def _is_base64(text: str) -> bool:
    bare = text.strip()
    return len(bare) % 4 == 0 and _BASE64.fullmatch(bare) is not None


def _logical(text: str) -> bool:
    if _CALL.match(text):
        return True
    parts = text.split()
    return bool(_LOGIC.search(text)) and sum(map(bool, map(_PLAIN.fullmatch, parts))) <= 0.3 * len(
        parts
    )


def _literal(text: str) -> bool:
    """Can Python read it? A text in double quotes may be said by somebody."""
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
    return not text.lstrip().startswith('"')


def _structured(text: str) -> bool:
    for read in (json.loads, ast.literal_eval):
        try:
            return isinstance(read(text.strip()), dict | list)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return False
