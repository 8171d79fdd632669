"""The deterministic checks of a translation: pure functions with stable ids.

A *gate* must pass: a unit that fails one is asked again with the reason, and fails in the end. A
*flag* is for review and fails nothing. Ids and sentences are what users read in `checks.jsonl`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hret_agents.translate.masks import letters_outside, protected
from hret_agents.translate.scripts import has_script, name_like
from hret_agents.translate.units import Unit

Severity = Literal["gate", "flag"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that spoke: which, how grave, where, and a sentence that helps."""

    check: str
    severity: Severity
    path: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "check": self.check,
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
        }


_PLAIN = (
    "http://",
    "https://",
    "www.",
    "`",
)  # these are what they are, whatever stands around them
TextCheck = Callable[[str, str, str], str]  # (source, target, target language) -> why not, or ""


def empty(source: str, target: str, lang: str) -> str:
    """A translation that holds nothing.

    >>> empty("Which?", "  ", "ko")
    'the translation is empty'
    """
    return "" if target.strip() else "the translation is empty"


def placeholder_multiset(source: str, target: str, lang: str) -> str:
    """Code, formulas, addresses and the like must stand as often as in the source.

    >>> placeholder_multiset("What is $x^2$?", "x^2는?", "ko")
    "protected parts differ: lost '$x^2$'"
    """
    spans = Counter(protected(source))
    lost = [span for span, n in spans.items() if target.count(span) < n]
    more = [span for span in spans if target.count(span) > source.count(span)]
    more += [span for span in protected(target) if span.startswith(_PLAIN) and span not in source]
    said = [f"lost {', '.join(map(repr, lost))}"] * bool(lost)
    said += [f"added {', '.join(map(repr, more))}"] * bool(more)
    return f"protected parts differ: {'; '.join(said)}" if said else ""


def blank_count(source: str, target: str, lang: str) -> str:
    """A cloze keeps its blanks.

    >>> blank_count("A ____ B ____.", "가 ____ 나.", "ko")
    '2 blanks became 1'
    """
    old, new = (len(re.findall(r"_{2,}|(?<=\s)_(?=[\s.,?!])", t)) for t in (source, target))
    return "" if old == new else f"{old} blanks became {new}"


def target_script(source: str, target: str, lang: str) -> str:
    """The text must be in the target language, as far as its script tells.

    >>> target_script("Which animal is a mammal?", "Which animal is a mammal?", "ko")
    'the text came back untranslated'
    >>> target_script("Water boils at once.", "Wasser kocht sofort.", "ko")
    "there is no letter of the language 'ko' in it"
    >>> target_script("It boils when it is hot enough.", "물은 when it is hot enough", "ko")
    "a run of the source was left as it is: 'when it is hot'"
    """
    if target.strip() == source.strip():
        return "the text came back untranslated"
    if has_script(target, lang) is False:
        return f"there is no letter of the language {lang!r} in it"
    if has_script(target, lang) and (run := _left_over(source, target)):
        return f"a run of the source was left as it is: {run!r}"
    return ""


def _left_over(source: str, target: str, words: int = 4) -> str:
    """Four lower-case words in a row that stand in source and target alike."""
    old = letters_outside(source).split()
    new = " ".join(letters_outside(target).split())
    for i in range(len(old) - words + 1):
        run = old[i : i + words]
        if all(re.fullmatch(r"[a-z]+[,;:]?", w) for w in run) and " ".join(run) in new:
            return " ".join(run)
    return ""


def repetition(source: str, target: str, lang: str) -> str:
    """A model that loops says one thing over and over.

    >>> repetition("Why?", "왜 왜 왜 왜 왜 왜 왜 왜 왜 왜 왜?", "ko")
    "the text repeats itself: '왜 '"
    """
    loop = re.compile(r"(.{1,24}?)\1{8,}", re.DOTALL)
    if (m := loop.search(target)) and not loop.search(source) and m[1].strip():
        return f"the text repeats itself: {m[1]!r}"
    return ""


def length_hard(source: str, target: str, lang: str) -> str:
    """A length that no translation has.

    >>> length_hard("A sentence of quite some words.", "예", "ko")
    'far too short: 31 characters became 1'
    """
    old, new = len(source), len(target)
    if old >= 20 and new * 12 < old:
        return f"far too short: {old} characters became {new}"
    if new > 5 * old + 60:
        return f"far too long: {old} characters became {new}"
    return ""


def numbers(source: str, target: str, lang: str) -> str:
    """Numbers should be the same ones, thousands separators aside.

    >>> numbers("He has 1,250 won and 3 coins.", "그는 1250원과 동전 4개가 있다.", "ko")
    'numbers differ: 3 lost, 4 added'
    """
    old, new = (Counter(_digits(t)) for t in (source, target))
    lost, added = list((old - new).elements()), list((new - old).elements())
    if not lost and not added:
        return ""
    said = [f"{', '.join(lost)} lost"] * bool(lost) + [f"{', '.join(added)} added"] * bool(added)
    return f"numbers differ: {', '.join(said)}"


