"""The field plan: a role for every leaf of a schema, names for columns, and what the task is.

A plan is a YAML file that a user can read, edit and pass back (`--plan`). A leaf is named by its
path: `question`, `choices.text[]`, `messages[].content`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, get_args

from llm_eval.dataset.spec import AnswerKind, Task, validated
from llm_eval.errors import Unknown, UserError

LeafPath = str
EACH = "[]"
FORMAT = 1  # of the file
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
EVERY = "*"  # under `ignore`: all leaves
Register = Literal["formal", "polite", "plain"]
IGNORABLE = (
    "empty placeholder_multiset blank_count target_script repetition length_hard code_ast_equal "
    "numbers unchanged length_soft register josa_artifact josa_leak answer_leak refusal glossary "
    "source_anomaly"
).split()
STRUCTURAL = (
    "json_ids finish_reason list_len option_distinct gold_equal gold_numeric_equal span_realigned "
    "immutable_leaf row_count row_order features_equal"
).split()


class Role(StrEnum):
    """What a leaf is, and with that what happens to it."""

    prose = "prose"
    choices = "choices"
    answer_steps = "answer_steps"  # a worked answer whose last line is "#### 42"
    answer_boxed = "answer_boxed"  # a worked answer that holds the gold in \\boxed{...}
    answer_span = "answer_span"  # a piece of the context, found again in its translation
    answer_free = "answer_free"  # a gold in free words: translated with its row
    code_prompt = "code_prompt"  # code whose docstrings and comments are translated, nothing else
    answer_text = "answer_text"  # equals a choice: re-derived from it, never translated apart
    answer_letter = "answer_letter"
    answer_index = "answer_index"
    answer_label = "answer_label"
    answer_number = "answer_number"
    answer_start = "answer_start"  # where an answer_span starts
    code = "code"
    math = "math"
    number = "number"
    id = "id"
    url = "url"
    category = "category"
    binary = "binary"

    @property
    def translated(self) -> bool:
        """Is the leaf's text sent to a translator?"""
        return self in _TRANSLATED


_TRANSLATED = frozenset(
    (
        Role.prose,
        Role.choices,
        Role.answer_steps,
        Role.answer_boxed,
        Role.answer_span,
        Role.answer_free,
        Role.code_prompt,
    )
)


