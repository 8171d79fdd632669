"""Which leaf holds the right answer, and in what form: found by trying it on every sampled row.

A gold is believed where it fits nine in ten of the rows that have one. Rows whose answer is held
back ("", None, -1) say nothing either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hret_agents.plan import hints
from hret_agents.plan.choices import Group
from hret_agents.plan.closed import closed_set, flag, is_class, is_flag, is_numeric, ratings
from hret_agents.plan.forms import ROLE_OF, Form, flags_form, form_of, present
from hret_agents.plan.found import Found, Rows, Seen, is_of_answers, may_be, might_be
from hret_agents.plan.labels import is_known
from hret_agents.plan.listed import first_of_listed
from hret_agents.plan.look import FITS, Look
from hret_agents.plan.records import EACH, LeafPath, Role, keys_of
from hret_agents.plan.schema import Leaf, values
from hret_agents.plan.several import answers_one_of_several
from hret_agents.plan.spans import find_span
from hret_agents.plan.tested import find_tested
from llm_eval.dataset.gold import boxed, is_number, math_text

_TRIED = 20  # rows in which a text must repeat a choice once to be looked at further
_SMALL_LETTER = re.compile(r"^\s*\(?[a-j]\)?\s*$")
_FREE_WORDS = 8  # a gold of more words, in the mean, is a text that no reply will equal
_SPELLED_WORDS = 20  # of one of several; they may be whole sentences


def find(seen: Seen, groups: Sequence[Group]) -> Found:
    """The gold of a dataset; none where it answers but one of the questions of a row."""
    rare = [group for group in groups if _is_rare(group, seen)]
    found = _found(seen, [group for group in groups if group not in rare])
    if rare:
        paths = [path for group in rare for path in group.paths]
        why = f"most rows have no {paths[0]}, so no choices are shown in any"
        found = replace(found, roles=dict.fromkeys(paths, Role.choices) | found.roles)
        found = found if found.why else replace(found, why=why)
    if found.answer is None:
        return found if found.why else found.ungraded("no column was found to hold the answers")
    if _of_several(found.answer, seen):
        return found.ungraded(f"{found.answer} answers several questions of a row, each its own")
    return found


def _of_several(path: LeafPath, seen: Seen) -> bool:
    return answers_one_of_several(path, seen.leaves, seen.rows, seen.roles)


def _found(seen: Seen, groups: Sequence[Group]) -> Found:
    flags = [group.flags for group in groups]
    among = [found for group in groups if (found := _among(seen, group, flags))]
    roles = {path: role for found in reversed(among) for path, role in found.roles.items()}
    graded = next((found for found in among if found.answer), None)
    if graded is None and among:
        graded = among[0]
    if graded is not None:
        return Found(**{**vars(graded), "roles": roles})
    pieces = Found()
    for way in (_code, _spans, _worked, _letters, closed_set, _number, _free, flag, ratings):
        if (found := way(seen)) and found.span and not found.answer:
            pieces = found  # of what is asked about: the gold is elsewhere
        elif found:
            return replace(found, span=found.span or pieces.span, roles=found.roles | pieces.roles)
    return pieces


# -- among choices ---------------------------------------------------------------------------------


def _is_rare(group: Group, seen: Seen) -> bool:
    """Are the choices those of a few rows of a mixed set, each gold being mostly in the others?"""
    own = (*group.paths, group.labels)
    golds = [x.path for x in seen.leaves if may_be(x) and not is_flag(x) and x.path not in own]
    given = [[r for r in seen.rows if any(map(present, values(r, path)))] for path in golds]
    given = [rows for rows in given if rows]
    chosen = [sum(bool(group.texts(row)) for row in rows) for rows in given]
    few = all(2 * n < len(rows) for n, rows in zip(chosen, given, strict=True))
    return group.sure and not group.flags and not group.gold and bool(given) and few


def _among(seen: Seen, group: Group, flags: Sequence[LeafPath | None]) -> Found | None:
    """Every leaf that fits gets its role; the gold is the first that is graded and no text."""
    roles = dict.fromkeys(group.paths, Role.choices)
    if group.labels:
        roles[group.labels] = Role.category
    forms: dict[LeafPath, Form] = {}
    for leaf in sorted(seen.leaves, key=lambda x: not may_be(x)):
        if leaf.path == group.flags:
            forms[leaf.path] = flags_form(leaf, seen.rows)
        elif leaf.path in (*roles, *flags) or not (may_be(leaf) or might_be(leaf)):
            continue
        elif leaf.kind != "float" and (form := form_of(leaf, seen.rows, group)):
            forms[leaf.path] = form
    if not forms and not group.sure:
        return None
    roles |= dict.fromkeys(_repeating(seen, group, [*roles, *forms]), Role.answer_text)
    roles |= {path: ROLE_OF[form.kind] for path, form in forms.items()}
    graded = sorted(
        (pair for pair in forms.items() if pair[1].graded), key=lambda pair: pair[1].kind == "text"
    )
    if not graded and group.gold:
        graded = [(group.gold, Form("text"))]
    if not graded and not forms and (kept := _held_back(seen, group)):
        graded = [kept]
        roles[kept[0]] = ROLE_OF[kept[1].kind]
    if not graded:
        return Found(group=group, roles=roles)
    path, form = graded[0]
    return Found(
        why=f"{path} is never 0, and is taken to count from 1" if form.guessed else "",
        kind="multiple_choice",
        answer=path,
        answer_kind=form.kind,
        index_base=form.base,
        group=group,
        labels=group.labels if form.kind == "label" else None,
        roles=roles,
    )


def _repeating(seen: Seen, group: Group, others: Sequence[LeafPath]) -> list[LeafPath]:
    """Leaves that repeat a choice, whatever they are called: their text follows the choice's."""
    texts = [x for x in seen.leaves if x.kind == "string" and x.path not in others]
    some = [(row, group.texts(row)) for row in seen.rows[:_TRIED]]
    likely = [
        x
        for x in texts
        if not x.listed and any(v in said for row, said in some for v in values(row, x.path))
    ]
    forms = [(x.path, form_of(x, seen.rows, group)) for x in likely]
    return [path for path, form in forms if form and form.kind == "text"]


