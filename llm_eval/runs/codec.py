"""Replies as JSON and back: a line of a run's journal, and a row of the reply cache.

Fields that hold their default are left out, and floats come back bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_eval.records import Continuation, Failure, Prediction, Score, Token, Usage
from llm_eval.results import Reply


def _plain(value: Any) -> Any:
    """A number of numpy's or torch's as Python's; what else JSON does not know, as text."""
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)


_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
_ascii = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def encoded(value: Mapping[str, Any]) -> bytes:
    """`value` as one line of JSON in UTF-8, its line end not included.

    >>> encoded({"text": "예"}).decode(), encoded({"half": chr(0xD800)}).decode()
    ('{"text":"예"}', '{"half":"\\\\ud800"}')
    """
    try:
        return _text(value).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which a server may send
        return _ascii(value).encode()


def of_prediction(p: Prediction) -> dict[str, Any]:
    """All of a prediction but the sample's id."""
    out: dict[str, Any] = {"text": p.text}
    for name in ("finish_reason", "logprob", "tokens", "reasoning"):
        if (value := getattr(p, name)) is not None:
            out[name] = value
    if p.options:
        out["options"] = [[o.logprob, o.tokens, o.chars, o.greedy] for o in p.options]
    if p.detail:
        out["detail"] = [[t.text, t.logprob, t.id, t.top] for t in p.detail]
    if p.alternatives:
        out["alternatives"] = p.alternatives
    if p.usage.requests or p.usage.prompt_tokens or p.usage.completion_tokens:
        out["usage"] = usage_list(p.usage)
    if p.failure:
        out["failure"] = p.failure.to_dict()
    return out


def prediction(sample_id: str, told: Mapping[str, Any]) -> Prediction:
    """The prediction that `of_prediction` wrote."""
    failure = told.get("failure")
    return Prediction(
        sample_id=sample_id,
        text=told["text"],
        finish_reason=told.get("finish_reason"),
        options=tuple(
            Continuation(logprob=logprob, tokens=tokens, chars=chars, greedy=greedy)
            for logprob, tokens, chars, greedy in told.get("options", ())
        ),
        logprob=told.get("logprob"),
        tokens=told.get("tokens"),
        detail=tuple(
            Token(text, logprob, number, tuple((t, p) for t, p in top))
            for text, logprob, number, top in told.get("detail", ())
        ),
        reasoning=told.get("reasoning"),
        alternatives=tuple(told.get("alternatives", ())),
        usage=usage_of(told.get("usage", (0, 0, 0))),
        failure=Failure(**failure) if failure else None,
    )


def of_reply(reply: Reply) -> dict[str, Any]:
    """A reply with its judgement; an error is written once where it is the prediction's own."""
    out: dict[str, Any] = {"prediction": of_prediction(reply.prediction)}
    if reply.score is not None:
        out["score"] = _of_score(reply.score)
    if reply.error and reply.prediction.failure is None:
        out["error"] = reply.error
    if reply.reward is not None:
        out["reward"] = reply.reward
    if reply.reward_error:
        out["reward_error"] = reply.reward_error
    return out


def reply(sample_id: str, told: Mapping[str, Any]) -> Reply:
    """The reply that `of_reply` wrote."""
    found = prediction(sample_id, told["prediction"])
    score = told.get("score")
    error = found.failure.to_dict() if found.failure else told.get("error")
    return Reply(
        found,
        Score(sample_id=sample_id, **score) if score else None,
        error,
        told.get("reward"),
        told.get("reward_error"),
    )


def usage_list(usage: Usage) -> list[int]:
    """Requests, prompt tokens and completion tokens."""
    return [usage.requests, usage.prompt_tokens, usage.completion_tokens]


def usage_of(told: Sequence[int]) -> Usage:
    """The usage that `usage_list` wrote."""
    requests, prompt_tokens, completion_tokens = told
    return Usage(requests, prompt_tokens, completion_tokens)


def _of_score(score: Score) -> dict[str, Any]:
    out: dict[str, Any] = {"value": score.value}
    if score.is_correct:
        out["is_correct"] = True
    if score.answered is not True:
        out["answered"] = score.answered
    if score.extracted is not None:
        out["extracted"] = score.extracted
    if score.why is not None:
        out["why"] = score.why
    if score.measures:
        out["measures"] = dict(score.measures)
    return out
