"""Corrections of people brought into a finished port: locked, and the rows that hold them remade.

Everything is made in the work folder, as a port is, and takes the port's place in one move. A later
`hret port` of the same job makes the same bytes of it, and asks for nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path

from hret_agents.card import card
from hret_agents.review import rows
from hret_agents.review.lines import corrections_of, read_edits, rows_named
from hret_agents.review.opened import opened
from hret_agents.review.remake import Remaker
from hret_agents.review.report import write_report
from hret_agents.review.rows import Part, Row, parts_of, rows_of, source_rows
from hret_agents.review.shards import rewrite
from hret_agents.steps.prepare import locked
from hret_agents.steps.state import Port, Splits
from hret_agents.steps.write import put_in_place, verify_split
from hret_agents.translate.audit import audit
from hret_agents.translate.memory import Memory
from hret_agents.translate.write import Notes
from llm_eval import settings
from llm_eval.dataset import ports
from llm_eval.dataset.expect import expectations
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest, sha256_of, with_rows
from llm_eval.dataset.verify import verify
from llm_eval.errors import UserError

Place = tuple[str, str, int]
_AGAIN = "port it again: what was translated is not paid twice"


@dataclass(frozen=True, slots=True)
class Corrected:
    """What an import did.

    `texts` were locked, `rows` made again: `named` of them in the file, the others because they
    hold the same texts. `mended` had failed and passed now; `failing` rows of the file still fail.
    """

    texts: int = 0
    rows: int = 0
    named: int = 0
    mended: int = 0
    failing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Changes:
    """The rows of each split that are made again, and those that fail from now on."""

    rows: dict[tuple[str, str], array[int]]
    failed: dict[tuple[str, str], array[int]]
    named: int = 0
    mended: int = 0
    failing: tuple[str, ...] = ()


def import_file(found: ports.Port, file: Path, source: Path | None = None) -> Corrected:
    """Bring a corrected file into a port.

    Args:
        source: where the port's source lies, if it was moved.

    Raises:
        UserError: the file does not fit the port, a corrected row would fail a gate, or the port
            is not what was verified. Nothing was changed then.
    """
    port = opened(found, source)
    with locked(port) as now:
        if now.old != port.old:
            raise UserError(f"{port.slug} was ported anew meanwhile", hint="run this again")
        assert port.manifest is not None
        edits = read_edits(file, port.manifest)
        data = {(subset, split): data for subset, split, data in port.source.parts}
        parts = parts_of(port.folder, port.splits, data)
        _unchanged(port.folder, parts.values())
        corrections = corrections_of(edits, port, parts)
        with Memory(settings.home() / "memory.sqlite") as memory:
            remaker = Remaker(port, memory, corrections)
            shutil.rmtree(port.work, ignore_errors=True)
            port.work.mkdir(parents=True)
            try:
                changes = _remade(port, parts, remaker, rows_named(edits))
                port = _built(port, parts, remaker, changes)
                plan = port.plan
                memory.lock(corrections.items(), plan.source_lang, plan.target_lang)
            except BaseException:
                shutil.rmtree(port.work, ignore_errors=True)
                raise
        put_in_place(port)
    return Corrected(
        texts=len(corrections),
        rows=sum(map(len, changes.rows.values())),
        named=changes.named,
        mended=changes.mended,
        failing=changes.failing,
    )


def _unchanged(folder: Path, parts: Iterable[Part]) -> None:
    """A `UserError` if a file of the port is not the one that was verified."""
    for part in parts:
        for path in part.files:
            if not path.is_file() or sha256_of(path) != part.record.files[path.name]:
                raise UserError(f"{path} was changed since it was ported", hint=_AGAIN)
        if len(part.failed) != part.record.failed:
            raise UserError(f"{folder / rows.FAILED} was changed since it was made", hint=_AGAIN)


# --- rows -------------------------------------------------------------------------------------


def _remade(
    port: Port, parts: Mapping[tuple[str, str], Part], remaker: Remaker, named: set[Place]
) -> _Changes:
    """Make every row again that holds a corrected text; their notes go into the work folder.

    Raises:
        UserError: a row that passed would fail.
    """
    changes = _Changes({key: array("q") for key in parts}, {key: array("q") for key in parts})
    failing = []
    with Notes(port.work) as notes:
        for key, part in parts.items():
            source = enumerate(source_rows(part, port.plan))
            touched = array("q", (n for n, row in source if remaker.touches(row)))
            mended = set()
            for number, old, present in rows_of(part, port.plan, touched, whole=True):
                assert old is not None
                place = (*key, number)
                made = remaker.remade(old, present)
                if made is None or (made.row is None and present is None):
                    failing += [_id(place)] if place in named else []
                if made is None:
                    continue
                changes.rows[key].append(number)
                changes.named += place in named
                if made.row is not None:
                    notes.found(*place, made.findings)
                    if present is None:
                        mended.add(number)
                    continue
                assert made.failure is not None
                if present is not None:
                    raise UserError(
                        f"row {_id(place)} would fail: {made.failure.message}",
                        hint="correct that too; nothing was changed",
                    )
                notes.failed(*place, old, made.failure)
            changes.failed[key] = array("q", (n for n in part.failed if n not in mended))
            changes.mended += len(mended)
    changes.failing = tuple(failing)
    return changes


def _id(place: Place) -> str:
    return "/".join(map(str, place))


def _built(
    port: Port, parts: Mapping[tuple[str, str], Part], remaker: Remaker, changes: _Changes
) -> Port:
    """The port with its work folder whole and verified."""
    manifest = port.manifest
    assert manifest is not None

    def again(number: int, old: Row, present: Row | None) -> Row:
        made = remaker.remade(old, present)
        assert made is not None and made.row is not None
        return made.row

    splits: Splits = {}
    for (subset, split), part in sorted(parts.items()):
        key = subset, split
        record = rewrite(
            part,
            changes.failed[key],
            changes.rows[key],
            port.plan,
            port.work / "data" / subset,
            again,
        )
        splits.setdefault(subset, {})[split] = record
        if changes.rows[key]:
            files = [port.work / "data" / subset / name for name in sorted(record.files)]
            assert part.data is not None
            audit(part.data, files, set(changes.failed[key]), port.plan, f"{subset}/{split}")
    counts = _notes(port, changes)
    shutil.copy2(port.folder / "plan.yaml", port.work / "plan.yaml")
    code, spec = _module(port.folder, manifest), manifest.module
    if (subsets := with_rows(splits)) != spec.subsets:
        if manifest.module_way != "template":
            raise UserError("its module knows no split of which every row had failed", hint=_AGAIN)
        spec = replace(spec, subsets=subsets)
        code = render(spec).encode()
    (port.work / MODULE).write_bytes(code)
    manifest = replace(
        manifest,
        splits=splits,
        checks=dict(sorted(counts.items())),
        module=spec,
        module_sha256=hashlib.sha256(code).hexdigest(),
    )
    for (subset, split), numbers in changes.rows.items():
        if numbers:
            _verified(port, manifest, subset, split)
    (port.work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (port.work / "README.md").write_text(card(manifest, port.plan), encoding="utf-8")
    port = replace(port, manifest=manifest, splits=splits, checks=counts)
    write_report(port)
    return port


def _module(folder: Path, manifest: Manifest) -> bytes:
    """The module that was verified. One that a user edited is kept beside it, as by any port."""
    code = (folder / MODULE).read_bytes() if (folder / MODULE).is_file() else b""
    if hashlib.sha256(code).hexdigest() == manifest.module_sha256:
        return code
    code = render(manifest.module).encode()
    if hashlib.sha256(code).hexdigest() != manifest.module_sha256:
        raise UserError(f"{folder / MODULE} was changed since it was verified", hint=_AGAIN)
    return code


def _verified(port: Port, manifest: Manifest, subset: str, split: str) -> None:
    """Run the module on a split; one that a model wrote in the kernel's sandbox."""
    record = manifest.splits[subset][split]
    if not record.passed:
        return
    if manifest.module_way == "template":
        verify_split(port, manifest.module, subset, split, record)
        return
    files = [port.work / "data" / subset / name for name in sorted(record.files)]
    part = subset, split, record.passed, expectations(files, manifest.module)
    seconds = 60 + record.passed / 50
    verdict = verify(port.work / MODULE, port.slug, [part], timeout=seconds, enforce=True)
    if not verdict.ok:
        raise UserError(
            f"the dataset module does not hold with these corrections: {verdict.reason}",
            hint="nothing was changed",
        )


