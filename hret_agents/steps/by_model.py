"""The module of a port by a model: who is asked, with what, and how its module is judged."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.ask import asker_of, module_model
from hret_agents.job import Listener
from hret_agents.module.author import TEMPLATE, Written, author
from hret_agents.module.guide import Facts, first_rows, guide_prompt, schema_text, table
from hret_agents.spent import Spending
from hret_agents.steps.state import Port, Splits
from hret_agents.translate.write import rows_of
from llm_eval.dataset.expect import Expected, expectations
from llm_eval.dataset.spec import MODULE, ModuleSpec
from llm_eval.dataset.verify import verify
from llm_eval.records import Usage
from llm_eval.sandbox import SandboxUnavailable, layers

Part = tuple[Any, Any, int, Iterable[Expected]]  # None as subset and split: the module's own choice
_STARTING, _PER_ROW = 60.0, 0.02  # seconds that a module may take
_BY_ITSELF = "None/None"  # how a verdict names what is made without a subset and a split


def by_model(
    port: Port, spec: ModuleSpec, splits: Splits, listener: Listener
) -> tuple[Port, Written]:
    """What a model made of the module, and the port with its cost; no code where there is none.

    Raises:
        UserError: the model could not be asked, or there is no money left for it.
    """
    model = module_model(port.job, port.choice)
    if model is None:
        said = "no model was asked: the translator is none, and no module model is named"
        return port, Written("", TEMPLATE, (said,) if port.job.guide_prompt else ())
    if not (found := layers()).enough:
        return port, Written("", TEMPLATE, (SandboxUnavailable(found).message,))
    asker, spending = asker_of(port.job, model, port.cost_usd), Spending(port.folder)
    try:
        written = author(
            asker,
            _prompt(port, spec),
            lambda code: reason_against(port, spec, splits, code),
            listener,
            spec=spec,
            repairs=port.job.module_repairs,
        )
    finally:
        spending.note(asker.model, asker.usage, asker.cost)
    if asker.usage.requests:
        before = port.asked.get(asker.model, Usage())
        port = replace(port, asked={**port.asked, asker.model: before + asker.usage})
    return port, written


def _prompt(port: Port, spec: ModuleSpec) -> str:
    rows = first_rows(port.source, port.plan)
    facts = Facts(
        name=port.source.name,
        schema=schema_text(port.source.features, port.plan, rows),
        sample=table(rows),
        spec=spec,
    )
    return guide_prompt(facts, port.job.guide_prompt)


def _files(port: Port, splits: Splits, subset: str, split: str) -> list[Path]:
    return [port.work / "data" / subset / name for name in sorted(splits[subset][split].files)]


def reason_against(port: Port, spec: ModuleSpec, splits: Splits, code: str) -> str:
    """Why a module does not hold: on some row of a split, made without naming one, or apart from
    its data; empty when it does."""
    module = port.work / MODULE
    module.write_text(code, encoding="utf-8")
    own = _own_choice(splits)
    beside = [f for s in splits if own in splits[s] for f in _files(port, splits, s, own)]
    reason = _verdict(module, spec, [*_parts(port, spec, splits), _part(None, None, beside, spec)])
    if reason or port.repo is None:
        return reason.replace(_BY_ITSELF, "without subset and split")
    with tempfile.TemporaryDirectory(prefix="hret-verify-") as folder:
        alone = Path(shutil.copy2(module, folder))
        reason = _verdict(alone, spec, _parts(port, spec, splits), {port.repo: port.work})
    return f"with no data beside it, from REPO: {reason}" if reason else ""


def _parts(port: Port, spec: ModuleSpec, splits: Splits) -> list[Part]:
    """Every split of every subset."""
    return [
        _part(subset, split, _files(port, splits, subset, split), spec)
        for subset, by_split in splits.items()
        for split in by_split
    ]


def _part(subset: str | None, split: str | None, files: list[Path], spec: ModuleSpec) -> Part:
    return subset, split, sum(map(rows_of, files)), expectations(files, spec)


def _own_choice(splits: Splits) -> str:
    """The split that a module takes when none is named."""
    known = [split for by_split in splits.values() for split in by_split]
    return "test" if "test" in known else known[0]


def _verdict(
    module: Path, spec: ModuleSpec, parts: list[Part], repos: dict[str, Path] | None = None
) -> str:
    seconds = _STARTING + _PER_ROW * max(rows for _, _, rows, _ in parts)
    return verify(module, spec.slug, parts, timeout=seconds, enforce=True, repos=repos).reason
