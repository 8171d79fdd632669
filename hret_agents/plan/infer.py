"""A plan from a schema and a sample of rows: types, values and names, no model.

What is doubtful is copied, except that plain sentences are prose whatever their column is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hret_agents.plan import gold
from hret_agents.plan.chat import chosen_conversation, conversations
from hret_agents.plan.choices import groups, nested
from hret_agents.plan.found import Found, Seen
from hret_agents.plan.hints import names_on
from hret_agents.plan.labels import shown_labels
from hret_agents.plan.languages import other_languages, sides_that_stay
from hret_agents.plan.look import Look
from hret_agents.plan.names import column_names
from hret_agents.plan.question import judged, question_of
from hret_agents.plan.records import LeafPath, Plan, Role, TaskPlan, keys_of
from hret_agents.plan.roles import role_of
from hret_agents.plan.schema import Leaf, leaves_of, values
from hret_agents.plan.unseen import graded
from llm_eval.errors import UserError

Rows = Sequence[Mapping[str, Any]]
_CELLS, _FEWEST = 100_000, 50  # cells that are looked at; but so many rows of a very wide table


def infer_plan(
    features: Any,
    rows: Rows,
    *,
    source: str,
    target_lang: str,
    keep_columns: bool = False,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """The plan for a dataset with these `features`, seen through `rows` (some hundreds will do).

    `say` is told why a gold that was found grades nothing.

    Raises:
        UserError: no column reads like something that could be asked.
    """
    leaves = leaves_of(features)
    most = max(_FEWEST, _CELLS // max(1, len(leaves)))
    rows = [rows[i * len(rows) // most] for i in range(most)] if len(rows) > most else rows
    looks = {
        leaf.path: Look([v for r in rows for v in values(r, leaf.path)], len(rows))
        for leaf in leaves
    }
    roles = {leaf.path: role_of(leaf, looks[leaf.path]) for leaf in leaves}
    roles |= _references(leaves, rows) | other_languages(leaves, roles) | _tools(leaves, roles)
    sides = sides_that_stay(leaves, looks, roles)
    roles |= sides
    talks = conversations(leaves, looks, roles)
    judging = [leaf for leaf in leaves if leaf.path not in sides]
    seen = Seen(leaves=judging, looks=looks, rows=rows, roles=roles)
    found = gold.find(seen, groups(judging, looks, rows, roles))
    if sides and not found.group:
        found = Found(why="not graded: beside a translation nothing was found to choose from")
    inner = [path for path in nested(leaves, looks) if roles[path] is not Role.code]
    roles |= dict.fromkeys(inner, Role.choices) | found.roles
    roles |= judged(leaves, looks, roles, found)
    said, speaker = chosen_conversation(talks) or (None, None)
    question = question_of(leaves, roles, found, rows, said, talks)
    if not question:
        raise _nothing_asked(leaves, roles)
    found = graded(found, question, leaves, roles, rows)
    if found.why and say is not None:
        say(found.why)
    choices = found.group.paths if found.group else []
    task = TaskPlan(
        kind=found.kind,
        question=question,
        choices=choices,
        fixed_choices=found.fixed_choices,
        labels=found.labels,
        lettered=bool(choices) and all(looks[p].lettered for p in choices),
        rotated=found.answer in choices,
        answer=found.answer,
        answer_kind=found.answer_kind,
        index_base=found.index_base,
        span=found.span,
        speaker=speaker if said in question else None,
        tests=found.tests,
        entry_point=found.entry_point,
    )
    columns = list(dict.fromkeys(leaf.column for leaf in leaves))
    return Plan(
        source=source,
        source_lang=source_language([t for p in question for t in looks[p].texts]),
        target_lang=target_lang,
        roles=roles,
        names={} if keep_columns else column_names(columns, target_lang),
        task=with_shown_labels(task, rows, target_lang),
    )


def with_shown_labels(task: TaskPlan, rows: Rows, lang: str) -> TaskPlan:
    """The task with its closed set of labels as they are to be shown in `lang`."""
    texts = [str(v).strip() for p in task.question for r in rows for v in values(r, p) if v]
    marks = sum(text.endswith(("?", "？")) for text in texts)
    named = any(
        names_on(p)[-1].lower() in ("question", "query", "questions") for p in task.question
    )
    asked = named or marks * max(1, len(task.question)) >= 0.5 * len(texts) > 0
    return replace(task, shown_choices=shown_labels(task.fixed_choices, lang, asked))


def _tools(leaves: Sequence[Leaf], roles: Mapping[LeafPath, Role]) -> dict[LeafPath, Role]:
    """What stands in a struct with `parameters` or `arguments` is a tool's schema, or a call."""
    structs = {
        keys[:place]
        for keys in (keys_of(leaf.path) for leaf in leaves)
        for place, key in enumerate(keys)
        if place and key in ("parameters", "arguments")
    }
    told = [x for x in leaves if any(keys_of(x.path)[: len(s)] == s for s in structs)]
    return {x.path: Role.code for x in told if roles[x.path].translated}


def _references(leaves: Sequence[Leaf], rows: Rows) -> dict[LeafPath, Role]:
    """Titles that name the titles of another list, as of supporting facts: both are kept."""
    titles = [x for x in leaves if x.listed and x.kind == "string" and x.name.lower() == "title"]
    found: dict[LeafPath, Role] = {}
    for one in titles:
        for other in titles:
            pairs = [(set(values(r, one.path)), set(values(r, other.path))) for r in rows]
            if one is not other and any(a for a, _ in pairs) and all(a <= b for a, b in pairs):
                found |= {one.path: Role.category, other.path: Role.category}
    return found


def _nothing_asked(leaves: Sequence[Leaf], roles: Mapping[LeafPath, Role]) -> UserError:
    return UserError(
        "no column reads like a question",
        hint="write a plan and pass it by --plan; the columns are "
        + ", ".join(f"{leaf.path} ({roles[leaf.path]})" for leaf in leaves),
        caller_only=True,
    )


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
