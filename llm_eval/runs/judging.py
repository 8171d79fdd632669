"""From predictions to judged replies: scored, unscored for want of a reference, or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import RunError
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.models.roles import checked
from llm_eval.records import Failure, Prediction, Prompt, Sample, Score
from llm_eval.results import Reply

Pair = tuple[Sample, Prediction]


async def judged(pairs: Sequence[Pair], method: BaseEvaluator, dataset: BaseDataset) -> list[Reply]:
    """Each reply with its judgement, in order."""
    can = [_can_be_judged(s, p, method) for s, p in pairs]
    items = [pair for pair, yes in zip(pairs, can, strict=True) if yes]
    verdicts = iter(await _verdicts(items, method, dataset) if items else [])
    return [
        _reply(p, next(verdicts) if yes else None) for (_, p), yes in zip(pairs, can, strict=True)
    ]


async def _verdicts(
    items: Sequence[Pair], method: BaseEvaluator, dataset: BaseDataset
) -> Sequence[Score | Failure]:
    """What the method says; an error of its own costs the sample over which it arose."""
    try:
        return await method.judge_all(items, dataset)
    except RunError as e:
        if len(items) == 1:
            return [Failure.of(e, "score")]
    return [v for item in items for v in await _verdicts([item], method, dataset)]


async def rewarded(prompts: Sequence[Prompt], replies: Sequence[Reply], model: Any) -> list[Reply]:
    """The replies with what the reward model of `model` gives for each that has a text.

    One that has its reward already keeps it.
    """
    places = [i for i, reply in enumerate(replies) if unrewarded(reply)]
    items = [(prompts[i], replies[i].prediction.text) for i in places]
    try:
        given = await model.rewards(items) if items else []
    except RunError as e:
        given = [Failure.of(e, "reward")] * len(items)
    found = list(replies)
    for place, told in zip(places, given, strict=True):
        reward = checked(told, "the reward model")
        if isinstance(reward, Failure):
            found[place] = replace(found[place], reward_error=reward.to_dict())
        else:
            found[place] = replace(found[place], reward=reward, reward_error=None)
    return found


def unrewarded(reply: Reply) -> bool:
    """Is a reward still to be given for it?"""
    return reply.prediction.text is not None and not reply.error and reply.reward is None


def _can_be_judged(sample: Sample, prediction: Prediction, method: BaseEvaluator) -> bool:
    if prediction.failure or (prediction.text is None and method.scoring != "logprob"):
        return False
    return sample.reference is not None or not method.needs_reference


def _reply(prediction: Prediction, verdict: Score | Failure | None) -> Reply:
    if isinstance(verdict, Failure):
        return Reply(prediction, None, verdict.to_dict())
    failure = prediction.failure
    if failure is None and prediction.text is None and verdict is None:
        failure = Failure(where="generate", kind="malformed", message="no text")
    return Reply(prediction, verdict, failure.to_dict() if failure else None)
