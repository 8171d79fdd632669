"""Up to where the memory is looked at for examples: fixed when a job first starts.

A resumed run must send what an uninterrupted one would have sent, and the entries that it made
itself before it was stopped were not there then.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hret_agents.steps.state import Port
from hret_agents.translate.memory import Memory
from llm_eval import settings
from llm_eval.files import write_text


def snapshot(port: Port, memory: Memory) -> int:
    """The sequence number of the newest entry when this job first started."""
    path = _path(port)
    job = {"plan": port.plan.sha256, "revision": port.source.revision, "model": port.paid_model}
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["job"] == job:
            return int(found["upto"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    upto = memory.last()
    write_text(path, json.dumps({"job": job, "upto": upto}))
    return upto


def forget(port: Port) -> None:
    """The job is done: the next one starts with what the memory holds then."""
    _path(port).unlink(missing_ok=True)


def _path(port: Port) -> Path:
    name = hashlib.sha256(str(port.folder).encode()).hexdigest()[:32]
    return settings.home() / "jobs" / f"{name}.json"