def _held_back(seen: Seen, group: Group) -> tuple[LeafPath, Form] | None:
    """A leaf that is called the gold, and holds none in any row: what form it has elsewhere."""
    for leaf in seen.leaves:
        if leaf.listed or not may_be(leaf) or any(map(present, seen.looks[leaf.path].values)):
            continue
        if leaf.kind == "string":
            return leaf.path, Form("label" if group.labels else "letter")
        if leaf.kind in ("int", "class_label"):
            return leaf.path, Form("index", 1 if group.paths[0].endswith("1") else 0)
    return None


# -- code ------------------------------------------------------------------------------------------


def _code(seen: Seen) -> Found | None:
    """Programs that tests can judge."""
    found = find_tested(seen.leaves, seen.looks, seen.roles)
    return found and Found(
        kind="code",
        answer=found.solution,
        answer_kind="code",
        tests=found.tests,
        entry_point=found.entry_point,
    )


# -- pieces of the context, worked answers ---------------------------------------------------------


def _spans(seen: Seen) -> Found | None:
    """Pieces of a context: the gold, or what is asked about; for that no name speaks of a gold."""
    spans = find_span(seen.leaves, seen.rows, seen.roles, may_be)
    if not spans:
        return None
    roles = {s.text: Role.answer_span for s in spans} | {s.start: Role.answer_start for s in spans}
    golds = [x.path for x in seen.leaves if may_be(x) or hints.is_aside(x.path)]
    span = next((s for s in spans if s.text in golds), None)
    if span is None:
        return Found(span=spans[0], roles=roles)
    return Found(kind="text", answer=span.text, answer_kind="text", span=span, roles=roles)


def _worked(seen: Seen) -> Found | None:
    """`#### 42`; a formula or number that a worked answer boxes; the boxed answer itself."""
    by_role = {role: path for path, role in reversed(list(seen.roles.items()))}
    if steps := by_role.get(Role.answer_steps):
        return Found(kind="number", answer=steps, answer_kind="steps")
    if not (worked := by_role.get(Role.answer_boxed)):
        return None
    for leaf in seen.leaves:
        if leaf.kind == "string" and not leaf.listed and leaf.path != worked:
            if _is_boxed_in(leaf.path, worked, seen.rows):
                return _formula(leaf, seen)
    return _math(seen) or Found(kind="math", answer=worked, answer_kind="boxed")


def _is_boxed_in(path: LeafPath, worked: LeafPath, rows: Rows) -> bool:
    pairs = [
        (math_text(str(gold)), math_text(boxed(str(text))))
        for row in rows
        for gold, text in zip(values(row, path), values(row, worked), strict=False)
        if present(gold) and present(text)
    ]
    return bool(pairs) and sum(a == b for a, b in pairs) >= FITS * len(pairs)


def _formula(leaf: Leaf, seen: Seen) -> Found:
    golds = seen.looks[leaf.path].texts
    if all(is_number(gold) for gold in golds):
        roles = {leaf.path: Role.answer_number}
        return Found(kind="number", answer=leaf.path, answer_kind="number", roles=roles)
    return Found(kind="math", answer=leaf.path, answer_kind="text", roles={leaf.path: Role.math})


def _math(seen: Seen) -> Found | None:
    """A named gold that is formulas, or formulas and numbers."""
    for leaf in seen.leaves:
        look = seen.looks[leaf.path]
        if seen.roles[leaf.path] is Role.code or not may_be(leaf):
            continue
        if leaf.kind == "string" and look.formal and not look.numeric:
            if any(re.search(r"\\[a-zA-Z]|[\^_{}=\[\]()]|\$.+\$", text) for text in look.texts):
                return _formula(leaf, seen)
    return None


