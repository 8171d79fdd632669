"""The last steps: push the finished port, and evaluate baselines or models on it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from hret_agents import hub
from hret_agents.job import Listener, Stage
from hret_agents.steps.state import Port
from hret_agents.steps.write import write_module
from llm_eval.dataset import ports
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator


def publish(port: Port, listener: Listener) -> Port:
    """The port, pushed if the job says so.

    A port that was finished without its repo's name (the module holds it) is finished anew first.
    """
    if not port.job.push or port.manifest is None:
        return port
    repo = port.repo
    if repo is None or repo != port.manifest.repo or port.job.repo_id not in (None, repo):
        repo = hub.may_push(port.job, port.source, port.slug)
        shutil.copytree(port.folder, port.work, dirs_exist_ok=True)
        port = write_module(replace(port, repo=repo), listener)
    listener(Stage("push", repo))
    return replace(port, url=hub.push(port.job, port.folder, repo))


def evaluations(port: Port, listener: Listener) -> dict[str, Any]:
    """The metrics of each backend that the job names, on the fresh port."""
    if port.manifest is None:
        return {}
    found: dict[str, Any] = {}
    for backend in port.job.evaluate:
        listener(Stage("evaluate", backend))
        name, _, model = backend.partition(":")
        params: dict[str, Any] = {"model_name": model} if model else {}
        if name == "openai":
            params |= {"api_base": port.job.api_base, "api_key": port.job.api_key}
        dataset = ports.module_class(ports.Port(port.folder, port.manifest))
        try:
            found[backend] = Evaluator().run(name, dataset, model_params=params).metrics
        except UserError as e:  # the port is done and is shown, whatever became of its evaluation
            found[backend] = {"error": str(e)}
    return found