def _digits(text: str) -> list[str]:
    return [n.replace(",", "") for n in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)]


def length_soft(source: str, target: str, lang: str) -> str:
    """A length that few translations have.

    >>> length_soft("A sentence of quite some words.", "짧은 말", "ko")
    'rather short: 31 characters became 4'
    """
    old, new = len(source), len(target)
    if old >= 20 and new * 5 < old:
        return f"rather short: {old} characters became {new}"
    return f"rather long: {old} characters became {new}" if new > 2 * old + 20 else ""


def refusal(source: str, target: str, lang: str) -> str:
    """A refusal in the place of a translation.

    >>> refusal("Who did it?", "죄송하지만 도와드릴 수 없습니다.", "ko")
    'this reads like a refusal'
    """
    said = re.compile(
        r"도와\s?드릴 수 없|번역할 수 없|답변(?:을|은)? (?:드릴|할) 수 없|"
        r"as an AI|I can(?:'|no)t (?:help|assist)",
        re.I,
    )
    return "this reads like a refusal" if said.search(target) and not said.search(source) else ""


def josa_artifact(source: str, target: str, lang: str) -> str:
    """A Korean particle left open for the reader to choose.

    >>> josa_artifact("Kim is here.", "김은(는) 여기 있다.", "ko")
    "a particle left open: '은(는)'"
    """
    if lang != "ko":
        return ""
    found = re.search(
        r"[은는이가을를와과]\([은는이가을를와과]\)|\(으\)로|[은는이가을를]/[은는이가을를]", target
    )
    return f"a particle left open: {found[0]!r}" if found else ""


GATES: dict[str, TextCheck] = {
    "empty": empty,
    "placeholder_multiset": placeholder_multiset,
    "blank_count": blank_count,
    "target_script": target_script,
    "repetition": repetition,
    "length_hard": length_hard,
}
FLAGS: dict[str, TextCheck] = {
    "numbers": numbers,
    "length_soft": length_soft,
    "refusal": refusal,
    "josa_artifact": josa_artifact,
}
ROW_GATES = (
    "list_len",
    "option_distinct",
    "json_ids",
    "finish_reason",
    "row_count",
    "row_order",
    "features_equal",
    "immutable_leaf",
    "gold_equal",
    "gold_numeric_equal",
)
ALL_CHECKS = (*GATES, *ROW_GATES, *FLAGS, "unchanged", "source_anomaly")


def check_unit(
    unit: Unit,
    texts: Sequence[str],
    lang: str,
    choices: Sequence[str],
    *,
    allow_unchanged: bool = False,
) -> list[Finding]:
    """Every finding on a unit's translation `texts`.

    `allow_unchanged`: the translator was told and insists, so a name or acronym that came back as
    it was is flagged as `unchanged` and passes `target_script`.
    """
    if len(texts) != len(unit.segments):
        said = f"{len(unit.segments)} texts were sent and {len(texts)} came back"
        return [Finding("list_len", "gate", "", said)]
    found = [
        finding
        for segment, text in zip(unit.segments, texts, strict=True)
        for finding in _text_findings(segment.path, segment.core, text, lang, allow_unchanged)
    ]
    return [*found, *_distinct(unit, texts, choices)]


def _text_findings(
    path: str, source: str, target: str, lang: str, allow_unchanged: bool
) -> Iterator[Finding]:
    for name, check in GATES.items():
        if not (said := check(source, target, lang)):
            continue
        if name == "target_script" and allow_unchanged and source == target and name_like(source):
            yield Finding("unchanged", "flag", path, f"left as it is: {source[:80]!r}")
            continue
        yield Finding(name, "gate", path, said)
    for name, check in FLAGS.items():
        if said := check(source, target, lang):
            yield Finding(name, "flag", path, said)


def _distinct(unit: Unit, texts: Sequence[str], choices: Sequence[str]) -> Iterator[Finding]:
    """Choices that differ in the source must differ in the translation, a few signs aside."""
    pairs = [
        (segment.core, text)
        for segment, text in zip(unit.segments, texts, strict=True)
        if segment.path in choices
    ]
    for i, (source, text) in enumerate(pairs):
        for old, new in pairs[:i]:
            if collapsed(old, source, new, text):
                said = f"the choices {old!r} and {source!r} both became {text!r}: word them apart"
                yield Finding("option_distinct", "gate", choices[0], said)


def collapsed(source: str, other: str, target: str, other_target: str) -> bool:
    """Were two choices that differ made one?

    A few signs do not tell choices apart, unless the source tells them apart by nothing else.

    >>> collapsed("cell", "cells", "세포", "세포."), collapsed("No!", "No?", "아니!", "아니?")
    (True, False)
    """
    if source == other or target == other_target:
        return source != other
    return _plain(target) == _plain(other_target) and _plain(source) != _plain(other)


def _plain(text: str) -> str:
    return re.sub(r"[\s.,!?\"'`“”‘’]+", "", text).casefold()