# -- letters ---------------------------------------------------------------------------------------


def _letters(seen: Seen) -> Found | None:
    """Letters of choices that stand in the question's own text, or in a list within a list."""
    golds = [x for x in seen.leaves if may_be(x) and _is_letter(seen.looks[x.path])]
    roles = dict.fromkeys((x.path for x in golds), Role.answer_letter)
    single = next((x.path for x in golds if not x.listed), None)
    if single is None:
        return Found(roles=roles) if golds else None
    return Found(kind="text", answer=single, answer_kind="text", roles=roles)


def _is_letter(look: Look) -> bool:
    return look.letters or look.share(_SMALL_LETTER) == 1.0


# -- numbers, formulas, free words -----------------------------------------------------------------


def _number(seen: Seen) -> Found | None:
    golds = [x for x in seen.leaves if may_be(x) and not is_flag(x)]
    golds = [x for x in golds if keys_of(x.path).count(EACH) < 2]
    for leaf in (x for x in golds if not (_counts_choices(x) or is_class(x))):
        if is_numeric(leaf, seen) and not _starts(leaf):
            found = {leaf.path: Role.answer_number}
            return Found(kind="number", answer=leaf.path, answer_kind="number", roles=found)
    return _math(seen)


def _counts_choices(leaf: Leaf) -> bool:
    """answer_index: the place among choices that are nowhere found, and no number to find out"""
    return not {"idx", "index"}.isdisjoint(hints.parts_of(leaf.name))


def _starts(leaf: Leaf) -> bool:
    return bool({"start", "end"}.intersection(hints.parts_of(leaf.name)))


def _free(seen: Seen) -> Found | None:
    """Golds in a few free words; further spellings of them too."""
    golds = [x for x in seen.leaves if _in_free_words(x, seen)]
    if not golds:
        lists = [x for x in seen.leaves if may_be(x) and seen.looks[x.path].json]
        golds = first_of_listed(lists, seen.leaves, seen.rows, seen.roles)
    if not golds:
        return None
    single, lists = [x for x in golds if not x.listed], [x for x in golds if x.listed]
    wider = [x for x in lists if is_of_answers(x.path) and not _of_several(x.path, seen)]
    wider = [x for x in wider if any(_all_in(y.path, x.path, seen.rows) for y in single)]
    best = (wider or single or lists)[0]
    same = [x for x in seen.leaves if _spells(x, best, seen)]
    roles = dict.fromkeys((x.path for x in [*golds, *same]), Role.answer_free)
    places = [x for x in seen.leaves if x.kind == "int" and may_be(x) and _counts_choices(x)]
    roles |= dict.fromkeys((x.path for x in places), Role.answer_index)
    found = Found(kind="text", answer=best.path, answer_kind="text", roles=roles)
    verdicts = [x.path for x in seen.leaves if _is_verdict(x, seen)]
    if len(verdicts) == 1:
        return found.ungraded(f"{best.path} may be wrong: {verdicts[0]} says yes or no of each row")
    return found


def _is_verdict(leaf: Leaf, seen: Seen) -> bool:
    """A column of yes and no: it may well judge the answer beside it."""
    said = {text.strip().lower() for text in seen.looks[leaf.path].texts}
    return said == {"yes", "no"} and leaf.path == leaf.column and not may_be(leaf)


def _spells(leaf: Leaf, best: Leaf, seen: Seen) -> bool:
    """Does a leaf beside the gold repeat it?"""
    struct = hints.names_on(best.path)[:-1]
    beside = struct and hints.names_on(leaf.path)[:-1] == struct and leaf.kind == "string"
    return bool(beside) and _all_in(leaf.path, best.path, seen.rows)


def _all_in(part: LeafPath, whole: LeafPath, rows: Rows) -> bool:
    """Are the texts at `part`, where there are any, among those at `whole`?"""
    pairs = [({v for v in values(r, part) if v}, set(values(r, whole))) for r in rows]
    pairs = [(a, b) for a, b in pairs if a]
    return bool(pairs) and sum(a <= b for a, b in pairs) >= FITS * len(pairs)


def _in_free_words(leaf: Leaf, seen: Seen) -> bool:
    look = seen.looks[leaf.path]
    if leaf.kind != "string" or not may_be(leaf) or is_class(leaf):
        return False
    if seen.roles[leaf.path] not in (Role.category, Role.prose) or not look.texts:
        return False
    most = _SPELLED_WORDS if hints.parts_of(leaf.name)[-1:] == ("answers",) else _FREE_WORDS
    free = look.mean_words <= most and not (look.letters or look.logic or look.identifiers)
    return free and not (look.id_like or look.wordless or all(map(is_known, look.texts)))
