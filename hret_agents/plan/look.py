"""What a sample of a leaf's values looks like: shares and counts, no judgement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_URL = re.compile(r"^\s*(https?://|www\.)\S+\s*$")
_NUMBER = re.compile(r"^\s*[-+$₩€]?\d[\d,]*(\.\d+)?\s*%?\s*$")
_CODE = re.compile(
    r"^\s*(def |class |import |from \w+ import |#include|public |private |fn |return\b|assert )"
    r"|[;{]\s*$|^\s*(for|while|if) .*:\s*$",
    re.MULTILINE,
)
_LETTER = re.compile(r"^\s*\(?[A-J]\)?\.?\s*$")
_LETTERED = re.compile(r"^\s*\(?([A-J])\s*[).:]\s*\S")
_WORD = re.compile(r"[^\W\d_]{2,}")
_MATH = re.compile(r"\\[a-zA-Z]+|[\^_=+*/<>]|\$")
STEPS = re.compile(r"^(.*?)(\s*####\s*)(-?[$]?[\d,]*\.?\d+)(\s*)$", re.DOTALL)


@dataclass(frozen=True)
class Look:
    """Statistics over the non-empty values of a leaf, `rows` being how many rows were looked at."""

    values: Sequence[Any]
    rows: int

    @cached_property
    def texts(self) -> list[str]:
        """The values that are text and not blank."""
        return [v for v in self.values if isinstance(v, str) and v.strip()]

    def share(self, pattern: re.Pattern[str]) -> float:
        """The share of texts that a pattern finds something in."""
        return (
            sum(bool(pattern.search(t)) for t in self.texts) / len(self.texts)
            if self.texts
            else 0.0
        )

    @cached_property
    def distinct(self) -> set[Any]:
        """The different values."""
        return {v for v in self.values if isinstance(v, (str, int, float, bool))}

    @cached_property
    def mean_words(self) -> float:
        """Mean number of words in a text."""
        return sum(len(t.split()) for t in self.texts) / len(self.texts) if self.texts else 0.0

    @property
    def url(self) -> bool:
        """Web addresses?"""
        return self.share(_URL) > 0.8

    @property
    def numeric(self) -> bool:
        """Numbers written as text?"""
        return bool(self.texts) and self.share(_NUMBER) == 1.0

    @property
    def code(self) -> bool:
        """Source code?"""
        return self.share(_CODE) > 0.7 and any("\n" in t for t in self.texts)

    @property
    def letters(self) -> bool:
        """Option letters, A to J?"""
        return bool(self.texts) and self.share(_LETTER) == 1.0

    @property
    def lettered(self) -> bool:
        """Texts that each begin with an option letter ("A)21")?"""
        return self.share(_LETTERED) > 0.9

    @property
    def steps(self) -> bool:
        """Worked answers that end in `#### 42`?"""
        return bool(self.texts) and self.share(STEPS) == 1.0

    @property
    def math(self) -> bool:
        """Formulas, with hardly a word between them?"""
        wordless = sum(not _WORD.search(re.sub(r"\\[a-zA-Z]+", "", t)) for t in self.texts)
        return bool(self.texts) and self.share(_MATH) > 0.6 and wordless > 0.8 * len(self.texts)

    @property
    def wordless(self) -> bool:
        """Nothing with two letters in a row?"""
        return bool(self.texts) and not any(_WORD.search(t) for t in self.texts)

    @property
    def id_like(self) -> bool:
        """No spaces, digits in most, and nearly all different?"""
        compact = all(" " not in t.strip() and len(t) < 100 for t in self.texts)
        digits = self.share(re.compile(r"\d")) > 0.7
        return (
            bool(self.texts) and compact and digits and len(self.distinct) > 0.8 * len(self.texts)
        )

    @property
    def category(self) -> bool:
        """A handful of short recurring labels?"""
        if not self.texts or self.mean_words > 3 or any(len(t) > 60 for t in self.texts):
            return False
        sentences = any(t.rstrip().endswith((".", "?", "!")) for t in self.texts)
        return not sentences and len(self.distinct) <= max(1, 0.34 * len(self.texts))
