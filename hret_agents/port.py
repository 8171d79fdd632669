"""One port, from job to result: prepare → translate → write → publish, and a trial run of it.

What is made lies in a work folder until it is whole and verified, and then takes the place of what
was there in one move. Kill it at any moment and run it again: what was paid for is in the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from hret_agents.ask import may_ask, models_asked
from hret_agents.backends import checked_params, deciding
from hret_agents.estimate import Estimate, estimate
from hret_agents.finished import begin, note, recall
from hret_agents.job import Listener, PortJob, PortResult, Stage, silent
from hret_agents.plan.records import Plan
from hret_agents.review.report import REPORT
from hret_agents.source import open_source
from hret_agents.steps.prepare import check_names, identifiable, locked, plan_of, prepare
from hret_agents.steps.publish import evaluations, publish
from hret_agents.steps.state import Port
from hret_agents.steps.translate import translate
from hret_agents.steps.write import write_module
from hret_agents.translate.chat import policy_of
from hret_agents.translate.memory import Memory, unit_key
from hret_agents.translate.write import tables
from hret_agents.translators import DEFAULT_MODEL, chosen
from llm_eval import settings
from llm_eval.dataset.spec import MANIFEST, MODULE
from llm_eval.errors import UserError
from llm_eval.models.limiter import START

Step = Callable[[Port, Listener], Port]
STEPS: dict[str, Step] = {"translate": translate, "module": write_module, "push": publish}


def port_dataset(
    job: PortJob,
    listener: Listener = silent,
    *,
    download: Callable[[PortJob, Listener], Port] = prepare,
    steps: Sequence[Step] = tuple(STEPS.values()),
) -> PortResult:
    """Do a job. `download` and `steps` are the stages, in order, for whoever replaces one.

    Raises:
        UserError: the job cannot be done as it stands; what was translated by then is kept.
    """
    started = time.monotonic()
    ours = download is prepare and tuple(steps) == tuple(STEPS.values())
    if ours and (known := recall(job)):
        listener(Stage("done", "unchanged"))
        return replace(known, seconds=round(time.monotonic() - started, 3))
    begun = begin(job) if ours else {}
    may_ask(job)
    port = download(job, listener)
    with locked(port) as port:
        for step in steps:
            port = step(port, listener)
    evaluated = evaluations(port, listener)
    listener(Stage("done"))
    result = result_of(port, time.monotonic() - started, evaluated)
    if ours:
        note(job, result, begun, port.source.revision)
    return result


def result_of(port: Port, seconds: float, evaluated: dict[str, object]) -> PortResult:
    """What a port came to, as it stands."""
    done = port.manifest is not None
    folder = port.folder if done else port.work
    records = [r for by_split in port.splits.values() for r in by_split.values()]
    total = sum(r.rows for r in records)
    return PortResult(
        slug=port.slug,
        path=str(folder),
        module_path=str(folder / MODULE) if done else None,
        data_path=str(folder / "data"),
        plan_path=str(folder / "plan.yaml"),
        failed_path=str(folder / "failed.jsonl"),
        checks_path=str(folder / "checks.jsonl"),
        manifest_path=str(folder / MANIFEST) if done else None,
        card_path=str(folder / "README.md") if done else None,
        rows={
            "total": total,
            "passed": sum(r.passed for r in records),
            "failed": sum(r.failed for r in records),
            "graded": port.graded,
            "from_memory": port.remembered,
            "kept_cells": sum(r.kept for r in records),
        },
        checks=dict(sorted(port.checks.items())),
        failures=list(port.failures),
        model=port.paid_model,
        module_way=port.manifest.module_way if port.manifest else None,
        module_tries=list(port.manifest.module_tries) if port.manifest else [],
        report_path=str(folder / REPORT) if (folder / REPORT).is_file() else None,
        usage=port.spent.to_dict(),
        estimated=port.estimated.to_dict(),
        asked={model: usage.to_dict() for model, usage in port.asked.items()},
        cost_usd=port.cost_usd,
        seconds=round(seconds, 3),
        repo_id=port.repo if port.url else None,
        url=port.url,
        evaluations=evaluated,
    )


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a port would do, found out without asking a model anything or writing a file."""

    plan: Plan
    model: str
    estimate: Estimate
    licence: str | None


def dry_run(job: PortJob, listener: Listener = silent) -> DryRun:
    """The plan of a job, and what it would cost. Needs no key."""
    check_names(job)
    if job.model:
        chosen(job)
    checked_params(job)
    models_asked(job)
    listener(Stage("download", job.dataset))
    source = open_source(job)
    plan = plan_of(replace(job, plan_model=None), source)
    identifiable(plan)
    model = job.model or ("memory" if job.dataset == "sample" else DEFAULT_MODEL)
    if model.startswith("memory:") and not Path(model[7:]).expanduser().is_file():
        raise UserError(
            f"there is no memory file {model[7:]}",
            hint="memory:PATH, or memory alone for the texts that are kept",
        )
    rows = (
        row for _, _, data in source.parts for table in tables(data) for row in table.to_pylist()
    )
    batch_size = settings.load().batch_size if job.batch_size is None else job.batch_size
    policy = policy_of(
        model.removeprefix("openai:"),
        plan.source_lang,
        plan.target_lang,
        plan.register,
        plan.style,
        deciding(model, job.model_params),
    )
    path = settings.home() / "memory.sqlite"
    with Memory(path) if path.is_file() else nullcontext() as memory:
        found = estimate(
            rows,
            plan,
            model=model,
            batch_size=batch_size,
            concurrency=job.concurrency or START,
            batch=job.batch,
            key=lambda unit, terms: unit_key(unit, policy, terms),
            known=(lambda keys: set(memory.get(keys))) if memory else None,
        )
    return DryRun(plan, model, found, source.licence)
