"""Options inside a text: where the gold is the letter of one of them, the letters must stay."""

from __future__ import annotations

import re

_STYLES = (  # how options are lettered, and how many of them make a list
    (re.compile(r"(?<!\b\w)[(（\[]([A-Ja-j])[)）\]]"), 2),
    (re.compile(r"(?<![\w(（])([A-Ja-j]) ?[)）]"), 2),
    (re.compile(r"(?<![\w.])([A-J]):(?=\s)"), 2),
    (re.compile(r"^[ \t]*([A-J])\.(?=\s)", re.MULTILINE), 2),
    (re.compile(r"(?<![\w.])([A-J])\.(?=\s)"), 3),
)

_ALONE = re.compile(r"(?<![A-Za-z0-9])[A-Ja-j](?![A-Za-z0-9])")


def letters_lost(source: str, target: str) -> str:
    """Why the options that `source` lists cannot be told by their letters in `target`.

    >>> letters_lost("Which? (A) a cat (B) a dog", "어느 것? (가) 고양이 (나) 개")
    'the answer is the letter of an option, so the options keep theirs: A, B'
    >>> letters_lost("Which? (A) a cat (B) a dog", "어느 것? A. 고양이 B. 개")
    ''
    """
    letters = left = _listed(source)
    for m in _ALONE.finditer(target):
        if left and m[0] == left[0]:
            left = left[1:]
    if not left:
        return ""
    return (
        f"the answer is the letter of an option, so the options keep theirs: {', '.join(letters)}"
    )


def _listed(text: str) -> str:
    """The letters of the options that a text lists, in order; empty where it lists none.

    >>> _listed("a ) 5 , b ) 6 , c ) none"), _listed("Both (A) and A. B. Hill")
    ('abc', '')
    """
    for style, least in _STYLES:
        found, end = "", 0
        for m in style.finditer(text):
            if found and ord(m[1]) == ord(found[-1]) + 1 and text[end : m.start()].strip():
                found, end = found + m[1], m.end()
            elif len(found) < least and m[1] in "Aa":
                found, end = m[1], m.end()
        if len(found) >= least:
            return found
    return ""
