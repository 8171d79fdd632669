"""Fuzzy suggestions: of the texts translated before, the one most like a new text.

Comparing with every known text would take seconds a look-up. So each is filed under a few of its
word pairs, chosen by hash and so alike for like texts; only texts filed where the new one would be
are compared, character by character. A like text that shares no word pair is not found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from operator import xor
from typing import Any
from zlib import crc32

MOST = 200_000  # known texts
SHORTEST = 20  # characters; a shorter text needs no example
_HEAD, _TAIL = 400, 200  # characters of a long text that file it
_FILED, _LOOKED = 8, 12  # word pairs that a known text is filed under, and a new one looked up by
_DRAWER = 128  # texts looked at under one word pair: the oldest
_COMPARED = 64  # texts compared, those under most word pairs first
_UNSPACED = 12  # more characters a word than this: a language that puts no spaces
_HASH = (1 << 30) - 1  # small enough for Python to reckon fast
_LOW = (1 << 32) - 1


class Suggestions:
    """Known texts with their translations, to be asked for the most similar.

    Args:
        pairs: (sources, targets) of units, oldest first. The newest `MOST` different texts of at
            least `SHORTEST` characters are kept, each with its oldest translation.
        least: the smallest similarity of a suggestion: 1 - indel distance / both lengths.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[Sequence[str], Sequence[str]]],
        least: float = 0.85,
    ) -> None:
        self._least = least
        self._known: OrderedDict[str, str] = OrderedDict()
        for sources, targets in pairs:
            for source, target in zip(sources, targets, strict=True):
                if len(source) >= SHORTEST and source != target:
                    self._known.setdefault(source, target)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        self._texts = list(self._known)
        self._index = _filed(self._texts)
        self._files = (self._index & _LOW).astype("int32")

    def __len__(self) -> int:
        return len(self._texts)

    def like(self, text: str) -> tuple[str, str] | None:
        """The known text most like `text`, and its translation; the older of two as like.

        Never `text` itself: where it is asked anew, its old translation is not wanted. None if
        there is none of the least similarity, or `text` is too short to need one.
        """
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import extractOne

        if len(text) < SHORTEST or not self._texts:
            return None
        near = [known for i in self._near(text) if (known := self._texts[i]) != text]
        roughly = self._least - 1e-5  # the library rounds its own bound
        found = extractOne(text, near, scorer=Indel.normalized_similarity, score_cutoff=roughly)
        if found is None or found[1] < self._least - 1e-9:
            return None
        return found[0], self._known[found[0]]

    def _near(self, text: str) -> list[int]:
        """The texts filed where `text` would be: their numbers, ascending."""
        import numpy as np

        pairs = _word_pairs(text, _hash, _LOOKED)
        if not pairs:
            return []
        keys = np.array(pairs, dtype=np.uint64) << np.uint64(32)
        starts = self._index.searchsorted(keys)
        ends = self._index.searchsorted(keys + np.uint64(_LOW), side="right")
        drawers = [
            self._files[start : min(end, start + _DRAWER)]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        ids, which = np.unique(np.concatenate(drawers), return_inverse=True)
        if len(ids) > _COMPARED:
            rare = np.repeat(1 / np.maximum(ends - starts, 1), [len(d) for d in drawers])
            rank = np.bincount(which, rare)
            ids = np.sort(ids[np.argsort(-rank, kind="stable")[:_COMPARED]])
        return list(ids.tolist())


class _Hashes(dict[str, int]):
    """The hash of each word, reckoned once."""

    def __missing__(self, word: str) -> int:
        self[word] = found = _hash(word)
        return found


def _hash(word: str) -> int:
    return crc32(word.encode("utf-8", "surrogatepass")) & _HASH


def _filed(texts: Sequence[str]) -> Any:
    """A sorted array of (word pair's hash << 32 | the text's number)."""
    import numpy as np

    hashed = _Hashes().__getitem__
    hashes: list[int] = []
    counts: list[int] = []
    for text in texts:
        found = _word_pairs(text, hashed, _FILED)
        hashes += found
        counts.append(len(found))
    numbers = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    files = (np.array(hashes, dtype=np.uint64) << np.uint64(32)) | numbers
    files.sort()
    return files


def _word_pairs(text: str, hashed: Callable[[str], int], most: int) -> list[int]:
    """The `most` smallest hashes of the text's pairs of neighbouring words."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    words: Sequence[str] = text.split()
    if len(words) * _UNSPACED < len(text):
        words = text
    found = list(map(hashed, words))
    pairs = set(map(xor, found, found[1:]))
    pairs.discard(0)  # a word twice
    return sorted(pairs)[:most]
