"""Every error this project raises on purpose, and what each means to whoever catches it.

    HretError                    has a message and a hint (what to do next)
    ├── UserError (ValueError)   the caller can mend it: the command line prints it and exits 2
    │   ├── AuthError            a key or token was refused; never retried
    │   ├── MissingExtra         an optional part is not installed
    │   └── Unknown (LookupError) a name that nothing answers to; guesses what was meant
    └── RunError                 one sample or one unit failed; recorded there as a `Failure`
        ├── BackendError         the model's side: carries a kind, and whether to try again
        ├── DatasetError         the dataset module's code failed on a row
        └── ScoringError         an evaluation method failed on a sample

A `RunError` is data and never ends a run. Anything that is neither is a bug and does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

Kind = Literal[
    "rate_limit",
    "server",
    "timeout",
    "connection",
    "malformed",
    "bad_request",
    "content_filter",
    "refusal",
    "length",
    "memory",
]
RETRYABLE: frozenset[str] = frozenset({"rate_limit", "server", "timeout", "connection"})


class HretError(Exception):
    """Base class. `hint` is the sentence that says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message}\n  → {hint}" if hint else message)


class UserError(HretError, ValueError):
    """A mistake the caller can mend.

    Attributes:
        finished: what there is of a call that it ended, in the call's order, None for the others.
        caller_only: no other arguments mend it, so that a model that calls tools need not try: a
            key, money, a licence, the disk, a server, what only the caller's options set.
    """

    finished: Sequence[Any] = ()
    caller_only = False

    def __init__(self, message: str, *, hint: str = "", caller_only: bool | None = None) -> None:
        super().__init__(message, hint=hint)
        if caller_only is not None:
            self.caller_only = caller_only


class AuthError(UserError, PermissionError):
    """A key or token was refused, or lacks a right."""

    caller_only = True


class MissingExtra(UserError, ImportError):
    """An optional dependency is asked for and absent."""

    caller_only = True

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}'",
            hint=f"pip install -e '.[{extra}]' in the clone of this project",
        )


class Unknown(UserError, LookupError):
    """No `kind` of that `name`; `known` feeds the guess."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.known = sorted(known)
        super().__init__(f"no {kind} called {name!r}", hint=hint or self._guess(name, kind))

    def _guess(self, name: str, kind: str) -> str:
        listed = ", ".join(self.known[:30]) or "none"
        if near := difflib.get_close_matches(name, self.known, n=1, cutoff=0.5):
            return f"did you mean {near[0]!r}? There are: {listed}"
        return f"there are: {listed}"


class RunError(HretError):
    """One sample failed; `kind` and `retryable` stand in its `Failure`."""

    kind: str = "error"
    retryable: bool = False


class BackendError(RunError):
    """A model could not be asked, or answered with something unusable.

    `status` is the HTTP status where there was one; `retry_after` the seconds the server asked
    to wait; `param` the request parameter it complained about. `sent`: the request went out and no
    reply said what it cost.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        sent: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind, self.status, self.retry_after, self.param = kind, status, retry_after, param
        self.sent = sent
        self.retryable = kind in RETRYABLE


class DatasetError(RunError):
    """A dataset module's own code failed on a row."""

    kind = "dataset"


class ScoringError(RunError):
    """An evaluation method failed on a sample."""

    kind = "scoring"


@contextmanager
def boundary(kind: type[RunError], what: str) -> Iterator[None]:
    """Give whatever escapes the block one of our names; errors that have one pass through."""
    try:
        yield
    except HretError:
        raise
    except Exception as e:  # foreign code (a user's module, a scorer) may raise anything
        raise kind(f"{what}: {type(e).__name__}: {e}") from e
