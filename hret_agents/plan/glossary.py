"""The glossary: reading its file, finding its terms in a text, and seeing whether they were kept.

A term is found as whole words, an English plural or possessive of it too (dog: dogs, dog's). Case
does not count, but a word with a capital beyond its first letter (IT, iPhone) is found only as it
is written. Where scripts know no spaces (汉字, かな, 한글, ไทย) it is found anywhere. Of terms that
overlap the longest counts, and what is protected (code, formulas, addresses) holds no terms.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hret_agents.plan.records import check_term
from hret_agents.translate.masks import letters_outside
from llm_eval.errors import UserError

Terms = tuple[tuple[str, str], ...]
Entry = tuple[str, str, str]  # where it stands, term, translation
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff㐀-鿿가-힣]")
_PROTECTING = re.compile(r"[`$\\<{%_@&⟦⟧]|https?:|www\.", re.IGNORECASE)  # a sign of it, at least
_TERM_HEADS = ("term", "source")
_TRANSLATION_HEADS = ("translation", "target")
_SHAPES = "a CSV of two columns, term and translation, or JSON: {term: translation}"


class Glossary:
    """Terms, made ready to be found in many texts."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        self.terms = dict(terms)
        self._by_words: dict[str, list[str]] = {}  # by a term's first word, or its first two
        self._by_sign: dict[str, list[str]] = {}
        for term in self.terms:
            if not _has_words(term):
                self._by_sign.setdefault(term[0].lower(), []).append(term)
                continue
            for words in _beginnings(term):
                self._by_words.setdefault(words, []).append(term)

    def occurring(self, texts: Sequence[str]) -> Terms:
        """The terms that stand in any of `texts`, each with its translation, sorted.

        >>> Glossary({"dog": "개", "hot dog": "핫도그", "IT": "정보기술"}).occurring(["Is it hot?"])
        ()
        >>> Glossary({"dog": "개", "hot dog": "핫도그"}).occurring(["Hot dogs and the dog's tail"])
        (('dog', '개'), ('hot dog', '핫도그'))
        """
        found: set[str] = set()
        for text in texts:
            if matches := self._matches(text):
                if _PROTECTING.search(text):
                    matches = self._matches(letters_outside(text))
                found.update(_longest(matches))
        return tuple((term, self.terms[term]) for term in sorted(found))

    def missing(self, source: str, target: str) -> list[tuple[str, str]]:
        """The terms of `source` whose translation `target` does not hold, spaces and case aside.

        >>> Glossary({"dog": "개|강아지"}).missing("Two dogs", "고양이 두 마리")
        [('dog', '개|강아지')]
        >>> Glossary({"dog": "개|강아지"}).missing("Two dogs", "강아지 두 마리")
        []
        """
        held = _bare(target)
        return [
            (term, translation)
            for term, translation in self.occurring([source])
            if not any(_bare(form) in held for form in translation.split("|"))
        ]

    def _matches(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, term) of every place where a term stands; they may overlap."""
        found: list[tuple[int, int, str]] = []
        if self._by_words:
            words = _WORD.findall(text.lower())
            pairs = map(" ".join, pairwise(words))
            likely = self._by_words.keys() & {*words, *pairs}
            for term in {term for words in likely for term in self._by_words[words]}:
                found += [(*m.span(), term) for m in _pattern(term).finditer(text)]
        if self._by_sign:
            for sign in self._by_sign.keys() & set(text.lower()):
                for term in self._by_sign[sign]:
                    found += [(*m.span(), term) for m in _pattern(term).finditer(text)]
        return found


def _longest(matches: Iterable[tuple[int, int, str]]) -> set[str]:
    """The terms that are left where the longest of those that overlap counts."""
    taken: list[tuple[int, int]] = []  # sorted, and apart
    terms = set()
    for start, end, term in sorted(set(matches), key=lambda m: (m[0] - m[1], m)):
        place = bisect(taken, (start, end))
        after = place == len(taken) or end <= taken[place][0]
        if after and (not place or taken[place - 1][1] <= start):
            taken.insert(place, (start, end))
            terms.add(term)
    return terms


def _has_words(term: str) -> bool:
    return _WORD.search(term) is not None and _UNSPACED.search(term) is None


def _beginnings(term: str) -> list[str]:
    """The first two words, in lower case, of a place where `term` stands; a lone word's forms."""
    words = _WORD.findall(term)
    *first, last = words[:2]
    forms = [last, *(_plurals(last) if len(words) <= 2 else [])]
    return [" ".join([*first, form]).lower() for form in forms]


def _plurals(word: str) -> list[str]:
    """English plurals of a word: dogs, boxes, cities. None of a short one that is no acronym.

    >>> _plurals("box"), _plurals("city"), _plurals("PC"), _plurals("it")
    (['boxes'], ['cities'], ['PCs'], [])
    """
    if not word.isascii() or not word.isalpha() or (len(word) < 3 and not word.isupper()):
        return []
    lower = word.lower()
    if lower.endswith(("s", "x", "z", "ch", "sh")):
        return [word + "es"]
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return [word[:-1] + "ies"]
    return [word + "s", word + "es"] if lower.endswith("o") else [word + "s"]


