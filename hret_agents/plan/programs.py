"""Is a leaf source code, and does it say in words what it is for?"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence

from hret_agents.checks.code import is_program
from hret_agents.plan.look import CLOSED, FITS, Look, is_sentence, share_of
from hret_agents.translate.programs import pieces

_PARSED = 24  # programs that are parsed: that costs far more than to look at them
_CODE = re.compile(
    r"^\s*(def \w|class \w+\s*[:({]|import [\w(\"]|from [\w.]+ import |#include|@\w|async def |"
    r"package |(public|private|protected|static) |fn \w+\(|func \w*\(|(local )?function \w*\(|"
    r"return\b|assert[ (]|"
    r"(const|let|var) \w+ ?=|diff --git|@@ -\d|<\?php|</?\w+[^>]*>\s*$|"
    r"(select|with|insert into|update|delete from|create table)\b.*\b(from|as|values|set|\()|"
    r"(for|while|if|elif|else|try|except|with)\b.*[:{]\s*$|[\w.\[\]]+ *[-+*/]?= *\S|"
    r"[\w.]+\(.*\)\s*$|[{}()\[\]]+[;,]?\s*$)|[;{]\s*$|=>",
    re.IGNORECASE,
)
_PAGE = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\b|html\b)", re.I | re.DOTALL)
_PROOF = re.compile(  # of Lean or Isabelle: a theorem with its proof
    r"\s*(noncomputable |private |@\[\w, ]+\]\s*)*(theorem|lemma|example|instance|def|abbrev)\b"
    r".*(:=|\bsorry\s*$|\bshows \")",
    re.DOTALL,
)
_GOAL = re.compile(r"^⊢ ", re.MULTILINE)  # what of a theorem is left to prove
_QUERY = re.compile(r"^\s*(select|with|insert into)\b.*\b(from|as|values)\b", re.I | re.DOTALL)

_TREE = re.compile(  # of a parser: (ROOT (S ..., ( ( It rains ) . )
    r"^(?=.*[^\W\d_]{2})\s*(\(\s*(\S+\s+)?\(.*\)|\(\s.*\s\))\s*$", re.DOTALL
)
_COMMENTS = ("#", "//", "/*", "*", "--", "%", ";", '"', "'")
_COMMENT = re.compile(r"/\*.*?(\*/|\Z)|^\s*(//|--|# )[^\n]*", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
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
    """Do half of its lines, comments aside, read like code, and two at least, or one beside a
    comment? A query, a statement of Python and the head of a function may be one line."""
    if _QUERY.match(text) and not CLOSED.search(text):
        return True
    if (
        _TREE.match(text)
        or _PAGE.match(text)
        or _PROOF.match(text)
        or _GOAL.search(text)
        or _PATCH.search(text)
        or _HEAD.match(text)
        or text.lstrip().startswith("/*")
        or (_STATEMENT.match(text) and _is_body(text))
    ):
        return True
    bare, comments = _COMMENT.subn("", text)
    lines = [line for line in bare.splitlines() if line.strip()]
    enough = len(lines) > 1 or (comments and any(sign in bare for sign in "({"))
    return bool(enough) and sum(bool(_CODE.search(x)) for x in lines) >= 0.5 * len(lines)


def is_python(look: Look) -> bool:
    """Programs of Python, or what stands in its functions?"""
    return share_of(_some(look.texts, _PARSED), _is_body) >= FITS


def _is_body(text: str) -> bool:
    """Could it be what stands in a function?"""
    body = textwrap.dedent(_FENCE.sub("", text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("def f():\n" + textwrap.indent(body, "    "))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
