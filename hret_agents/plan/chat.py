"""Conversations: which leaf says who speaks, and which one what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hret_agents.plan import hints
from hret_agents.plan.look import FITS, Look
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of
from hret_agents.plan.schema import Leaf

_SPEAKERS = frozenset(
    "user human prompter customer client assistant gpt model bot chatbot chatgpt agent system tool "
    "function function_call observation developer ipython environment".split()
)
_SPOKEN = ("content", "value", "text", "message", "utterance", "body")


def conversations(
    leaves: Sequence[Leaf], looks: Mapping[LeafPath, Look], roles: Mapping[LeafPath, Role]
) -> dict[LeafPath, LeafPath]:
    """By the leaf that holds what is said, the leaf beside it that holds who says it."""
    found: dict[LeafPath, LeafPath] = {}
    for speaker in leaves:
        if not speaks(speaker, looks[speaker.path]):
            continue
        beside = [
            leaf
            for leaf in leaves
            if list_of(leaf.path) == list_of(speaker.path) and roles[leaf.path] is Role.prose
        ]
        beside.sort(key=lambda leaf: leaf.name.lower() not in _SPOKEN)
        if beside:
            found[beside[0].path] = speaker.path
    return found


def speaks(leaf: Leaf, look: Look) -> bool:
    """Does a leaf in a list hold who speaks: user, assistant, system?"""
    if leaf.kind != "string" or not leaf.listed or not look.texts:
        return False
    known = sum(text.strip().lower() in _SPEAKERS for text in look.texts)
    return known >= FITS * len(look.texts)


def list_of(path: LeafPath) -> tuple[str, ...]:
    """The keys down to the innermost list that a leaf lies in; none for a leaf in no list.

    >>> list_of("messages[].content"), list_of("question")
    (('messages', '[]'), ())
    """
    keys = keys_of(path)
    last = max((place for place, key in enumerate(keys) if key == EACH), default=-1)
    return keys[: last + 1]


def chosen_conversation(
    conversations: Mapping[LeafPath, LeafPath],
) -> tuple[LeafPath, LeafPath] | None:
    """(what is said, who says it) of the conversation to show: none of the ranked ones, and none of
    several conversations in a row."""
    pairs = [pair for pair in conversations.items() if not hints.is_preference(pair[0])]
    pairs = [pair for pair in pairs if keys_of(pair[0]).count(EACH) == 1]
    return pairs[0] if pairs else None
