"""A port that is finished and unchanged is answered from its record: nothing heavy is loaded.

The record lies in `HRET_HOME/finished`, one file a job. It holds hashes of all that the port
depends on (source, plan, glossary, options, prompt, this code, human translations) and of all that
it consists of. One of them differs, or a row had failed: the port is made again, from the memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hret_agents.backends import weights
from hret_agents.job import PortJob, PortResult
from hret_agents.source import SAMPLE, is_local
from llm_eval import prompts, settings
from llm_eval.files import write_text
from llm_eval.records import Usage

log = logging.getLogger(__name__)
_FREE = (
    "api_key hf_token concurrency rpm tpm batch_size max_retries max_cost batch suggestions "
    "push public repo_id accept_license create_pr push_revision evaluate"
).split()  # what a finished port does not depend on
_FILES = ("plan", "glossary")
_HEX = set("0123456789abcdef")
Inputs = dict[str, str]


def recall(job: PortJob) -> PortResult | None:
    """The result of a job that was done before and would come out the same; None to do it."""
    if job.push or job.evaluate:
        return None
    try:
        record = json.loads(_path(job).read_text("utf-8"))
        folder = Path(record["result"]["path"])
        if record["inputs"] != _inputs(job) or record["files"] != _hashes(folder):
            return None
        if not is_local(job.dataset) and record["revision"] != (_revision(job) or "unknown"):
            return None
        result = record["result"]
        result["rows"]["from_memory"] = result["rows"]["passed"]
        zero = Usage().to_dict()
        nothing = {"usage": zero, "estimated": zero, "asked": {}, "cost_usd": 0.0}
        return PortResult(**result | nothing)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin(job: PortJob) -> Inputs:
    """What a job depends on as it starts, to be given to `note` when it is done."""
    return _inputs(job)


def note(job: PortJob, result: PortResult, begun: Inputs, revision: str | None) -> None:
    """Keep the result of a finished job, if nothing of it is left to do.

    Nothing is kept either when something was edited while it ran: what was read is not known then.
    `revision` is the source's, where it is the Hub's.
    """
    path = _path(job)
    inputs = _inputs(job)
    try:
        if result.module_path is None or result.rows["failed"] or inputs != begun:
            path.unlink(missing_ok=True)
            return
        record: dict[str, Any] = {
            "inputs": inputs,
            "revision": None if is_local(job.dataset) else revision,
            "files": _hashes(Path(result.path)),
            "result": result.to_dict() | {"seconds": 0.0, "evaluations": {}, "url": None},
        }
        write_text(path, json.dumps(record, ensure_ascii=False))
    except OSError as e:  # the port is done: the next run makes it again, from the memory
        log.warning("%s cannot be written: %s", path, e)


def _path(job: PortJob) -> Path:
    """A file per job: what was asked, in words, and where it should go."""
    said = {name: _said(getattr(job, name)) for name in sorted(job.__dataclass_fields__)}
    for name in _FREE:
        said.pop(name, None)
    said["output_dir"] = str(job.output_dir.expanduser().resolve())
    said["cwd"] = os.getcwd()
    found = settings.load()
    said["base"] = job.api_base or found.openai_base_url
    said["key"] = bool(job.api_key or found.openai_api_key)
    name = hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:32]
    return settings.home() / "finished" / f"{name}.json"


def _said(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _inputs(job: PortJob) -> Inputs:
    """Hashes of what the port depends on besides the words of the job and the Hub's revision."""
    from hret_agents.translate.memory import NONE_LOCKED, Memory

    path, locked = settings.home() / "memory.sqlite", NONE_LOCKED
    if path.is_file():
        with Memory(path) as memory:
            locked = memory.locked_version(job.target_lang)
    named = [Path(p).expanduser() for p in (getattr(job, name) for name in _FILES) if p]
    if job.model and job.model.startswith("memory:"):
        named.append(Path(job.model[7:]).expanduser())
    try:
        return {
            "source": _local(job) if is_local(job.dataset) else "hub",
            "files": _digest(named),
            "locked": locked,
            "weights": " ".join(filter(None, map(weights, _asked(job)))),
            "prompt": "".join(map(prompts.version, ("translate.j2", "module.j2", "plan.j2"))),
            "code": _code(),
        }
    except OSError as e:  # a file that is not there: the port itself will say it
        return {"missing": str(e)}


def _asked(job: PortJob) -> list[str]:
    return [m for m in (job.model, job.module_model, job.plan_model) if m]


def _local(job: PortJob) -> str:
    """The content of a local source, by the names of its files."""
    if job.dataset == SAMPLE:
        return "shipped"  # its file is part of the code
    path = Path(job.dataset).expanduser()
    if path.is_dir():
        return _digest(sorted(p for p in path.rglob("*") if p.is_file()), path)
    return _digest([path])


def _revision(job: PortJob) -> str | None:
    """The commit that the Hub has for the job now; None if it cannot be told."""
    if job.revision and len(job.revision) == 40 and set(job.revision) <= _HEX:
        return job.revision
    from huggingface_hub import HfApi

    token = job.hf_token.reveal() if job.hf_token else None
    try:
        info = HfApi(token=token).dataset_info(job.dataset, revision=job.revision, timeout=10)
        return info.sha
    except Exception:  # whatever keeps us from knowing, the port itself will say it
        return None


def _hashes(folder: Path) -> dict[str, str]:
    """Of every file of a port."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if not paths:
        raise FileNotFoundError(folder)
    return {str(p.relative_to(folder)): _digest([p]) for p in paths}


def _digest(paths: Iterable[Path], root: Path | None = None) -> str:
    """Of the contents of files, and below a `root` of their paths too."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(root) if root else ''}\0{content}\n".encode())
    return whole.hexdigest()


def _code() -> str:
    """Changes whenever a file of the two packages does, a checkout's edits among them."""
    root = Path(__file__).resolve().parent
    seen = []
    for package in (root, root.parent / "llm_eval"):
        for folder, _, names in os.walk(package):
            for name in names:
                if not name.endswith((".pyc", ".pyo")):
                    found = os.stat(os.path.join(folder, name))
                    seen.append(f"{name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()
