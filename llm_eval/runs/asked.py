"""What a run was asked, as `run.json` has it, and whether another run asks the same."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.models.base import BaseModel
from llm_eval.models.function import FunctionModel
from llm_eval.models.plugged import PluggedModel
from llm_eval.models.roles import BaseRewardModel, PluggedReward
from llm_eval.records import Prompt, Sample
from llm_eval.runs.code import code_of
from llm_eval.runs.keys import canonical, content, told
from llm_eval.secret import tellable

_LIBRARIES = ("torch", "transformers", "vllm", "litellm", "openai", "datasets")
_MODULE = "dataset.py"
_CODE = "code."


def hash_of(pairs: Iterable[tuple[Sample, Prompt]]) -> str:
    """A hash of samples and of what is asked for each: ids, prompts, options, references, ..."""
    digest = hashlib.sha256()
    for sample, prompt in pairs:
        asked = content(prompt, strict=False)
        text = canonical([sample.id, sample.reference, asked, told(sample.metadata, strict=False)])
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


def public(value: Any) -> Any:
    """`value` JSON-ready and without secrets; a function is told by the hash of its code.

    >>> public({"max_tokens": 5, "apiKey": "sk-1", "api_base": "http://u:p@h/v1?key=sk-1"})
    {'max_tokens': 5, 'api_base': 'http://h/v1'}
    """
    return tellable(_coded(value))


def _coded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _coded(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_coded(each) for each in value]
    return code_of(value) if callable(value) else value


def made_of(
    model: BaseModel | BaseRewardModel, params: Mapping[str, Any], role: str = "model"
) -> dict[str, Any]:
    """What decides the replies of a model that does not say so itself: parameters and code."""
    inner = model.inner if isinstance(model, PluggedModel | PluggedReward) else model
    silent = type(model).about in (BaseModel.about, BaseRewardModel.about)
    if not silent and inner is model:
        return {}
    code = code_of(model.function if isinstance(model, FunctionModel) else type(inner))
    given = {} if isinstance(model, FunctionModel) else params or getattr(model, "params", {})
    own = {"seed": model.seed} if hasattr(model, "seed") else {}
    found = {f"{role}_params": public({**own, **given})}
    return {**found, **({f"{_CODE}{role}": code} if code else {})}


def judged_by(dataset: BaseDataset, method: Any) -> dict[str, str]:
    """Hashes of the code of a method and of a dataset that are neither ours nor ported."""
    codes = {"method": code_of(type(method))}
    codes["dataset"] = "" if port_of(dataset) else code_of(type(dataset))
    return {f"{_CODE}{name}": code for name, code in codes.items() if code}


def record(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` holds: what was asked, when, and by which versions."""
    plain = _plain(asked)
    return {"asked": plain, "begun": datetime.now(UTC).isoformat(), "versions": versions()}


def agree(
    run: str, then: Mapping[str, Any], now: Mapping[str, Any], *, partly: bool = False
) -> None:
    """The earlier run asked what this one asks; wherever the model was served.

    `partly`: what the model tells of itself is not known yet.

    Raises:
        UserError: it did not; the sentence names what differs.
    """
    was, new = _flat(then), _flat(_plain(now))
    names = [*new, *(n for n in was if n not in new)]
    for name in sorted(names, key=lambda name: name.startswith(_CODE)):  # what it does says more
        late = partly and name.startswith("about")
        if late or name.endswith("api_base") or was.get(name) == new.get(name):
            continue
        if (part := _served(name)) and not all(any(map(part.match, of)) for of in (was, new)):
            continue
        said = f"{name} was {_shown(was.get(name))} and is {_shown(new.get(name))}"
        if name == "prompts":
            said = "the dataset's samples, or their prompts, are others"
        elif name.startswith(_CODE):
            said = f"the code of the {name.removeprefix(_CODE)} is another"
        raise UserError(
            f"run {run} cannot go on with this: {said}",
            hint="ask what it was asked, or begin a new run without resume",
        )


def _plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical(told(asked, strict=False)))
    return found


def _served(name: str) -> re.Pattern[str] | None:
    """Finds all that an `about` tells of what a server serves; None where `name` is none of it."""
    found = re.match(r"about\.(?:\w+\.)?served(?:\.|$)", name)
    return re.compile(re.escape(found[0].rstrip("."))) if found else None


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
