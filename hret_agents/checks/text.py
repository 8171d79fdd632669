"""Gates on one text against its source: `(source, target, rules) -> why not, or ""`.

What a gate says is sent to the model when it is asked again, so it tells what to do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from hret_agents.checks.base import Rules
from hret_agents.checks.loops import loop_of_its_own
from hret_agents.checks.options import letters_lost
from hret_agents.translate.masks import protected

TextCheck = Callable[[str, str, Rules], str]
_VISIBLE = re.compile(  # no white space, no control, format, filler or variation sign
    r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)


def hollow(text: str) -> bool:
    """Does a text hold nothing but white space and invisible signs?

    >>> hollow(" \\u200b\\ufeff"), hollow("네")
    (True, False)
    """
    return _VISIBLE.search(text) is None


def empty(source: str, target: str, rules: Rules) -> str:
    """A translation that holds nothing, though the source does.

    >>> empty("Which?", " \\u200b", Rules(lang="ko")), empty("Yes.", "네.", Rules(lang="ko"))
    ('the translation is empty', '')
    """
    return "the translation is empty" if hollow(target) and not hollow(source) else ""


def placeholder_multiset(source: str, target: str, rules: Rules) -> str:
    """Code, formulas, addresses and the like must stand as often as in the source; and so must the
    letters of options that the gold is one of.

    >>> rules = Rules(lang="ko")
    >>> placeholder_multiset("What is $x^2$?", "x^2는?", rules)
    "protected parts differ, copy them sign by sign: lost '$x^2$'"
    >>> placeholder_multiset("Subtract $x$ from $y$.", "$y$에서 $x$를 뺍니다.", rules)
    ''
    """
    if rules.lettered and (options := letters_lost(source, target)):
        return options
    if protected(source) == protected(target):
        return ""
    old, new = _counted(source), _counted(target)
    if old == new:
        return ""
    lost = [span for span, n in old.items() if target.count(span) < n]
    more = [span for span, n in new.items() if n > max(old[span], source.count(span))]
    said = [f"lost {', '.join(map(repr, lost))}"] * bool(lost)
    said += [f"added {', '.join(map(repr, more))}"] * bool(more)
    return f"protected parts differ, copy them sign by sign: {'; '.join(said)}" if said else ""


def _counted(text: str) -> Counter[str]:
    return Counter(span for span in protected(text) if span.strip("_"))


def blank_count(source: str, target: str, rules: Rules) -> str:
    """A cloze keeps its blanks, however long they are.

    >>> rules = Rules(lang="ko")
    >>> blank_count("A ____ B ____.", "가 ____ 나.", rules)
    '2 blanks became 1: write each blank as ____'
    >>> blank_count("Because _ was full.", "_가 가득 찼기 때문이다.", rules)
    ''
    """
    if "_" not in source and "_" not in target:
        return ""
    old, new = (sum(not span.strip("_") for span in protected(t)) for t in (source, target))
    if old == new:
        return ""
    todo = "write each blank as ____" if old else "the source has no blank"
    return f"{old} blanks became {new}: {todo}"


def repetition(source: str, target: str, rules: Rules) -> str:
    """A model that loops says one thing over and over.

    >>> repetition("Why?", "왜 왜 왜 왜 왜 왜 왜 왜 왜 왜 왜?", Rules(lang="ko"))
    "the text repeats itself: '왜'"
    >>> repetition("Never, never give up.", "절대로, 절대로 포기하지 마십시오.", Rules(lang="ko"))
    ''
    """
    stretch = loop_of_its_own(source, target)
    return f"the text repeats itself: {stretch.strip()!r}" if stretch else ""


_STOP = re.compile(r"[.!?。？！][\"'”’)\]]*\s*\Z")


def length_hard(source: str, target: str, rules: Rules) -> str:
    """A length that no translation has.

    >>> rules = Rules(lang="ko")
    >>> length_hard("A sentence that has quite a lot of words.", "예", rules)
    'far too short: 41 characters became 1; translate the whole text'
    >>> length_hard("A sentence that has quite a lot of words.", "낱말이 꽤 많은 문장.", rules)
    ''
    >>> length_hard("The Association of Southeast Asian Nations", "아세안", rules)
    ''
    """
    old, new = len(source), len(target)
    if old >= 40 and new * 8 < old and (old >= 80 or _STOP.search(source, old - 10)):
        return f"far too short: {old} characters became {new}; translate the whole text"
    if new > 3 * old and new > 60:
        return f"far too long: {old} characters became {new}; translate the text and add nothing"
    return ""


_SPACES_AND_QUOTES = re.compile(r"[\s\"'`“”‘’「」『』«»]+")
_END = ".,!?:;。．！？…"


def plain(text: str) -> str:
    """A choice without the signs that do not tell it from another: spaces, quotes, its end.

    >>> plain(" “두 배” 이다. "), plain("3.5"), plain("?")
    ('두배이다', '3.5', '')
    """
    return _SPACES_AND_QUOTES.sub("", text).rstrip(_END)


def _spaced(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def collapsed(source: str, other: str, target: str, other_target: str) -> bool:
    """Were two choices that differ made one?

    A few signs do not tell choices apart, unless the source tells them apart by nothing else; how
    wide a space is, or how a letter is composed, tells none apart.

    >>> collapsed("cell", "cells", "세포", "세포."), collapsed("No!", "No?", "아니!", "아니?")
    (True, False)
    """
    same = source == other or _spaced(source) == _spaced(other)
    if same or target == other_target:
        return not same
    return plain(target) == plain(other_target) and plain(source) != plain(other)
