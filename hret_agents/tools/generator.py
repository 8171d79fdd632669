"""The tool `module_generator`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from hret_agents.job import Listener
from hret_agents.module.spec import spec_of
from hret_agents.plan.infer import infer_plan
from hret_agents.source import stem_of
from hret_agents.steps.state import Port
from hret_agents.steps.write import write_module
from hret_agents.tools.base import StepTool
from llm_eval.dataset.render import render
from llm_eval.errors import UserError

log = logging.getLogger(__name__)


class ModuleGenerator(StepTool):
    """Writes the dataset module of a translated port, verifies it, and puts the port in its place.

    Args:
        guide_prompt: the prompt for a model that writes the module. Kept; this version writes every
            module from the tested template, and says so in the result (`module_way`).
    """

    name = "module_generator"
    description = (
        "Writes and verifies the Python dataset module of a translated port and saves the port. "
        "Returns the module's path."
    )
    inputs = {"port": {"type": "string", "description": "What dataset_translator returned."}}
    stage = "module"

    def __init__(self, guide_prompt: str | None = None) -> None:
        super().__init__()
        self.guide_prompt = guide_prompt

    def forward(self, port: str) -> str:
        """Write, verify, save; the module's path."""
        done = self._through(port)
        if done.manifest is None:
            raise UserError(
                f"no row of {done.slug} passed: there is no module", hint="see failed.jsonl"
            )
        return str(done.folder / "dataset.py")

    def apply(self, port: Port, listener: Listener) -> Port:
        """Write the module by the template."""
        if self.guide_prompt:
            log.warning("guide_prompt is not used yet: the module is written from the template")
        return write_module(port, listener)

    def generate_module(self, dataset_info: Mapping[str, Any]) -> str:
        """The source of a module for `dataset_info` (`name`, `sample_data`: a list of rows).

        Raises:
            UserError: `sample_data` holds no rows.
        """
        rows = _rows(dataset_info.get("sample_data"))
        name = str(dataset_info.get("name") or "dataset")
        from datasets import Dataset

        features = Dataset.from_list(rows).features
        plan = infer_plan(features, rows, source=name, target_lang="ko", keep_columns=True)
        subsets = {"default": ["test"]}
        return render(spec_of(plan, slug=f"{stem_of(name)}_ko", repo=name, subsets=subsets))


def _rows(sample: Any) -> list[dict[str, Any]]:
    if isinstance(sample, str):
        try:
            sample = json.loads(sample)
        except ValueError:
            sample = None
    if isinstance(sample, Mapping):
        columns = {k: list(v) for k, v in sample.items()}
        sample = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    if not isinstance(sample, list) or not sample or not all(isinstance(r, dict) for r in sample):
        raise UserError(
            "dataset_info['sample_data'] holds no rows",
            hint="give some rows: [{'question': ..., 'answer': ...}, ...], or the same as JSON",
        )
    return sample
