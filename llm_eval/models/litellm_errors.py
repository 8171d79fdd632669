"""What litellm raises, in this project's words: kinds, waits, and never a key.

litellm reads an error's class out of words as well as out of the status, so the status that a
provider really sent comes first; the class refines it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, cast

from llm_eval.errors import AuthError, BackendError, Kind, UserError
from llm_eval.models.refusals import WORDED, classify
from llm_eval.models.retry import retry_after
from llm_eval.secret import scrubbed

LONGEST = 500  # characters of a provider's message
MADE_UP = (422, 500)  # statuses that litellm gives to replies it cannot read
_LEAD = re.compile(
    r"^(?:(?:litellm\.)?(?:\w*Exception )?\w*(?:Error|Exception|Timeout)\s*[:-]\s*)+"
)
_TRACE = re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL)


def headers_of(reply: Any) -> dict[str, str]:
    """The provider's headers that came with a reply, by lower-case name."""
    found = (getattr(reply, "_hidden_params", None) or {}).get("additional_headers") or {}
    return {str(n).lower().removeprefix("llm_provider-"): str(v) for n, v in found.items()}


def error_of(
    error: Exception, litellm: Any, where: str, secrets: Iterable[str]
) -> BackendError | UserError:
    """The error to raise for one that escaped litellm while it asked `where`, a provider."""
    said = scrubbed(_said(error), secrets)[:LONGEST]
    if isinstance(error, ImportError):
        return UserError(
            f"{where} needs a package that is not installed: {said}",
            hint=f"pip install {error.name}" if error.name else "litellm's page on it says which",
        )
    if broken := _broken(error, litellm, where):
        return broken
    status = _status(error)
    kind = _kind(error, litellm, status)
    message = f"{where}: {said}" if status is None else f"{where} answered {status}: {said}"
    if kind == "malformed":
        message = f"{where} sent what litellm cannot read: {said}"
    if kind not in ("content_filter", "length"):
        if ended := _ends_the_run(error, litellm, kind, message):
            return ended
    if kind == "length":
        message = f"the prompt is over the context length: {message}"
    wait = retry_after(_headers(error)) if kind in ("rate_limit", "server") else None
    return BackendError(
        message, kind=cast(Kind, kind), status=status, retry_after=wait, sent=kind == "malformed"
    )


def _broken(error: Exception, litellm: Any, where: str) -> BackendError | None:
    """The error of a connection that was not made, was cut, or on which nothing came."""
    httpx: Any = import_module("httpx")  # litellm's own; this project does without
    for cause in _chain(error):
        if isinstance(cause, httpx.TimeoutException) and not isinstance(cause, httpx.PoolTimeout):
            return BackendError(f"{where} did not answer in time", kind="timeout", sent=True)
        if isinstance(cause, httpx.TransportError):
            said = f"{where} could not be reached, or broke off ({type(cause).__name__})"
            tried = isinstance(cause, httpx.ConnectError)
            return BackendError(said, kind="connection", sent=not tried)
    if isinstance(error, litellm.exceptions.Timeout):
        return BackendError(f"{where} did not answer in time", kind="timeout", sent=True)
    return None


def _kind(error: Exception, litellm: Any, status: int | None) -> str:
    """As `refusals.classify` says, or as litellm does where that knows more."""
    known = litellm.exceptions
    if status is None or status in WORDED:
        if isinstance(error, known.ContextWindowExceededError):
            return "length"
        if isinstance(error, known.ContentPolicyViolationError):
            return "content_filter"
    if status is None:
        made_up = any(getattr(c, "status_code", 0) in MADE_UP for c in _chain(error.__context__))
        ours = isinstance(error, known.BadRequestError) and not made_up
        return "bad_request" if ours else "malformed"
    return classify(status, None, str(error))


def _ends_the_run(error: Exception, litellm: Any, kind: str, message: str) -> UserError | None:
    """What no further request can mend: a key, a model, a bill."""
    if kind == "auth" or isinstance(error, litellm.exceptions.AuthenticationError):
        return AuthError(message, hint="check api_key, or the provider's key in the environment")
    if "NoCredentialsError" in f"{type(error).__name__} {error}":
        return AuthError(message, hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if kind == "unpaid":
        return UserError(message, hint="top up, then run this again", caller_only=True)
    if isinstance(error, litellm.exceptions.BudgetExceededError):
        return UserError(
            message, hint="raise litellm.max_budget, then run this again", caller_only=True
        )
    if kind == "no_model":
        return UserError(message, hint="check model_name (provider/model) and api_base")
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what lies behind it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _status(error: Exception) -> int | None:
    """The status that a provider answered; None where there was no such answer.

    litellm's own errors have a made-up one, and so have those of a reply that it cannot read.
    """
    httpx: Any = import_module("httpx")
    behind = [cause for cause in _chain(error) if cause is not error]
    for cause in behind:
        if isinstance(cause, httpx.HTTPStatusError):
            return int(cause.response.status_code)
    told = [getattr(cause, "status_code", None) for cause in behind]
    return next(
        (s for s in told if isinstance(s, int) and 400 <= s < 600 and s not in MADE_UP), None
    )


def _said(error: Exception) -> str:
    """A provider's own words, without litellm's and in one line.

    >>> _said(ValueError("litellm.BadRequestError: OpenAIException - no such thing"))
    'no such thing'
    """
    text = str(getattr(error, "message", None) or error or type(error).__name__)
    text = _TRACE.sub("", _LEAD.sub("", text.strip()))
    begin = text.find("{")
    if begin >= 0:
        try:
            body, _ = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            body = {}
        inner = body.get("error", body)
        told = inner.get("message") if isinstance(inner, dict) else inner
        text = told if isinstance(told, str) and told else text
    return " ".join(text.split()) or "no reason given"


def _headers(error: Exception) -> dict[str, str]:
    """The headers of the reply that an error is about, by lower-case name."""
    for cause in _chain(error):
        reply = getattr(cause, "response", None)
        for found in (
            getattr(cause, "litellm_response_headers", None),
            getattr(reply, "headers", None),
            getattr(cause, "headers", None),
        ):
            if found:
                return {str(name).lower(): str(value) for name, value in dict(found).items()}
    return {}