# --- notes ------------------------------------------------------------------------------------


def _notes(port: Port, changes: _Changes) -> Counter[str]:
    """failed.jsonl and checks.jsonl: what they said, but of the rows made again what is new.

    Returns the findings by check.
    """
    order = _order(port)
    counts: Counter[str] = Counter()
    for name in (rows.FAILED, rows.CHECKS):
        fresh = (port.work / name).rename(port.work / f".{name}.new")
        old = _placed(port.folder / name, order, changes.rows)
        with (port.work / name).open("w", encoding="utf-8") as file:
            for _, line, note in merge(old, _placed(fresh, order, {}), key=lambda n: n[0]):
                file.write(line)
                if name == rows.CHECKS:
                    counts[note["check"]] += 1
        fresh.unlink()
    return counts


def _placed(
    path: Path, order: Mapping[tuple[str, str], int], without: Mapping[tuple[str, str], array[int]]
) -> Iterator[tuple[tuple[int, int], str, Row]]:
    """(where it belongs, line, note), but of the rows `without`."""
    left_out = {key: set(numbers) for key, numbers in without.items()}
    for line, note in rows.raw_notes(path):
        subset, split, row = rows.place_of(note)
        if row not in left_out.get((subset, split), ()):
            yield (order[subset, split], row), line, note


def _order(port: Port) -> dict[tuple[str, str], int]:
    """The order of a port's splits in its notes: as they stand there, else as they were ported."""
    there: Iterable[tuple[str, str]] = (
        rows.place_of(note)[:2] for note in rows.notes(port.folder / rows.CHECKS)
    )
    seen = list(dict.fromkeys(there))
    known: Sequence[tuple[str, str]] = [(subset, split) for subset, split, _ in port.source.parts]
    if [key for key in known if key in seen] != seen:
        known = [*seen, *(key for key in known if key not in seen)]
    return {key: place for place, key in enumerate(known)}
