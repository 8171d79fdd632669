"""The model pass over an inferred plan: a model may suggest, and what its suggestions may touch is
decided here. What the types or the values of a leaf have settled stays settled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hret_agents.plan import hints
from hret_agents.plan.found import may_be
from hret_agents.plan.look import Look
from hret_agents.plan.programs import is_code
from hret_agents.plan.records import LeafPath, Plan, Role, keys_of
from hret_agents.plan.schema import Leaf, leaves_of, values
from llm_eval.prompts import rendered

PROMPT = "plan.j2"
FORMAT = """Reply with one JSON object and nothing else:
{"roles": {"FIELD": "ROLE"}, "question": ["FIELD"], "names": {"COLUMN": "NEW NAME"}}
roles: only the fields to change. question: the fields to show, in order; some may be left out, none
added. names: short names of columns in the target language. Leave out what needs no change."""
Ask = Callable[[list[dict[str, str]]], str]
Rows = Sequence[Mapping[str, Any]]
_MOVABLE = (Role.prose, Role.category, Role.id, Role.code, Role.math, Role.answer_free)
_LEAVES, _FIXED = 150, 60  # so many are named in the prompt
_ROWS, _ITEMS, _CUT = 3, 3, 160  # rows, items of a list, and characters of a text that are shown
_ROOM = 8_000  # characters of a row that are shown
_MOST = 100_000  # characters of a reply that are read
_SAID = 50  # refusals that are told one by one
_TRIES = 200  # places of a reply where a JSON object may start
_NAME = re.compile(r"[^\W_][^\x00-\x1f\x7f]{0,59}")


@dataclass(frozen=True, kw_only=True)
class _Settled:
    """The leaves of a plan, and why the role of each cannot change; empty where it can."""

    leaves: Mapping[LeafPath, Leaf]
    looks: Mapping[LeafPath, Look]
    because: Mapping[LeafPath, str]


@dataclass(kw_only=True)
class _Refined:
    """A plan so far, and what was refused."""

    plan: Plan
    said: list[str] = field(default_factory=list)

    def refuse(self, what: str, where: str, because: str) -> None:
        self.said.append(f"the model wanted {_cut(where)} {what}: refused, because {because}")


def refine(
    plan: Plan, features: Any, rows: Rows, ask: Ask, *, keep_columns: bool = False
) -> tuple[Plan, list[str]]:
    """The plan with what a model suggests, as far as that is allowed, and a sentence for each thing
    that is not.

    Args:
        ask: sends messages (`role`, `content`) to a chat model and returns its reply.
        keep_columns: no column is renamed.
    """
    settled = _settled(plan, features, rows)
    found = _object(ask(_messages(plan, settled, rows)))
    if found is None:
        return plan, [
            "the model's reply is no JSON of the shape asked for: the plan stays as it is"
        ]
    done = _Refined(plan=plan)
    _question(done, found.get("question"))
    _roles(done, found.get("roles"), settled)
    if not keep_columns:
        _names(done, found.get("names"), settled)
    more = len(done.said) - _SAID
    return done.plan, done.said[:_SAID] + ([f"{more} more were refused"] if more > 0 else [])


# -- what is settled -------------------------------------------------------------------------------


def _settled(plan: Plan, features: Any, rows: Rows) -> _Settled:
    leaves = {leaf.path: leaf for leaf in leaves_of(features)}
    looks = {p: Look([v for r in rows for v in values(r, p)], len(rows)) for p in leaves}
    because = {p: _because(plan, leaf, looks[p]) for p, leaf in leaves.items()}
    return _Settled(leaves=leaves, looks=looks, because=because)


def _because(plan: Plan, leaf: Leaf, look: Look) -> str:
    """Why the role of a leaf cannot change; empty if it can."""
    task, role = plan.task, plan.roles[leaf.path]
    span = (task.span.text, task.span.start) if task.span else ()
    named = (*task.choices, task.labels, task.answer, task.speaker, *task.tests, task.entry_point)
    if leaf.kind != "string":
        return f"its type is {leaf.kind}"
    if leaf.path in (*named, *span):
        return "the task reads it"
    if role not in _MOVABLE:
        return f"its values show that it is {role}"
    if look.url or look.json or look.numeric or look.letters or look.dates:
        return "its values are addresses, JSON, numbers, letters or dates"
    return "its values are programs" if is_code(look) else ""


def _roles(done: _Refined, wanted: Any, settled: _Settled) -> None:
    for path, role in _pairs(wanted):
        known = {r.value: r for r in _MOVABLE}
        what = f"as {_cut(str(role))}"
        if path not in settled.leaves:
            done.refuse(what, path, "the data has no such field")
        elif done.plan.roles[path] == role:
            continue
        elif reason := settled.because[path]:
            done.refuse(what, path, reason)
        elif not isinstance(role, str) or role not in known:
            done.refuse(what, path, f"a field may only become {', '.join(known)}")
        elif reason := _not_to(known[role], path, done.plan, settled):
            done.refuse(what, path, reason)
        else:
            done.plan = replace(done.plan, roles=done.plan.roles | {path: known[role]})


def _not_to(role: Role, path: LeafPath, plan: Plan, settled: _Settled) -> str:
    """Why an open leaf cannot have just this role."""
    leaf, look, old = settled.leaves[path], settled.looks[path], plan.roles[path]
    if old.translated and not role.translated:
        if path in plan.task.question:
            return "it is shown in the question"
        return "nothing would be left to translate" if plan.translated == [path] else ""
    if role is Role.answer_free and path in plan.task.question:
        return "it is shown in the question"
    if not role.translated or old.translated:
        return ""
    if look.single or look.wordless or look.id_like:
        return "its values are single words or signs, which may be keys"
    golds = hints.is_label(leaf.name) or hints.is_id(leaf.name) or may_be(leaf)
    if golds and role is Role.prose and not look.sentences:
        return "it is called a label, id or answer"
    return ""


def _question(done: _Refined, wanted: Any) -> None:
    if not isinstance(wanted, list) or not wanted:
        return
    task = done.plan.task
    shown = list(dict.fromkeys(str(path) for path in wanted))
    for path in shown:
        if path not in task.question:
            done.refuse("in the question", path, "the question may be cut, not added to")
    kept = [path for path in shown if path in task.question]
    if not kept:
        return
    talks = task.speaker is not None and any(_same_list(p, task.speaker) for p in kept)
    speaker = task.speaker if talks else None
    done.plan = replace(done.plan, task=replace(task, question=kept, speaker=speaker))


def _same_list(path: LeafPath, speaker: LeafPath) -> bool:
    return path.rpartition("[]")[0] == speaker.rpartition("[]")[0] != ""


def _names(done: _Refined, wanted: Any, settled: _Settled) -> None:
    columns = list(dict.fromkeys(keys_of(path)[0] for path in settled.leaves))
    for column, name in _pairs(wanted):
        names = done.plan.names | {column: name}
        new = [names.get(c, c) for c in columns]
        what = f"called {_cut(str(name))}"
        if column not in columns:
            done.refuse(what, column, "the data has no such column")
        elif not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.strip():
            done.refuse(what, column, "that is no name of a column")
        elif len(set(new)) < len(new):
            done.refuse(what, column, "two columns would have the same name")
        else:
            done.plan = replace(done.plan, names={c: n for c, n in names.items() if c != n})


def _pairs(wanted: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a JSON object; none of what is no object."""
    if isinstance(wanted, Mapping):
        yield from ((str(key), value) for key, value in wanted.items())


