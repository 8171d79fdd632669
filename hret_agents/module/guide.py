"""The prompt that asks a model for a dataset module: what it is told, and in whose words.

A user's own guide prompt stands in place of our introduction; the rules, which say what will be
verified, follow it either way.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hret_agents.plan.records import EACH, Plan
from hret_agents.plan.schema import leaves_of
from hret_agents.source import Source
from llm_eval import prompts
from llm_eval.dataset.base import BaseDataset
from llm_eval.dataset.gold import ASSISTANTS, cells
from llm_eval.dataset.render import PROMPTS, cell
from llm_eval.dataset.spec import FieldPath, ModuleSpec

PROMPT = "module.j2"
ROWS = 5  # shown as examples
_LONGEST = 200  # characters of a cell that is shown
_EXAMPLE = 60  # of an example in the schema
_PLACES = re.compile(r"\{(dataset_name|dataset_schema|sample_data|base_class_definition)\}")
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a model is told of a dataset. `known`: its columns are, so that rules can name them."""

    name: str
    schema: str
    sample: str
    spec: ModuleSpec
    known: bool = True


def guide_prompt(facts: Facts, guide: str | None = None) -> str:
    """The message that asks for the module. `guide`: a user's template for its first part.

    In it `{dataset_name}`, `{dataset_schema}`, `{sample_data}` and `{base_class_definition}` are
    replaced, once each place, and every other brace is left alone.
    """
    values = {
        "dataset_name": facts.name,
        "dataset_schema": facts.schema,
        "sample_data": facts.sample,
        "base_class_definition": base_class_definition(),
    }
    spec = facts.spec
    return prompts.rendered(
        PROMPT,
        guide=filled(guide, values) if guide else "",
        **values,
        spec=spec,
        known=facts.known,
        instruction=PROMPTS.get(spec.lang, PROMPTS["en"])[spec.task],
        question=_expressions(spec.question),
        choices=_expressions(spec.choices),
        tests=_expressions(spec.tests),
        answer=cell(spec.answer) if spec.answer else "",
        labels=cell(spec.labels) if spec.labels else "",
        speaker=cell(spec.speaker) if spec.speaker else "",
        entry_point=cell(spec.entry_point) if spec.entry_point else "",
        several=bool(spec.answer and EACH in spec.answer),
        assistants=ASSISTANTS,
        literal=json.dumps,
    )


def filled(template: str, values: Mapping[str, str]) -> str:
    """A user's template with its places filled in. What is filled in is not looked at again.

    >>> filled('{"a": {{x}}} {sample_data} {other}', {"sample_data": "{dataset_name}"})
    '{"a": {{x}}} {dataset_name} {other}'
    """
    return _PLACES.sub(lambda place: values[place[1]], template)


def _expressions(paths: Iterable[FieldPath]) -> list[str]:
    return [cell(path) for path in paths]


def schema_text(features: Any, plan: Plan, rows: Sequence[Row]) -> str:
    """The leaves of a dataset's rows: how each is read, its type, its role, an example.

    Args:
        features: the source's `datasets.Features`; plan: its roles and new names of columns.
        rows: some rows, with the new names.
    """
    lines = []
    for leaf in leaves_of(features):
        path = plan.renamed(leaf.path)
        kind = leaf.kind
        if leaf.names:
            kind += f" {', '.join(f'{i}={name}' for i, name in enumerate(leaf.names))}"
        listed = "list of " * path.count(EACH)
        said = f"- {cell(path)}: {listed}{kind} ({plan.roles.get(leaf.path, 'data')})"
        lines.append(said + _example(rows, path))
    return "\n".join(lines)


def _example(rows: Sequence[Row], path: FieldPath) -> str:
    found = (v for row in rows for v in cells(row, path) if v not in (None, ""))
    value = next(found, None)
    return "" if value is None else f", e.g. {_cut(_shown(value), _EXAMPLE)}"


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; no cell can break out of its place.

    >>> print(table([{"a": "x|y", "b": ["1", "2"]}]))
    | a | b |
    | --- | --- |
    | x\\|y | ["1", "2"] |
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[_cell(c) for c in columns], ["---"] * len(columns)]
    lines += [[_cell(row.get(c)) for c in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return _cut(value if isinstance(value, str) else _shown(value), _LONGEST).replace("|", "\\|")


def _cut(text: str, longest: int) -> str:
    """`text` on one line, without a sign that ends a code block, at most so long."""
    cut = f"{text[:longest]}…" if len(text) > longest else text
    return " ".join(cut.replace("\n", "\\n").replace("`", "\\`").split())


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda v: f"<{type(v).__name__}>")


def first_rows(source: Source, plan: Plan, most: int = ROWS) -> list[dict[str, Any]]:
    """The first rows of the source, their columns named as in the port.

    Not the port's own rows: a correction of one would make the same question another one, and be
    paid for.
    """
    rows: list[dict[str, Any]] = []
    for _, _, data in source.parts:
        rows += data.with_format("arrow")[: most - len(rows)].to_pylist() if len(data) else []
        if len(rows) >= most:
            break
    return [{plan.names.get(name, name): v for name, v in row.items()} for row in rows]


def base_class_definition() -> str:
    """The signatures and docstrings of `BaseDataset`, as it is."""
    lines = [f"class {BaseDataset.__name__}:", *_docstring(BaseDataset, "    "), ""]
    for name, method in vars(BaseDataset).items():
        if not inspect.isfunction(method) or (name.startswith("_") and not name.startswith("__")):
            continue
        lines.append(f"    def {name}{inspect.signature(method)}:".replace("'", ""))
        lines += [*(_docstring(method, "        ") or ["        ..."]), ""]
    return "\n".join(lines).rstrip()


def _docstring(item: Any, indent: str) -> list[str]:
    said = inspect.getdoc(item) if item.__doc__ else None
    if said is None:
        return []
    return [f"{indent}{line}".rstrip() for line in f'"""{said}"""'.split("\n")]