@dataclass(frozen=True, kw_only=True)
class Span:
    """An extractive answer: the leaf searched, the answer's text, and where it starts there."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    context: LeafPath
    text: LeafPath
    start: LeafPath


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """How the dataset is asked and judged.

    `choices` is one path to a list, or one path per choice; `fixed_choices` a closed set of labels,
    shown as `shown_choices`. `lettered` choices carry their letter. `rotated`: the gold is one of
    the choices' own columns, so that its place must be changed from row to row. `speaker` is the
    path of the roles in a conversation. `tests` and `entry_point` judge code.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    kind: Task
    question: list[LeafPath]
    choices: list[LeafPath] = field(default_factory=list)
    fixed_choices: list[str] = field(default_factory=list)
    shown_choices: list[str] = field(default_factory=list)
    labels: LeafPath | None = None
    lettered: bool = False
    rotated: bool = False
    answer: LeafPath | None = None
    answer_kind: AnswerKind | None = None
    index_base: int = 0
    span: Span | None = None
    speaker: LeafPath | None = None
    tests: list[LeafPath] = field(default_factory=list)
    entry_point: LeafPath | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one port: `roles` by leaf path, `names` by source column.

    `register` (합쇼체, 해요체 or 해라체), `style` and `glossary` (term → translation, `|` between
    several) go into the prompt. `ignore` switches checks of texts off, by leaf path or "*".
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    source: str
    source_lang: str
    target_lang: str
    roles: dict[LeafPath, Role]
    names: dict[str, str]
    task: TaskPlan
    register: Register | None = None
    style: str = ""
    glossary: dict[str, str] = field(default_factory=dict)
    ignore: dict[LeafPath, list[str]] = field(default_factory=dict)
    format: int = FORMAT

    def ignored(self, path: LeafPath) -> frozenset[str]:
        """The checks that are switched off for a leaf; for "*" those that are so everywhere."""
        return frozenset([*self.ignore.get(EVERY, ()), *self.ignore.get(path, ())])

    @property
    def translated(self) -> list[LeafPath]:
        """The leaves that are sent to a translator, in the schema's order."""
        return [path for path, role in self.roles.items() if role.translated]

    @property
    def spans(self) -> list[Span]:
        """Every extractive answer: the task's, and others whose text and start stand in one struct
        beside it (SQuAD's `plausible_answers`); they are searched in the same context."""
        if self.task.span is None:
            return []
        found = [self.task.span]
        for start in (p for p, role in self.roles.items() if role is Role.answer_start):
            texts = [
                p for p, r in self.roles.items() if r is Role.answer_span and _beside(p, start)
            ]
            if start != self.task.span.start and len(texts) == 1:
                found.append(Span(context=self.task.span.context, text=texts[0], start=start))
        return found

    def renamed(self, path: LeafPath) -> list[str]:
        """The keys from a row of the port down to a leaf: column renamed, `[]` kept."""
        keys = keys_of(path)
        return [self.names.get(keys[0], keys[0]), *keys[1:]]

    def to_yaml(self) -> str:
        """The file's text; equal plans give equal bytes, and an unused option is left out."""
        import yaml

        raw = asdict(self)
        raw["roles"] = {path: str(role) for path, role in self.roles.items()}
        for part, names in ((raw, _OPTIONS), (raw["task"], _TASK_OPTIONS)):
            for name in names:
                if not part[name]:
                    del part[name]
        return _HEADER + yaml.safe_dump(raw, allow_unicode=True, sort_keys=False, width=100)

    @property
    def sha256(self) -> str:
        """Hash of the file's text."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()


_OPTIONS = ("register", "style", "glossary", "ignore")
_TASK_OPTIONS = ("shown_choices", "rotated", "span", "speaker", "tests", "entry_point")
_HEADER = (
    "# The field plan of a port. Edit it and pass it back: hret port ... --plan plan.yaml\n"
    f"# Roles: {', '.join(Role)}.\n"
    f"# task.kind: {', '.join(get_args(Task))}; answer_kind: {', '.join(get_args(AnswerKind))}.\n"
    "# Translated: prose, choices, the steps of answer_steps and answer_boxed, answer_span,\n"
    "#   answer_free, and the docstrings of code_prompt. All else is kept as it is.\n"
    f"# May be added: register: {'|'.join(get_args(Register))} (Korean); style: a sentence;\n"
    "#   glossary: {dog: 개|강아지}; ignore: {question: [numbers], '*': [register]}.\n"
)


_SHOWN = "hret port ... --dry-run prints a plan for this dataset"


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file; what is wrong with it is a `UserError` naming the key."""
    import yaml

    text = _text(path)
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # ValueError: the 31st of June
        raise UserError(f"{path} is no YAML: {' '.join(str(e).split())}", hint=_SHOWN) from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} is no plan", hint=_SHOWN)
    if (version := raw.get("format", FORMAT)) != FORMAT:
        raise UserError(
            f"{path} is a plan of format {version!r}, and this program reads format {FORMAT}",
            hint=_SHOWN,
        )
    plan: Plan = validated(Plan, raw, path, hint=_SHOWN)
    if not LANGUAGE.fullmatch(plan.source_lang):
        raise UserError(
            f"{path}: source_lang: {plan.source_lang!r} is no language code",
            hint="for example source_lang: en",
        )
    check_options(plan, str(path))
    return plan


def _text(path: Path) -> str:
    if path.is_dir():
        raise UserError(f"{path} is a folder, and a plan is a file", hint=_SHOWN)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no plan file {path}", hint=_SHOWN) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8", hint="save it as UTF-8") from None
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror}", hint="check its rights") from None


def check_options(plan: Plan, where: str) -> None:
    """The options must be ones that can be kept: a `UserError` says which is not.

    Whether the leaves under `ignore` exist is seen when the data is (`check_against`).
    """
    if plan.register is not None and plan.target_lang != "ko":
        raise UserError(
            f"{where}: register is for Korean, and the target language is {plan.target_lang!r}",
            hint="say it by style instead",
        )
    for term, translation in plan.glossary.items():
        check_term(term, translation, f"{where}: glossary")
    check_ignorable((check for checks in plan.ignore.values() for check in checks), where)


