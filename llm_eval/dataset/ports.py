"""Ports on this machine and on the Hub: found by reading manifests, imported only when trusted.

Ports lie in `./generated_datasets` and in every folder that `hret port --output-dir` has written
to (the index in `HRET_HOME`). Listing them imports nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_eval import settings
from llm_eval.dataset.base import DATASETS, BaseDataset
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest, read_manifest
from llm_eval.errors import UserError

log = logging.getLogger(__name__)
DEFAULT_ROOT = "generated_datasets"


@dataclass(frozen=True, slots=True)
class Port:
    """A port's folder and its manifest."""

    folder: Path
    manifest: Manifest


def roots() -> list[Path]:
    """The folders ports are looked for in, the current folder's own first."""
    index = settings.home() / "ports"
    noted = [_noted(f) for f in sorted(index.glob("*.json"))]
    found = dict.fromkeys(p.resolve() for p in (Path.cwd() / DEFAULT_ROOT, *filter(None, noted)))
    return [p for p in found if p.is_dir()]


def _noted(entry: Path) -> Path | None:
    """The folder that an entry of the index names; None for a torn or foreign file."""
    try:
        name = json.loads(entry.read_text("utf-8"))
    except (ValueError, OSError):
        return None
    return Path(name) if isinstance(name, str) else None


def remember_root(root: Path) -> None:
    """Note that ports lie in `root`. One small file each: two processes cannot lose an entry."""
    text = json.dumps(str(root.resolve()))
    path = settings.home() / "ports" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        write_atomically(path, text)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader, or a kill, sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def local_ports() -> Iterator[Port]:
    """Every port found; a folder whose manifest cannot be read is warned of and passed over."""
    for root in roots():
        for path in sorted(root.glob(f"*/{MANIFEST}")):
            try:
                yield Port(path.parent, read_manifest(path.parent))
            except UserError as e:
                log.warning("%s", e.message)


def find(
    name: str, subset: str | Iterable[str] | None = None, lang: str | None = None
) -> Port | None:
    """The one port that answers to `name`, None if none does.

    A slug names one port. An original name may have several (a subset each, several languages):
    the subsets asked for and the language decide, and what is still several is a `UserError`.
    """
    found = [p for p in local_ports() if name in p.manifest.names]
    if exact := [p for p in found if p.manifest.slug == name]:
        return exact[0]
    if lang:
        found = [p for p in found if p.manifest.target_lang == lang]
    wanted = {subset} if isinstance(subset, str) else set(subset or ())
    fitting = [p for p in found if wanted <= set(p.manifest.splits)]
    if found and not fitting:
        there = "; ".join(f"{p.manifest.slug}: {', '.join(p.manifest.splits)}" for p in found)
        raise UserError(
            f"no port of {name!r} has {', '.join(sorted(wanted))}", hint=f"there are {there}"
        )
    if len({p.manifest.slug for p in fitting}) > 1:
        slugs = ", ".join(p.manifest.slug for p in fitting)
        raise UserError(f"{name!r} has several ports", hint=f"name one of them: {slugs}")
    return fitting[0] if fitting else None


def from_hub(repo: str) -> Port | None:
    """The port pushed as `repo`, downloaded; None where the Hub has no such repo.

    Raises:
        UserError: the repo is there and holds no port, or the Hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    key = settings.load().hf_token
    token: str | None = key.reveal() if key else None
    common: dict[str, Any] = {"repo_id": repo, "repo_type": "dataset", "token": token}
    try:
        hf_hub_download(filename=MANIFEST, **common)
        folder = Path(
            snapshot_download(allow_patterns=[MANIFEST, MODULE, "data/**", "plan.yaml"], **common)
        )
    except GatedRepoError:
        raise UserError(
            f"{repo!r} is gated", hint="ask for access on its page, and set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        return None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise UserError(
            f"{repo!r} is not on this machine, and the Hub cannot be reached",
            hint="check the connection, HF_ENDPOINT, and that HF_HUB_OFFLINE is not set",
        ) from None
    except EntryNotFoundError:
        raise UserError(
            f"{repo!r} on the Hub holds no port (it has no {MANIFEST})",
            hint=f"port it first: hret port --dataset {repo}",
        ) from None
    except HfHubHTTPError as e:
        raise UserError(f"the Hub refused {repo!r}: {e}", hint="check HF_TOKEN") from None
    return Port(folder, read_manifest(folder))


def module_class(port: Port) -> type[BaseDataset]:
    """The dataset class of a port's module.

    Imported only if the module is byte for byte what its spec renders to, or if the user has
    trusted this very text (`hret datasets trust`).
    """
    path = port.folder / MODULE
    try:
        code = path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e}", hint="port the dataset again") from None
    if code != render(port.manifest.module).encode() and not is_trusted(code):
        raise UserError(
            f"{path} is not the module that its spec stands for, so it is not imported",
            hint=f"read it, then: hret datasets trust {port.manifest.slug}; or port it again",
        )
    found = class_in(code, path)
    DATASETS.forget(found)  # a port is found by its manifest, so that a newer one is never hidden
    return found


def is_trusted(code: bytes) -> bool:
    """Has this user trusted exactly this text?"""
    return _trust_file(code).exists()


def trust(port: Port) -> str:
    """Trust a port's module as it stands now; the hash that is noted."""
    code = (port.folder / MODULE).read_bytes()
    write_atomically(_trust_file(code), port.manifest.slug)
    return hashlib.sha256(code).hexdigest()


def _trust_file(code: bytes) -> Path:
    return settings.home() / "trust" / hashlib.sha256(code).hexdigest()


def class_in(code: bytes, path: Path) -> type[BaseDataset]:
    """The class that running `code` defines. The bytes checked are the bytes run."""
    module = types.ModuleType(f"hret_port_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}")
    module.__file__ = str(path)
    exec(compile(code, str(path), "exec"), module.__dict__)
    return dataset_class(module, path)


def dataset_class(module: types.ModuleType, path: Path) -> type[BaseDataset]:
    """The subclass of `BaseDataset` that a module defines itself; the last if there are several."""
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, BaseDataset)
        and item.__module__ == module.__name__
    ]
    if not found:
        raise UserError(
            f"{path} defines no subclass of BaseDataset",
            hint="from llm_eval.dataset.base import BaseDataset",
        )
    return found[-1]
