"""Evaluation methods by name."""

from __future__ import annotations

import inspect
from typing import Any

from llm_eval.errors import UserError
from llm_eval.evaluation.base import EVALUATORS, BaseEvaluator, register_evaluator

__all__ = ["EVALUATORS", "BaseEvaluator", "load_evaluator", "register_evaluator"]


def load_evaluator(name: str, /, **params: Any) -> BaseEvaluator:
    """The method `name`, made with `params`."""
    kind = EVALUATORS.get(name)
    try:
        inspect.signature(kind).bind(**params)
    except TypeError as e:
        raise UserError(
            f"evaluation method {name!r}: {e}", hint="see its parameters in docs/evaluation.md"
        ) from None
    return kind(**params)
