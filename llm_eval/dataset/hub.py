"""Ports that were pushed to the Hub: downloaded, held against their manifest, verified again.

A repo may be anybody's. Of its files only those that its manifest names are taken, each with the
hash that stands there, into a folder of ours; the module is run on every row in a process of its
own, in the sandbox where there is one, before anything of it is imported or used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_eval import settings
from llm_eval.dataset import ports
from llm_eval.dataset.ports import Port
from llm_eval.dataset.spec import (
    MANIFEST,
    MODULE,
    Manifest,
    SplitRecord,
    read_manifest,
    sha256_of,
    with_rows,
)
from llm_eval.errors import HretError, UserError
from llm_eval.files import write_text

_NAME = re.compile(r"\w[\w .+-]*")  # of a subset or split: a folder's or file's name, never a path
_FILE = re.compile(r"(\w[\w .+-]*)-\d{5}-of-\d{5}\.parquet")
_LARGEST = 64 << 20  # bytes of a manifest
_LONGEST = 500  # characters of a name in it


def is_repo(name: str) -> bool:
    """May `name` be a repo's (OWNER/NAME), and no path's?"""
    return name.count("/") == 1 and not name.startswith((".", "/"))


def from_hub(repo: str, revision: str | None = None) -> Port | None:
    """The port pushed as `repo`, downloaded and verified; None where the Hub has no such repo.

    Raises:
        UserError: the repo is there and holds no port, or one that does not hold what it says; or
            the Hub cannot be reached.
    """
    port = downloaded(repo, revision)
    if port is not None:
        verified(port)
    return port


def downloaded(repo: str, revision: str | None = None) -> Port | None:
    """The files of a pushed port, each as its manifest has it; nothing of them was run."""
    from huggingface_hub import hf_hub_download, snapshot_download

    key = settings.load().hf_token
    token: str | None = key.reveal() if key else None
    common: dict[str, Any] = {
        "repo_id": repo, "repo_type": "dataset", "token": token, "revision": revision,
    }  # fmt: skip
    with _sentences(repo, revision) as missing:
        first = Path(hf_hub_download(filename=MANIFEST, **common))
    if missing:
        return None
    if first.stat().st_size > _LARGEST:
        raise UserError(
            f"{repo}: its {MANIFEST} is too large to be one",
            hint="is it a port? see its files on the Hub",
        )
    manifest = read_manifest(first.parent)
    files = dict(_files(manifest, repo))
    with _sentences(repo, revision):
        common["revision"] = first.parent.name  # one commit, whatever is pushed meanwhile
        snapshot = Path(snapshot_download(allow_patterns=[*files, MODULE, "plan.yaml"], **common))
    return Port(_taken(repo, snapshot, files), manifest, repo)


def _files(manifest: Manifest, repo: str) -> Iterator[tuple[str, str]]:
    """(path in the repo, SHA-256) of each data file; a manifest that names any other is refused."""
    spec = manifest.module
    told = {subset: sorted(splits) for subset, splits in with_rows(manifest.splits).items()}
    if told != {subset: sorted(splits) for subset, splits in spec.subsets.items()}:
        raise _odd(repo, "its module is for other subsets and splits than its data")
    if spec.slug != manifest.slug or not _NAME.fullmatch(manifest.slug):
        raise _odd(repo, f"its slug is {manifest.slug!r}")
    from llm_eval.sandbox.notes import plain  # a jailed child imports this file, never a sandbox

    for told_to_people in (manifest.source, manifest.module_way):
        if plain(told_to_people, _LONGEST) != told_to_people:
            raise _odd(repo, f"it says {told_to_people[:_LONGEST]!r} of where it comes from")
    for subset, by_split in manifest.splits.items():
        for split, record in by_split.items():
            if not _NAME.fullmatch(subset) or not _NAME.fullmatch(split) or not record.files:
                raise _odd(repo, f"{subset!r}/{split!r} cannot be the name of a folder and a file")
            for name, digest in record.files.items():
                m = _FILE.fullmatch(name)
                if m is None or m[1] != split:
                    raise _odd(repo, f"{name!r} is no file of split {split!r}")
                yield f"data/{subset}/{name}", digest


def _odd(repo: str, what: str) -> UserError:
    return UserError(
        f"{repo} on the Hub is no port as we write them: {what}",
        hint="port its source again: hret port",
    )


def _taken(repo: str, snapshot: Path, files: dict[str, str]) -> Path:
    """A folder of ours with the port's files, real ones: a sandbox sees no link's other end."""
    target = settings.home() / "hub" / repo.replace("/", "__") / snapshot.name
    for name, digest in files.items():
        path = snapshot / name
        if not path.is_file() or sha256_of(path) != digest:
            what = "is not what its manifest says" if path.is_file() else "is missing"
            raise UserError(f"{repo} on the Hub: {name} {what}", hint="ask whoever pushed it")
    if not (snapshot / MODULE).is_file():
        raise _odd(repo, f"it has no {MODULE}")
    wanted = [*files, MODULE, MANIFEST, *(["plan.yaml"] * (snapshot / "plan.yaml").is_file())]
    if all(_same(snapshot / name, target / name) for name in wanted):
        return target
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=_made(target.parent)))
    for name in wanted:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        _linked(snapshot / name, part / name)
    shutil.rmtree(target, ignore_errors=True)
    try:
        part.rename(target)
    except OSError:  # another process was first: its files are the same
        shutil.rmtree(part, ignore_errors=True)
    return target


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _same(one: Path, other: Path) -> bool:
    """Is one file the other, or alike? Hard links are known without reading."""
    if not other.is_file():
        return False
    return one.resolve().samefile(other) or sha256_of(one) == sha256_of(other)


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


def verified(port: Port) -> None:
    """Run the module on every row unless this very content held before.

    Raises:
        UserError: it does not hold; or it was written by a model and there is no sandbox here.
    """
    from llm_eval.sandbox import layers

    way = ports.way_of(port)
    if way == "refused":
        raise ports.refusal(port)
    if way == "sandbox" and not layers().enough:
        raise ports.without_sandbox(port)
    note = settings.home() / "verified" / _content(port)
    if note.exists():
        return
    manifest = port.manifest
    for subset, splits in manifest.module.subsets.items():
        for split in splits:
            record = manifest.splits[subset][split]
            if said := _fault(port, subset, split, record, layers().enough):
                raise _unheld(port, said)
    if way == "sandbox" and (said := _fault_by_itself(port)):
        raise _unheld(port, said)
    write_text(note, json.dumps([port.hub_name, manifest.slug]))


def _unheld(port: Port, said: str) -> UserError:
    return UserError(
        f"{port.hub_name or port.manifest.slug} does not hold what it says: {said}",
        hint="nothing of it was used; ask whoever pushed it, or port its source: "
        f"hret port --dataset {shlex.quote(port.manifest.source)}",
    )


def _content(port: Port) -> str:
    """What the verification of a port stands on, as one hash: module, manifest, data, and rules."""
    from llm_eval.dataset import expect, gold, leaks, verify, ways

    files = [port.folder / MODULE, port.folder / MANIFEST]  # which holds the data's hashes
    files += [Path(str(m.__file__)) for m in (expect, gold, leaks, verify, ways)]
    return hashlib.sha256("\n".join(map(sha256_of, files)).encode()).hexdigest()


def _fault(port: Port, subset: str, split: str, record: SplitRecord, enforce: bool) -> str:
    """Why a split does not hold; empty when it does. A file at a time, beside a copy of the module:
    a module may hold all its rows in memory."""
    from llm_eval.dataset.expect import expectations, rows_of
    from llm_eval.dataset.verify import verify

    rows, manifest = 0, port.manifest
    for name in sorted(record.files):
        file = port.folder / "data" / subset / name
        with tempfile.TemporaryDirectory(prefix="hret-verify-") as folder:
            beside = _made(Path(folder, "data", subset))
            _linked(file, beside / f"{split}-00000-of-00001.parquet")
            module = Path(shutil.copy2(port.folder / MODULE, folder))
            repos = {r: Path(folder) for r in (manifest.repo, port.hub_name) if r}
            try:
                count = rows_of([file])
                part = subset, split, count, expectations([file], manifest.module)
                found = verify(module, manifest.slug, [part], enforce=enforce, repos=repos)
            except HretError:
                raise
            except Exception as e:  # a made-up spec on made-up data may fail anywhere
                return f"{subset}/{split} ({name}): {type(e).__name__}: {e}"
        if not found.ok:
            return f"{found.reason} ({name})" if len(record.files) > 1 else found.reason
        rows += count
    told = "" if rows == record.passed else f"{subset}/{split} has {rows} rows, not {record.passed}"
    return told


def _fault_by_itself(port: Port) -> str:
    """Why a module that a model wrote does not hold where no subset and split are named, or in
    another of the ways to make it."""
    from llm_eval.dataset.verify import verify
    from llm_eval.dataset.ways import by_default, other_ways

    def files(subset: str, split: str) -> list[Path]:
        names = sorted(port.manifest.splits[subset][split].files)
        return [port.folder / "data" / subset / name for name in names]

    module, spec = port.folder / MODULE, port.manifest.module
    parts, ways = [by_default(spec, files)], other_ways(spec, files)
    return verify(module, spec.slug, parts, ways=ways, enforce=True).reason


@contextmanager
def _sentences(repo: str, revision: str | None) -> Iterator[list[str]]:
    """What the Hub's client raises, as sentences; a repo that is not there is noted in the list."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    missing: list[str] = []
    try:
        yield missing
    except GatedRepoError:
        raise UserError(
            f"{repo!r} is gated", hint="ask for access on its page, and set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        missing.append(repo)
    except RevisionNotFoundError:
        raise UserError(
            f"{repo!r} has no revision {revision!r}", hint="name a branch, a tag or a commit"
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise UserError(
            f"{repo!r} is not on this machine, and the Hub cannot be reached",
            hint="check the connection, HF_ENDPOINT, and that HF_HUB_OFFLINE is not set",
            caller_only=True,
        ) from None
    except EntryNotFoundError:
        raise UserError(
            f"{repo!r} on the Hub holds no port (it has no {MANIFEST})",
            hint=f"port it first: hret port --dataset {repo}",
        ) from None
    except HfHubHTTPError as e:
        raise UserError(f"the Hub refused {repo!r}: {e}", hint="check HF_TOKEN") from None