def check_term(term: str, translation: str, where: str) -> None:
    """A glossary entry must say something on both sides, in every form it accepts."""
    if not term.strip():
        raise UserError(f"{where}: a term is empty", hint="write it, or take its line away")
    if not all(form.strip() for form in translation.split("|")):
        raise UserError(
            f"{where}: {term!r} has an empty translation",
            hint="several that are right stand with | between them: 개|강아지",
        )


def check_ignorable(checks: Iterable[str], where: str) -> None:
    """Each must be the id of a check that can be switched off."""
    for check in checks:
        if check in STRUCTURAL:
            raise UserError(
                f"{where}: ignore: {check!r} guards the data's structure; it is never switched off",
                hint="take it out of ignore",
            )
        if check not in IGNORABLE:
            raise Unknown("check to ignore", check, IGNORABLE)


_STEP = re.compile(r"((?:\\.|[^.\[\\])+)|(\[\])")


@cache
def keys_of(path: LeafPath) -> tuple[str, ...]:
    """The steps of a path. A dot or bracket in a column's own name stands behind a backslash.

    >>> keys_of("choices.text[]"), keys_of("messages[].content")
    (('choices', 'text', '[]'), ('messages', '[]', 'content'))
    """
    return tuple(EACH if m[2] else re.sub(r"\\(.)", r"\1", m[1]) for m in _STEP.finditer(path))


def _beside(path: LeafPath, other: LeafPath) -> bool:
    """Are two leaves fields of one struct?

    >>> _beside("a.text[]", "a.start[]"), _beside("a.text[]", "b.start[]")
    (True, False)
    """
    one, two = ([k for k in keys_of(p) if k != EACH] for p in (path, other))
    return one[:-1] == two[:-1]


def path_of(keys: tuple[str, ...]) -> LeafPath:
    """The path of some steps.

    >>> path_of(("messages", "[]", "content")), keys_of(path_of(("a.b", "[]")))
    ('messages[].content', ('a.b', '[]'))
    """
    out = ""
    for key in keys:
        text = key if key == EACH else re.sub(r"([.\[\\])", r"\\\1", key)
        out += text if key == EACH or not out else f".{text}"
    return out


def check_against(plan: Plan, leaves: list[LeafPath], where: str) -> None:
    """A plan must name the leaves that the data has, all of them and no other."""
    for path in plan.roles:
        if path not in leaves:
            raise UserError(
                f"{where}: the data has no leaf {path!r}", hint=f"it has {', '.join(leaves)}"
            )
    if missing := [p for p in leaves if p not in plan.roles]:
        raise UserError(
            f"{where}: no role for the leaf {missing[0]!r}", hint="give it one under roles"
        )
    task = plan.task
    answers = [p for p, role in plan.roles.items() if role.startswith("answer_")]
    if answers and task.answer is None and task.kind != "ungraded":
        raise UserError(
            f"{where}: {answers[0]!r} is an answer, and task.answer names none",
            hint=f"set task.answer: {answers[0]}, task.kind and task.answer_kind too",
        )
    told = [p for p in answers if plan.roles[p] is not Role.answer_span] + [task.answer]
    if shown := [p for p in task.question if p in told]:
        raise UserError(
            f"{where}: task.question shows the answer {shown[0]!r}", hint="take it out there"
        )
    span = task.span
    named = [*task.question, *task.choices, task.labels, task.answer, task.speaker]
    named += [*task.tests, task.entry_point]
    named += [span.context, span.text, span.start] if span else []
    for path in [p for p in named if p is not None]:
        if path not in leaves:
            raise UserError(f"{where}: task names {path!r}, which the data has not", hint=_SHOWN)
    for path in plan.ignore:
        if path != EVERY and path not in leaves:
            raise UserError(f"{where}: ignore names {path!r}, which the data has not", hint=_SHOWN)
    columns = {keys_of(p)[0] for p in leaves}
    for column in plan.names:
        if column not in columns:
            raise UserError(f"{where}: names has {column!r}, which is no column", hint=_SHOWN)
    new = [plan.names.get(c, c) for c in columns]
    if len(set(new)) < len(new):
        raise UserError(f"{where}: two columns would have the same name", hint=_SHOWN)
