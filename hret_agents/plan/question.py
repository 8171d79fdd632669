"""What a model is shown of a row: contexts first, nothing twice, nothing that tells the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.found import Found, may_be
from hret_agents.plan.labels import is_known
from hret_agents.plan.look import FITS, Look, words
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of
from hret_agents.plan.schema import Leaf, values

_LONG = 30  # characters of an answer that stand in another text by no accident
_WORDS = 20  # of a row's text that is told before something is asked
_PROMPTS = {("prompt",), ("question",), ("query",), ("problem",)}
_ROWS = 100  # rows in which texts are compared
Rows = Sequence[Mapping[str, Any]]


def question_of(
    leaves: Sequence[Leaf],
    roles: Mapping[LeafPath, Role],
    found: Found,
    rows: Rows,
    said: LeafPath | None = None,
    talks: Collection[LeafPath] = (),
) -> list[LeafPath]:
    """The leaves to show; `said` is what is said in the conversation to show, of all `talks`. Empty
    if there is nothing to ask.
    """
    rows = [rows[i * len(rows) // _ROWS] for i in range(_ROWS)] if len(rows) > _ROWS else rows
    taken = {found.answer, *(found.group.paths if found.group else ())}
    shown = [x for x in leaves if x.path not in taken and _may_be_shown(x, roles, found)]
    shown = [x for x in shown if x.path == said or not _is_aside(x, found)]
    shown = _without_answers(shown, leaves, roles, found, rows)
    told = [x.path for x in shown if x.path not in talks and _is_told(x, roles, rows)]
    asked = _asked(_without_formulas(shown, roles), roles, found, said, told)
    asked = _without_second(_without_choices(asked, found, rows), said)
    asked = _without_repeats(asked, rows)
    contexts = [p.path for p in asked if _is_context(p, told) and not _asks(p)]
    paths = contexts + [p.path for p in asked if p.path not in contexts]
    beside = [x.path for x in leaves if _is_listing(x, roles) and x.path not in [*taken, *paths]]
    beside += [x.path for x in leaves if _is_shown_label(x, roles) and x.path not in taken]
    beside += [x.path for x in leaves if _is_shown_code(x, roles) and x.path not in taken]
    beside += [x.path for x in leaves if _is_piece(x, roles) and x.path not in taken]
    asks = any(isinstance(v, str) and v.strip() for p in paths for r in rows for v in values(r, p))
    return [*paths, *beside] if asks else _last_resort(leaves, roles, found)


def _may_be_shown(leaf: Leaf, roles: Mapping[LeafPath, Role], found: Found) -> bool:
    role = roles[leaf.path]
    if role is Role.math:
        return not may_be(leaf)
    return role in (Role.prose, Role.code_prompt)


def judged(
    leaves: Sequence[Leaf],
    looks: Mapping[LeafPath, Look],
    roles: Mapping[LeafPath, Role],
    found: Found,
) -> dict[LeafPath, Role]:
    """Answers that labels judge are texts, however short."""
    return {
        x.path: Role.prose
        for x in leaves
        if x.kind == "string"
        and _is_judged(x, found)
        and roles[x.path] is Role.category
        and looks[x.path].mean_words > 1
        and not all(map(is_known, looks[x.path].texts))
    }


def _is_judged(leaf: Leaf, found: Found) -> bool:
    named = leaf.name.lower() in ("answer", "response") and len(keys_of(leaf.path)) == 1
    return named and bool(found.fixed_choices) and leaf.path != found.answer


def _is_aside(leaf: Leaf, found: Found) -> bool:
    """What explains, answers or follows; but an answer that labels judge is asked about."""
    return hints.is_aside(leaf.path) and not _is_judged(leaf, found)


def _asks(leaf: Leaf) -> bool:
    return leaf.name.lower() in ("question", "query", "prompt", "problem")


def _asked(
    shown: Sequence[Leaf],
    roles: Mapping[LeafPath, Role],
    found: Found,
    said: LeafPath | None,
    told: Sequence[LeafPath],
) -> list[Leaf]:
    """Of what may be shown what asks, and what it asks about. Names tell; where they tell nothing,
    or of contexts only, all that stands at the top of a row does."""
    asking = [x for x in shown if hints.is_asking(x.path) or x.path == said]
    contexts = [x for x in shown if hints.is_context(x.path) or (asking and x.path in told)]
    texts = [x for x in shown if hints.is_text(x.path)]
    if asking:
        about = [x for x in texts if _is_asked_about(x) or roles[x.path] is Role.code_prompt]
    else:
        about = texts
    judged = [x for x in shown if hints.is_aside(x.path) and x.path != said]
    named = [*asking, *contexts, *about, *judged]
    if not asking and not texts:
        named += [x for x in shown if EACH not in keys_of(x.path)]
    return [x for x in shown if x in named] or list(shown)


def _is_told(leaf: Leaf, roles: Mapping[LeafPath, Role], rows: Rows) -> bool:
    """A text, or a list of texts, of some length that neither asks nor speaks of the answer."""
    if roles[leaf.path] is not Role.prose or hints.is_asking(leaf.path) or may_be(leaf):
        return False
    if hints.is_verdict(leaf.path):
        return False
    said = [[v for v in values(row, leaf.path) if isinstance(v, str)] for row in rows]
    lengths = [words(" ".join(texts)) for texts in said if any(map(str.strip, texts))]
    return bool(lengths) and sum(lengths) >= _WORDS * len(lengths)


def _is_context(leaf: Leaf, told: Sequence[LeafPath]) -> bool:
    return hints.is_context(leaf.path) or (leaf.path in told and not _is_asked_about(leaf))


def _is_asked_about(leaf: Leaf) -> bool:
    """A text beside a question that is part of it, and no title or description."""
    parts = hints.parts_of(leaf.name)
    return EACH not in keys_of(leaf.path) and bool(
        {"text", "body", "sentence", "sent", "conclusion", "utterance", "phrase"}.intersection(
            parts
        )
    )


def _without_answers(
    shown: Sequence[Leaf],
    leaves: Sequence[Leaf],
    roles: Mapping[LeafPath, Role],
    found: Found,
    rows: Rows,
) -> list[Leaf]:
    """Without a text that holds a long answer or explanation: an example written out in full.

    A question is none of these, nor what says the same word for word and no more, nor a context
    that answers are pieces of.
    """
    secret = [
        x.path
        for x in leaves
        if roles[x.path].translated
        and x not in shown
        and (x.path == found.answer or (hints.is_aside(x.path) and not hints.asks(x.name)))
        and roles[x.path] is not Role.answer_span
    ]
    return [
        x
        for x in shown
        if _is_source(x)
        or not any(
            _holds(x.path, p, rows, _LONG)
            and (p == found.answer or not hints.asks(x.name) or not _holds(p, x.path, rows))
            for p in secret
        )
    ]


def _is_source(leaf: Leaf) -> bool:
    """A context that answers may be pieces of; a dialogue may end in its answer."""
    spoken = {"dialogue", "dialog", "dialogs", "history"}.intersection(hints.parts_of(leaf.name))
    return hints.is_context(leaf.path) and not hints.is_asking(leaf.path) and not spoken


def _without_formulas(shown: Sequence[Leaf], roles: Mapping[LeafPath, Role]) -> list[Leaf]:
    """Without what says a text beside it once more as a formula: premises-FOL beside premises."""
    texts = [hints.parts_of(x.name) for x in shown if roles[x.path] is Role.prose]
    parts = {x.path: hints.parts_of(x.name) for x in shown if roles[x.path] is Role.math}
    again = [path for path, own in parts.items() for t in texts if own != t == own[: len(t)]]
    return [x for x in shown if x.path not in again]


def _without_choices(asked: Sequence[Leaf], found: Found, rows: Rows) -> list[Leaf]:
    """Without what says a question once more and its choices with it, as they are shown anyway."""
    choices = found.group.paths if found.group else []
    again = [
        x
        for x in asked
        if choices
        and all(_holds(x.path, p, rows) for p in choices)
        and any(o is not x and _holds(x.path, o.path, rows) for o in asked)
    ]
    return [x for x in asked if x not in again]


def _without_second(asked: Sequence[Leaf], said: LeafPath | None) -> list[Leaf]:
    """Without what a question was made from, or was made of it: seed_question, annot_utt."""
    first = [x for x in asked if hints.first_of(x.name) == hints.parts_of(x.name)]
    names = [hints.first_of(x.name) for x in first]
    asks = any(_asks(x) or x.path == said for x in first)
    return [
        x
        for x in asked
        if x in first
        or not (
            (asks and hints.first_of(x.name)[-1:] in _PROMPTS) or hints.first_of(x.name) in names
        )
    ]


def _without_repeats(asked: Sequence[Leaf], rows: Rows) -> list[Leaf]:
    """Without what stands, word for word, in another part: ctx_a where there is ctx."""
    kept = list(asked)
    for leaf in sorted(asked, key=_asks):
        if any(other is not leaf and _holds(other.path, leaf.path, rows) for other in kept):
            kept.remove(leaf)
    return kept


def _holds(whole: LeafPath, part: LeafPath, rows: Rows, least: int = 1) -> bool:
    """Does the text at `part`, where there is one, stand in the text at `whole`? Of texts that most
    are `least` characters long; the shorter ones tell nothing."""
    fits, short = [], 0
    for row in rows:
        texts = [v.strip() for v in values(row, part) if isinstance(v, str) and v.strip()]
        if texts and max(map(len, texts)) >= least:
            said = "\0".join(v for v in values(row, whole) if isinstance(v, str))
            fits.append(all(text in said for text in texts))
        else:
            short += bool(texts)
    return len(fits) > short and sum(fits) >= FITS * len(fits)


def _is_shown_label(leaf: Leaf, roles: Mapping[LeafPath, Role]) -> bool:
    kept = roles[leaf.path] is Role.category and leaf.kind == "string" and not leaf.listed
    return kept and len(keys_of(leaf.path)) == 1 and hints.is_shown_label(leaf.name)


def _is_piece(leaf: Leaf, roles: Mapping[LeafPath, Role]) -> bool:
    """A piece of a text that something is asked about, and no answer."""
    piece = roles[leaf.path] is Role.answer_span
    return piece and not (may_be(leaf) or hints.is_aside(leaf.path))


def _is_listing(leaf: Leaf, roles: Mapping[LeafPath, Role]) -> bool:
    """All options in one text"""
    listed = EACH in keys_of(leaf.path)
    return roles[leaf.path] is Role.prose and hints.is_options(leaf.name) and not listed


def _is_shown_code(leaf: Leaf, roles: Mapping[LeafPath, Role]) -> bool:
    """A signature to begin with; the tools to call."""
    known = hints.is_starter(leaf.name) or hints.is_tools(leaf.name)
    return known and roles[leaf.path] is Role.code and not leaf.listed


def _last_resort(
    leaves: Sequence[Leaf], roles: Mapping[LeafPath, Role], found: Found
) -> list[LeafPath]:
    """Where no text asks: a program to go on with, a number, single words; and where nothing is
    graded the texts that else stand aside, of ranked ones the first."""
    single = [x for x in leaves if x.kind == "string" and found.answer != x.path]
    prose = [x.path for x in single if roles[x.path] is Role.prose]
    ranked = [path for path in prose if hints.is_preference(path)]
    kept = [x for x in single if not roles[x.path].translated]
    ways = [
        [x.path for x in kept if hints.parts_of(x.name)[-1:] in _PROMPTS and not x.listed],
        [x.path for x in kept if roles[x.path] is Role.code and x.name.lower() == "code"],
        [p for p in prose if p not in ranked] if found.kind == "ungraded" else [],
        ranked[:1] if found.kind == "ungraded" else [],
        [x.path for x in kept if x.listed and x.name.lower() in ("tokens", "words")],
    ]
    return next((paths for paths in ways if paths), [])
