"""Backends: every way to ask a model. `load_model(name, **params)` makes one."""

from __future__ import annotations

import inspect
from typing import Any

from llm_eval.errors import Unknown, UserError
from llm_eval.models.base import MODELS, BaseModel, Capabilities, require

__all__ = ["MODELS", "BaseModel", "Capabilities", "load_model", "register_model", "require"]

register_model = MODELS.add


def load_model(name: str, /, **params: Any) -> BaseModel:
    """The backend `name`, made with `params`; a wrong name or parameter is a `UserError`."""
    try:
        kind = MODELS.get(name)
    except Unknown as e:
        served = f"for a model that is served: model 'openai' with model_name {name!r}"
        raise Unknown("model", name, e.known, hint=f"{e.hint}; {served}") from None
    try:
        inspect.signature(kind).bind(**params)
    except TypeError as e:
        known = [p for p in inspect.signature(kind).parameters if p != "self"]
        raise UserError(
            f"model {name!r}: {e}", hint=f"its parameters are: {', '.join(known) or 'none'}"
        ) from None
    return kind(**params)
