"""A finished port, opened again with its own plan and source: nothing is inferred, nothing asked.

Where a local source lies, which revisions of it were ported, and in which order a port's splits
came, is noted in `HRET_HOME/review`: a port's folder does not tell.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hret_agents.job import PortJob
from hret_agents.plan.records import read_plan
from hret_agents.source import SAMPLE, Source, open_source
from hret_agents.steps.prepare import WORK
from hret_agents.steps.state import Port, Splits
from llm_eval import settings
from llm_eval.dataset import ports
from llm_eval.errors import Unknown, UserError
from llm_eval.files import write_text

if TYPE_CHECKING:
    from datasets import Dataset

Part = tuple[str, str]
"""(subset, split)."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted of a port: where its source lies (a path, or a name on the Hub), the order of
    its splits, and the revisions of that source that it was ported from."""

    dataset: str | None = None
    parts: Sequence[Part] = ()
    revisions: Sequence[str] = ()


def port_named(name: str) -> ports.Port:
    """The port on this machine that answers to `name`; `Unknown` names those there are."""
    if found := ports.find(name):
        return found
    raise Unknown("port", name, {n for p in ports.local_ports() for n in p.manifest.names})


def remember(port: Port) -> None:
    """Note where a port's source lies and the order of its splits, for whoever opens it later."""
    before, dataset = noted(port.folder), place_of(port)
    old = [part for part in before.parts if part in port.kept]
    kept = [*old, *sorted(port.kept.difference(old))]
    parts = [*kept, *((subset, split) for subset, split, _ in port.source.parts)]
    revisions = dict.fromkeys(before.revisions if before.dataset == dataset else ())
    revisions |= {port.source.revision: None} if port.source.revision else {}
    note = asdict(Noted(dataset, parts, list(revisions)))
    write_text(_path(port.folder), json.dumps(note, ensure_ascii=False))


def place_of(port: Port) -> str:
    """Where a port's source lies: an absolute path, or its name on the Hub."""
    dataset = port.job.dataset
    if not port.source.local or dataset == SAMPLE:
        return dataset
    return str(Path(dataset).expanduser().resolve())


def noted(folder: Path) -> Noted:
    """What is noted of the port in `folder`; nothing, where this machine has not ported it."""
    try:
        found = json.loads(_path(folder).read_text("utf-8"))
        parts = [(str(subset), str(split)) for subset, split in found["parts"]]
        return Noted(str(found["dataset"]), parts, [str(r) for r in found.get("revisions", ())])
    except (OSError, ValueError, KeyError, TypeError):
        return Noted()


def opened(found: ports.Port, source: Path | None = None) -> Port:
    """A finished port with all its splits, its plan and its source.

    Args:
        source: where the source lies; else where it lay when it was ported, or the Hub.

    Raises:
        UserError: the plan or the source is not the one that the port was made of.
    """
    manifest, folder = found.manifest, found.folder.resolve()
    plan = read_plan(folder / "plan.yaml")
    if plan.sha256 != manifest.plan_sha256:
        raise UserError(
            f"{folder / 'plan.yaml'} is not the plan that {manifest.slug} was ported by",
            hint="pass it by --plan to hret port, and then review what comes of it",
        )
    note = noted(folder)
    job = PortJob(
        dataset=str(source) if source else note.dataset or manifest.source,
        revision=manifest.revision,
        target_lang=manifest.target_lang,
        hf_token=settings.load().hf_token,
        output_dir=folder.parent,
    )
    order = {part: place for place, part in enumerate(note.parts)}
    return Port(
        job=job,
        slug=manifest.slug,
        source=_source(job, manifest.source, manifest.splits, order),
        plan=plan,
        folder=folder,
        work=folder.parent / WORK / folder.name,
        repo=manifest.repo,
        old=manifest,
        splits=manifest.splits,
        checks=Counter(manifest.checks),
        prompt_version=manifest.prompt_version,
        manifest=manifest,
    )


def sources(port: Port) -> dict[Part, Dataset]:
    """The source of each split of a port under way, those that an earlier run ported among them.

    A split whose source cannot be had any more is left out.
    """
    found = {(subset, split): data for subset, split, data in port.source.parts}
    if port.old is not None and (missing := port.kept.difference(found)):
        splits: Splits = {}
        for subset, split in sorted(missing):
            splits.setdefault(subset, {})[split] = port.old.splits[subset][split]
        job = replace(port.job, limit=None, revision=port.old.revision)
        try:
            more = _source(job, port.old.source, splits, {})
        except UserError:
            return found
        found |= {(subset, split): data for subset, split, data in more.parts}
    return found


def _source(job: PortJob, name: str, splits: Splits, order: Mapping[Part, int]) -> Source:
    """The source of `splits`, as many rows of each as were ported."""
    local = Path(job.dataset).expanduser()
    if local.is_absolute() and not local.exists():
        raise UserError(
            f"the source of the port is not at {local} any more",
            hint="name the place where it is now: --source PATH",
        )
    parts: dict[Part, Any] = {}
    for subsets, names in _groups(splits, apart=local.is_file()):
        source = open_source(replace(job, subsets=subsets, splits=names))
        if source.name != name or source.revision != job.revision:
            raise UserError(
                f"{job.dataset} is not what was ported: the port is of {name}, as it was then"
                f" ({(job.revision or 'unknown')[:12]})",
                hint="port it again, or name the file or folder that was ported: --source PATH",
            )
        parts |= {(subset, split): data for subset, split, data in source.parts}
    data: dict[str, dict[str, Any]] = {}
    for subset, split in sorted(parts, key=lambda part: (order.get(part, len(order)), part)):
        rows = splits[subset][split].rows
        if len(parts[subset, split]) < rows:
            raise UserError(
                f"{subset}/{split} of {job.dataset} has fewer rows than were ported ({rows})",
                hint="port it again",
            )
        data.setdefault(subset, {})[split] = parts[subset, split].select(range(rows))
    return replace(source, data=data)


def _groups(splits: Splits, *, apart: bool) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """(subsets, splits) to open at once: those that have the same splits. A file is one split."""
    same: dict[tuple[str, ...], list[str]] = {}
    for subset, by_split in splits.items():
        for names in [(name,) for name in by_split] if apart else [tuple(by_split)]:
            same.setdefault(names, []).append(subset)
    for names, subsets in same.items():
        yield tuple(subsets), names


def _path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return settings.home() / "review" / f"{name}.json"
