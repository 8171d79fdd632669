"""What a translator must not touch: found, replaced by marks (`⟦1⟧`), put back, and verified.

Protected are code, formulas, `<<48/2=24>>`, addresses, tags, placeholders, blanks, and our own mark
signs, should a text hold them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_PROTECTED = re.compile(
    r"""
      ```.*?```                                       # code fence
    | `[^`\n]+`                                       # inline code
    | \$\$.+?\$\$ | \\\[.+?\\\] | \\\(.+?\\\)         # display and inline formulas
    | \\begin\{(?P<env>\w+\*?)\}.*?\\end\{(?P=env)\}
    | (?<![\\$])\$(?![\s\d,.]+[^$\\^_={}+*/]*\s)(?!\s)(?:[^$\n\\]|\\.)+?(?<!\s)\$(?![0-9])
    | <<[^<>\n]*>>                                    # calculator marks of GSM8K
    | (?:https?://|www\.)                             # addresses: a stop or a particle behind
      (?:\([\w.,-]*\)|[\w.~:/?\#@!$&*+,;=%-])*       # them is none of theirs
      (?:\([\w.,-]*\)|[\w/=&%\#~+-])
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                   # e-mail
    | </?[a-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?> # tags
    | &\#?\w+;                                       # entities
    | \{\{[^{}\n]*\}\} | \$\{\w+\} | \{[A-Za-z_]\w*\} # placeholders
    | %\(\w+\)[sdifr] | %[sdif](?![A-Za-z])
    | _{2,} | (?<=\s)_(?=[\s.,?!])                    # blanks
    | \\[A-Za-z]+(?:\{[^{}\n]*\})*                    # a bare LaTeX command
    | [⟦⟧]
    """,
    re.VERBOSE | re.DOTALL | re.ASCII | re.IGNORECASE,
)
_MARK = re.compile(r"⟦\s*([0-9０-９]{1,6})\s*⟧")


def protected(text: str) -> list[str]:
    """The spans of `text` that a translator must not touch, in order.

    >>> protected("`x` costs $5 or $10, see $a^2$ and {name} ____ <<1+1=2>>2")
    ['`x`', '$a^2$', '{name}', '____', '<<1+1=2>>']
    """
    return [m[0] for m in _PROTECTED.finditer(text)]


def mask(text: str) -> tuple[str, list[str]]:
    """`text` with each protected span replaced by its mark, and the spans.

    >>> mask("Solve $x^2=4$ in {lang}.")
    ('Solve ⟦1⟧ in ⟦2⟧.', ['$x^2=4$', '{lang}'])
    """
    spans: list[str] = []

    def mark(m: re.Match[str]) -> str:
        spans.append(m[0])
        return f"⟦{len(spans)}⟧"

    return _PROTECTED.sub(mark, text), spans


def unmask(text: str, spans: Sequence[str]) -> str | None:
    """`text` with its marks replaced by their spans; None unless each mark stands exactly once.

    A sign of ours that is part of no mark is the model's invention: None too.

    >>> unmask("⟦ ２ ⟧에서 ⟦1⟧을 푸시오.", ["$x$", "{lang}"])
    '{lang}에서 $x$을 푸시오.'
    >>> unmask("⟦1⟧", ["a", "b"]) is None
    True
    """
    used: Counter[int] = Counter()

    def span(m: re.Match[str]) -> str:
        number = int(unicodedata.normalize("NFKC", m[1]))
        used[number] += 1
        return spans[number - 1] if 1 <= number <= len(spans) else ""

    if re.search("[⟦⟧]", _MARK.sub("", text)):
        return None
    whole = _MARK.sub(span, text)
    return whole if used == Counter(range(1, len(spans) + 1)) else None


def letters_outside(text: str) -> str:
    """`text` without its protected spans."""
    return _PROTECTED.sub(" ", text)
