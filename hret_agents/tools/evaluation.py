"""The tool `model_evaluator`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from smolagents import Tool

from hret_agents.job import Stage
from hret_agents.money import Budget, CostLimit, Reservation
from hret_agents.steps.saved import SUFFIX as STATE
from hret_agents.tools.base import Lent
from llm_eval.dataset.spec import MANIFEST
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator, names_of
from llm_eval.models import MODELS, BaseModel, load_model
from llm_eval.models.openai import OpenAIModel
from llm_eval.models.openai_wire import LIMITS
from llm_eval.models.prices import cost
from llm_eval.records import Usage

SUBSETS = 20  # whose metrics are told apart
REPLY = 4_000  # tokens of a reply under a limit of money, so that its worst case is known
KEPT = ("openai", "litellm")  # whose replies are kept: the same evaluation goes on, and pays once
_MUCH = Usage(1, 1_000_000, 1_000_000)


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
            CostLimit: the next request might exceed what is left; the replies that came are kept.
        """
        if limit is not None and limit < 1:
            raise UserError(f"limit {limit} is less than 1", hint="leave it out for all samples")
        backend, within = self._made(model)
        name, subsets = self._named(dataset), names_of(subset)
        self.lent.listener(Stage("evaluate", f"{model} on {Path(name).name}"))
        try:
            result = Evaluator().run(
                backend,
                name,
                subset=subsets[0] if len(subsets) == 1 else subsets or None,
                split=split,
                evaluation_method=evaluation_method,
                limit=limit,
                cache=True if backend.name in KEPT else None,
            )
        finally:  # replies are paid for, whatever became of the evaluation
            usage = backend.usage
            if usage.requests and not backend.in_process:
                usd = backend.cost(usage)
                self.lent.paid(cost(_priced(model), usage) if usd is None else usd)
            if within and within.untold.requests:
                self.lent.paid(cost(_priced(model), within.untold))
                self.lent.paid(None)
        record = {
            "dataset": Path(name).name if "/" in name and Path(name).is_dir() else name,
            "model": model,
            "subset": subset,
            "split": split,
            "evaluation_method": result.info["evaluation_method"],
            "limit": limit,
            "metrics": result.metrics,
        }
        self.lent.evaluated(record)
        said = {k: v for k, v in record.items() if v is not None and k != "metrics"}
        return json.dumps(said | _short(result.metrics), ensure_ascii=False)

    def _made(self, model: str) -> tuple[BaseModel, _Within | None]:
        """The backend, and what it may spend where that is limited.

        Raises:
            UserError: there is none such, or no limit can be kept with it.
        """
        backend, _, rest = model.partition(":")
        MODELS.get(backend)
        params: dict[str, Any] = {"model_name": rest} if rest else {}
        left = self.lent.left()
        if backend == "openai":
            if not rest:
                raise UserError("the model 'openai' has no name", hint="openai:NAME")
            named = ("api_base", "api_key", "concurrency", "rpm", "tpm", "max_retries")
            fields = self.lent.fields
            params |= {k: fields[k] for k in named if fields.get(k) is not None}
            if left is not None and cost(rest, _MUCH) != 0:
                params["max_tokens"] = REPLY
        made = load_model(backend, **params)
        if left is None or made.in_process or made.cost(_MUCH) == 0:
            return made, None
        if not isinstance(made, OpenAIModel):
            raise CostLimit(
                f"max_cost cannot be kept with {model!r}: what attempts that fail cost is not told",
                hint="evaluate openai:NAME, or leave max_cost out",
            )
        within = _Within(rest, left)
        made.transport.reserve = within.reserve
        return made, within

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


class _Within:
    """The money that an evaluation may spend: each request is reserved at its worst.

    `untold`: requests, at their worst, that went out and of which nobody says what they cost.
    """

    def __init__(self, model: str, most_usd: float) -> None:
        self._budget, self.untold = Budget(model, most_usd), Usage()

    @asynccontextmanager
    async def reserve(self, request: Mapping[str, Any]) -> AsyncIterator[_Reserved]:
        """Room for a request: every byte a token, the longest replies."""
        size = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))
        longest = next((request[name] for name in LIMITS if name in request), REPLY)
        worst = Usage(1, size, longest * int(request.get("n") or 1))
        async with self._budget.reserved(worst) as reservation:
            yield _Reserved(self, reservation, worst)


class _Reserved:
    """A request's money, while it is under way."""

    def __init__(self, within: _Within, reservation: Reservation, worst: Usage) -> None:
        self._within, self._reservation, self._worst = within, reservation, worst

    async def lost(self) -> None:
        """An attempt was sent and broke off."""
        self._within.untold += self._worst
        await self._reservation.lost()

    def told(self, usage: Usage) -> None:
        """The reply says what it cost, or nothing."""
        if not (usage.prompt_tokens or usage.completion_tokens):
            self._within.untold += self._worst
        self._reservation.told(usage)


def _priced(model: str) -> str:
    """A model's name in the list of prices.

    >>> _priced("openai:gpt-4o"), _priced("litellm:openai/gpt-4o")
    ('gpt-4o', 'litellm:openai/gpt-4o')
    """
    return model.removeprefix("openai:")


def _short(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics for one line: of many subsets, the first."""
    by_subset = metrics.get("by_subset")
    if not by_subset or len(by_subset) <= SUBSETS:
        return metrics
    return {**metrics, "by_subset": dict(list(by_subset.items())[:SUBSETS]), "more_subsets": True}
