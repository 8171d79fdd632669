"""What is common to fake servers: a request's body, its headers without keys, a broken reply."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

KEYS = {"authorization", "api-key", "x-api-key"}


def parsed(raw: bytes) -> Any:
    """The JSON in a body; its text where it is none."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name, keys replaced by a hash."""
    shown = {name.lower(): value for name, value in headers.items()}
    for name in KEYS & set(shown):
        shown[name] = f"sha256:{hashlib.sha256(shown[name].encode()).hexdigest()[:12]}"
    return shown


async def broken_off(
    request: web.Request, payload: Mapping[str, Any] | bytes, midway: bool
) -> web.StreamResponse:
    """Close the connection before the first byte of the reply, or after half of its body."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    length = str(len(data))
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": length}
    )
    if midway:
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
