"""The tool `model_evaluator`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from smolagents import Tool

from hret_agents.job import Stage
from hret_agents.tools.base import Lent
from llm_eval.dataset.spec import MANIFEST
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models import MODELS

STATE = ".port.json"
SUBSETS = 20  # whose metrics are told apart


class ModelEvaluator(Tool):  # type: ignore[misc]  # smolagents ships no types
    """Evaluates a model on a port, or on any dataset that `load_datasets` knows by a name.

    A path is taken if it is of a port: which code runs is no word of a model's.
    """

    name = "model_evaluator"
    description = (
        "Evaluates a model on a finished port or a registered dataset. Returns the metrics as one "
        "line of JSON."
    )
    inputs = {
        "dataset": {
            "type": "string",
            "description": "What module_generator returned, a slug, or a dataset's name.",
        },
        "model": {
            "type": "string",
            "description": "BACKEND or BACKEND:NAME: openai:NAME, or a baseline (oracle, first, "
            "random).",
        },
        "subset": {"type": "string", "description": "One subset, or a,b.", "nullable": True},
        "split": {"type": "string", "description": "One split.", "nullable": True},
        "evaluation_method": {
            "type": "string",
            "description": "The dataset's own if left out.",
            "nullable": True,
        },
        "limit": {
            "type": "integer",
            "description": "Only the first N samples.",
            "nullable": True,
        },
    }
    output_type = "string"
    lent: Lent = Lent()

    def __init__(self) -> None:
        super().__init__()

    def forward(
        self,
        dataset: str,
        model: str,
        subset: str | None = None,
        split: str | None = None,
        evaluation_method: str | None = None,
        limit: int | None = None,
    ) -> str:
        """Evaluate; the metrics as one line of JSON.

        Raises:
            UserError: a name that nothing answers to, a key, or a module that may not be run.
        """
        if limit is not None and limit < 1:
            raise UserError(f"limit {limit} is less than 1", hint="leave it out for all samples")
        params = self._params(model)
        name = self._named(dataset)
        self.lent.listener(Stage("evaluate", f"{model} on {Path(name).name}"))
        subsets = [s.strip() for s in subset.split(",")] if subset else None
        result = Evaluator().run(
            model.partition(":")[0],
            name,
            subset=subsets[0] if subsets and len(subsets) == 1 else subsets,
            split=split,
            evaluation_method=evaluation_method,
            model_params=params,
            limit=limit,
        )
        record = {
            "dataset": Path(name).name if "/" in name and Path(name).is_dir() else name,
            "model": model,
            "subset": subset,
            "split": split,
            "evaluation_method": result.info["evaluation_method"],
            "limit": limit,
            "metrics": result.metrics,
        }
        self.lent.evaluated({**record, "usage": result.info["usage"]})
        said = {k: v for k, v in record.items() if v is not None and k != "metrics"}
        return json.dumps(said | _short(result.metrics), ensure_ascii=False)

    def _params(self, model: str) -> dict[str, Any]:
        """The parameters of a backend; a `UserError` where it is none, or no money may go there."""
        backend, _, rest = model.partition(":")
        MODELS.get(backend)
        if backend != "openai":
            return {"model_name": rest} if rest else {}
        if not rest:
            raise UserError("the model 'openai' has no name", hint="openai:NAME")
        self.lent.priced(rest)
        if self.lent.left() == 0:
            raise UserError("no money is left, so --max-cost cannot be kept", hint="raise max_cost")
        named = ("api_base", "api_key", "concurrency", "max_retries")
        lent = {k: self.lent.fields[k] for k in named if self.lent.fields.get(k) is not None}
        return {"model_name": rest, **lent}

    def _named(self, dataset: str) -> str:
        """The folder of the port that is meant, or else the name as it is."""
        name = dataset.strip().partition("\n")[0].strip()
        path, root = Path(name).expanduser(), self.lent.root
        if name.endswith(STATE):
            path = path.parent.parent / path.name.removesuffix(STATE)
        elif path.suffix == ".py":
            path = path.parent
        elif name and "/" not in name and (root / name / MANIFEST).is_file():
            path = root / name
        if (path / MANIFEST).is_file():
            return str(path.resolve())
        if name.endswith((STATE, ".py")) or path.is_absolute():
            raise UserError(f"{name!r} is no finished port", hint="call module_generator first")
        return name


def _short(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics for one line: of many subsets, the first."""
    by_subset = metrics.get("by_subset")
    if not by_subset or len(by_subset) <= SUBSETS:
        return metrics
    return {**metrics, "by_subset": dict(list(by_subset.items())[:SUBSETS]), "more_subsets": True}
