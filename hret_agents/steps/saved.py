"""A port between two tool calls: what is known of it, in a file beside its work folder.

Tools exchange the slug, or this file's path; no key is ever written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hret_agents.ask import Asker
from hret_agents.job import PortJob, silent
from hret_agents.plan.records import Plan, check_against
from hret_agents.plan.schema import leaves_of
from hret_agents.review.opened import place_of
from hret_agents.source import Source, open_source
from hret_agents.steps.prepare import WORK, placed, planned, with_cost, with_options
from hret_agents.steps.state import Port
from hret_agents.translators import Choice
from llm_eval.dataset.spec import MANIFEST, SplitRecord, read_manifest, validated
from llm_eval.errors import UserError
from llm_eval.files import write_text
from llm_eval.records import Usage
from llm_eval.secret import Secret

SUFFIX = ".port.json"
_SECRETS = ("api_key", "hf_token")
_PATHS = ("plan", "glossary", "output_dir")
_TUPLES = ("subsets", "splits", "evaluate")


def path_of(slug: str, root: Path) -> Path:
    """The file that a port's state is kept in."""
    return root / WORK / f"{slug}{SUFFIX}"


def save(port: Port) -> str:
    """Keep what is known of a port; the path of the file."""
    job = {k: v for k, v in vars_of(port.job).items() if k not in _SECRETS}
    job["output_dir"] = port.job.output_dir.resolve()
    job["dataset"] = place_of(port)
    state = {
        "job": {k: str(v) if isinstance(v, Path) else v for k, v in job.items()},
        "plan": asdict(port.plan),
        "choice": [port.choice.backend, port.choice.model] if port.choice else None,
        "splits": {s: {t: asdict(r) for t, r in by.items()} for s, by in port.splits.items()},
        "checks": dict(port.checks),
        "failures": port.failures,
        "remembered": port.remembered,
        "graded": port.graded,
        "usage": port.usage.to_dict(),
        "estimated": port.estimated.to_dict(),
        "asked": {model: usage.to_dict() for model, usage in port.asked.items()},
        "prompt_version": port.prompt_version,
    }
    path = path_of(port.slug, port.folder.parent)
    write_text(path, json.dumps(state, ensure_ascii=False, indent=1))
    return str(path)


def vars_of(job: PortJob) -> dict[str, Any]:
    """A job's fields, as they are."""
    return {name: getattr(job, name) for name in job.__dataclass_fields__}


def load(name: str, root: Path, secrets: Mapping[str, Secret | None], **changes: Any) -> Port:
    """The port that a tool was told of: by slug, by its folder, or by the path of this file."""
    slug = Path(name).name.removesuffix(SUFFIX)
    root = Path(name).parent if Path(name).is_dir() else root
    root = Path(name).parent.parent if name.endswith(SUFFIX) else root
    path = path_of(slug, root.resolve())
    if not path.is_file():
        raise UserError(
            f"no port called {name!r} is under way", hint="call dataset_downloader first"
        )
    state = json.loads(path.read_text("utf-8"))
    raw = state["job"] | dict(secrets) | changes
    for key in _PATHS:
        raw[key] = Path(raw[key]) if raw[key] is not None else None
    for key in _TUPLES:
        raw[key] = tuple(raw[key])
    job = PortJob(**raw)
    source = open_source(job)
    plan, asker = _planned(job, source, state, path)
    port = with_cost(placed(job, source, plan), asker)
    manifest = port.folder / MANIFEST
    asked = {model: Usage(**usage) for model, usage in state["asked"].items()}
    for model, usage in port.asked.items():
        asked[model] = asked.get(model, Usage()) + usage
    return replace(
        port,
        choice=Choice(*state["choice"]) if state["choice"] else None,
        splits={
            s: {t: SplitRecord(**r) for t, r in by.items()} for s, by in state["splits"].items()
        },
        checks=Counter(state["checks"]),
        failures=tuple(state["failures"]),
        remembered=state["remembered"],
        graded=state["graded"],
        usage=Usage(**state["usage"]),
        estimated=Usage(**state["estimated"]),
        asked=asked,
        prompt_version=state["prompt_version"],
        manifest=read_manifest(port.folder) if manifest.is_file() else None,
    )


def _planned(
    job: PortJob, source: Source, state: Mapping[str, Any], path: Path
) -> tuple[Plan, Asker | None]:
    """The plan of a job; one that a model was asked about as it was made then."""
    if job.plan_model is None or state["job"].get("plan_model") != job.plan_model:
        return planned(job, source, silent)
    plan: Plan = validated(Plan, state["plan"], path)
    check_against(plan, [leaf.path for leaf in leaves_of(source.features)], str(path))
    return with_options(plan, job), None
