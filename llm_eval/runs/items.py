"""A sample on its way through a run: what it is asked, what came, and what is still owed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from llm_eval.records import Failure, Prediction, Prompt, Sample
from llm_eval.results import Reply
from llm_eval.runs.journal import Entry
from llm_eval.runs.judging import unrewarded
from llm_eval.runs.replies import Found

FINAL = frozenset({"length", "content_filter", "refusal"})  # asking again would end alike
_STOPPED = Failure(where="", kind="stopped", message="the run ended before", retryable=True)
UNASKED = replace(_STOPPED, where="generate", message="the run ended before this was answered")
_UNJUDGED = replace(_STOPPED, where="score", message="the run ended before this was judged")
_UNREWARDED = replace(_STOPPED, where="reward", message="the run ended before this was rewarded")


@dataclass(slots=True)
class Item:
    """A prediction for each reply wanted of a sample, None where it is to be asked.

    `replies` are those that are judged already, in this session or in an earlier one. `fresh` are
    those that other runs may have, with their keys.
    """

    place: int
    sample: Sample
    prompt: Prompt
    told: list[Prediction | None]
    keys: list[bytes | None]
    replies: list[Reply | None]
    fresh: list[Found] = field(default_factory=list)
    cached: int = 0

    @property
    def missing(self) -> list[int]:
        """The replies that are to be asked."""
        return [i for i, p in enumerate(self.told) if p is None]

    @property
    def predictions(self) -> list[Prediction]:
        """Those that came."""
        return [p for p in self.told if p is not None]

    @property
    def asked(self) -> bool:
        """Did any come, before the run ended?"""
        return any(p.failure is not UNASKED for p in self.predictions)

    def resume(self, replies: Sequence[Reply], cached: int) -> None:
        """Take over what an earlier session knew."""
        self.cached = cached
        self.told = [None if _unanswered(r) else r.prediction for r in replies]
        self.replies = [None if _unanswered(r) or _unjudged(r) else r for r in replies]

    def take(self, turn: int, prediction: Prediction) -> None:
        """Note one that came."""
        self.told[turn], key = prediction, self.keys[turn]
        if key is not None and not prediction.failure and (prediction.text or prediction.options):
            self.fresh.append((key, prediction))

    def unfinished(self, rewards: bool) -> Entry:
        """What is known where the run ended amid asking or judging; the rest is owed."""
        lost = Prediction(sample_id=self.sample.id, failure=UNASKED)
        told = [prediction or lost for prediction in self.told]
        replies = [
            reply or Reply(p, None, (p.failure or _UNJUDGED).to_dict())
            for p, reply in zip(told, self.replies, strict=True)
        ]
        if rewards:
            error = _UNREWARDED.to_dict()
            replies = [replace(r, reward_error=error) if unrewarded(r) else r for r in replies]
        return Entry(self.place, replies, self.cached)


def owes(reply: Reply) -> bool:
    """Is there something of a reply to be had by asking, or judging, again?"""
    return _unanswered(reply) or _unjudged(reply) or reply.reward_error is not None


def _unanswered(reply: Reply) -> bool:
    failure = reply.prediction.failure
    return failure is not None and failure.kind not in FINAL


def _unjudged(reply: Reply) -> bool:
    return reply.error is not None and reply.error.get("where") == "score"
