"""What a server refuses of a request is left out, or sent otherwise, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from hret_agents.request_params import RequestParams
from llm_eval.errors import BackendError, UserError

OPTIONAL = {"temperature": 0, "response_format": {"type": "json_object"}}


def refusal(message: str, param: str | None = None, **more: Any) -> BackendError:
    """A server's refusal."""
    return BackendError(message, **{"kind": "bad_request", "param": param, **more})


@pytest.mark.parametrize(
    ("error", "kept", "limit"),
    [
        (refusal("temperature does not support 0"), {"response_format"}, "max_tokens"),
        (refusal("no", "response_format"), {"temperature"}, "max_tokens"),
        (refusal("response_format and temperature are unknown"), set(), "max_tokens"),
        (refusal("Extra inputs: 'max_tokens'"), set(OPTIONAL), "max_completion_tokens"),
    ],
)
def test_what_was_refused_is_not_sent_again(
    error: BackendError, kept: set[str], limit: str
) -> None:
    """By the parameter that the server names, or by the words of its message."""
    params = RequestParams(OPTIONAL)
    assert params.adapted(error, {**params.optional, "max_tokens": 900})
    assert set(params.optional) == kept and params.limit(900) == (limit, 900)


@pytest.mark.parametrize(
    "error",
    [
        refusal("max_tokens_to_sample is unknown"),
        refusal("the temperatures of the conversation", "messages"),
        refusal("temperature", kind="server"),
    ],
)
def test_another_refusal_changes_nothing(error: BackendError) -> None:
    """A word in which a parameter's name is hidden is another word."""
    params = RequestParams(OPTIONAL)
    assert not params.adapted(error, {**params.optional, "max_tokens": 900})
    assert params.optional == OPTIONAL and params.limit(900) == ("max_tokens", 900)


def test_a_limit_is_lowered_renamed_and_then_refused() -> None:
    """In this order; requests that were sent before are answered late and change no more."""
    params = RequestParams({})
    large = refusal("max_tokens is too large: at most 600 tokens")
    for _ in range(2):
        assert params.adapted(large, {"max_tokens": 900})
        assert (params.limit(900), params.limit(50)) == (("max_tokens", 600), ("max_tokens", 50))
    unknown = refusal("no such parameter", "max_tokens")
    for _ in range(2):
        assert params.adapted(unknown, {"max_tokens": 600})
        assert params.limit(900) == ("max_completion_tokens", 600)
    with pytest.raises(UserError, match="--max-cost cannot be kept"):
        params.adapted(refusal("", "max_completion_tokens"), {"max_completion_tokens": 600})
