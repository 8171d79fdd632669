"""`DatasetTranslationAgent`: the chain of tools from a dataset's name to a verified module."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smolagents import Tool

from hret_agents.job import Listener, PortJob, PortResult, silent
from hret_agents.port import port_dataset
from hret_agents.steps import saved
from hret_agents.steps.state import Port
from hret_agents.tools import (
    DatasetDownloader,
    DatasetPusher,
    DatasetTranslator,
    ModuleGenerator,
    StepTool,
)
from llm_eval import settings
from llm_eval.errors import Unknown, UserError
from llm_eval.secret import Secret, secret

STAGES: dict[str, type[StepTool]] = {
    "download": DatasetDownloader,
    "translate": DatasetTranslator,
    "module": ModuleGenerator,
    "push": DatasetPusher,
}


class DatasetTranslationAgent:
    """Ports datasets by a fixed chain of tools: download, translate, module, push.

    Args:
        openai_api_key, hf_token: default to the settings.
        verbose: log what happens.
        options: defaults for every port, by the names of `PortJob` (`model`, `api_base`, ...).
    """

    def __init__(
        self,
        openai_api_key: str | Secret | None = None,
        hf_token: str | Secret | None = None,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        self.openai_api_key, self.hf_token = secret(openai_api_key), secret(hf_token)
        self.options = _known(options)
        self.tools: dict[str, StepTool] = {stage: kind() for stage, kind in STAGES.items()}
        self.after: dict[str, list[Tool]] = {stage: [] for stage in STAGES}
        if verbose:
            logging.getLogger("hret_agents").setLevel(logging.INFO)
            logging.getLogger("llm_eval").setLevel(logging.INFO)
        self.verbose = verbose

    def add_tool(self, tool: Tool) -> None:
        """Use `tool`: in place of the step that it subclasses, or after the stage that it names.

        Raises:
            UserError: it is no tool, or has neither.
        """
        if not isinstance(tool, Tool):
            raise UserError(
                f"{tool!r} is no smolagents Tool", hint="pass an instance: DatasetDownloader()"
            )
        for stage, kind in STAGES.items():
            if isinstance(tool, kind):
                self.tools[stage] = tool
                return
        stage = getattr(tool, "stage", "")
        if stage not in STAGES:
            raise UserError(
                f"the tool {tool.name!r} has no place in the chain",
                hint=f"give it an attribute stage, one of {', '.join(STAGES)}: it runs after that",
            )
        self.after[stage].append(tool)

    def process_dataset(
        self,
        dataset_name: str,
        subset: str | None = None,
        split: str | None = None,
        push_to_hub: bool = False,
        listener: Listener = silent,
        **options: Any,
    ) -> PortResult:
        """Port a dataset; the result reads as a dict too (`result["module_path"]`).

        Args:
            dataset_name: a Hub id, a local path, or "sample".
            subset, split: one, or several as "a,b"; no split means all.
            push_to_hub: push the port when it is done.
            options: anything else of `PortJob`.

        Raises:
            UserError: it cannot be done as it stands; what was translated by then is kept.
        """
        found = settings.load()
        fields: dict[str, Any] = {
            "api_key": self.openai_api_key,
            "hf_token": self.hf_token or found.hf_token,
            **self.options,
            **_known(options),
        }
        for tool in self.tools.values():
            tool.secrets = {"hf_token": fields["hf_token"], "api_key": fields["api_key"]}
        job = PortJob(
            dataset=dataset_name,
            subsets=tuple(s.strip() for s in subset.split(",")) if subset else (),
            splits=tuple(s.strip() for s in split.split(",")) if split else (),
            push=push_to_hub,
            **fields,
        )
        return port_dataset(
            job,
            listener,
            download=self._download,
            steps=[self._step(stage) for stage in ("translate", "module", "push")],
        )

    def _download(self, job: PortJob, listener: Listener) -> Port:
        tool = self.tools["download"]
        if _own_forward(tool, DatasetDownloader):
            path = tool.forward(
                job.dataset, ",".join(job.subsets) or None, ",".join(job.splits) or None
            )
            port = _reloaded(str(path), job)
        else:
            assert isinstance(tool, DatasetDownloader)
            port = tool.open(job, listener)
        return self._afterwards("download", port)

    def _step(self, stage: str) -> Callable[[Port, Listener], Port]:
        tool = self.tools[stage]

        def step(port: Port, listener: Listener) -> Port:
            if _own_forward(tool, STAGES[stage]):
                if stage == "push" and not port.job.push:
                    return port
                saved.save(port)
                tool.forward(str(saved.path_of(port.slug, port.folder.parent)))
                port = _reloaded(str(saved.path_of(port.slug, port.folder.parent)), port.job)
            else:
                port = tool.apply(port, listener)
            return self._afterwards(stage, port)

        return step

    def _afterwards(self, stage: str, port: Port) -> Port:
        folder = port.folder if port.manifest is not None else port.work
        for tool in self.after[stage]:
            tool.forward(str(folder))
        return port


def _own_forward(tool: StepTool, kind: type[StepTool]) -> bool:
    """Has a user's subclass its own `forward`, and no `apply`? Then `forward` is the step."""
    return type(tool).forward is not kind.forward and type(tool).apply is kind.apply


_OPENED = ("dataset", "subsets", "splits", "all_subsets", "revision", "target_lang", "output_dir")


def _reloaded(path: str, job: PortJob) -> Port:
    """The port as the tool left it: what was opened is its say, all else the caller's."""
    keys = {"hf_token": job.hf_token, "api_key": job.api_key}
    kept = {*keys, *_OPENED}
    changes = {k: v for k, v in saved.vars_of(job).items() if k not in kept}
    return saved.load(path, Path(job.output_dir), keys, **changes)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in PortJob.__dataclass_fields__:
            raise Unknown("option", name, PortJob.__dataclass_fields__)
    return {
        k: Path(v) if k in ("output_dir", "plan") and v is not None else v
        for k, v in options.items()
    }
