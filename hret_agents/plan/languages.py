"""A text in several languages: one side is translated, the others are its golds, and stay."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from hret_agents.plan import hints
from hret_agents.plan.look import Look
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of, path_of
from hret_agents.plan.schema import Leaf

_CODES = (
    "af|am|ar|az|be|bg|bn|bs|ca|cs|cy|da|de|el|en|eo|es|et|eu|fa|fi|fr|ga|gl|gu|ha|he|hi|hr|hu|hy|"
    "id|ig|is|it|ja|ka|kk|km|kn|ko|ky|la|lb|lo|lt|lv|mg|mk|ml|mn|mr|ms|mt|my|nb|ne|nl|no|or|pa|pl|"
    "ps|pt|ro|ru|rw|sd|si|sk|sl|so|sq|sr|su|sv|sw|ta|te|tg|th|tk|tl|tr|tt|ug|uk|ur|uz|vi|xh|yi|yo|"
    "zh|zu"
)
_PAIR = re.compile(
    rf"(?:{_CODES})([_-][A-Za-z]{{2,4}})?(?:-|→|->|_to_)(?:{_CODES})([_-][A-Za-z]{{2,4}})?"
)
_FROM = {("source", "lang"), ("src", "lang"), ("source", "language"), ("src", "language")}
_INTO = {(side, lang) for side in ("target", "tgt", "trg") for lang in ("lang", "language")}
_ALONE = re.compile(r"[a-z]{2}([_-][A-Za-z]{2,4})?")
_MARKED = re.compile(rf"(?P<stem>.+)[_. -](?P<code>[a-z]{{3}}_[A-Z][a-z]{{3}}|(?:{_CODES}))")
_LED = re.compile(rf"(?P<code>[a-z]{{3}}_[A-Z][a-z]{{3}}|(?:{_CODES}))[_. -](?P<stem>.+)")


def other_languages(leaves: Sequence[Leaf], roles: Mapping[LeafPath, Role]) -> dict[LeafPath, Role]:
    """The sides that stay: of `translation.en` and `translation.de`, of `text_en` and `text_de`,
    of columns `en` and `de`, the one that is not English; without English all but the first.
    """
    sides: dict[tuple[str, ...], dict[LeafPath, str]] = defaultdict(dict)
    for leaf in leaves:
        stem, code = _split(leaf.name)
        nested = len([key for key in keys_of(leaf.path) if key != EACH]) > 1
        text = (nested and not stem) or roles[leaf.path].translated
        if code and leaf.kind == "string" and text:
            keys = keys_of(leaf.path)
            sides[tuple(stem if key == leaf.name else key for key in keys)][leaf.path] = code
    found: dict[LeafPath, Role] = {}
    for pair in (codes for codes in sides.values() if len(codes) > 1):
        english = [path for path, code in pair.items() if code.startswith("en")]
        source = (english or list(pair))[0]
        found |= {path: Role.category for path in pair if path != source}
    return found | dict.fromkeys(in_one_list(leaves), Role.category)


def in_one_list(leaves: Sequence[Leaf]) -> list[LeafPath]:
    """Texts in a list beside the list of their languages, as `hypothesis.translation[]` of XNLI:
    of these no side can be told from the others by its path.
    """
    paths = [leaf.path for leaf in leaves]
    found = [p for p in paths if keys_of(p)[-2:] == ("translation", EACH)]
    return [p for p in found if path_of((*keys_of(p)[:-2], "language", EACH)) in paths]


def sides_that_stay(
    leaves: Sequence[Leaf], looks: Mapping[LeafPath, Look], roles: Mapping[LeafPath, Role]
) -> dict[LeafPath, Role]:
    """Translations and references, beside a language pair ("en-de") or two columns of languages."""
    names = {hints.parts_of(leaf.name) for leaf in leaves}
    paired = any(
        look.texts and all(_PAIR.fullmatch(text.strip()) for text in look.texts)
        for look in looks.values()
    )
    if not paired and not (names & _FROM and names & _INTO):
        return {}
    told = [x for x in leaves if x.kind == "string" and hints.is_reference(x.name)]
    return {x.path: Role.category for x in told if roles[x.path].translated}


def _split(name: str) -> tuple[str, str]:
    """What a name says besides a language, and the language; none is an empty text.

    >>> _split("sentence_eng_Latn"), _split("de"), _split("question")
    (('sentence', 'eng_Latn'), ('', 'de'), ('question', ''))
    """
    if _ALONE.fullmatch(name):
        return "", name
    m = _MARKED.fullmatch(name) or _LED.fullmatch(name)
    return (m["stem"], m["code"]) if m else (name, "")
