"""A sample's image, as a model wants it: a data URL for a server, pixels for a model in here.

An image is an http(s) URL, a data URL, a path (`file://` too), bytes, a PIL image, or the dict
{"bytes": ..., "path": ...} that datasets has. What is none of them, or holds no image, is a
`BackendError` of kind "bad_request": it costs its own sample.

A server is given an http(s) URL as it stands, and fetches it itself. `pixels` fetches it here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from llm_eval.errors import BackendError, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

MOST = 20 * 2**20  # bytes of an image, which is what APIs take
_WAYS = "an image is a URL, a data URL, a path, bytes or a PIL image"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}


def data_url(image: Any) -> str:
    """The image as an API takes it: an http(s) URL or data URL untouched, all else a data URL.

    Raises:
        BackendError: it is no image, cannot be read, or has more than `MOST` bytes.
    """
    if _is_url(image):
        return str(image)
    data, mime = _read(image)
    if isinstance(image, str) and image.startswith("data:"):
        return image
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def chat_part(image: Any) -> dict[str, Any]:
    """The image as a part of a chat message in OpenAI's shape.

    Raises:
        BackendError: as `data_url`.
    """
    return {"type": "image_url", "image_url": {"url": data_url(image)}}


def pixels(image: Any, *, timeout: float = 30.0) -> Image.Image:
    """The image as PIL has it, loaded, in RGB. An http(s) URL is fetched, in `timeout` seconds.

    Raises:
        BackendError: as `data_url`, or it cannot be fetched or decoded.
        MissingExtra: PIL is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("an image for a model in this process", "hf") from None
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    data = _fetched(str(image), timeout) if _is_url(image) else _read(image)[0]
    try:
        with Image.open(io.BytesIO(data)) as opened:
            return opened.convert("RGB")
    except Exception as e:  # PIL's decoders raise what they like at broken bytes
        raise _bad(f"the image {_name(image)} cannot be decoded ({type(e).__name__})") from None


def digest(image: Any) -> str:
    """A hash of what the image is: of its bytes, of a PIL image's pixels, of a URL's text."""
    if _is_url(image):
        return hashlib.sha256(f"url {image}".encode()).hexdigest()
    if _is_pil(image):
        held = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
        told = f"{held.mode} {held.size} ".encode() + held.tobytes()
        return hashlib.sha256(told).hexdigest()
    return hashlib.sha256(_read(image)[0]).hexdigest()


def sniff(data: bytes) -> str | None:
    """The MIME type that the first bytes tell; None where they are no image's.

    >>> sniff(b"GIF89a...")
    'image/gif'
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC.items() if data.startswith(magic)), None)


def _read(image: Any) -> tuple[bytes, str]:
    """(bytes, MIME type) of an image that is not at an http(s) address."""
    data = _bytes(image)
    if len(data) > MOST:
        raise _bad(
            f"the image {_name(image)} has {len(data):,} bytes, more than the {MOST:,} that APIs "
            "take: make it smaller"
        )
    if (mime := sniff(data)) is None:
        raise _bad(f"{_name(image)} holds no image (PNG, JPEG, GIF, WebP, BMP, TIFF)")
    return data, mime


def _bytes(image: Any) -> bytes:
    if isinstance(image, Mapping) and {"bytes", "path"} & set(image):
        inner = image.get("bytes") if image.get("bytes") is not None else image.get("path")
        return _bytes(inner)
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str) and image.startswith("data:"):
        return _decoded(image)
    if isinstance(image, str | Path) and str(image):
        return _file(image)
    if _is_pil(image):
        kept = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
        out = io.BytesIO()
        (image if kept else image.convert("RGB")).save(out, "PNG")
        return out.getvalue()
    raise _bad(f"{_name(image)} is no image: {_WAYS}")


def _file(image: str | Path) -> bytes:
    text = str(image)
    path = Path(url2pathname(urlsplit(text).path) if text.startswith("file://") else text)
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MOST + 1)
    except (OSError, ValueError, RuntimeError) as e:
        why = getattr(e, "strerror", None) or e
        raise _bad(f"the image {_name(image)} cannot be read: {why}") from None


def _decoded(url: str) -> bytes:
    head, comma, body = url.partition(",")
    try:
        if not comma:
            raise ValueError
        if head.lower().endswith(";base64"):
            return base64.b64decode(unquote_to_bytes(body), validate=True)
        return unquote_to_bytes(body)
    except (ValueError, binascii.Error):
        raise _bad(f"{_name(url)} is no data URL that can be read") from None


def _fetched(url: str, timeout: float) -> bytes:
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=timeout) as reply:  # of http or https alone
            data: bytes = reply.read(MOST + 1)
    except (URLError, OSError, ValueError) as e:
        why = getattr(e, "reason", None) or e
        raise _bad(f"the image {_name(url)} cannot be fetched: {why}") from None
    return _read(data)[0]


def _is_url(image: Any) -> bool:
    return isinstance(image, str) and image.lower().startswith(("http://", "https://"))


def _is_pil(image: Any) -> bool:
    return any(k.__module__ == "PIL.Image" and k.__name__ == "Image" for k in type(image).__mro__)


def _name(image: Any) -> str:
    if isinstance(image, str | Path):
        text = str(image)
        return repr(text if len(text) <= 80 else f"{text[:77]}...")
    return f"a {type(image).__name__}"


def _bad(message: str) -> BackendError:
    return BackendError(message, kind="bad_request")
