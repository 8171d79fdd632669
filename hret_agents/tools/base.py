"""What the tools share: thin `smolagents.Tool`s over the typed steps.

A tool works alone in any smolagents agent by `forward`, which takes and gives slugs and paths, and
in the deterministic chain by `apply`, which takes and gives a `Port`. Keys come from the settings,
or are lent by the agent that runs; none is ever an argument of a tool.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smolagents import Tool

from hret_agents.job import Listener, silent
from hret_agents.steps import saved
from hret_agents.steps.prepare import locked
from hret_agents.steps.state import Port
from llm_eval import settings
from llm_eval.dataset.ports import DEFAULT_ROOT
from llm_eval.errors import UserError

WORDS = frozenset(
    "dataset subsets all_subsets splits revision target_lang register style glossary limit "
    "keep_columns model module_model repo_id public push".split()
)  # the fields of a job that arguments of tools can set
_OPENED = frozenset({"output_dir", "plan_model"})  # what a port was opened with, it keeps


@dataclass(frozen=True, kw_only=True)
class Lent:
    """What an agent lends its tools while it runs; no word of a model changes it.

    `fields` are of `PortJob`: the keys, and the caller's options. `left` gives the USD that may yet
    be spent (None: any sum); `priced` raises if that cannot be kept with a model. `seen` is told of
    a port before and after each step, `evaluated` of each evaluation, and `paid` of the USD that it
    came to, whatever became of it (None: at an unknown price).
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener = silent
    left: Callable[[], float | None] = lambda: None
    priced: Callable[[str], None] = lambda model: None
    seen: Callable[[Port], None] = lambda port: None
    evaluated: Callable[[Mapping[str, Any]], None] = lambda record: None
    paid: Callable[[float | None], None] = lambda usd: None

    @property
    def root(self) -> Path:
        """The folder that ports go to."""
        return Path(self.fields.get("output_dir", DEFAULT_ROOT))

    def keys(self) -> dict[str, Any]:
        """Both keys, as fields of a job."""
        token = self.fields.get("hf_token") or settings.load().hf_token
        return {"hf_token": token, "api_key": self.fields.get("api_key")}


class StepTool(Tool):  # type: ignore[misc]  # smolagents ships no types
    """A step of a port as a tool. `stage` is its place in the chain.

    A subclass whose `forward` takes fewer arguments offers those alone.
    """

    stage: str = ""
    lent: Lent = Lent()
    inputs: dict[str, dict[str, Any]]
    output_type = "string"

    def __init__(self) -> None:
        super().__init__()
        taken = inspect.signature(self.forward).parameters
        self.inputs = {name: said for name, said in self.inputs.items() if name in taken}

    def apply(self, port: Port, listener: Listener) -> Port:
        """The step itself."""
        raise NotImplementedError(f"{type(self).__name__} has no apply()")

    def _through(self, name: str, **changes: Any) -> Port:
        """`apply`, from and to the port's saved state.

        Raises:
            UserError: no such port is under way, it is not so far yet, or the step cannot be done.
        """
        lent = self.lent
        if "output_dir" in lent.fields:  # a file elsewhere could name an address to send keys to
            slug = Path(_first_line(name)).name.removesuffix(saved.SUFFIX)
            name = str(saved.path_of(slug, lent.root))
        callers = {k: v for k, v in lent.fields.items() if k not in WORDS | _OPENED}
        port = opened(name, lent.root, lent.keys(), **{**callers, **changes})
        if self.stage in ("module", "push") and not port.splits:
            raise UserError(
                f"nothing of {port.slug} is translated yet", hint="call dataset_translator first"
            )
        with locked(port) as port:
            lent.seen(port)
            most = port.job.max_cost
            port = self.apply(self._within(port), lent.listener)
            port = replace(port, job=replace(port.job, max_cost=most))
            saved.save(port)
            lent.seen(port)
        return port

    def _within(self, port: Port) -> Port:
        """The port, whose job may spend what is left."""
        left = self.lent.left()
        if left is None:
            return port
        spent = port.cost_usd or 0.0  # which the steps take from it
        return replace(port, job=replace(port.job, max_cost=max(0.0, left) + spent))


def opened(name: str, root: Path, keys: Mapping[str, Any], **changes: Any) -> Port:
    """The port that a tool was told of, with its manifest if that is of this very translation.

    Of a text of several lines the first counts: the others are what an agent was told beside it.
    """
    port = saved.load(_first_line(name), root, keys, **changes)
    manifest = port.manifest
    if manifest is None or not port.splits or manifest.plan_sha256 != port.plan.sha256:
        return replace(port, manifest=None)
    same = all(
        manifest.splits.get(subset, {}).get(split) == record
        for subset, by_split in port.splits.items()
        for split, record in by_split.items()
    )
    return port if same else replace(port, manifest=None)


def _first_line(name: str) -> str:
    return name.strip().partition("\n")[0].strip()
