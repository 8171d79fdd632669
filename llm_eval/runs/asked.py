"""What a run was asked, as `run.json` has it, and whether another run asks the same."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.records import Prompt, Sample
from llm_eval.runs.keys import canonical, content

_LIBRARIES = ("torch", "transformers", "vllm", "litellm", "openai", "datasets")
_MODULE = "dataset.py"


def hash_of(pairs: Iterable[tuple[Sample, Prompt]]) -> str:
    """A hash of samples and of what is asked for each: ids, prompts, options, references, ..."""
    digest = hashlib.sha256()
    for sample, prompt in pairs:
        told = content(prompt) or [prompt.text, prompt.options]
        text = canonical([sample.id, sample.reference, told, dict(sample.metadata)])
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Python's version, ours, and those of the libraries that are loaded."""
    found = {"python": platform.python_version()}
    loaded = [name for name in _LIBRARIES if name in sys.modules]
    for name in ("hret-agents", *loaded):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def port_of(dataset: BaseDataset) -> dict[str, Any]:
    """Of a ported dataset: hash of its module, source and revision. {} for any other."""
    port = getattr(dataset, "port", None)
    folder = getattr(port, "folder", None)
    if folder is None:
        module = sys.modules.get(type(dataset).__module__)
        file = getattr(module, "__file__", None)
        if file is None or Path(file).name != _MODULE:
            return {}
        folder = Path(file).parent
    try:
        manifest = json.loads((Path(folder) / "port.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    names = ("slug", "source", "revision", "module_sha256", "repo")
    return {name: manifest[name] for name in names if manifest.get(name) is not None}


def record(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` holds: what was asked, when, and by which versions."""
    plain = json.loads(canonical(dict(asked)))
    return {"asked": plain, "begun": datetime.now(UTC).isoformat(), "versions": versions()}


def agree(
    run: str, then: Mapping[str, Any], now: Mapping[str, Any], *, partly: bool = False
) -> None:
    """The earlier run asked what this one asks; wherever the model was served.

    `partly`: what the model tells of itself is not known yet.

    Raises:
        UserError: it did not; the sentence names what differs.
    """
    was, told = _flat(then), _flat(json.loads(canonical(dict(now))))
    for name in [*told, *(n for n in was if n not in told)]:
        late = partly and name.startswith("about")
        if late or name.endswith("api_base") or was.get(name) == told.get(name):
            continue
        said = f"{name} was {_shown(was.get(name))} and is {_shown(told.get(name))}"
        if name == "prompts":
            said = "the dataset's samples, or their prompts, are others"
        raise UserError(
            f"run {run} cannot go on with this: {said}",
            hint="ask what it was asked, or begin a new run without resume",
        )


def _flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    return dict(_leaves(value, above))


def _leaves(value: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, below in value.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(below, Mapping):
            yield from _leaves(below, name)
        else:
            yield name, below


def _shown(value: Any) -> str:
    text = "not set" if value is None else canonical(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
