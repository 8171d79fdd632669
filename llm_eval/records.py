"""The records of a run: frozen, and each stage returns a new one.

A run is `Sample → Prompt → Prediction → Score`. A sample that failed carries a `Failure`; it is
counted apart and never becomes a wrong answer, an empty string or the source text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from llm_eval.errors import HretError, RunError, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with one sample: where, of what kind, and whether trying again may help."""

    where: str
    kind: str
    message: str
    retryable: bool = False

    @classmethod
    def of(cls, error: HretError, where: str) -> Failure:
        """The record of an error raised at `where` (a stage's name)."""
        kind = error.kind if isinstance(error, RunError) else "error"
        retryable = error.retryable if isinstance(error, RunError) else False
        return cls(where=where, kind=kind, message=error.message, retryable=retryable)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "where": self.where,
            "kind": self.kind,
            "message": self.message,
            "retryable": self.retryable,
        }


TRUNCATED = ("length", "context_length")  # reasons to end of a reply that was cut
_COUNTS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request, or many, cost: requests sent and tokens as the server counted them."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Usage:
        """What a reply says that it cost: one request, and the tokens if they are told sensibly."""
        used = reply.get("usage")
        counts = [used.get(k) if isinstance(used, dict) else 0 for k in _COUNTS]
        return cls(1, *map(_count, counts))

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.requests - other.requests,
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
        )

    def to_dict(self) -> dict[str, int]:
        """A JSON-ready dict."""
        return {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


def _count(told: Any) -> int:
    """A number of tokens, which some servers tell as a float; 0 where it is none."""
    whole = isinstance(told, int) or (isinstance(told, float) and told.is_integer())
    return int(told) if whole and told >= 0 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row of a benchmark as a model and a scorer see it.

    `reference` is None where the dataset gives none; `options` is empty for open questions;
    `index` is the row's place in its dataset, which `evaluate_prediction` takes. `images` are URLs,
    data URLs, paths or PIL images.
    """

    index: int
    input: str
    reference: str | None = None
    options: tuple[str, ...] = ()
    subset: str | None = None
    images: tuple[Any, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique in its dataset, stable between runs."""
        return f"{self.subset}/{self.index}" if self.subset else str(self.index)


def text_of(value: Any) -> str | None:
    """A cell of a table as text; None where nothing stands in it (None, NaN, pandas' NA).

    >>> text_of(3), text_of(float("nan"))
    ('3', None)
    """
    return None if _missing(value) else str(value)


def options_of(value: Any, whose: str) -> tuple[str, ...]:
    """A cell with options as texts, without the empty places that a table has behind the last.

    >>> options_of(["A", 2, None], "row 0")
    ('A', '2')

    Raises:
        UserError: one before the last is missing; `whose` options they are is in the sentence.
    """
    texts = [] if _missing(value) else [text_of(option) for option in value]
    while texts and texts[-1] is None:
        texts.pop()
    if None in texts:
        raise UserError(f"{whose} has nothing as option {texts.index(None) + 1} of {len(texts)}")
    return tuple(text for text in texts if text is not None)


def _missing(value: Any) -> bool:
    if isinstance(value, Real):
        return bool(value != value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is sent for one sample. `reference` is there for the baselines and never leaves here.

    `images` are URLs, data URLs, paths or PIL images. `messages` are a conversation in OpenAI's
    shape, and `token_ids` tokens, either of them in place of `text`. `params` go over the backend's
    own parameters, for this prompt alone: "max_tokens", "temperature", "top_p", "top_k", "seed",
    "stop" (a list of texts), "logprobs" (most likely tokens to tell at each place; 0: the token
    itself), "choice" (the reply is one of these texts), "response_format" (OpenAI's). A backend
    that cannot do what one asks answers with a failure, and never without it. `turn` counts the
    replies to a sample: what is drawn by a seed is drawn anew at each, and alike in every run.
    """

    sample_id: str
    text: str
    options: tuple[str, ...] = ()
    reference: str | None = None
    images: tuple[Any, ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()
    token_ids: tuple[int, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    turn: int = 0

    @classmethod
    def of(cls, sample: Sample) -> Prompt:
        """The prompt of a sample."""
        return cls(
            sample_id=sample.id,
            text=sample.input,
            options=sample.options,
            reference=sample.reference,
            images=sample.images,
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A token in its place: `logprob` in nats (None at the first place of a text, where nothing
    stands before it), and the likeliest tokens there with theirs, in `top`."""

    text: str
    logprob: float | None = None
    id: int | None = None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How likely a text is behind a prompt.

    `logprob` is the sum over its `tokens` tokens (0: the backend does not tell how many), in nats;
    `chars` its length in characters; `greedy`: each of its tokens was the likeliest at its place.
    """

    logprob: float
    tokens: int
    chars: int
    greedy: bool = False

    @property
    def per_token(self) -> float | None:
        """Log-probability divided by tokens; None where their number is not known."""
        return self.logprob / self.tokens if self.tokens else None

    @property
    def per_char(self) -> float:
        """Log-probability divided by characters (lm-evaluation-harness: acc_norm)."""
        return self.logprob / max(1, self.chars)


def comparable(options: Sequence[Continuation]) -> bool:
    """Is one of them likelier than nothing, and none of them no number (NaN)?"""
    sums = [option.logprob for option in options]
    return not any(map(math.isnan, sums)) and max(sums, default=-math.inf) > -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A model's reply: its text untouched, or the failure that stands in its place.

    `options` are the likelihoods of the prompt's options, in their order, where they were asked
    for; `text` is then the likeliest one. `logprob` and `tokens` are of a generated text, where the
    backend tells them, and `detail` is that text (or the prompt, see `BaseModel.prompt_logprobs`)
    token by token, where that was asked for. `reasoning` is what a model thought aloud, where the
    server keeps it apart. `alternatives` are the further texts of a request for several.
    """

    sample_id: str
    text: str | None = None
    finish_reason: str | None = None
    options: tuple[Continuation, ...] = ()
    logprob: float | None = None
    tokens: int | None = None
    detail: tuple[Token, ...] = ()
    reasoning: str | None = None
    alternatives: tuple[str, ...] = ()
    usage: Usage = Usage()
    failure: Failure | None = None

    @property
    def logits(self) -> dict[str, list[Any]]:
        """The options' likelihoods as columns; JSON-ready, haerae-evaluation-toolkit's name."""
        return {
            "option_log_probs": [o.logprob for o in self.options],
            "option_tokens": [o.tokens for o in self.options],
            "option_chars": [o.chars for o in self.options],
            "option_greedy": [o.greedy for o in self.options],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A judgement. `value` None means not scored, which is never the same as 0.

    `answered` is False when no answer could be read from the reply: that scores 0, and is counted.
    None: the method does not say. `why` is the reason for a score, where a method tells one.
    `measures` are what a method measures besides, by name.
    """

    sample_id: str
    value: float | None
    is_correct: bool = False
    extracted: str | None = None
    answered: bool | None = True
    why: str | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
