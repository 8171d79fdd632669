"""What a port is, as its folder records it: `port.json` (the `Manifest`) and the module's spec.

Both are plain dataclasses; pydantic checks them when a file is read, and not before.
"""

from __future__ import annotations

import hashlib
import json
import keyword
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from llm_eval.errors import UserError

MANIFEST = "port.json"
MODULE = "dataset.py"
EACH = "[]"  # in a path: every item of a list
FieldPath = list[str]  # keys from the row down to a cell: ["choices", "text"]
AnswerKind = Literal[
    "letter", "index", "label", "text", "number", "steps", "boxed", "flags", "code"
]
Task = Literal["multiple_choice", "number", "text", "math", "code", "ungraded"]


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """All that the template needs to write a dataset module.

    `choices` is one path to a list, or several paths to a choice each; `labels` the path to the
    letters that `answer_kind="label"` refers to; `fixed_choices` a closed set of labels (NLI),
    shown as `shown_choices` where that is given. `lettered` choices carry their own letter
    ("A)21") and are shown as they are. `rotated` choices change places from row to row, because
    the data keeps the right one always in the same column. `speaker` is the path of the roles
    in a conversation, which is shown up to its last turn that is not the assistant's. Code is
    judged by `tests`, called by the name in `entry_point`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    slug: str
    class_name: str
    source: str
    lang: str
    repo: str | None
    subsets: dict[str, list[str]]
    task: Task
    question: list[FieldPath]
    choices: list[FieldPath] = field(default_factory=list)
    fixed_choices: list[str] = field(default_factory=list)
    shown_choices: list[str] = field(default_factory=list)
    labels: FieldPath | None = None
    lettered: bool = False
    rotated: bool = False
    answer: FieldPath | None = None
    answer_kind: AnswerKind | None = None
    index_base: int = 0
    speaker: FieldPath | None = None
    tests: list[FieldPath] = field(default_factory=list)
    entry_point: FieldPath | None = None

    def __post_init__(self) -> None:
        """What the template writes outside of literals must be what it is taken for."""
        if not self.class_name.isidentifier() or keyword.iskeyword(self.class_name):
            raise ValueError(f"class_name {self.class_name!r} is no name of a class")

    @property
    def default_split(self) -> str:
        """The split that a module takes when none is named."""
        known = [split for splits in self.subsets.values() for split in splits]
        return "test" if "test" in known else known[0]


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """One split of one subset: rows in = passed + failed; `files` maps each file to its SHA-256.

    `kept` counts cells that were in the target language already.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    rows: int
    passed: int
    failed: int
    kept: int
    files: dict[str, str]


def with_rows(splits: Mapping[str, Mapping[str, SplitRecord]]) -> dict[str, list[str]]:
    """The splits that a module is for. Where every row failed there is a file without rows, which
    `datasets` cannot read."""
    found = {s: [split for split, r in by.items() if r.passed] for s, by in splits.items()}
    return {subset: listed for subset, listed in found.items() if listed}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`port.json`: where a port came from, what is in it, and the hash of its verified module.

    `module_way` is "template" or "model:NAME"; `module_tries` says why a model's modules before it
    were refused.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    slug: str
    source: str
    revision: str | None
    licence: str | None
    source_lang: str
    target_lang: str
    translator: str
    prompt_version: str
    repo: str | None
    plan_sha256: str
    columns: dict[str, str]
    splits: dict[str, dict[str, SplitRecord]]
    checks: dict[str, int]
    module: ModuleSpec
    module_sha256: str
    module_way: str
    module_tries: list[str] = field(default_factory=list)
    limit: int | None = None
    format: int = 1

    @property
    def names(self) -> set[str]:
        """Every name this port answers to."""
        return {self.slug, self.source} | ({self.repo} if self.repo else set())

    @property
    def rows(self) -> tuple[int, int]:
        """(passed, failed) over all splits."""
        records = [r for splits in self.splits.values() for r in splits.values()]
        return sum(r.passed for r in records), sum(r.failed for r in records)

    def to_json(self) -> str:
        """The file's text; equal manifests give equal bytes."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the port in `folder`; a file that is none is a `UserError`."""
    path = folder / MANIFEST
    manifest: Manifest = validated(Manifest, json_file(path), path)
    return manifest


def json_file(path: Path) -> Any:
    """The JSON in `path`."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} holds no {path.name}",
            hint="is it the folder of a port? hret datasets list shows them",
        ) from None
    except (ValueError, OSError, RecursionError) as e:
        raise UserError(
            f"{path} cannot be read: {e}", hint="check its rights, or port the dataset again"
        ) from None


def validated(kind: type[Any], raw: Any, where: Path | str, *, hint: str = "port it again") -> Any:
    """`raw` as a `kind`; the first thing wrong with it is a `UserError` naming the field."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False)[0]
        field_name = ".".join(str(p) for p in first["loc"]) or "the whole"
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise UserError(f"{where}: unknown key {field_name!r}", hint=hint) from None
        raise UserError(f"{where}: {field_name}: {first['msg']}", hint=hint) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
