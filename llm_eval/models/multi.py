"""`multi`: a generator, a judge and a reward model under one name."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from llm_eval.aio import run_sync
from llm_eval.errors import RunError, UserError
from llm_eval.models.asks import prompt_of
from llm_eval.models.base import MODELS, BaseModel, Capabilities, Done, telling
from llm_eval.models.dicts import Item, each
from llm_eval.models.loading import as_backend, as_reward_model, load_model, load_reward_model
from llm_eval.models.openai_wire import no_answer
from llm_eval.models.plugged import PluggedModel
from llm_eval.models.roles import BaseJudge, BaseRewardModel, Reward, rewarded
from llm_eval.records import Failure, Prediction, Prompt, Sample, Usage

R = TypeVar("R")
Role = Any  # a backend, its name, or {"name": ..., "params": {...}}


class MultiModel(BaseModel):
    """Asks the generator where a backend is asked; `judge` and `rewards` ask the other two.

    Each role is a backend (or reward model), its name, or a dict {"name": ..., "params": {...}};
    "model" is taken for "name". A role may be absent: it is missed when it is asked.

    Args:
        generate_model: what replies.
        judge_model: what judges; named, its temperature is 0 unless its params say otherwise.
        reward_model: what scores a reply.
    """

    name = "multi"

    def __init__(
        self, generate_model: Role = None, judge_model: Role = None, reward_model: Role = None
    ) -> None:
        super().__init__()
        self.generate_model: BaseModel | None = _made(
            "generate_model", generate_model, as_backend, load_model
        )
        self.judge_model: BaseModel | None = _made(
            "judge_model", _sober(judge_model), as_backend, load_model
        )
        self.reward_model: BaseRewardModel | None = _made(
            "reward_model", reward_model, as_reward_model, load_reward_model
        )

    @property
    def can(self) -> Capabilities:  # type: ignore[override]
        """What the generator can do; some learn it when they are loaded."""
        return self.generate_model.can if self.generate_model else Capabilities(generate=False)

    @property
    def roles(self) -> dict[str, BaseModel | BaseRewardModel]:
        """The roles that are there, by name: "generate", "judge", "reward"."""
        found = {
            "generate": self.generate_model,
            "judge": self.judge_model,
            "reward": self.reward_model,
        }
        return {name: model for name, model in found.items() if model is not None}

    @property
    def label(self) -> str:
        """The generator's; a judge changes no reply."""
        return self._generator.label

    @property
    def usage(self) -> Usage:
        """What the generator spent; `usage_by_role` tells all."""
        return self.generate_model.usage if self.generate_model else Usage()

    @property
    def usage_by_role(self) -> dict[str, Usage]:
        """What each role spent so far."""
        return {name: model.usage for name, model in self.roles.items()}

    @property
    def cost_by_role(self) -> dict[str, float | None]:
        """USD that each role has cost so far; None where a price is unknown."""
        return {name: model.cost(model.usage) for name, model in self.roles.items()}

    @property
    def about(self) -> Mapping[str, Any]:
        """The generator's: replies are kept under it, and judge and reward model change none."""
        return self.generate_model.about if self.generate_model else {}

    @property
    def about_by_role(self) -> dict[str, dict[str, Any]]:
        """Model and parameters of each role."""
        return {n: {"model": m.label, **m.about} for n, m in self.roles.items()}

    def cost(self, usage: Usage) -> float | None:
        """USD for `usage` of the generator."""
        return self._generator.cost(usage)

    def fits(self, samples: Sequence[Sample]) -> None:
        """Do the samples fit the generator?"""
        self._generator.fits(samples)

    async def generate(
        self, prompts: Sequence[Prompt], done: Done | None = None
    ) -> list[Prediction]:
        """The generator's replies."""
        return await telling(self._generator.generate, done)(prompts)

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The generator's likelihoods."""
        return await self._generator.likelihoods(prompts)

    async def prompt_logprobs(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The generator's likelihoods of the prompts."""
        return await self._generator.prompt_logprobs(prompts)

    async def score_options(
        self, prompts: Sequence[Prompt], delimiter: str | None = None, done: Done | None = None
    ) -> list[Prediction]:
        """As the generator weighs."""
        return await telling(self._generator.score_options, done)(prompts, delimiter)

    async def probe(self) -> None:
        """Does the generator really tell likelihoods?"""
        await self._generator.probe()

    async def check(self) -> None:
        """Can every role be used? Told before the first sample."""
        for model in self.roles.values():
            await model.check()

    async def close(self) -> None:
        """Close every role, whether or not another one could be closed."""
        closing = (model.close() for model in self.roles.values())
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error

    async def judge(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """The judge's reply to each prompt, in order; a failure where it holds no answer."""
        return await _answers(self._judge, prompts)

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        """How good each reply is to its prompt, in order; a failure stands for an item alone."""
        return await self._reward.rewards(items)

    def judge_batch(self, inputs: Sequence[Mapping[str, Any]], **_: Any) -> list[Item]:
        """`inputs` with the judge's reply to each `input` as `judge_prediction`, in order.

        One that failed has None there, and a `judge_error`. A judge that writes `judge_batch`
        adds what it adds; a key that was there stays, and the judge's stands beside it, with
        `judge_` before its name.
        """
        return run_sync(_judged(self._judge, inputs))

    def score_batch(self, inputs: Sequence[Mapping[str, Any]], **_: Any) -> list[Item]:
        """`inputs` with the `reward` of each `prediction` to its `input`, in order.

        One that failed has None there, and a `reward_error`.
        """
        return run_sync(rewarded(self._reward, inputs))

    @property
    def _generator(self) -> BaseModel:
        return _there(self.generate_model, "generate_model")

    @property
    def _judge(self) -> BaseModel:
        return _there(self.judge_model, "judge_model")

    @property
    def _reward(self) -> BaseRewardModel:
        return _there(self.reward_model, "reward_model")


def roles_of(model: BaseModel) -> dict[str, BaseModel | BaseRewardModel]:
    """The models behind a model, by role: one that is no `MultiModel` is its own generator."""
    return model.roles if isinstance(model, MultiModel) else {"generate": model}


def about_of(model: BaseModel) -> dict[str, Any]:
    """What a model tells of itself; of a `MultiModel`, what each role does."""
    return model.about_by_role if isinstance(model, MultiModel) else dict(model.about)


async def _judged(model: BaseModel, inputs: Sequence[Mapping[str, Any]]) -> list[Item]:
    if isinstance(model, PluggedModel) and isinstance(model.inner, BaseJudge):
        name = f"{type(model.inner).__name__}.judge_batch"
        call = model.inner.judge_batch
        told = await asyncio.to_thread(each, call, inputs, name, "judge_score")
        return [_beside(item, t) for item, t in zip(inputs, told, strict=True)]
    replies = await _answers(model, [prompt_of(i, item) for i, item in enumerate(inputs)])
    return [
        {**item, "judge_prediction": p.text}
        | ({"judge_error": p.failure.to_dict()} if p.failure else {})
        for item, p in zip(inputs, replies, strict=True)
    ]


async def _answers(judge: BaseModel, prompts: Sequence[Prompt]) -> list[Prediction]:
    found = await judge.generate(prompts)
    errors = [no_answer(p.text, p.finish_reason) for p in found]
    return [
        replace(p, text=None, failure=Failure.of(e, "judge")) if e and not p.failure else p
        for p, e in zip(found, errors, strict=True)
    ]


def _beside(item: Mapping[str, Any], told: Item | RunError) -> Item:
    if isinstance(told, RunError):
        failure = Failure.of(told, "judge").to_dict()
        return {**item, "judge_prediction": None, "judge_error": failure}
    new = {k: v for k, v in told.items() if k not in item or item[k] != v}
    return {**item, **{f"judge_{k}" if k in item else k: v for k, v in new.items()}}


def _there(model: R | None, role: str) -> R:
    if model is None:
        hint = f'{role}={{"name": ..., "params": {{...}}}}'
        raise UserError(f"this 'multi' has no {role}", hint=f"make it with {hint}")
    return model


def _made(role: str, given: Role, adapt: Any, load: Any) -> Any:
    """The model of a role, from whatever it is named by; None stays None."""
    if isinstance(given, Mapping):
        name, params = _described(role, given)
        return load(name, **params)
    if isinstance(given, str):
        return load(given)
    return None if given is None else adapt(given)


def _described(role: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name, params = given.get("name", given.get("model")), given.get("params")
    odd = sorted(set(given) - {"name", "model", "params"})
    if not isinstance(name, str) or odd or not (params is None or isinstance(params, Mapping)):
        what = f"knows no {odd[0]!r}" if odd else "names no model, or its params are no dict"
        raise UserError(f"{role} {what}", hint='{"name": "openai", "params": {"model_name": ...}}')
    return name, dict(params or {})


def _sober(given: Role) -> Role:
    """A judge that is named, with temperature 0 where it takes one and is told none."""
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        return given
    name, params = _described("judge_model", given)
    prefix = name if name in MODELS else name.partition(":")[0]
    if "temperature" in params or "do_sample" in params or prefix not in MODELS:
        return given
    kind = MODELS.get(prefix)
    ours = issubclass(kind, BaseModel) and kind.generate is not BaseModel.generate
    taken = inspect.signature(kind).parameters
    takes = "temperature" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values())
    sober = {"name": name, "params": {**params, "temperature": 0}}
    return cast(Role, sober) if ours and takes else given
