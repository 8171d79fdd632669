"""The last steps: push the finished port, and evaluate baselines or models on it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents import hub
from hret_agents.backends import release
from hret_agents.card import card
from hret_agents.job import Listener, PortJob, Stage
from hret_agents.module.author import TEMPLATE, with_repo
from hret_agents.plan.records import Plan, read_plan
from hret_agents.review.opened import noted
from hret_agents.source import Source
from hret_agents.spent import spent
from hret_agents.steps.by_model import reason_against
from hret_agents.steps.prepare import WORK, locked
from hret_agents.steps.state import Port
from hret_agents.steps.write import put_in_place, verify_splits
from llm_eval.dataset import load_datasets, ports
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest, ModuleSpec, read_manifest, sha256_of
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator


def publish(port: Port, listener: Listener) -> Port:
    """The port, pushed if the job says so.

    A port that was finished without its repo's name (the module holds it) is finished anew first.
    """
    if not port.job.push or port.manifest is None:
        return port
    claim = _claim(port.folder, replace(port.manifest, repo=port.repo or port.manifest.repo))
    repo = hub.allowed(port.job, claim)
    unchanged(port.folder, port.manifest)
    if repo != port.manifest.repo:
        manifest = renamed(port.folder, port.manifest, port.job, repo, listener)
        port = replace(port, manifest=manifest, repo=repo)
    assert port.manifest is not None
    listener(Stage("push", repo))
    readme = card(port.manifest, plan_in(port.folder, port.manifest), spent(port.folder))
    return replace(port, url=hub.push(port, claim, repo, readme))


def _claim(folder: Path, manifest: Manifest) -> hub.Claim:
    """What a finished port claims; a source that may be a file here is told by its revisions."""
    note = noted(folder)
    on_hub = "/" in manifest.source or note.dataset == manifest.source
    return hub.Claim.of(manifest, None if on_hub else note.revisions)


def push_finished(found: ports.Port, job: PortJob, listener: Listener) -> Port:
    """Push a port that lies in its folder, without its source and without porting again.

    Raises:
        UserError: it may not be pushed, or is not what was verified any more.
    """
    port = _from_folder(found.folder, found.manifest, job)
    with locked(port):
        manifest = read_manifest(found.folder)
        return publish(replace(port, manifest=manifest, repo=manifest.repo), listener)


def unchanged(folder: Path, manifest: Manifest) -> None:
    """A `UserError` if the module, the plan or the data is not what was verified."""
    hint = "port it again: what was translated is not paid twice"
    for name, known in _hashes(manifest):
        path = folder / name
        if not path.is_file() or sha256_of(path) != known:
            what = "was changed since it was verified" if path.is_file() else "is missing"
            raise UserError(f"{path} {what}, so it is not pushed", hint=hint)
    plan_in(folder, manifest)


def _hashes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield MODULE, manifest.module_sha256
    for subset, splits in manifest.splits.items():
        for record in splits.values():
            for name, known in record.files.items():
                yield f"data/{subset}/{name}", known


def plan_in(folder: Path, manifest: Manifest) -> Plan:
    """The plan that a port was made by.

    Raises:
        UserError: it was edited since.
    """
    plan = read_plan(folder / "plan.yaml")
    if plan.sha256 != manifest.plan_sha256:
        raise UserError(
            f"{folder / 'plan.yaml'} is not the plan that this port was made by",
            hint="pass it to a new port by --plan; nothing is paid twice",
            caller_only=True,
        )
    return plan


def renamed(
    folder: Path, manifest: Manifest, job: PortJob, repo: str, listener: Listener
) -> Manifest:
    """Finish a port anew for the repo `repo`, without asking any model; its manifest.

    Raises:
        UserError: its module does not hold any more, or there is no sandbox to run a model's in.
    """
    listener(Stage("module", f"verifying dataset.py for {repo}"))
    port = replace(_from_folder(folder, manifest, job), repo=repo)
    shutil.rmtree(port.work, ignore_errors=True)
    shutil.copytree(folder / "data", port.work / "data")
    for name in hub.BESIDE:
        if (folder / name).is_file():
            shutil.copy2(folder / name, port.work / name)
    spec = replace(manifest.module, repo=repo)
    code = _verified(port, spec, manifest)
    sha = hashlib.sha256(code.encode()).hexdigest()
    manifest = replace(manifest, repo=repo, module=spec, module_sha256=sha)
    (port.work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (port.work / hub.CARD).write_text(card(manifest, port.plan), encoding="utf-8")
    put_in_place(port)
    return manifest


def _verified(port: Port, spec: ModuleSpec, manifest: Manifest) -> str:
    """The module in the work folder, with its repo's name in it and verified."""
    module = port.work / MODULE
    if manifest.module_way == TEMPLATE:
        code = render(spec)
        module.write_text(code, encoding="utf-8")
        verify_splits(port, spec, manifest.splits)
        return code
    code, reason = with_repo(module.read_text("utf-8"), port.repo)
    if reason := reason or reason_against(port, spec, manifest.splits, code):
        raise UserError(
            f"{port.folder / MODULE}, written by {manifest.module_way}, does not hold: {reason}",
            hint=f"port it again with --push --repo-id {port.repo}",
        )
    return code


def _from_folder(folder: Path, manifest: Manifest, job: PortJob) -> Port:
    """A finished port without its source: all of it is kept."""
    plan = plan_in(folder, manifest)
    source = Source(
        name=manifest.source,
        stem=manifest.slug,
        revision=manifest.revision,
        licence=manifest.licence,
        features={},
        data={},
    )
    parts = {(subset, split) for subset, by in manifest.splits.items() for split in by}
    return Port(
        job=job,
        slug=manifest.slug,
        source=source,
        plan=plan,
        folder=folder,
        work=folder.parent / WORK / folder.name,
        repo=manifest.repo,
        old=manifest,
        kept=frozenset(parts),
        manifest=manifest,
    )


def evaluations(port: Port, listener: Listener) -> dict[str, Any]:
    """The metrics of each backend that the job names, on the fresh port."""
    release()  # the models that made it: another one may need the room
    if port.manifest is None:
        return {}
    found: dict[str, Any] = {}
    for backend in port.job.evaluate:
        listener(Stage("evaluate", backend))
        params: dict[str, Any] = {}
        if backend.startswith("openai:"):
            params = {"api_base": port.job.api_base, "api_key": port.job.api_key}
        try:
            dataset = load_datasets(str(port.folder))
            found[backend] = Evaluator().run(backend, dataset, model_params=params).metrics
        except UserError as e:  # the port is done and is shown, whatever became of its evaluation
            found[backend] = {"error": str(e)}
    return found
