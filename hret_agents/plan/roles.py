"""The role of one leaf by itself: by its type, then by its values, then by its name.

What is doubtful is copied. Golds and choices are found among all leaves together, afterwards.
"""

from __future__ import annotations

from hret_agents.plan import hints
from hret_agents.plan.labels import is_known
from hret_agents.plan.look import CLOSED, Look
from hret_agents.plan.programs import begins_in_words, is_code, is_documented
from hret_agents.plan.records import Role
from hret_agents.plan.schema import Leaf

_FLAGS = 8  # so many zeros and ones are no counts
_CLASSES = 26  # as many as there are letters to choose by


def role_of(leaf: Leaf, look: Look) -> Role:
    """The role that a leaf has if it is neither a gold nor chosen from."""
    if leaf.kind != "string":
        return _by_type(leaf, look)
    if not look.texts:
        return _by_name_alone(leaf)
    if hints.is_of_tool(leaf.path):
        return _of_tool(leaf)
    if hints.is_of_tests(leaf.path):
        return Role.code
    return _by_values(leaf, look) or _by_name(leaf, look)


def _by_type(leaf: Leaf, look: Look) -> Role:
    if leaf.kind == "binary":
        return Role.binary
    if leaf.kind not in ("int", "float"):
        return Role.category
    if leaf.kind == "int" and (hints.is_id(leaf.name) or hints.is_of_ids(leaf.path)):
        return Role.id
    given = sum(v is not None for v in look.values)
    flags = leaf.kind == "int" and look.distinct <= {0, 1} and given >= _FLAGS
    return Role.category if hints.is_date(leaf.name) or flags else Role.number


def _of_tool(leaf: Leaf) -> Role:
    """Of a leaf in a tool's schema, or in a call: nothing there is translated."""
    if hints.is_id(leaf.name):
        return Role.id
    return Role.category if leaf.name.lower() == "type" else Role.code


def _by_name_alone(leaf: Leaf) -> Role:
    """Of a leaf that holds nothing in the rows looked at."""
    if hints.is_url(leaf.name):
        return Role.url
    if hints.is_code(leaf.name) or hints.is_of_tool(leaf.path):
        return Role.code
    if hints.is_empty_prose(leaf.path):
        return Role.prose
    return Role.category


def _by_values(leaf: Leaf, look: Look) -> Role | None:
    """What the values prove, whatever the name says."""
    if look.url:
        return Role.url
    if look.json or look.literals:
        return Role.code
    if look.canary:
        return Role.category
    if look.opaque:
        return Role.code if hints.is_code(leaf.name) else Role.id
    if look.listing and hints.is_options(leaf.name):
        return Role.prose
    if look.steps:
        return Role.answer_steps
    if look.boxed:
        return Role.answer_boxed
    if is_code(look):
        asks = hints.is_asking(leaf.path) or hints.is_text(leaf.path)
        if asks and begins_in_words(look):
            return Role.prose
        return Role.code_prompt if asks and is_documented(look) else Role.code
    if look.dates:
        return Role.category
    if look.numeric:
        return _of_digits(leaf)
    if look.logic and not hints.is_goldish(leaf.name):
        return Role.math
    if look.calls:
        return Role.code
    if look.sentences and not _is_closed_label(leaf, look):
        named = hints.is_code(leaf.name) and look.signs
        return Role.code if named else Role.prose
    return None


def _of_digits(leaf: Leaf) -> Role:
    if hints.is_id(leaf.name):
        return Role.id
    return Role.category if hints.is_date(leaf.name) else Role.number


def _is_closed_label(leaf: Leaf, look: Look) -> bool:
    """Labels of several words, as "the first entails the second": a handful, and no sentences."""
    few = len(look.distinct) <= _CLASSES and len(look.texts) > 2 * len(look.distinct)
    named = hints.is_label(leaf.name) or hints.is_tag(leaf.name)
    return named and few and not any(map(CLOSED.search, look.heads))


def _by_name(leaf: Leaf, look: Look) -> Role:
    """Of texts that are too short to prove anything."""
    if hints.is_url(leaf.name) and look.single:
        return Role.url
    if hints.is_code(leaf.name):
        return Role.code
    if look.math:
        return Role.id if hints.is_id(leaf.name) else Role.math
    if hints.is_wrong(leaf.name) and look.mean_words > 1.5:
        return Role.prose
    if hints.is_label(leaf.name) or hints.is_goldish(leaf.name):
        return Role.category
    if hints.is_id(leaf.name) and look.mean_words <= 2:
        return Role.id
    if look.identifiers and hints.parts_of(leaf.name)[-1:] == ("name",):
        return Role.code
    if hints.is_tag(leaf.name) or look.letters:
        return Role.category
    if all(map(is_known, look.texts)) or (look.category and len(look.distinct) > 1):
        return Role.category
    if hints.is_prose(leaf.path) and not look.single:
        return Role.prose
    return Role.id if look.id_like else Role.category
