"""A plan from a schema and a sample of rows: types, names and values, no model.

When in doubt a leaf is prose: translating a text too many is seen at once, a missed one is not. The
exception is whatever could be a label, key or gold: those are never translated.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hret_agents.plan import gold
from hret_agents.plan.look import Look
from hret_agents.plan.names import column_names
from hret_agents.plan.records import LeafPath, Plan, Role, TaskPlan, keys_of
from hret_agents.plan.schema import Leaf, leaves_of, values
from llm_eval.errors import UserError

_ID = re.compile(r"^(_?id|uid|guid|uuid|idx|index|hash|md5|key|.*_(id|idx|index|hash|key))$", re.I)
_URLS = re.compile(r"^(url|link|href|homepage|.*_(url|link))$", re.I)
_CODE = re.compile(
    r"^(code|canonical_solution|test|tests|test_list|entry_point|program|snippet)$", re.I
)
_TAG = re.compile(
    r"^(category|subject|topic|type|level|difficulty|source|domain|lang|language|split|version|tags?|"
    r"role|from|speaker|sender|polarity|genre|author|date|.*_(type|category|name|tag|source|lang|version))$",
    re.I,
)
_LABEL = re.compile(r"^(labels?|gold|gold_label|target|class|answer_?key|verdict|sentiment)$", re.I)
_PROSE = re.compile(
    r"^(question|query|problem|context|passage|article|story|premise|hypothesis|sentence\d?|text|"
    r"prompt|instruction|content|title|summary|rationale|solution|explanation|hint|input|output|"
    r"response|document|dialogue|background|support|ctx(_[ab])?|question_stem|stem)$",
    re.I,
)
_CHOICES = re.compile(
    r"^(choices?|options?|candidates?|endings?|answers|alternatives|distractors?)$", re.I
)
_ASIDE = re.compile(
    r"^(rationale|explanation|solution|hint|response|output|support|summary)$", re.I
)
_CONTEXT = re.compile(
    r"^(context|passage|article|story|document|background|premise|dialogue|ctx(_a)?|instruction)$",
    re.I,
)
_STEMS = re.compile(r"^(ans(wer)?|opt?(ion)?|choice|ending|sol|alternative|candidate|mc|)$")
_SUFFIXED = re.compile(r"^(.*?)[_ ]?(\d|[a-jA-J])$")


def infer_plan(
    features: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    source: str,
    target_lang: str,
    keep_columns: bool = False,
) -> Plan:
    """The plan for a dataset with these `features`, seen through `rows` (some hundreds will do).

    Raises:
        UserError: no column reads like something that could be asked.
    """
    leaves = leaves_of(features)
    looks = {
        leaf.path: Look([v for r in rows for v in values(r, leaf.path)], len(rows))
        for leaf in leaves
    }
    choices = choice_leaves(leaves, looks)
    roles = {leaf.path: _role(leaf, looks[leaf.path], choices) for leaf in leaves}
    found = gold.find(leaves, looks, rows, choices, roles)
    roles |= found.roles
    columns = list(dict.fromkeys(leaf.column for leaf in leaves))
    task = TaskPlan(
        kind=found.kind,
        question=_question(leaves, roles, found.answer),
        choices=choices,
        fixed_choices=found.fixed_choices,
        labels=found.labels,
        lettered=bool(choices) and all(looks[p].lettered for p in choices),
        answer=found.answer,
        answer_kind=found.answer_kind,
        index_base=found.index_base,
    )
    return Plan(
        source=source,
        source_lang=source_language([t for p in task.question for t in looks[p].texts]),
        target_lang=target_lang,
        roles=roles,
        names={} if keep_columns else column_names(columns, target_lang),
        task=task,
    )


def choice_leaves(leaves: Sequence[Leaf], looks: Mapping[LeafPath, Look]) -> list[LeafPath]:
    """The leaves that hold what is chosen from: one list of texts, or a column per choice."""
    for leaf in leaves:
        parents = [leaf.name, leaf.column]
        if leaf.kind != "string" or not leaf.path.endswith("[]") or not looks[leaf.path].texts:
            continue
        if "answers" in (p.lower() for p in parents) and not any(map(gold.may_be, leaves)):
            continue  # spellings of the gold answer, not what is chosen from
        labels = leaf.name.lower() in ("label", "labels", "key")
        if any(_CHOICES.match(p) for p in parents) and not labels:
            return [leaf.path]
    groups: dict[tuple[str, ...], list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        if leaf.kind == "string" and not leaf.listed and (m := _SUFFIXED.match(leaf.name)):
            groups[(*keys_of(leaf.path)[:-1], m[1].lower())].append(leaf)
    for (*_, stem), group in groups.items():
        marks = [leaf.name[-1].lower() for leaf in group]
        start = "0" if "0" in marks else "1" if "1" in marks else "a"
        running = [chr(ord(start) + i) for i in range(len(marks))]
        if _STEMS.match(stem) and len(group) >= 2 and marks == running:
            return [leaf.path for leaf in group]
    return []


def _role(leaf: Leaf, look: Look, choices: Sequence[LeafPath]) -> Role:
    """The role by type, then by name, then by what the values look like."""
    if leaf.kind != "string":
        return {"binary": Role.binary, "class_label": Role.category}.get(leaf.kind, Role.number)
    if leaf.path in choices:
        return Role.choices
    if not look.texts:
        return Role.category
    if look.url or _URLS.match(leaf.name):
        return Role.url
    if _CODE.match(leaf.name) or look.code:
        return Role.code
    if look.steps:
        return Role.answer_steps
    if look.numeric:
        return Role.number
    if _ID.match(leaf.name) and look.mean_words <= 2:
        return Role.id
    if _LABEL.match(leaf.name) and look.mean_words <= 4:
        return Role.category
    if _PROSE.match(leaf.name):
        return Role.math if look.math else Role.prose
    if look.math:
        return Role.math
    if look.letters or look.category or look.wordless:
        return Role.category
    if _TAG.match(leaf.name) and look.mean_words <= 4:
        return Role.category
    return Role.id if look.id_like else Role.prose


def _question(
    leaves: Sequence[Leaf], roles: Mapping[LeafPath, Role], answer: LeafPath | None
) -> list[LeafPath]:
    """What a model is shown, contexts first."""
    prose = [leaf for leaf in leaves if roles[leaf.path] in (Role.prose, Role.math)]
    asked = [
        p for p in prose if not _ASIDE.match(p.name) and p.path != answer and not gold.may_be(p)
    ]
    top = [p for p in asked if p.path == p.column] or asked
    if not top:
        top = [
            leaf
            for leaf in leaves
            if leaf.kind == "string" and re.match(r"prompt|question", leaf.name, re.I)
        ]
    if not top:
        raise UserError(
            "no column reads like a question",
            hint="write a plan and pass it by --plan; the columns are "
            + ", ".join(f"{leaf.path} ({roles[leaf.path]})" for leaf in leaves),
        )
    contexts = [p.path for p in top if _CONTEXT.match(p.name)]
    return contexts + [p.path for p in top if p.path not in contexts]


_SCRIPTS = (
    ("ko", re.compile(r"[가-힣]")),
    ("ja", re.compile(r"[぀-ヿ]")),
    ("zh", re.compile(r"[一-鿿]")),
    ("ru", re.compile(r"[Ѐ-ӿ]")),
    ("ar", re.compile(r"[؀-ۿ]")),
    ("hi", re.compile(r"[ऀ-ॿ]")),
    ("th", re.compile(r"[฀-๿]")),
)


def source_language(texts: Sequence[str]) -> str:
    """The language that the script of most letters tells; "en" for Latin letters.

    >>> source_language(["다음 중 옳은 것은?"]), source_language(["Which one?"])
    ('ko', 'en')
    """
    text = "".join(texts[:200])[:100_000]
    letters = max(1, sum(c.isalpha() for c in text))
    for lang, script in _SCRIPTS:
        if len(script.findall(text)) / letters > 0.3:
            return lang
    return "en"
