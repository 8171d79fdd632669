"""Backends: every way to ask a model. `load_model(name, **params)` makes one.

Beside them stand judges and reward models (`roles`); `multi` holds a generator, a judge and a
reward model together.
"""

from __future__ import annotations

from llm_eval.models.base import MODELS, BaseModel, Capabilities, require
from llm_eval.models.loading import (
    REWARDS,
    as_backend,
    as_reward_model,
    load_model,
    load_reward_model,
    register_model,
)
from llm_eval.models.roles import BaseJudge, BaseRewardModel

__all__ = [
    "MODELS",
    "REWARDS",
    "BaseJudge",
    "BaseModel",
    "BaseRewardModel",
    "Capabilities",
    "as_backend",
    "as_reward_model",
    "load_judge",
    "load_model",
    "load_reward_model",
    "register_judge",
    "register_model",
    "register_reward",
    "require",
]

register_judge = register_model
register_reward = register_model
load_judge = load_model
