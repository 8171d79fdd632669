"""What two requests must share for one reply to answer both, as a hash.

The model with all that decides its replies, and the whole of the prompt. Never the sample: equal
prompts share a reply, unless it is drawn by lot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_eval.records import Prompt

_VERSION = 1  # of what a key is made from: another number, and no older key is found


def canonical(value: Any) -> str:
    """JSON with sorted keys; what JSON does not know is told by its name."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_named
    )


def _named(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    return str(getattr(value, "__qualname__", type(value).__name__))


def content(prompt: Prompt) -> list[Any] | None:
    """All of a prompt that decides its reply; None where an image cannot be told from another."""
    images = [image_key(image) for image in prompt.images]
    if None in images:
        return None
    return [
        prompt.text,
        prompt.options,
        images,
        [dict(m) for m in prompt.messages],
        prompt.token_ids,
        dict(prompt.params),
    ]


def image_key(image: Any) -> str | None:
    """The same for the same picture: an address, or a hash of what is in the file or the object."""
    if isinstance(image, Path) or (isinstance(image, str) and "://" not in image[:20]):
        text = str(image)
        if text.startswith("data:"):
            return text
        try:
            return hashlib.sha256(Path(text).read_bytes()).hexdigest()
        except (OSError, ValueError):  # the backend will say that it is not there
            return text
    if isinstance(image, str):
        return image
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, Mapping):
        return canonical({k: image_key(v) for k, v in image.items()})
    if callable(getattr(image, "tobytes", None)):
        about = f"{getattr(image, 'mode', '')}{getattr(image, 'size', '')}"
        return hashlib.sha256(about.encode() + image.tobytes()).hexdigest()
    return None


class Keys:
    """The keys of one model's replies.

    Args:
        model: its label.
        about: what decides its replies besides the prompt.
        how: "generate", or how options are weighed.
    """

    def __init__(self, model: str, about: Mapping[str, Any], how: str) -> None:
        text = canonical([_VERSION, model, dict(about), how])
        self._hash = hashlib.sha256(text.encode("utf-8", "surrogatepass"))

    def of(self, prompt: Prompt, turn: int, by_lot: bool = False) -> bytes | None:
        """The key of the `turn`th reply to a prompt; `by_lot` where equal prompts differ."""
        told = content(prompt)
        if told is None:
            return None
        found = self._hash.copy()
        text = canonical([*told, turn, prompt.sample_id if by_lot else None])
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()
