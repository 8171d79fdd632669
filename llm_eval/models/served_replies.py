"""Predictions as the bodies that OpenAI's endpoints answer with, and failures as its errors."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llm_eval.errors import BackendError, HretError, Kind
from llm_eval.models.base import BaseModel
from llm_eval.models.served_asks import ServedRequest, refused
from llm_eval.records import Failure, Prediction, Prompt, Token
from llm_eval.secret import tellable

_STATUS = {"rate_limit": 429, "timeout": 504, "connection": 502, "server": 500, "malformed": 502}
_CODES = {
    "length": "context_length_exceeded",
    "content_filter": "content_filter",
    "refusal": "refusal",
    "memory": "out_of_memory",
}


def checked(prompt: Prompt, told: Prediction) -> Prediction:
    """What a backend told; a `BackendError` where it failed, or told nothing."""
    if told.failure is not None:
        raise error_of(prompt, told.failure)
    if told.text is None and not told.detail:
        raise BackendError("the model gave no reply", kind="malformed")
    return told


def error_of(prompt: Prompt, failure: Failure) -> BackendError:
    """A failure as an error, with the parameter that its message names."""
    param = None
    if failure.kind == "bad_request":
        param = next((name for name in prompt.params if name in failure.message), None)
    elif failure.kind == "length":
        param = "messages" if prompt.messages else "prompt"
    return BackendError(failure.message, kind=cast(Kind, failure.kind), param=param)


def body_of(
    asked: ServedRequest,
    model: str,
    read: Sequence[Prediction | None],
    told: Sequence[Prediction | None],
) -> dict[str, Any]:
    """The body of a reply.

    Args:
        read: the prompts, token by token, where they were asked for; one per prompt.
        told: what was written; `n` per prompt, None where nothing was to be.
    """
    choices = []
    for place, written in enumerate(told):
        number = place // asked.n
        make = _message if asked.chat else _text
        choices.append(make(asked, asked.prompts[number], read[number], written, place))
    prefix, kind = ("chatcmpl", "chat.completion") if asked.chat else ("cmpl", "text_completion")
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": _usage(asked, read, told),
    }


def _usage(
    asked: ServedRequest, read: Sequence[Prediction | None], told: Sequence[Prediction | None]
) -> dict[str, int]:
    """A prompt counts once, however often it was continued."""
    sent = 0
    for place, of_prompt in enumerate(read):
        first = told[place * asked.n]
        counts = [p.usage.prompt_tokens for p in (first, of_prompt) if p is not None]
        sent += max(counts, default=0)
    came = sum(p.usage.completion_tokens for p in told if p is not None)
    return {"prompt_tokens": sent, "completion_tokens": came, "total_tokens": sent + came}


def _message(
    asked: ServedRequest,
    prompt: Prompt,
    read: Prediction | None,
    told: Prediction | None,
    place: int,
) -> dict[str, Any]:
    assert told is not None
    refused = told.finish_reason == "refusal"
    words = {"content": None, "refusal": told.text} if refused else {"content": told.text or ""}
    message: dict[str, Any] = {"role": "assistant", "refusal": None, **words}
    if told.reasoning is not None:
        message["reasoning_content"] = told.reasoning
    logprobs = None
    if asked.top is not None:
        content = [
            {**_token(t.text, t.logprob), "top_logprobs": [_token(*one) for one in t.top]}
            for t in _detail(told)
        ]
        logprobs = {"content": content, "refusal": None}
    return {
        "index": place,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish_of(told),
    }


def _token(text: str, logprob: float | None) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def _text(
    asked: ServedRequest,
    prompt: Prompt,
    read: Prediction | None,
    told: Prediction | None,
    place: int,
) -> dict[str, Any]:
    text = told.text or "" if told else ""
    tokens = list(_detail(told)) if told and asked.top is not None else []
    unsaid = 0
    if asked.echo:
        before = read.detail if read else ()
        said = "".join(t.text for t in before)
        text = (said if prompt.token_ids else prompt.text) + text
        if not prompt.token_ids and said.endswith(prompt.text):
            unsaid = len(said) - len(prompt.text)
        tokens = [*before, *tokens]
    return {
        "index": place,
        "text": text,
        "logprobs": _columns(tokens, asked.top, unsaid) if asked.top is not None else None,
        "finish_reason": finish_of(told) if told else "length",
    }


def _columns(tokens: Sequence[Token], top: int, unsaid: int) -> dict[str, list[Any]]:
    """Tokens as the columns that /completions gives; the first of a text has no log-probability.

    `unsaid`: signs of the tokens that begin a text without standing in it.
    """
    offsets, end = [], -unsaid
    for token in tokens:
        offsets.append(max(0, end))
        end += len(token.text)
    return {
        "tokens": [t.text for t in tokens],
        "token_logprobs": [t.logprob for t in tokens],
        "top_logprobs": [_likely(t) if top else None for t in tokens],
        "text_offset": offsets,
    }


def _likely(token: Token) -> dict[str, float] | None:
    """The likeliest tokens at a place, and the one that stands there. Of those that read alike, as
    parts of a sign do, the likeliest counts."""
    if token.logprob is None:
        return None
    found: dict[str, float] = {}
    among = token.logprob in [logprob for _, logprob in token.top]
    for text, logprob in token.top if among else (*token.top, (token.text, token.logprob)):
        found[text] = max(logprob, found.get(text, logprob))
    return found


def _detail(told: Prediction) -> Sequence[Token]:
    if told.text and not told.detail and told.finish_reason != "refusal":
        raise refused("logprobs", "this model tells no log-probabilities of what it writes")
    return told.detail


def finish_of(told: Prediction) -> str:
    """Why a reply ended, in OpenAI's words: a full context is a reply's limit too."""
    known = {"context_length": "length", "refusal": "stop", None: "stop"}
    return known.get(told.finish_reason, told.finish_reason or "stop")


def error_body(error: HretError) -> tuple[int, dict[str, Any]]:
    """(HTTP status, body) of an error."""
    kind = error.kind if isinstance(error, BackendError) else "server"
    status = _STATUS.get(kind, 500 if kind == "memory" else 400)
    if isinstance(error, BackendError):
        status = error.status or status
    param = error.param if isinstance(error, BackendError) else None
    said = "invalid_request_error" if status < 500 else "server_error"
    return status, failed(error.message, kind=said, param=param, code=_CODES.get(kind))


def failed(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def root_of(model: BaseModel) -> str:
    """What stands behind a model's name, as a hash: of all that decides its replies."""
    about = json.dumps([model.label, tellable(model.about)], sort_keys=True)
    return f"hret-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def models_body(names: Sequence[str], root: str) -> Mapping[str, Any]:
    """The body of the list of models."""
    told = {"object": "model", "created": 0, "owned_by": "hret", "root": root}
    data = [{"id": n, **told} for n in names]
    return {"object": "list", "data": data}
