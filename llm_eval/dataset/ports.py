"""Ports on this machine: found by reading manifests, and what of them runs where.

Ports lie in `./generated_datasets` and in every folder that `hret port --output-dir` has written
to (the index in `HRET_HOME`). Listing them imports nothing.

A module that equals what its spec renders to, byte for byte, or that the user has trusted, is
imported; one that is as it was when it was verified runs in the sandbox; any other does not run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_eval import files, settings
from llm_eval.dataset.base import DATASETS, BaseDataset
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MANIFEST, MODULE, Manifest, ModuleSpec, read_manifest
from llm_eval.errors import HretError, UserError

log = logging.getLogger(__name__)
DEFAULT_ROOT = "generated_datasets"
PACKAGE = "llm_eval.datasets"  # what a module's relative imports begin at
Way = Literal["template", "trusted", "sandbox", "refused"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port's folder and its manifest; `hub_name` is the repo that it was downloaded from."""

    folder: Path
    manifest: Manifest
    hub_name: str | None = None


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
        files.write_text(path, text)


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


def way_of(port: Port) -> Way:
    """Where a port's module may run, by what its text is; nothing of it is imported for that.

    Raises:
        UserError: there is no module.
    """
    return _way(port, code_of(port))


def _way(port: Port, code: bytes) -> Way:
    if code == _rendered(port.manifest.module):
        return "template"
    if is_trusted(code):
        return "trusted"
    same = hashlib.sha256(code).hexdigest() == port.manifest.module_sha256
    return "sandbox" if same else "refused"


def code_of(port: Port) -> bytes:
    """The text of a port's module."""
    path = port.folder / MODULE
    try:
        return path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e}", hint="port the dataset again") from None


def _rendered(spec: ModuleSpec) -> bytes | None:
    """What a spec renders to; None where it renders to nothing: it may be anybody's."""
    try:
        return render(spec).encode()
    except Exception:  # a spec that no plan gave: the template may fail on it anywhere
        return None


def refusal(port: Port) -> UserError:
    """Why an edited module is not run, and what to do."""
    return UserError(
        f"{port.folder / MODULE} was changed since it was verified, so it is not imported",
        hint=f"read it, then: {_trusting(port)}; or port it again",
        caller_only=True,
    )


def _trusting(port: Port) -> str:
    return f"hret datasets trust {port.hub_name or port.manifest.slug}"


def without_sandbox(port: Port) -> UserError:
    """Why a module that runs in the sandbox alone does not run here, and what to do."""
    return UserError(
        f"{port.folder / MODULE} {_origin(port)}, and this machine has no sandbox to run it in",
        hint=f"install bubblewrap; or read the module, then: {_trusting(port)}",
        caller_only=True,
    )


def _origin(port: Port) -> str:
    """Why a module is not run in this process."""
    way = port.manifest.module_way
    if way == "template":
        return "is not what this version's template gives"
    return f"was written by a model ({way})"


def module_class(port: Port) -> type[BaseDataset]:
    """The dataset class of a port's module, imported into this process.

    Raises:
        UserError: the module is not what its spec renders to, and nobody has trusted it.
    """
    code, path = code_of(port), port.folder / MODULE
    way = _way(port, code)  # of the very bytes that are run
    if way == "refused":
        raise refusal(port)
    if way == "sandbox":
        raise UserError(
            f"{path} {_origin(port)}: it runs in the sandbox and gives no class",
            hint=f"read it, then: {_trusting(port)}",
            caller_only=True,
        )
    before = {n: DATASETS.get(n) for n in (port.manifest.slug,) if n in DATASETS}
    try:
        found = class_in(code, path)
    except HretError:
        raise
    except Exception as e:  # a trusted module's code may raise anything, and a made-up spec's too
        raise UserError(f"{path} could not be imported: {type(e).__name__}: {e}") from e
    DATASETS.forget(found)  # a port is found by its manifest, so that a newer one is never hidden
    for name, known in before.items():
        DATASETS.add(name)(known)
    return found


def is_trusted(code: bytes) -> bool:
    """Has this user trusted exactly this text?"""
    return _trust_file(code).exists()


def trust(port: Port) -> str:
    """Trust a port's module as it stands now; the hash that is noted."""
    code = (port.folder / MODULE).read_bytes()
    files.write_text(_trust_file(code), port.manifest.slug)
    return hashlib.sha256(code).hexdigest()


def _trust_file(code: bytes) -> Path:
    return settings.home() / "trust" / hashlib.sha256(code).hexdigest()


def class_in(code: bytes, path: Path) -> type[BaseDataset]:
    """The class that running `code` defines. The bytes checked are the bytes run."""
    module = types.ModuleType(f"hret_port_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}")
    module.__file__, module.__package__ = str(path), PACKAGE
    exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)
    return class_of(module, path)


def class_of(module: types.ModuleType, path: Path) -> type[BaseDataset]:
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