# -- the question to the model, and its reply ------------------------------------------------------


def _messages(plan: Plan, settled: _Settled, rows: Rows) -> list[dict[str, str]]:
    movable = [path for path, reason in settled.because.items() if not reason]
    fixed = [path for path, reason in settled.because.items() if reason]
    shown = movable[:_LEAVES]
    content = rendered(
        PROMPT,
        source_lang=plan.source_lang,
        target_lang=plan.target_lang,
        translated=[str(role) for role in Role if role.translated],
        open=[(_json(path), str(plan.roles[path])) for path in shown],
        more=len(movable) - len(shown) + max(0, len(fixed) - _FIXED),
        fixed=[(_json(path), str(plan.roles[path])) for path in fixed[:_FIXED]],
        question=_json(plan.task.question),
        names=_json(dict(list(plan.names.items())[:_LEAVES])),
        rows=[_row(row, shown) for row in rows[:_ROWS]],
        format=FORMAT,
    )
    return [{"role": "user", "content": content}]


def _row(row: Mapping[str, Any], paths: Sequence[LeafPath]) -> str:
    """A row as JSON by leaf, as far as there is room."""
    told: dict[LeafPath, Any] = {}
    room = _ROOM
    for path in paths:
        found = _sample(row, path)
        room -= len(_json({path: found}))
        if room < 0:
            break
        told[path] = found
    return _json(told)


def _sample(row: Mapping[str, Any], path: LeafPath) -> Any:
    """What a row holds at a path, cut; of a list the first items."""
    found = [_cut(v) if isinstance(v, str) else None for v in values(row, path)[:_ITEMS]]
    return found if path != keys_of(path)[0] else next(iter(found), None)


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else text[:_CUT] + "…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(reply: str) -> dict[str, Any] | None:
    """The JSON object in a reply, whatever stands around it: the last that has a known key."""
    text = reply[:_MOST].rpartition("</think>")[2]
    decoder, found, start = json.JSONDecoder(strict=False), None, text.find("{")
    for _ in range(_TRIES):
        if start < 0:
            break
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, end = None, start + 1
        if isinstance(value, dict) and value.keys() & {"roles", "question", "names"}:
            found = value
        start = text.find("{", end)
    return found
