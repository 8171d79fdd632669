"""What a server answers instead of a reply, in whichever words, as the error to raise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from llm_eval.errors import RETRYABLE, AuthError, BackendError, Kind, UserError
from llm_eval.models.retry import retry_after

PEEK = 64 * 2**10  # bytes of a reply that tell what it is
NO_MODEL = ("model_not_found", 40301)  # the number is FastChat's, as the next one is
TOO_LONG = ("context_length_exceeded", 40303)
BUSY = 42900  # from here on FastChat's numbers are of a busy or sick server, under a status of 400
FILTERED = re.compile(
    r"content_filter|content management policy|content policy|moderation|flagged", re.IGNORECASE
)
_OVER = re.compile(
    r"(context|prompt|input|model) length|context (size|window)|(prompt|input) is too long"
    r"|too many tokens|reduce the length|(prompt|input) token count"
    r"|\binputs`? (must have less|tokens \+)",
    re.IGNORECASE,
)
_UNPAID = re.compile(r"insufficient_quota|credit balance is too low", re.IGNORECASE)
WORDED = (400, 403, 413, 422)  # statuses whose words tell what they are about
_BUSY = (408, 409, 424, 425)  # 424: TGI's, of a failed generation
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


class Forbidden(AuthError):
    """A 403: this key may not ask for this. Something else it may."""


def refusal(
    where: str,
    status: int,
    headers: Mapping[str, str],
    raw: bytes,
    *,
    scrub: Callable[[str], str],
    through: bool,
) -> BackendError | UserError:
    """The error that a reply of this status from `where` is.

    Args:
        headers: the reply's, by lower-case name.
        scrub: takes keys out of a text.
        through: did others get through? A page that forbids is then no matter of the key, but of
            something on the way.
    """
    said, code, param = reason(raw)
    if isinstance(code, int) and code >= BUSY:
        status = code // 100
    message = f"{where} answered {status}: {scrub(said)[:500]}"
    if status == 403 and through and is_page(raw):
        return BackendError(message, kind="server", status=status)
    kind = classify(status, code, "" if is_page(raw) else said)
    if kind == "auth":
        refused = Forbidden if status == 403 else AuthError
        return refused(message, hint="check OPENAI_API_KEY or --api-key")
    if kind == "unpaid":
        return UserError(message, hint="top up, then run this again", caller_only=True)
    if kind == "no_model":
        return UserError(message, hint="check --model and --api-base")
    if kind == "length":
        message = f"the prompt is over the context length: {message}"
    wait = retry_after(headers) if kind in RETRYABLE else None
    return BackendError(message, kind=kind, status=status, retry_after=wait, param=param)


def classify(status: int, code: Any, said: str) -> Kind | Literal["auth", "unpaid", "no_model"]:
    """What an error reply is: a kind, or one of the three that no further request can mend."""
    if status in WORDED and (code in TOO_LONG or _OVER.search(said)):
        return "length"
    if status in (400, 403) and (code == "content_filter" or FILTERED.search(said)):
        return "content_filter"
    if status in (401, 403):
        return "auth"
    if status == 402 or code == "insufficient_quota" or _UNPAID.search(said):
        return "unpaid"
    if status == 404 or code in NO_MODEL:
        return "no_model"
    if status == 429:
        return "rate_limit"
    return "server" if status >= 500 or status in _BUSY else "bad_request"


def parsed(raw: bytes) -> Any:
    """The JSON in a reply; None where it is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def is_page(raw: bytes) -> bool:
    """Is it HTML?"""
    return raw[:PEEK].lstrip()[:1] == b"<"


def reason(raw: bytes) -> tuple[str, Any, str | None]:
    """(message, code, parameter) of an error reply, in whichever of the shapes there are.

    >>> reason(b'{"error": "`inputs` cannot be empty", "error_type": "validation"}')
    ('`inputs` cannot be empty', 'validation', None)
    >>> reason(b'{"object": "error", "message": "Only m allowed now", "code": 40301}')
    ('Only m allowed now', 40301, None)
    """
    body = parsed(raw)
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        error = {"message": error, "code": body.get("error_type")}
    if not isinstance(error, dict):
        page = _TITLE.search(raw[:PEEK].decode("utf-8", "replace")) if is_page(raw) else None
        text = f"a web page, {page[1].strip()!r}" if page else raw[:PEEK].decode("utf-8", "replace")
        return text or "no reason given", None, None
    said = error.get("message") or error.get("detail") or "no reason given"
    param, code = error.get("param"), error.get("code")
    return (
        said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
        code if isinstance(code, str | int) else error.get("type"),
        param if isinstance(param, str) else None,
    )


def status_in(error: Any) -> int:
    """The status that an error has which came under the status of a good reply."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
