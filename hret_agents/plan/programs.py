"""Is a leaf source code, and does it say in words what it is for?"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence

from hret_agents.checks.code import is_program
from hret_agents.plan.look import CLOSED, FITS, Look, is_sentence, share_of
from hret_agents.translate.programs import pieces

_PARSED = 24  # programs that are parsed: that costs far more than to look at them
_CODE = re.compile(
    r"^\s*(def \w|class \w+\s*[:({]|import \w|from [\w.]+ import |#include|@\w|async def |package |"
    r"(public|private|protected|static) |fn \w+\(|func \w*\(|function \w*\(|return\b|assert[ (]|"
    r"(const|let|var) \w+ ?=|diff --git|@@ -\d|<\?php|</?\w+[^>]*>\s*$|"
    r"(select|with|insert into|update|delete from|create table)\b.*\b(from|as|values|set|\()|"
    r"(for|while|if|elif|else|try|except|with)\b.*[:{]\s*$|[\w.\[\]]+ *[-+*/]?= *\S|"
    r"[\w.]+\(.*\)\s*$|[{}()\[\]]+[;,]?\s*$)|[;{]\s*$|=>",
    re.IGNORECASE,
)
_QUERY = re.compile(r"^\s*(select|with|insert into)\b.*\b(from|as|values)\b", re.I | re.DOTALL)

_TREE = re.compile(  # of a parser: (ROOT (S ..., ( ( It rains ) . )
    r"^(?=.*[^\W\d_]{2})\s*(\(\s*(\S+\s+)?\(.*\)|\(\s.*\s\))\s*$", re.DOTALL
)
_COMMENTS = ("#", "//", "/*", "*", "--", "%", ";", '"', "'")
_PATCH = re.compile(r"^(diff --git |@@ -\d)", re.MULTILINE)
_HEAD = re.compile(r"^\s*(async )?def \w+\([^)]*\).*:\s*$")
_STATEMENT = re.compile(r"^\s*(return|for|while|if|raise|assert|with|def|import|from|yield|del)\b")


def is_code(look: Look) -> bool:
    """Source code, of any language: it parses, or most of its lines read like code."""
    if share_of(_some(look.heads, 200), _like_code) > 0.7:
        return True
    return share_of(_some(look.texts, _PARSED), is_program) >= FITS


def is_documented(look: Look) -> bool:
    """Python programs, of which most say in a docstring or comment what they are for?"""
    read = [pieces(text) for text in _some(look.texts, _PARSED)]
    parsed = sum(found is not None for found in read)
    return bool(read) and parsed >= FITS * len(read) and sum(map(bool, read)) >= 0.5 * len(read)


def begins_in_words(look: Look) -> bool:
    """Does a plain sentence, and no comment, stand in front of the code?"""
    return share_of(_some(look.heads, 200), _begins_in_words) >= FITS


def _begins_in_words(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines() if line.strip()][:2]
    if any(line.startswith(_COMMENTS) or _CODE.search(line) for line in lines):
        return False
    return any(map(is_sentence, lines))


def _some(texts: Sequence[str], count: int) -> Sequence[str]:
    """At most `count` of them, spread evenly."""
    return texts if len(texts) <= count else [texts[i * len(texts) // count] for i in range(count)]


def _like_code(text: str) -> bool:
    """Do half of its lines, and two at least, read like code? A query, a statement of Python and
    the head of a function may be one line."""
    if _QUERY.match(text) and not CLOSED.search(text):
        return True
    if (
        _TREE.match(text)
        or _PATCH.search(text)
        or _HEAD.match(text)
        or (_STATEMENT.match(text) and _is_body(text))
    ):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and sum(bool(_CODE.search(line)) for line in lines) >= 0.5 * len(lines)


def _is_body(text: str) -> bool:
    """Could it be what stands in a function?"""
    try:
        ast.parse("def f():\n" + textwrap.indent(textwrap.dedent(text), "    "))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