@cache
def _pattern(term: str) -> re.Pattern[str]:
    """What `term` may look like in a text. The last word may be a plural."""
    if not _has_words(term):
        return re.compile(_spaced(term), re.IGNORECASE)
    parts = re.split(r"(\w+)", term)  # the words stand at the odd places
    out = [_spaced(parts[0])]
    last = len(parts) - 2
    for place in range(1, len(parts), 2):
        word, after = parts[place], parts[place + 1]
        forms = [word, *(_plurals(word) if place == last and not after.strip() else [])]
        forms = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        exact = any(c.isupper() for c in word[1:])
        out += [f"(?{'-i' if exact else 'i'}:{'|'.join(forms)})", _spaced(after)]
    begin = r"(?<!\w)" if re.match(r"\w", term) else ""
    end = r"(?!\w)" if re.search(r"\w$", term) else ""
    return re.compile(begin + "".join(out) + end)


def _spaced(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", text))


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()


# -- the file --------------------------------------------------------------------------------------


def read_glossary(path: Path) -> dict[str, str]:
    """The terms in a CSV or JSON file, in its order.

    Raises:
        UserError: the file cannot be read, or an entry is empty or contradicts an earlier one; the
            line is named.
    """
    text = _decoded(path)
    as_json = path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "[")
    terms: dict[str, str] = {}
    seen: dict[str, tuple[str, str]] = {}
    for where, term, translation in (_json if as_json else _csv)(text, path):
        check_term(term, translation, f"{path}, {where}")
        first, other = seen.setdefault(same(term), (where, translation))
        if other != translation:
            raise UserError(
                f"{path}, {where}: {term!r} is translated by {translation!r} here, and by "
                f"{other!r} in {first}",
                hint="leave one, or write both as one: a|b",
            )
        terms.setdefault(term, translation)
    if not terms:
        raise UserError(f"{path} holds no terms", hint=_SHAPES)
    return terms


def merged(own: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """The terms of both, sorted; a term that stands in both is translated as in `over`."""
    new = {same(term) for term in over}
    kept = {term: text for term, text in own.items() if same(term) not in new}
    return dict(sorted((kept | dict(over)).items()))


def same(term: str) -> str:
    """Equal for terms that are found in the same places.

    >>> same("Hot  dog") == same("hot dog"), same("IT") == same("it")
    (True, False)
    """
    words = term.split()
    return " ".join(w if any(c.isupper() for c in w[1:]) else w.lower() for w in words)


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise UserError(f"the glossary {path} cannot be read: {e.strerror}", hint=_SHAPES) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("cp949")
    except UnicodeDecodeError:
        raise UserError(f"the glossary {path} is no text", hint="save it as UTF-8") from None
    logging.getLogger(__name__).warning(
        "the glossary %s is no UTF-8: it was read as CP949, Korean Excel's encoding", path
    )
    return text


def _csv(text: str, path: Path) -> Iterator[Entry]:
    """The entries of a CSV: under a header the columns that it names, else the two there are."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=re.sub(r'"[^"]*"', "", first).count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    columns: tuple[int, int] | None = None
    bare = False  # without a header
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            where = f"line {reader.line_num}"
            if columns is None:
                columns = _header(cells)
                if columns is not None:
                    continue
                columns, bare = (0, 1), True
                if len(cells) == 1:
                    raise UserError(f"{path}, {where}: 1 columns, not 2", hint=_SHAPES)
            if bare and len(cells) > 2:
                raise UserError(f"{path}, {where}: {len(cells)} columns, not 2", hint=_SHAPES)
            if len(cells) <= max(columns):
                raise UserError(f"{path}, {where}: {cells[0]!r} has no translation", hint=_SHAPES)
            yield where, cells[columns[0]], cells[columns[1]]
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}", hint=_SHAPES) from None


def _header(cells: Sequence[str]) -> tuple[int, int] | None:
    """The places of term and translation in a header; None if these cells are none."""
    heads = [cell.lower() for cell in cells]
    term = next((heads.index(h) for h in _TERM_HEADS if h in heads), None)
    translation = next((heads.index(h) for h in _TRANSLATION_HEADS if h in heads), None)
    return None if term is None or translation is None else (term, translation)


def _json(text: str, path: Path) -> Iterator[Entry]:
    """The entries of a JSON object, or of a list of objects. An object's keys may be doubled."""
    try:
        found = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as e:
        line = f", line {e.lineno}" if isinstance(e, json.JSONDecodeError) else ""
        raise UserError(f"{path}{line}: this is no JSON", hint=_SHAPES) from None
    entries: Any = found if isinstance(found, list) else [None]
    for number, entry in enumerate(entries, 1):
        where = f"entry {number}"
        if isinstance(entry, list):
            named = {str(k).lower(): v for k, v in (e for e in entry if isinstance(e, tuple))}
            entry = tuple(
                next((named[h] for h in heads if h in named), None)
                for heads in (_TERM_HEADS, _TRANSLATION_HEADS)
            )
        if not isinstance(entry, tuple) or not all(isinstance(part, str) for part in entry):
            raise UserError(f"{path}, {where}: no term and translation", hint=_SHAPES)
        yield where, entry[0].strip(), entry[1].strip()
