"""What a gold is looked for in, what was found, and which leaves may hold one by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.choices import Group
from hret_agents.plan.look import Look
from hret_agents.plan.records import EACH, LeafPath, Role, Span, keys_of
from hret_agents.plan.schema import Leaf
from llm_eval.dataset.spec import AnswerKind, Task

_NAMES = re.compile(
    r"^(answers?|answer_?(key|idx|index|letter|number|text|value|label|choice|option|id)|"
    r"(correct|right|best|short|final|expected|gold|true)_?(answers?|idx|index|option|choice|label|"
    r"decision|letter|key|id|number|output)|(golden|reference|ref|ideal|exact|standard|std|key|"
    r"final|correct|gold|true)_?(ans|answers?)|(correct|ideal)_response|"
    r"(correct|right|gold|true)_?(answer|option|choice)_?"
    r"(num|number|no|idx|index|id|letter|key|label)|correct|gold|golds|labels?|targets?|cop|solution|"
    r"(\w+_)?answers|wellFormedAnswers|ground_?truths?|gt|ideal|ans|정답|답|output|verdict|sentiment|"
    r"polarity|class|stance|emotion|intent|.*_label|label_.*|is_\w+)$",
    re.I,
)
_ANSWERS = re.compile(r"^(\w+_)?(answers?|gold|ground_?truths?)(_\w+)?$", re.I)
_IN_ANSWERS = re.compile(
    r"^(normalized_?)?(value|aliases|text|texts|input_text|spans?|answer)$", re.I
)
_WEAK = frozenset("answer ans correct gold label target truth right key solution".split())
_NO_GOLD = frozenset(
    "type types source explanation rationale reason count num model score url incorrect wrong "
    "choices options start end explain reasoning steps category id names name".split()
)
Rows = Sequence[Mapping[str, Any]]
Looks = Mapping[LeafPath, Look]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found: the task, where its gold lies, and the roles that follow from it.

    `why` says why nothing can be graded, or what was taken for granted.
    """

    kind: Task = "ungraded"
    answer: LeafPath | None = None
    answer_kind: AnswerKind | None = None
    index_base: int = 0
    group: Group | None = None
    labels: LeafPath | None = None
    fixed_choices: list[str] = field(default_factory=list)
    span: Span | None = None
    tests: list[LeafPath] = field(default_factory=list)
    entry_point: LeafPath | None = None
    roles: dict[LeafPath, Role] = field(default_factory=dict)
    why: str = ""

    def ungraded(self, why: str) -> Found:
        """The same with its roles, and without its gold."""
        bare = Found(group=self.group, span=self.span, roles=self.roles)
        return replace(bare, why=f"not graded: {why}")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All there is to find a gold in."""

    leaves: Sequence[Leaf]
    looks: Looks
    rows: Rows
    roles: Mapping[LeafPath, Role]


def may_be(leaf: Leaf) -> bool:
    """Could a leaf, by its name or by what it lies in, hold the gold?"""
    if hints.is_wrong(leaf.name):
        return False
    *above, name = (n.replace(" ", "_") for n in hints.names_on(leaf.path))
    inside = _IN_ANSWERS.match(name) and any(map(_ANSWERS.match, above))
    return bool(inside) or _NAMES.match(name) is not None


def is_of_answers(path: LeafPath) -> bool:
    """Is a list one of texts, or of structs that are called answers or aliases?"""
    *above, last = keys_of(path)
    return last == EACH or any(_ANSWERS.match(key) or key.lower() == "aliases" for key in above)


def might_be(leaf: Leaf) -> bool:
    """Is the gold spoken of in a leaf's name, and nothing that is about the gold?"""
    parts = set(hints.parts_of(leaf.name))
    return bool(parts & _WEAK) and not parts & _NO_GOLD
