"""What stands beside a generator: judges and reward models, with their names of
haerae-evaluation-toolkit.

A class of that toolkit writes `judge_batch` or `score_batch`, from a list of dicts to one; ours
write `rewards`. Each side is derived from the other here. A judge of ours is any backend.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.errors import BackendError, RunError
from llm_eval.models.asks import prompt_of
from llm_eval.models.dicts import Item, each
from llm_eval.records import Failure, Prompt, Usage

Reward = float | Failure


class BaseJudge:
    """What judges of haerae-evaluation-toolkit derive from. They write `judge_batch`."""

    def __init__(self, **params: Any) -> None:
        self.params = params

    def judge_batch(self, inputs: list[Item]) -> list[Item]:
        """`inputs` with what the judge says added to each."""
        raise NotImplementedError(f"{type(self).__name__} has no judge_batch()")


class BaseRewardModel:
    """Base class of reward models. Subclasses set `name` and write `rewards`, or `score_batch`."""

    name: str = "reward"

    def __init__(self, **params: Any) -> None:
        self.params = params

    @property
    def label(self) -> str:
        """How results name this model."""
        return self.name

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return Usage()

    @property
    def about(self) -> Mapping[str, Any]:
        """What decides a reward besides prompt and reply. JSON-ready, never a key."""
        return {}

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage`; None where the price is unknown."""
        return None

    async def check(self) -> None:
        """Raise a `UserError` if the model cannot be used."""

    async def close(self) -> None:
        """Let go of connections."""

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        """How good each reply is to its prompt, in order; a failure stands for an item alone."""
        if type(self).score_batch is BaseRewardModel.score_batch:
            raise NotImplementedError(f"{type(self).__name__} has no rewards()")
        return await scored(self, items)

    def score_batch(self, inputs: Sequence[Mapping[str, Any]], **_: Any) -> list[Item]:
        """`inputs` (dicts with `input` and `prediction`) with `reward` added to each, in order.

        One that failed has `reward` None and a `reward_error`.
        """
        return run_sync(rewarded(self, inputs))


class PluggedReward(BaseRewardModel):
    """An object with `score_batch` alone, as a reward model."""

    def __init__(self, inner: Any, name: str) -> None:
        super().__init__()
        self.inner, self.name = inner, name

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        """What the object's `score_batch` tells, in order."""
        return await scored(self.inner, items)


async def scored(model: Any, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
    """The rewards that `model.score_batch`, of a class of the other toolkit, tells."""
    name = f"{type(model).__name__}.score_batch"
    given = [
        {"input": prompt.text, "prediction": reply, "reference": prompt.reference}
        for prompt, reply in items
    ]
    told = await asyncio.to_thread(each, model.score_batch, given, name, "reward") if items else []
    return [_reward(t, name) for t in told]


def _reward(told: Item | RunError, name: str) -> Reward:
    if isinstance(told, RunError):
        return Failure.of(told, "reward")
    return checked(told.get("reward"), name)


def checked(told: Any, name: str) -> Reward:
    """A reward as a float, or the failure that it is none: a mean over NaN would be none."""
    if isinstance(told, Failure):
        return told
    try:
        reward = float(told)
    except (TypeError, ValueError, OverflowError):
        reward = math.nan
    if math.isfinite(reward):
        return reward
    said = f"{name} gave no finite number as reward"
    return Failure.of(BackendError(said, kind="malformed"), "reward")


async def rewarded(model: BaseRewardModel, inputs: Sequence[Mapping[str, Any]]) -> list[Item]:
    """`inputs` with `reward` added. One without a reply to judge has None, and an error."""
    asked = [i for i, item in enumerate(inputs) if isinstance(item.get("prediction"), str)]
    told = await model.rewards([(prompt_of(i, inputs[i]), inputs[i]["prediction"]) for i in asked])
    found: dict[int, Reward] = dict(zip(asked, told, strict=True))
    none = Failure(where="reward", kind="bad_request", message="there is no prediction to judge")
    return [_with_reward(item, found.get(i, none)) for i, item in enumerate(inputs)]


def _with_reward(item: Mapping[str, Any], given: Reward) -> Item:
    told = checked(given, "the reward model")
    if isinstance(told, Failure):
        return {**item, "reward": None, "reward_error": told.to_dict()}
    return {**item, "reward": told}
