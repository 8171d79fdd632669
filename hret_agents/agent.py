"""`DatasetTranslationAgent`: from a dataset's name, or an instruction, to a verified module.

`process_dataset` is a fixed chain of tools; in `run` a model calls the same tools.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from smolagents import Tool
from smolagents.models import Model

from hret_agents.agent_model import Metered, Purse, agent_model
from hret_agents.agent_run import FINAL, AgentResult, Run, driven, result_of_run
from hret_agents.ask import models_asked
from hret_agents.job import Listener, PortJob, PortResult, silent
from hret_agents.port import port_dataset
from hret_agents.steps import saved
from hret_agents.steps.state import Port
from hret_agents.tools import (
    DatasetDownloader,
    DatasetPusher,
    DatasetTranslator,
    ModelEvaluator,
    ModuleGenerator,
    StepTool,
)
from hret_agents.tools.base import Lent, opened
from llm_eval import settings
from llm_eval.dataset.ports import DEFAULT_ROOT
from llm_eval.errors import Unknown, UserError
from llm_eval.evaluator import names_of
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

    Attributes:
        last: what the last `run` did, also where it raised an error; None before the first.
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
        self.evaluator = ModelEvaluator()
        self.after: dict[str, list[Tool]] = {stage: [] for stage in STAGES}
        self.offered: list[Tool] = []
        self.last: AgentResult | None = None
        self._running = threading.Lock()
        if verbose:
            logging.getLogger("hret_agents").setLevel(logging.INFO)
            logging.getLogger("llm_eval").setLevel(logging.INFO)
        self.verbose = verbose

    def add_tool(self, tool: Tool) -> None:
        """Use `tool`: in place of the one that it subclasses, or after the stage that it names.

        A tool with a `stage` is called with the port's folder, once for each port, and is no
        model's to call. One with no place at all is offered to the model in `run`, and
        `process_dataset` refuses to run with it.

        Raises:
            UserError: it is no tool, its stage is none, or its name is taken.
        """
        if not isinstance(tool, Tool):
            raise UserError(
                f"{tool!r} is no smolagents Tool", hint="pass an instance: DatasetDownloader()"
            )
        for stage, kind in STAGES.items():
            if isinstance(tool, kind):
                self.tools[stage] = tool
                return
        if isinstance(tool, ModelEvaluator):
            self.evaluator = tool
            return
        stage = getattr(tool, "stage", "")
        if stage in STAGES:
            self.after[stage].append(tool)
        elif stage:
            raise Unknown("stage", str(stage), STAGES)
        elif tool.name in {FINAL, *(each.name for each in self._all())}:
            raise UserError(f"there is a tool called {tool.name!r} already", hint="rename it")
        else:
            self.offered.append(tool)

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
        if self.offered:
            raise UserError(
                f"the tool {self.offered[0].name!r} has no place in the chain",
                hint=f"give it an attribute stage, one of {', '.join(STAGES)}: it runs after that",
            )
        fields = self._fields(options)
        job = PortJob(
            dataset=dataset_name,
            subsets=names_of(subset),
            splits=names_of(split),
            push=push_to_hub,
            **fields,
        )
        with self._lent(Lent(fields={name: fields[name] for name in ("hf_token", "api_key")})):
            return port_dataset(
                job,
                listener,
                download=self._download,
                steps=[self._step(stage) for stage in ("translate", "module", "push")],
            )

    def run(
        self,
        instruction: str,
        *,
        model: Model | str | None = None,
        max_steps: int = 20,
        max_cost: float | None = None,
        allow_push: bool = False,
        listener: Listener = silent,
    ) -> AgentResult:
        """Let a model port and evaluate by the tools, as `instruction` says.

        What it does holds what a port holds: what is translated is kept and never paid twice, so
        that running it again goes on where it ended, whatever it ended for.

        Args:
            model: a smolagents model, or the name of one behind the agent's `api_base`; the default
                translator's name if left out.
            max_steps: messages of the model.
            max_cost: USD for the agent's, the translating and the module's model together; it ends
                before a step that might exceed it, an evaluation before such a request. Default:
                the agent's option `max_cost`.
            allow_push: may the model push, if it is told to? To the option `repo_id` alone where
                the agent has one.
            listener: is told each call of a tool, and what the tools tell.

        Raises:
            UserError: it cannot begin; or a tool met what no model can mend: a key, money that ran
                out on its way, a licence, the disk. `last` then says what was done.
        """
        if max_steps < 1:
            raise UserError(
                f"max_steps {max_steps} is less than 1", hint="leave it out for the default"
            )
        if not self._running.acquire(blocking=False):
            raise UserError("this agent is at work", hint="make another one for another run")
        try:
            return self._run(instruction, model, max_steps, max_cost, allow_push, listener)
        finally:
            self._running.release()

    def _run(
        self,
        instruction: str,
        model: Model | str | None,
        max_steps: int,
        max_cost: float | None,
        allow_push: bool,
        listener: Listener,
    ) -> AgentResult:
        started, fields = time.monotonic(), self._fields({})
        most = fields.pop("max_cost", None) if max_cost is None else max_cost
        fields["output_dir"] = Path(fields.get("output_dir") or _folder_of(self.tools["download"]))
        purse = Purse(most)
        driver = Metered(
            agent_model(
                model, **{k: fields.get(k) for k in ("api_base", "api_key", "max_retries")}
            ),
            purse,
            bounded=not isinstance(model, Model),
            scrub=_scrubber(fields),
        )
        self._affordable(fields, purse)
        done: set[str] = set()
        run = Run(
            tools={tool.name: tool for tool in self._all(allow_push)},
            purse=purse,
            listener=listener,
            scrub=_scrubber(fields),
            reopened=lambda name: opened(name, lent.root, lent.keys()),
            after=lambda stage, port: self._once(stage, port, done),
            allow_push=allow_push,
        )
        lent = Lent(
            fields=fields,
            listener=listener,
            left=lambda: purse.left,
            priced=purse.knows,
            seen=run.seen,
            evaluated=lambda record: run.evaluations.append(dict(record)),
            paid=purse.pay,
        )
        with self._lent(lent):
            stopped, answer = driven(run, driver, instruction, max_steps, verbose=self.verbose)
            if stopped == "done" and not self._rest(run, fields):
                stopped = "error"
        self.last = result_of_run(run, driver, stopped, answer, started, max_steps)
        if run.error is not None:
            raise run.error
        return self.last

    def _all(self, allow_push: bool = True) -> list[Tool]:
        """The tools that a model is offered."""
        steps = [tool for stage, tool in self.tools.items() if allow_push or stage != "push"]
        return [*steps, self.evaluator, *self.offered]

    def _fields(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a job: the keys, this agent's options, and `options` over them."""
        return {
            "api_key": self.openai_api_key,
            "hf_token": self.hf_token or settings.load().hf_token,
            **self.options,
            **_known(dict(options)),
        }

    def _affordable(self, fields: Mapping[str, Any], purse: Purse) -> None:
        """A `UserError` now if a model that the options name has no price, and there is a limit."""
        named: dict[str, Any] = {k: fields.get(k) for k in ("plan_model", "module_model")}
        models = [*models_asked(PortJob(dataset="any", **named)).values()]
        translator = fields.get("model")
        if translator and translator.partition(":")[0] != "memory":
            models.append(translator.removeprefix("openai:"))
        for model in models:
            purse.knows(model)

    def _rest(self, run: Run, fields: Mapping[str, Any]) -> bool:
        """What is due for finished ports when the model is done: the tools after the stage "push",
        and the evaluations that the options name. False, and the run has an error, if it fails."""
        try:
            for port in [p for p in run.ports.values() if p.manifest is not None]:
                run.after("push", port)
                for backend in fields.get("evaluate", ()):
                    self.evaluator.forward(str(port.folder), backend)
        except BaseException as e:
            run.error = e
        return run.error is None

    def _once(self, stage: str, port: Port, done: set[str]) -> None:
        """The tools after a stage, unless they have run on this very state of the port."""
        splits = {s: {t: asdict(r) for t, r in by.items()} for s, by in port.splits.items()}
        module = port.manifest.module_sha256 if port.manifest and stage != "translate" else ""
        state = json.dumps([stage, port.slug, port.plan.sha256, splits, module])
        if state not in done:
            self._afterwards(stage, replace(port, manifest=None) if not module else port)
            done.add(state)

    @contextmanager
    def _lent(self, lent: Lent) -> Iterator[None]:
        """While it lasts, the tools have what the agent lends them."""
        tools: list[Any] = [*self.tools.values(), self.evaluator]
        for tool in tools:
            tool.lent = lent
        try:
            yield
        finally:
            for tool in tools:
                tool.lent = Lent()

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
    return opened(path, Path(job.output_dir), keys, **changes)


def _folder_of(tool: StepTool) -> str:
    return str(getattr(tool, "output_dir", DEFAULT_ROOT))


def _scrubber(fields: Mapping[str, Any]) -> Callable[[str], str]:
    """Takes the keys out of a text."""
    keys = [fields.get("api_key"), fields.get("hf_token"), settings.load().openai_api_key]

    def scrub(text: str) -> str:
        for key in filter(None, keys):
            text = key.scrub(text)
        return text

    return scrub


def _known(options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in PortJob.__dataclass_fields__:
            raise Unknown("option", name, PortJob.__dataclass_fields__)
    return {
        k: Path(v) if k in ("output_dir", "plan", "glossary") and v is not None else v
        for k, v in options.items()
    }
