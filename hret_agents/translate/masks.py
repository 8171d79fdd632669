"""What a translator must not touch: found, replaced by marks (`⟦1⟧`), put back, and verified.

Protected are code, formulas, `<<48/2=24>>`, addresses, tags, placeholders, blanks, and our own mark
signs, with what reads like them (`[[1]]`, `【1】`), should a text hold them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from html.entities import name2codepoint

_LATEX = r"(?:[^\\]|\\(?!begin\{|end\{).)*"  # inside an environment, up to the next \begin or \end
_ENTITIES = "|".join(["apos", *name2codepoint])
_EMPHASIS = r"[가-힣][^_\n]{0,60}(?<=[^\s_('\"“‘\[])_(?:[^_\w]|$)"  # `_정말로_`: no blank
_CODE = (  # of one backtick or two; LaTeX's quotes (``so'', `so') stand around prose
    r"(?<![`\w])(?:`(?![`\s])[^`\n]*(?<!\s)`(?!`|(?!s\b)[A-Za-z0-9])"
    r"|``(?![`\s])(?:(?!'')[^`\n])+(?<!\s)``(?![`A-Za-z0-9]))"
)
_KINDS = rf"""
      ```.*?```                                       # code fence
    | {_CODE}                                         # inline code
    | \$\$.+?\$\$                                     # display formulas
    | \\\[(?:[^\\]|\\[^\[\]])+\\\] | \\\((?:[^\\]|\\[^()])+\\\)
    | \\begin\{{(?P<env>\w+\*?)\}}{_LATEX}
      (?:\\begin\{{(?P<inner>\w+\*?)\}}{_LATEX}\\end\{{(?P=inner)\}}{_LATEX})*\\end\{{(?P=env)\}}
    | (?<![\\$])(?<!(?-i:[A-Z]))\$(?![\s\d,.][^$\\^_={{}}+*/\s]*+\s)(?!\s|<<) # no `US$5`
      (?:[^$\n\\]|\\.)+(?<![\s(])\$(?![0-9]|<<)
    | <<[^<>\n]*>>                                    # calculator marks of GSM8K
    | (?:https?://|www\.)                             # addresses: a stop or a particle behind
      (?:\([\w.,-]*\)|[\w.~:/?\#@!$&*+,;=%-])*       # them is none of theirs
      (?:\([\w.,-]*\)|[\w/=&%\#~+-])
    | </?[a-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?> # tags
    | &(?=\#?\w{{2,12}};)(?:\#\d+|\#x[0-9a-f]+|{_ENTITIES}); # entities
    | \{{\{{[^{{}}\n]*\}}\}} | \$\{{\w+\}} | \{{[A-Za-z_]\w*\}} # placeholders
    | %(?:\(\w+\)|\d\$)?[-+\#0]*\d*(?:\.\d+)?[sdifgxu](?![A-Za-z])
    | _{{2,}}                                        # blanks
    | (?<![^\s("'“‘\[])_(?=[\s.,?!;:'’”")\]가-힣]|$)(?!{_EMPHASIS})
    | (?-i:\\n(?=[A-Z])(?!(?:Left|Right|Leftright|Lleft)arrow|V[dD]ash)) # a line break, written out
    | \\[A-Za-z]+(?:\{{[^{{}}\n]*\}})*                # a bare LaTeX command
    | [⟦⟧] | \[\[\s*[0-9０-９]{{1,6}}\s*\]\] | [【〚〖]\s*[0-9０-９]{{1,6}}\s*[】〛〗]
    """
_BEGIN = r"[`$\\<hw&{%_⟦⟧\[【〚〖]"  # of each of them
_EMAIL = r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+"
_FLAGS = re.VERBOSE | re.DOTALL | re.ASCII | re.IGNORECASE
_PROTECTED = re.compile(f"(?={_BEGIN})(?:{_KINDS})", _FLAGS)
_WITH_EMAIL = re.compile(f"{_EMAIL}|(?={_BEGIN})(?:{_KINDS})", _FLAGS)
_SIGN = re.compile(r"[`$\\<&{%_@⟦⟧【〚〖]")
_NUMBER = r"\s*([0-9０-９]{1,6})\s*"
_MARK = re.compile(f"⟦{_NUMBER}⟧")
_LIKE_A_MARK = re.compile(rf"⟦{_NUMBER}⟧|\[\[{_NUMBER}\]\]|[【〚〖]{_NUMBER}[】〛〗]")


@lru_cache(maxsize=64)
def _matches(text: str) -> tuple[tuple[int, int], ...]:
    """Where the protected spans are; the checks ask about the same text several times."""
    if not _SIGN.search(text):
        low = text.lower()
        if "://" not in low and "www." not in low and "[[" not in low:
            return ()
    pattern = _WITH_EMAIL if "@" in text else _PROTECTED
    return tuple([m.span() for m in pattern.finditer(text)])


def protected(text: str) -> list[str]:
    """The spans of `text` that a translator must not touch, in order.

    >>> protected("`x` costs $5 or $10, see $a^2$ and {name} ____ <<1+1=2>>2")
    ['`x`', '$a^2$', '{name}', '____', '<<1+1=2>>']
    """
    return [text[start:end] for start, end in _matches(text)]


def spans_of(text: str) -> list[tuple[int, int]]:
    """Where the protected spans of `text` begin and end."""
    return list(_matches(text))


def mask(text: str) -> tuple[str, list[str]]:
    """`text` with each protected span replaced by its mark, and the spans.

    >>> mask("Solve $x^2=4$ in {lang}.")
    ('Solve ⟦1⟧ in ⟦2⟧.', ['$x^2=4$', '{lang}'])
    """
    parts, spans, last = [], [], 0
    for start, end in _matches(text):
        spans.append(text[start:end])
        parts += [text[last:start], f"⟦{len(spans)}⟧"]
        last = end
    return "".join([*parts, text[last:]]), spans


def unmask(text: str, spans: Sequence[str]) -> str | None:
    """`text` with its marks replaced by their spans; None unless each mark stands exactly once.

    A mark that the model wrapped in other brackets (`[[1]]`, `【1】`) is one: a masked text holds
    nothing that reads like it. A sign of ours that is part of no mark is the model's invention:
    None too.

    >>> unmask("⟦ ２ ⟧에서 【1】을 푸시오.", ["$x$", "{lang}"])
    '{lang}에서 $x$을 푸시오.'
    >>> unmask("⟦1⟧", ["a", "b"]) is None
    True
    """
    used: Counter[int] = Counter()

    def span(m: re.Match[str]) -> str:
        number = int(unicodedata.normalize("NFKC", m[m.lastindex or 0]))
        used[number] += 1
        return spans[number - 1] if 1 <= number <= len(spans) else ""

    marks = _LIKE_A_MARK if spans else _MARK
    if re.search("[⟦⟧]", marks.sub("", text)):
        return None
    whole = marks.sub(span, text)
    return whole if used == Counter(range(1, len(spans) + 1)) else None


@lru_cache(maxsize=64)
def letters_outside(text: str) -> str:
    """`text` without its protected spans.

    >>> letters_outside("Call `sort()` first.")
    'Call   first.'
    """
    found = _matches(text)
    if not found:
        return text
    parts, last = [], 0
    for start, end in found:
        parts.append(text[last:start])
        last = end
    return " ".join([*parts, text[last:]])
