"""What two requests must share for one reply to answer both, as a hash.

The model with all that decides its replies, and the whole of the prompt. Never the sample: equal
prompts share a reply, unless it is drawn by lot. What cannot be told from its like has no key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_eval.errors import BackendError
from llm_eval.models import images
from llm_eval.records import Prompt

_VERSION = 3  # of what a key is made from: another number, and no older key is found
_PICTURES = frozenset({"image", "images", "image_url", "input_image"})
_ORIENTATION = 0x0112  # in EXIF: a server may turn the picture by it


class Untold(Exception):
    """A value of a kind that cannot be told from another of its kind."""


def canonical(value: Any) -> str:
    """JSON with sorted keys, of what `told` gives."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def told(value: Any, strict: bool = True) -> Any:
    """`value` as JSON can hold it, equal for equal content: bytes and pictures by a hash of theirs.

    Raises:
        Untold: `strict`, and something in it is of a kind that is not known. Else it is told by
            what it holds.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return _mapping(value, strict)
    if isinstance(value, list | tuple):
        return [told(v, strict) for v in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted(canonical(told(v, strict)) for v in value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Path):
        return str(value)
    if _is_picture(value):
        return {"pixels": _pixels(value)}
    if strict:
        raise Untold(type(value).__name__)
    return _held(value)


def _mapping(value: Mapping[Any, Any], strict: bool) -> Any:
    """Names in any order. Where one is no text, each stands with its kind: 1 is not "1"."""
    pairs = {name: _member(name, below, strict) for name, below in value.items()}
    if all(isinstance(name, str) for name in pairs):
        return pairs
    return {"pairs": sorted([repr(name), canonical(below)] for name, below in pairs.items())}


def _member(name: Any, value: Any, strict: bool) -> Any:
    if name not in _PICTURES or value is None or isinstance(value, int | float):
        return told(value, strict)
    if isinstance(value, list | tuple):
        return [_member(name, each, strict) for each in value]
    if isinstance(value, Mapping) and "url" in value:
        rest = {n: told(v, strict) for n, v in value.items() if n != "url"}
        return {**rest, "url": _member(name, value["url"], strict)}
    found = image_key(value)
    if found is None:
        if strict:
            raise Untold("image")
        return told(value, strict=False)
    return {"image": found}


def _held(value: Any) -> Any:
    """What an object of an unknown kind holds; its class alone where nothing is to be seen."""
    kind = type(value).__qualname__
    if callable(getattr(value, "tobytes", None)):
        shape = f"{getattr(value, 'dtype', '')}{getattr(value, 'shape', '')}"
        return {kind: [shape, hashlib.sha256(value.tobytes()).hexdigest()]}
    if " at 0x" not in (said := repr(value)):  # an address differs from run to run
        return {kind: said}
    held = sorted((name, repr(below)) for name, below in getattr(value, "__dict__", {}).items())
    return {kind: [f"{name}={said}" for name, said in held if " at 0x" not in said]}


def content(prompt: Prompt, strict: bool = True) -> list[Any] | None:
    """All of a prompt that decides its reply, besides its turn; None where it cannot be told."""
    try:
        return [
            prompt.text,
            prompt.options,
            _member("images", prompt.images, strict),
            _member("messages", prompt.messages, strict),
            prompt.token_ids,
            told(prompt.params, strict),
        ]
    except Untold:
        return None


def image_key(image: Any) -> str | None:
    """The same for the same picture: a hash of its bytes or pixels, or of its address on the web.

    None where it cannot be read; a backend then refuses it too.
    """
    if _is_picture(image):
        return _pixels(image)
    try:
        if isinstance(image, Mapping) and _is_picture(image.get("bytes")):
            return _pixels(image["bytes"])
        return images.digest(image)
    except BackendError:
        return None


def _is_picture(value: Any) -> bool:
    return any(k.__module__ == "PIL.Image" and k.__name__ == "Image" for k in type(value).__mro__)


def _pixels(image: Any) -> str:
    """A hash of a PIL image: its pixels as they stand, and as a palette colours them."""
    digest = hashlib.sha256(f"{image.mode} {image.size} ".encode())
    digest.update(f"{image.getexif().get(_ORIENTATION)} ".encode())
    digest.update(image.tobytes())
    if image.mode in ("P", "PA") or "transparency" in image.info:
        digest.update(image.convert("RGBA").tobytes())
    return digest.hexdigest()


class Keys:
    """The keys of one model's replies.

    Args:
        model: its label.
        about: what decides its replies besides the prompt.
        how: "generate", or how options are weighed.

    Raises:
        Untold: `about` holds what cannot be told from its like.
    """

    def __init__(self, model: str, about: Mapping[str, Any], how: str) -> None:
        text = canonical([_VERSION, model, told(about), how])
        self._hash = hashlib.sha256(text.encode("utf-8", "surrogatepass"))

    def of(self, prompt: Prompt, by_lot: bool = False) -> bytes | None:
        """The key of the reply to a prompt in its turn; `by_lot` where equal prompts differ."""
        asked = content(prompt)
        if asked is None:
            return None
        found = self._hash.copy()
        text = canonical([*asked, prompt.turn, prompt.sample_id if by_lot else None])
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()
