"""Ports for the review's tests: made in this process, translated from a memory file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.job import PortJob, PortResult
from hret_agents.port import port_dataset
from hret_agents.review.opened import opened, port_named
from hret_agents.steps.state import Port


def written(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """A JSON Lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, "utf-8")
    return path


def ported(
    rows: Sequence[Mapping[str, Any]], known: Mapping[str, str], **options: Any
) -> PortResult:
    """A port of `rows`, those of whose texts the memory `known` has no translation failed."""
    data = written(Path("rows_test.jsonl"), rows)
    memory = written(Path("known.jsonl"), [{"source": s, "target": t} for s, t in known.items()])
    return port_dataset(PortJob(dataset=str(data), model=f"memory:{memory}", **options))


def finished(result: PortResult) -> Port:
    """A port, opened again, whose work folder is where it lies."""
    port = opened(port_named(result.slug))
    return replace(port, work=port.folder)
