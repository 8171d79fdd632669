"""The conversation that a prompt is; every backend builds it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llm_eval.errors import BackendError
from llm_eval.records import Prompt


def image_part(image: Any) -> dict[str, Any]:
    """An image as a part of a message, for a model in this process."""
    return {"type": "image", "image": image}


def turns(
    prompt: Prompt,
    system_message: str | None,
    part: Callable[[Any], Mapping[str, Any]] = image_part,
) -> list[dict[str, Any]]:
    """Its messages, or its text as a user's turn; the messages are copies.

    The images of the prompt stand before what the user says last, each as the `part` that it is
    made into. The system message begins the conversation, unless a turn of the system or the
    developer does.

    Raises:
        BackendError: there are images, and no turn of the user to put them into.
    """
    said = [dict(m) for m in prompt.messages] or [{"role": "user", "content": prompt.text}]
    if prompt.images:
        last = next((m for m in reversed(said) if m.get("role") == "user"), None)
        if last is None:
            raise BackendError(
                "the prompt has images and no message of the user to put them into",
                kind="bad_request",
            )
        content = last.get("content") or []
        texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        last["content"] = [*map(part, prompt.images), *texts]
    if system_message and said[0].get("role") not in ("system", "developer"):
        said.insert(0, {"role": "system", "content": system_message})
    return said
