"""A reply as LiteLLM hands it on, read: what it hides or makes up is put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_eval.errors import BackendError
from llm_eval.models.openai_wire import BROKE_OFF, bad, decode
from llm_eval.records import Prediction

_REASON_LOST = ("cohere",)  # always "stop", whatever the provider said


def prediction_of(
    sample_id: str, body: Mapping[str, Any], asked: Mapping[str, Any], provider: str
) -> Prediction:
    """The prediction in `body`, the reply in OpenAI's shape to the request `asked`.

    Raises:
        BackendError: nothing usable, fewer texts than were asked for, or a reply that broke off.
    """
    choices = body.get("choices") or []
    wanted = asked.get("n") or 1
    if len(choices) < wanted:
        said = f"{provider} sent {len(choices)} of the {wanted} replies asked for"
        raise bad(said)
    for choice in choices:
        told = (choice.get("provider_specific_fields") or {}).get("native_finish_reason")
        if str(told).lower() in BROKE_OFF:
            said = f"{provider} broke the reply off: {told}"
            raise BackendError(said, kind="server", sent=True)
    found = decode(sample_id, body)
    if found.finish_reason == "refusal":
        return found
    if asked.get("logprobs") and found.text and not found.detail:
        raise bad(f"{provider} told no log-probabilities of the reply (logprobs)")
    if provider in _REASON_LOST:
        most = asked.get("max_tokens") or asked.get("max_completion_tokens")
        full = most is not None and found.usage.completion_tokens >= most
        found = replace(found, finish_reason="length" if full else None)
    return found
