"""The deterministic checks of a translation: pure functions with stable ids.

A *gate* must pass: a unit that fails one is asked again with the reason, and fails in the end. A
*flag* is for review and fails nothing. Ids and sentences are what users read in `checks.jsonl`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from hret_agents.checks.base import Check, Finding, Rules, Severity
from hret_agents.checks.code import code_ast_equal
from hret_agents.checks.flags import glossary, length_soft, refusal
from hret_agents.checks.korean import josa_artifact, mixed_choices, register
from hret_agents.checks.names import name_like
from hret_agents.checks.numbers import numbers
from hret_agents.checks.row import alike, check_row, row_fault
from hret_agents.checks.says import CHECKS
from hret_agents.checks.script import quoted_left, target_script, unchanged_text
from hret_agents.checks.text import (
    TextCheck,
    blank_count,
    collapsed,
    empty,
    length_hard,
    placeholder_multiset,
    repetition,
)
from hret_agents.translate.scripts import share_script
from hret_agents.translate.units import Unit

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Rules",
    "Severity",
    "check_row",
    "check_unit",
    "collapsed",
    "row_fault",
]

GATES: Mapping[str, TextCheck] = {
    "empty": empty,
    "placeholder_multiset": placeholder_multiset,
    "blank_count": blank_count,
    "target_script": target_script,
    "repetition": repetition,
    "length_hard": length_hard,
    "code_ast_equal": code_ast_equal,
}
_LONGEST_WORD = 6  # characters of a word that two languages of one script may share
FLAGS: Mapping[str, TextCheck] = {
    "numbers": numbers,
    "unchanged": quoted_left,
    "length_soft": length_soft,
    "register": register,
    "josa_artifact": josa_artifact,
    "refusal": refusal,
}


def check_unit(
    unit: Unit,
    texts: Sequence[str],
    rules: Rules,
    *,
    terms: Sequence[tuple[str, str]] = (),
    told: bool = False,
    settled: Collection[int] = (),
) -> list[Finding]:
    """Every finding on a unit's translation `texts`.

    Args:
        terms: the glossary's terms that occur in the unit, with their translations.
        told: the translator was told what was wrong and insists, so a name or acronym that came
            back as it was is flagged as `unchanged` and passes `target_script`.
        settled: the places of texts that a human has settled: what is found there is only flagged.
    """
    if len(texts) != len(unit.segments):
        said = f"{len(unit.segments)} texts were sent and {len(texts)} came back"
        return [Finding("list_len", "gate", "", said)]
    found: list[Finding] = []
    for place, (segment, text) in enumerate(zip(unit.segments, texts, strict=True)):
        gate: Severity = "flag" if place in settled else "gate"
        for check, said in _of_text(segment.path, segment.core, text, rules, told):
            found.append(Finding(check, gate if check in GATES else "flag", segment.path, said))
        if terms and (said := glossary(segment.core, text, terms)):
            if not rules.ignores("glossary", segment.path):
                locked = place in settled
                found.append(Finding("glossary", "flag", segment.path, said, locked))
    found += _between_choices(unit, texts, rules, settled)
    return [*found, *_answers_in_context(unit, texts, rules.span)] if rules.span else found


def _of_text(
    path: str, source: str, target: str, rules: Rules, told: bool
) -> Iterator[tuple[str, str]]:
    """(check, what it says) for one text."""
    off: Collection[str] = ()
    if rules.ignore:
        off = {*rules.ignore.get(path, ()), *rules.ignore.get("*", ())}
    for name, check in GATES.items():
        if name in off or not (said := check(source, target, rules)):
            continue
        if name != "target_script" or not told or not _left(source, target, rules):
            yield name, said
        elif "unchanged" not in off:
            yield "unchanged", f"left as it is: {source[:80]!r}"
        if name == "empty":
            return  # and so it is no translation, too short, ...
    for name, check in FLAGS.items():
        if name not in off and (said := check(source, target, rules)):
            yield name, said


def _left(source: str, target: str, rules: Rules) -> bool:
    """Was a name or acronym left as it is, or a word that both languages may write alike?"""
    return unchanged_text(source, target) and (
        name_like(source)
        or (share_script(rules.source_lang, rules.lang) and len(source) <= _LONGEST_WORD)
    )


def _answers_in_context(
    unit: Unit, texts: Sequence[str], span: tuple[str, str]
) -> Iterator[Finding]:
    """An answer that was found in its context must be found there again, word for word."""
    where, what = span
    pairs = list(zip(unit.segments, texts, strict=True))
    old = " ".join(segment.core for segment, _ in pairs if segment.path == where)
    new = " ".join(text for segment, text in pairs if segment.path == where)
    for segment, text in pairs:
        if segment.path == what and segment.core in old and text not in new:
            said = f"the answer {text!r} must stand word for word in the translated context"
            yield Finding("span_realigned", "gate", what, said)


def _between_choices(
    unit: Unit, texts: Sequence[str], rules: Rules, settled: Collection[int]
) -> Iterator[Finding]:
    """Choices that differ in the source differ in the translation, and speak in one register."""
    places = [i for i, segment in enumerate(unit.segments) if segment.path in rules.choices]
    if len(places) < 2:
        return
    path = unit.segments[places[0]].path
    old, new = [unit.segments[i].core for i in places], [texts[i] for i in places]
    for i, j in alike(old, new):
        said = f"the choices {old[i]!r} and {old[j]!r} both became {new[j]!r}: word them apart"
        gate = not (places[i] in settled and places[j] in settled)
        yield Finding("option_distinct", "gate" if gate else "flag", path, said)
    if rules.lang == "ko" and not rules.ignores("register", path):
        if said := mixed_choices(new):
            yield Finding("register", "flag", path, said)
