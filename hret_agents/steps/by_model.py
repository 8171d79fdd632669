"""The module of a port by a model: who is asked, with what, and how its module is judged."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.ask import asker_of, module_model
from hret_agents.job import Listener
from hret_agents.module.author import TEMPLATE, Written, author
from hret_agents.module.guide import Facts, first_rows, guide_prompt, schema_text, table
from hret_agents.spent import Spending
from hret_agents.steps.state import Port, Splits
from llm_eval.dataset.expect import expectations, rows_of
from llm_eval.dataset.spec import MODULE, ModuleSpec
from llm_eval.dataset.verify import verify
from llm_eval.dataset.ways import Files, Part, by_default, other_ways
from llm_eval.records import Usage
from llm_eval.sandbox import SandboxUnavailable, layers

_STARTING, _PER_ROW = 60.0, 0.02  # seconds that a module may take


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


def reason_against(port: Port, spec: ModuleSpec, splits: Splits, code: str) -> str:
    """Why a module does not hold: on some row of a split, made in another way than by naming one,
    or apart from its data; empty when it does."""

    def files(subset: str, split: str) -> list[Path]:
        return [port.work / "data" / subset / name for name in sorted(splits[subset][split].files)]

    module = port.work / MODULE
    module.write_text(code, encoding="utf-8")
    parts, ways = [*_parts(spec, files), by_default(spec, files)], other_ways(spec, files)
    reason = _verdict(module, spec, parts, ways=ways)
    if reason or port.repo is None:
        return reason
    with tempfile.TemporaryDirectory(prefix="hret-verify-") as folder:
        alone = Path(shutil.copy2(module, folder))
        reason = _verdict(alone, spec, _parts(spec, files), repos={port.repo: port.work})
    return f"with no data beside it, from REPO: {reason}" if reason else ""


def _parts(spec: ModuleSpec, files: Files) -> list[Part]:
    """Every split of every subset."""
    return [
        (subset, split, rows_of(files(subset, split)), expectations(files(subset, split), spec))
        for subset, listed in spec.subsets.items()
        for split in listed
    ]


def _verdict(module: Path, spec: ModuleSpec, parts: list[Part], **options: Any) -> str:
    seconds = _STARTING + _PER_ROW * sum(rows for _, _, rows, _ in parts)
    return verify(module, spec.slug, parts, timeout=seconds, enforce=True, **options).reason
