"""The module step and the last one: write the module, verify it, and put the port in its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hret_agents.card import card
from hret_agents.job import Listener, Stage
from hret_agents.module.author import Written
from hret_agents.module.spec import spec_of
from hret_agents.steps.by_model import by_model
from hret_agents.steps.snapshot import forget
from hret_agents.steps.state import Port, Splits
from llm_eval.dataset import ports
from llm_eval.dataset.expect import expectations, rows_of
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest, ModuleSpec, SplitRecord, with_rows
from llm_eval.dataset.verify import verify
from llm_eval.errors import UserError

OURS = {MODULE, MANIFEST, "README.md", "plan.yaml", "checks.jsonl", "failed.jsonl", "data"} | {
    "report.html"
}


class ModuleError(UserError):
    """The module that the template gave did not verify: its plan may not fit the data."""

    caller_only = True


def write_module(port: Port, listener: Listener) -> Port:
    """The port with its module and manifest: written by a model where the job names one, else by
    the template; run in a child process, and verified row by row.

    A port of which no row passed gets neither.
    """
    from hret_agents.review.report import write_report  # it reads what this step writes

    listener(Stage("module", "writing and verifying dataset.py"))
    splits = _with_kept(port)
    subsets = with_rows(splits)
    if not subsets:
        return port
    spec = spec_of(port.plan, slug=port.slug, repo=port.repo, subsets=subsets)
    port, written = _written(port, spec, splits, listener)
    (port.work / MODULE).write_text(written.code, encoding="utf-8")
    manifest = Manifest(
        slug=port.slug,
        source=port.source.name,
        revision=port.source.revision,
        licence=port.source.licence,
        source_lang=port.plan.source_lang,
        target_lang=port.plan.target_lang,
        translator=port.paid_model,
        prompt_version=port.prompt_version,
        repo=port.repo,
        plan_sha256=port.plan.sha256,
        columns={c: port.plan.names.get(c, c) for c in port.source.features},
        splits=splits,
        checks=dict(sorted(port.checks.items())),
        module=spec,
        module_sha256=hashlib.sha256(written.code.encode()).hexdigest(),
        module_way=written.way,
        module_tries=list(written.tries),
        limit=port.job.limit,
    )
    (port.work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (port.work / "README.md").write_text(card(manifest, port.plan), encoding="utf-8")
    port = replace(port, manifest=manifest)
    write_report(port)
    return put_in_place(port)


def _written(
    port: Port, spec: ModuleSpec, splits: Splits, listener: Listener
) -> tuple[Port, Written]:
    """A verified module: the model's, if one is to be asked and one of its tries holds, else the
    template's, verified a split at a time."""
    port, written = by_model(port, spec, splits, listener)
    if not written.code:
        written = replace(written, code=render(spec))
        (port.work / MODULE).write_text(written.code, encoding="utf-8")
        listener(Stage("module", "verifying the template's"))
        verify_splits(port, spec, splits)
    return port, written


def verify_splits(port: Port, spec: ModuleSpec, splits: Splits) -> None:
    """Run the module on every split that it is for; a `ModuleError` as `verify_split`."""
    for subset, listed in spec.subsets.items():
        for split in listed:
            verify_split(port, spec, subset, split, splits[subset][split])


def verify_split(
    port: Port, spec: ModuleSpec, subset: str, split: str, record: SplitRecord
) -> None:
    """Run the module on a split. One of several files is verified a file at a time, beside a copy
    of the module: a module may hold all its rows in memory.

    Raises:
        ModuleError: it does not do what it must on some row.
    """
    files = _files(port.work, subset, record.files)
    for file in files:
        with tempfile.TemporaryDirectory(prefix="hret-verify-") as folder:
            module = port.work / MODULE
            if len(files) > 1:
                beside = Path(folder, "data", subset)
                beside.mkdir(parents=True)
                (beside / f"{split}-00000-of-00001.parquet").symlink_to(file)
                module = Path(shutil.copy2(module, folder))
            rows = rows_of([file])
            part = subset, split, rows, expectations([file], spec)
            verdict = verify(module, port.slug, [part])
        if not verdict.ok:
            where = f" ({file.name})" if len(files) > 1 else ""
            raise ModuleError(
                f"the dataset module does not hold: {verdict.reason}{where}",
                hint="its plan's task may not fit the data: edit "
                f"{port.work / 'plan.yaml'} and pass it by --plan; nothing is paid twice",
            )


def _with_kept(port: Port) -> Splits:
    """All splits of the port: the fresh ones, and the old ones that stay, their files linked in."""
    splits = {subset: dict(by_split) for subset, by_split in port.splits.items()}
    for subset, split in sorted(port.kept):
        assert port.old is not None
        record = port.old.splits[subset][split]
        target = port.work / "data" / subset
        target.mkdir(parents=True, exist_ok=True)
        for name in record.files:
            shutil.copy2(port.folder / "data" / subset / name, target / name)
        splits.setdefault(subset, {})[split] = record
    return {subset: dict(sorted(by_split.items())) for subset, by_split in sorted(splits.items())}


def _files(folder: Path, subset: str, names: dict[str, str]) -> list[Path]:
    return [folder / "data" / subset / name for name in sorted(names)]


def put_in_place(port: Port) -> Port:
    """The finished work folder takes the place of what was there, in one move."""
    for path in _others(port):
        target = port.work / path.relative_to(port.folder)
        if path.name == MODULE:
            target = target.with_name("dataset.edited.py")
        shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target)
    for file in port.work.rglob("*"):
        if file.is_file():
            with file.open("rb") as f:
                os.fsync(f.fileno())
    aside = port.work.with_name(port.work.name + ".old")
    if port.folder.exists():
        port.folder.rename(aside)
    port.work.rename(port.folder)
    shutil.rmtree(aside, ignore_errors=True)
    forget(port)
    ports.remember_root(port.folder.parent)
    return port


def _others(port: Port) -> Iterator[Path]:
    """What lies in the old folder and is the user's own: more files, an edited module."""
    if port.old is None:
        return
    for path in sorted(port.folder.iterdir()):
        if path.name not in OURS and path.name != "__pycache__":
            yield path
        elif path.name == MODULE:
            if hashlib.sha256(path.read_bytes()).hexdigest() != port.old.module_sha256:
                yield path
