"""The fake translation: every ASCII letter becomes a rare syllable of its own, and can go back.

What a test reads in the target language can thus be compared with its source exactly: same length,
same digits, same marks, and `back(forward(text)) == text`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from string import ascii_letters
from typing import Any

Row = dict[str, Any]
"""One row of a request or a reply: `{"id": ..., "t": [text, ...]}`."""

# Syllables closed by ㄿ, after ㅒ ㅙ ㅞ ㅢ: real words close with ㄿ only after ㅡ (읊다).
HANGUL = "".join(
    chr(0xAC00 + (lead * 21 + vowel) * 28 + 14) for vowel in (3, 10, 15, 19) for lead in range(13)
)
ALPHABETS = {"ko": HANGUL, "ja": "".join(chr(0x3041 + i) for i in range(52))}

_KEPT = re.compile(r"(⟦[^⟦⟧]*⟧|\([A-J]\)|(?<!\w)[a-j] \))")  # masks, and the letters of options
_FORWARD = {lang: str.maketrans(ascii_letters, signs) for lang, signs in ALPHABETS.items()}
_BACK = {lang: str.maketrans(signs, ascii_letters) for lang, signs in ALPHABETS.items()}


def forward(text: str, lang: str = "ko") -> str:
    """Transliterate, one sign for one letter. Masks and the letters of options pass through.

    >>> forward("Go 3 ⟦b1⟧ (A) 가!")
    '뭺꽲 3 ⟦b1⟧ (A) 가!'
    """
    table = _FORWARD[lang]
    parts = _KEPT.split(text)  # what is kept stands at the odd places
    return "".join(part if i % 2 else part.translate(table) for i, part in enumerate(parts))


def back(text: str, lang: str = "ko") -> str:
    """Undo `forward`, for every text that held none of the alphabet's own signs.

    >>> back("뭺꽲 3 ⟦b1⟧ 가!")
    'Go 3 ⟦b1⟧ 가!'
    """
    return text.translate(_BACK[lang])


def text_of(content: object) -> str:
    """What a message says: its string, or the text parts of its list.

    >>> text_of([{"type": "text", "text": "2+2"}, {"type": "image_url"}, {"text": "?"}])
    '2+2?'
    """
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def asked(messages: Sequence[Mapping[str, Any]]) -> list[Row] | None:
    """The rows that the last user message wants translated; None when it wants something else.

    >>> asked([{"role": "user", "content": '{"to": "ko", "rows": [{"id": 1, "t": ["tea"]}]}'}])
    [{'id': 1, 't': ['tea']}]
    >>> asked([{"role": "user", "content": "2+2?"}]) is None
    True
    """
    said = [m.get("content") for m in messages if m.get("role") == "user"]
    try:
        wanted = json.loads(text_of(said[-1])) if said else None
    except ValueError:
        return None
    rows = wanted.get("rows") if isinstance(wanted, dict) else None
    return rows if isinstance(rows, list) and all(_is_row(row) for row in rows) else None


def _is_row(row: object) -> bool:
    if not isinstance(row, dict) or "id" not in row or not isinstance(row.get("t"), list):
        return False
    return all(isinstance(text, str) for text in row["t"])


def terms_asked(messages: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The terms that the last user message wants translated in its own way.

    >>> terms_asked([{"role": "user", "content": '{"terms": [["dog", "개"]], "rows": []}'}])
    [['dog', '개']]
    """
    said = [m.get("content") for m in messages if m.get("role") == "user"]
    found = json.loads(text_of(said[-1])).get("terms", [])
    return [list(pair) for pair in found]


def translated(
    rows: Sequence[Row], lang: str = "ko", terms: Sequence[Sequence[str]] = ()
) -> list[Row]:
    """The rows of a faultless reply, `terms` translated as they say.

    >>> translated([{"id": 1, "t": ["a1"], "note": "not answered"}])
    [{'id': 1, 't': ['걢1']}]
    >>> translated([{"id": 1, "t": ["a dog"]}], terms=[["dog", "개"]])
    [{'id': 1, 't': ['걢 개']}]
    """

    def one(text: str) -> str:
        out = forward(text, lang)
        for term, translation in sorted(terms, key=lambda t: -len(t[0])):
            for said in (term, term.lower(), term.capitalize()):
                out = out.replace(forward(said, lang), translation)
        return out

    return [{"id": row["id"], "t": [one(text) for text in row["t"]]} for row in rows]
