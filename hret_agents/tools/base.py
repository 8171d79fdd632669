"""What the four tools share: thin `smolagents.Tool`s over the typed steps.

A tool works alone in any smolagents agent by `forward`, which takes and gives slugs and paths, and
in the deterministic chain by `apply`, which takes and gives a `Port`. Keys come from the settings;
none is ever an argument of a tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smolagents import Tool

from hret_agents.job import Listener, silent
from hret_agents.steps import saved
from hret_agents.steps.prepare import locked
from hret_agents.steps.state import Port
from llm_eval import settings
from llm_eval.dataset.ports import DEFAULT_ROOT
from llm_eval.secret import Secret


class StepTool(Tool):  # type: ignore[misc]  # smolagents ships no types
    """A step of a port as a tool. `stage` is its place in the chain."""

    stage: str = ""
    secrets: Mapping[str, Secret | None] | None = None  # lent by an agent while it runs
    output_type = "string"

    def apply(self, port: Port, listener: Listener) -> Port:
        """The step itself."""
        raise NotImplementedError(f"{type(self).__name__} has no apply()")

    def _through(self, name: str, **changes: Any) -> Port:
        """`apply`, from and to the port's saved state."""
        keys = self.secrets or {"hf_token": settings.load().hf_token, "api_key": None}
        port = saved.load(name, Path(DEFAULT_ROOT), keys, **changes)
        with locked(port) as port:
            port = self.apply(port, silent)
            saved.save(port)
        return port
