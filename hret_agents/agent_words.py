"""What an agent's model is told of a port: names, roles and counts, never a cell.

Names of columns, subsets and splits are a stranger's data: they are quoted and cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hret_agents.estimate import estimate
from hret_agents.job import PortResult
from hret_agents.steps.prepare import sampled
from hret_agents.steps.state import Port
from hret_agents.translators import DEFAULT_MODEL, by_memory
from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.models.limiter import START

NAME, LISTED, TEXT = 40, 40, 600  # characters of a name, names in a list, characters of an error


def told(error: UserError) -> str:
    """An error as a model is told it."""
    return cut(f"Error: {' '.join(str(error).split())}", TEXT)


def cut(text: str, most: int) -> str:
    """
    >>> cut("abcdef", 4), cut("abc", 4)
    ('abc…', 'abc')
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def quoted(name: str) -> str:
    """A name as data: quoted and cut.

    >>> quoted("a b")
    '"a b"'
    """
    return json.dumps(cut(name, NAME), ensure_ascii=False)


def listed(items: Iterable[str]) -> str:
    """Not more of them than a screen holds."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if items[LISTED:] else ""
    return ", ".join(items[:LISTED]) + more


def opened_port(port: Port) -> str:
    """Of a port that was opened: subsets, splits and rows, fields with their roles, the task, the
    costs."""
    source, plan = port.source, port.plan
    parts = (f"{quoted(f'{s}/{t}')} ({len(rows)} rows)" for s, t, rows in source.parts)
    roles = (f"{quoted(path)}: {role}" for path, role in plan.roles.items())
    lines = [
        f"slug: {port.slug}",
        f"subsets/splits: {listed(parts)}",
        f"fields with roles: {listed(roles)}",
        f"task: {plan.task.kind}, answers: {plan.task.answer_kind or 'none'}, "
        f"language: {plan.source_lang} to {plan.target_lang}",
        f"licence: {quoted(source.licence) if source.licence else 'none named'}",
        f"translation: {_estimated(port)}",
    ]
    return "\n".join(lines)


def _estimated(port: Port) -> str:
    job = port.job
    if by_memory(job):
        return "by a translation memory, which costs nothing"
    model = (job.model or DEFAULT_MODEL).removeprefix("openai:")
    rows = sampled(port.source)
    batch = settings.load().batch_size if job.batch_size is None else job.batch_size
    found = estimate(rows, port.plan, model=model, batch_size=batch, concurrency=START)
    times = port.source.rows / max(1, len(rows))
    tokens = round((found.prompt_tokens + found.completion_tokens) * times)
    usd = "price unknown" if found.cost_usd is None else f"{found.cost_usd * times:.4f} USD"
    return f"by {model} about {tokens:,} tokens ({usd}), if nothing of it is known yet"


def translated_port(port: Port) -> str:
    """Of a port that was translated: how many rows passed, and what the checks found."""
    records = [r for by_split in port.splits.values() for r in by_split.values()]
    passed, total = sum(r.passed for r in records), sum(r.rows for r in records)
    found = ", ".join(f"{check} {n}" for check, n in sorted(port.checks.items())) or "nothing"
    return f"{passed} of {total} rows passed; the checks found: {found}"


def made_port(port: Port) -> str:
    """Of a port whose module was written: which way."""
    way = port.manifest.module_way if port.manifest else "none"
    return f"slug: {port.slug}; the module is verified, written by: {way}"


def summed_up(result: PortResult) -> str:
    """A sentence on what a port came to."""
    rows = result.rows
    if not rows["total"]:
        return f"{result.slug}: opened, not translated."
    counts = f"{rows['passed']} of {rows['total']} rows passed"
    if result.module_path is None:
        return f"{result.slug}: {counts}, no module was made."
    pushed = f", pushed to {result.repo_id}" if result.url else ""
    return f"{result.slug}: {counts}, module verified ({result.module_way}){pushed}."
