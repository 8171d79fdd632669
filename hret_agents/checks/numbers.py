"""The numbers of a translation must be the source's: read in words and digits, and compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hret_agents.checks.base import Rules
from hret_agents.checks.measures import compared, measures
from hret_agents.checks.numerals import MOST, Mention, Time, Value, digits, number, outside
from hret_agents.checks.numerals_en import english
from hret_agents.checks.numerals_ko import korean

_READERS: dict[str, Callable[[str], list[Mention]]] = {"en": english, "ko": korean}
_RUN = re.compile(r"\d+")
_PLAIN = re.compile(r"\d[\d,]*(\.\d+)?")
_WORDS_AT_MOST = 31  # in a language that is not read, numbers up to here may be words


def numbers(source: str, target: str, rules: Rules) -> str:
    """Numbers should be the same ones, however they are written.

    >>> rules = Rules(lang="ko")
    >>> numbers("He has 1,250 won and 3 coins.", "그는 1250원과 동전 4개가 있다.", rules)
    'the numbers differ: 3 is missing, 4 was added'
    >>> numbers("120 million people at 2:00 p.m.", "오후 2시에 1억 2,000만 명", rules)
    ''
    >>> numbers("Three birds and 3 cats", "새 4마리와 고양이 세 마리", rules)
    'the numbers differ: 4 was added'
    >>> numbers("3 dozen eggs at 2 p.m.", "오전 2시에 달걀 3개", rules)
    'the numbers differ: 36, 14:00 are missing, 3, 2:00 were added'
    """
    old, new = outside(source), outside(target)
    if said := compared(old, new):
        return said
    readers = _READERS.get(rules.source_lang), _READERS.get(rules.lang)
    many = len(old) + len(new) > 2 * MOST and max(map(_count, (old, new))) > MOST
    if readers[0] is None or readers[1] is None or many:
        return _told(*_unread(digits(old), digits(new)))
    was = readers[0](old)
    if not any(m.hard or m.counted or m.time for m in was) and not _RUN.search(new):
        return ""
    said = _told(*_compared(was, readers[1](new)))
    if said or readers != (english, korean):
        return said
    return "; ".join(measures(old, new))


def _count(text: str) -> int:
    return len(_RUN.findall(text))


def _told(lost: Sequence[str], added: Sequence[str]) -> str:
    said = [f"{', '.join(lost[:8])} {'is' if len(lost) == 1 else 'are'} missing"] * bool(lost)
    said += [f"{', '.join(added[:8])} {'was' if len(added) == 1 else 'were'} added"] * bool(added)
    return f"the numbers differ: {', '.join(said)}" if said else ""


def _unread(was: Counter[str], now: Counter[str]) -> tuple[list[str], list[str]]:
    """What differs where a language is not read: there, small numbers may be words."""
    lost, added = list(was - now), [n for n in now if n not in was]
    if not lost or not added:
        lost, added = ([n for n in some if not _small(n)] for some in (lost, added))
    return lost, added


def _small(number: str) -> bool:
    return len(number) <= 2 and int(number) <= _WORDS_AT_MOST


def _compared(was: Sequence[Mention], now: Sequence[Mention]) -> tuple[list[str], list[str]]:
    """(the source's numbers that are missing, the translation's that are not the source's)."""
    was_left, now_left = _without_times(was, now)
    lost = _lost([m for m in was_left if m.hard], now_left)
    explained = _explained(was)
    added = [m for m in now_left if m.hard and not _explains(explained, m)]
    lost, added = lost + _clashing(was_left, now_left), added + _clashing(now_left, was_left)
    if not lost and not added:
        lost, added = _changed_words(was_left, now_left, explained)
    return _texts(lost), _texts(added)


def _texts(mentions: Sequence[Mention]) -> list[str]:
    return list(dict.fromkeys(map(_shown, mentions)))


def _shown(mention: Mention) -> str:
    """A number as it stands, or as it was read where its digits alone say something else."""
    if mention.time and mention.time.known:
        return f"{mention.time.hour % 24}:{mention.time.minute:02}"
    if _PLAIN.fullmatch(mention.text) and number(mention.text) not in mention.values:
        for value in mention.values[:1]:
            return value if isinstance(value, str) else f"{value:,}"
    return mention.text


# -- times of day ----------------------------------------------------------------------------------


def _face(time: Time) -> tuple[int, int]:
    return time.hour % 12, time.minute


def _half(time: Time) -> str:
    if not time.known:
        return ""
    return "p" if time.hour % 24 >= 12 else "a"


def _without_times(
    was: Sequence[Mention], now: Sequence[Mention]
) -> tuple[list[Mention], list[Mention]]:
    """Both without the times that they share. A time may stand in the translation again."""
    by_face: dict[tuple[int, int], dict[str, list[Mention]]] = {}
    for m in now:
        if m.time:
            by_face.setdefault(_face(m.time), {}).setdefault(_half(m.time), []).append(m)
    if not by_face:
        return list(was), list(now)
    matched: set[int] = set()
    for m in sorted((m for m in was if m.time), key=lambda m: not (m.time and m.time.known)):
        assert m.time is not None
        halves = by_face.get(_face(m.time), {})
        own = _half(m.time)
        for half in (own, "") if own else ("", "a", "p"):
            if found := halves.get(half):
                matched |= {id(m), id(found.pop())}
                break
    source_times = {(_face(m.time), _half(m.time)) for m in was if m.time}
    repeated = {
        id(m)
        for m in now
        if m.time and id(m) not in matched and (_face(m.time), _half(m.time)) in source_times
    }
    return (
        [m for m in was if id(m) not in matched],
        [m for m in now if id(m) not in matched and id(m) not in repeated],
    )


def _clashing(some: Sequence[Mention], others: Sequence[Mention]) -> list[Mention]:
    """The times of `some` that `others` hold in the other half of the day."""
    faces = {_face(m.time) for m in others if m.time and m.time.known}
    return [m for m in some if m.time and m.time.known and _face(m.time) in faces]


# -- numbers ---------------------------------------------------------------------------------------


class _Pool:
    """Numbers of the translation that nothing of the source has been found in yet."""

    def __init__(self, mentions: Iterable[Mention]) -> None:
        self._places: dict[Value, list[int]] = {}
        self._taken: list[bool] = []
        for mention in sorted(mentions, key=lambda m: (m.hard, -len(m.values))):
            self.add(mention.values)

    def add(self, values: Iterable[Value]) -> None:
        """A number with its readings; those that are added last are taken first."""
        for value in values:
            self._places.setdefault(value, []).append(len(self._taken))
        self._taken.append(False)

    def take(self, values: Iterable[Value]) -> bool:
        """Take a number that has one of these readings."""
        for value in values:
            places = self._places.get(value)
            while places:
                if not self._taken[place := places.pop()]:
                    self._taken[place] = True
                    return True
        return False

    def holds(self, value: Value) -> bool:
        """Is there such a number left?"""
        places = self._places.get(value, [])
        while places and self._taken[places[-1]]:
            places.pop()
        return bool(places)


def _lost(was: Sequence[Mention], now: Sequence[Mention]) -> list[Mention]:
    """The numbers in the source's digits that the translation does not hold, each once."""
    pool = _Pool(m for m in now if m.values)
    left = [m for m in was if len(m.values) == 1 and not pool.take(m.values)]
    left += [m for m in was if len(m.values) != 1 and not pool.take(m.values)]
    left = [m for m in left if not any(_take_all(pool, parts) for parts in m.parts)]
    if not left:
        return []
    kinds = {m.kind for m in left} - {"plain"}  # 3/4 is not 4/3, 2 p.m. not 2 a.m.
    for mention in now:
        if mention.kind not in kinds:
            for parts in mention.parts[:1]:
                for value in parts:
                    pool.add((value,))
    left = [m for m in left if not pool.take(m.values)]
    missing = {id(m) for m in left if not any(_take_all(pool, parts) for parts in m.parts)}
    return [m for m in was if id(m) in missing]


def _take_all(pool: _Pool, values: Sequence[Value]) -> bool:
    return all(pool.holds(v) for v in values) and all(pool.take((v,)) for v in values)


def _explained(was: Iterable[Mention]) -> set[Value]:
    """Every value that the source accounts for."""
    known: set[Value] = set()
    for mention in was:
        known.update(mention.values)
        for parts in mention.parts:
            known.update(parts)
        if mention.time:
            known.update((mention.time.hour, mention.time.hour % 12 or 12))
    return known


def _explains(known: set[Value], mention: Mention) -> bool:
    return any(v in known for v in mention.values) or any(
        all(v in known for v in parts) for parts in mention.parts
    )


def _changed_words(
    was: Sequence[Mention], now: Sequence[Mention], explained: set[Value]
) -> tuple[list[Mention], list[Mention]]:
    """A number word may vanish; but where another one stands instead, it was changed."""
    held = {v for m in now for v in m.values} | {v for m in now for p in m.parts for v in p}
    lost = [m for m in was if m.counted and not any(v in held for v in m.values)]
    added = [m for m in now if m.counted and not any(v in explained for v in m.values)]
    return (lost, added) if lost and added else ([], [])
