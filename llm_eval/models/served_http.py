"""A backend over HTTP, as OpenAI's API: what `hret serve` runs.

GET  /health               is it there? Needs no key.
GET  /v1/models            the one model, by each of its names; `root` is another for other weights
POST /v1/chat/completions  a conversation; `stream` sends the whole reply, once it is there
POST /v1/completions       texts or token ids; `echo` with `logprobs` tells those of a prompt
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_eval.errors import BackendError, HretError, UserError
from llm_eval.models.served import Served
from llm_eval.models.served_asks import CHAT, COMPLETIONS, flag
from llm_eval.models.served_replies import error_body, failed, models_body, root_of
from llm_eval.secret import Secret

if TYPE_CHECKING:
    from aiohttp import web

LARGEST = 64 * 2**20  # bytes of a request
PATIENCE = 3600.0  # seconds that what is in flight has when the server ends
Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The server's parts. `names` are what requests may call the model; `key` is asked of all."""

    served: Served
    names: tuple[str, ...]
    key: Secret | None = None

    def application(self) -> web.Application:
        """The application, for aiohttp to run."""
        from aiohttp import web

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app = web.Application(client_max_size=LARGEST, middlewares=[guarded])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._models)
        app.router.add_post(f"/v1{CHAT}", self._post)
        app.router.add_post(f"/v1{COMPLETIONS}", self._post)
        return app

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The key is asked for; whatever goes wrong is an error in OpenAI's shape."""
        from aiohttp import web

        if self.key is None and (said := _stranger(request.headers)):
            return web.json_response(failed(said), status=403)
        if request.path != "/health" and not self._has_key(request):
            said = "an API key is needed: Authorization: Bearer KEY, and this is not the one"
            return web.json_response(failed(said, code="invalid_api_key"), status=401)
        try:
            return await handler(request)
        except web.HTTPException as e:
            said = f"{request.method} {request.path}: {e.reason}"
            return web.json_response(failed(said), status=e.status)
        except HretError as e:
            status, body = error_body(e)
            return web.json_response(body, status=status)
        except Exception as e:  # a bug of ours, or of a backend; the others are still served
            traceback.print_exception(e, file=sys.stderr)
            said = f"internal error: {type(e).__name__}"
            return web.json_response(failed(said, kind="server_error"), status=500)

    def _has_key(self, request: web.Request) -> bool:
        if self.key is None:
            return True
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), self.key.reveal().encode()
        )
        return right and kind.lower() == "bearer"

    async def _health(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        return web.json_response({"status": "ok", "model": self.names[0]})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        named = request.match_info.get("name")
        self._named(named)
        root = await asyncio.to_thread(root_of, self.served.model)
        body = models_body((named,) if named else self.names, root)
        return web.json_response(body["data"][0] if named else body)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        if request.content_type != "application/json":
            raise BackendError(
                f"the body is {request.content_type}: send Content-Type: application/json",
                kind="bad_request",
                status=415,
            )
        payload = _parsed(await request.read())
        self._named(payload.get("model"))
        path = request.path.removeprefix("/v1")
        stream, options = flag(payload, "stream"), payload.get("stream_options")
        told = isinstance(options, dict) and flag(options, "include_usage")
        body = {**await self.served.post(path, payload), "model": self.names[0]}
        if not stream:
            return web.json_response(body, dumps=_dumped)
        reply = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await reply.prepare(request)
        for chunk in chunks(body, told):
            await reply.write(f"data: {_dumped(chunk)}\n\n".encode())
        await reply.write(b"data: [DONE]\n\n")
        await reply.write_eof()
        return reply

    def _named(self, name: Any) -> None:
        """A request that asks for another model is not answered by this one."""
        if name is not None and name not in self.names:
            raise BackendError(
                f"the model {str(name)[:200]!r} is not served here; {self.names[0]!r} is",
                kind="bad_request",
                status=404,
                param="model",
            )


def _stranger(headers: Mapping[str, str]) -> str:
    """Why a request may be a web page's, which no server without a key answers; "" where not.

    A page names itself in Origin; one whose own name was turned to this machine, in Host.
    """
    origin, host = headers.get("Origin"), headers.get("Host")
    if origin is not None and not _is_loopback(origin.partition("://")[2]):
        said = f"the web page {origin[:200]!r} may not ask this server"
    elif host is not None and not _is_loopback(host):
        said = f"this server is not {host[:200]!r}: it answers to localhost and 127.0.0.1"
    else:
        return ""
    return f"{said}; one with a key (HRET_SERVE_KEY) answers whoever has it"


def _is_loopback(place: str) -> bool:
    """Is `place` (host:port) this machine, by its name or by its address?

    >>> [_is_loopback(p) for p in ("localhost:1", "127.0.0.1", "[::1]:80", "h.example", "", "[")]
    [True, True, True, False, False, False]
    """
    try:
        name = (urlsplit(f"//{place}").hostname or "").removesuffix(".")
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def chunks(body: Mapping[str, Any], usage: bool) -> list[dict[str, Any]]:
    """A reply as the events of a stream: each choice whole, then its end; at last the usage."""
    frame = {k: body[k] for k in ("id", "created", "model")}
    chat = body["object"] == "chat.completion"
    frame["object"] = "chat.completion.chunk" if chat else "text_completion"
    events = []
    for choice in body["choices"]:
        index, end = choice["index"], choice["finish_reason"]
        if chat:
            message = {k: v for k, v in choice["message"].items() if v is not None}
            said = {"delta": message, "logprobs": choice["logprobs"]}
            events.append({"index": index, **said, "finish_reason": None})
            events.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": end})
        else:
            events.append(choice)
    found = [{**frame, "choices": [event]} for event in events]
    return [*found, {**frame, "choices": [], "usage": body["usage"]}] if usage else found


@asynccontextmanager
async def listening(app: App, sock: socket.socket) -> AsyncIterator[None]:
    """The server at a bound socket, while the block runs. What is in flight then is answered."""
    from aiohttp import web

    runner = web.AppRunner(
        app.application(), access_log=None, handler_cancellation=True, shutdown_timeout=PATIENCE
    )
    await runner.setup()
    try:
        try:
            await web.SockSite(runner, sock, backlog=1024).start()
        except OSError as e:  # of two that had bound it, another one was first
            name = sock.getsockname()
            raise _taken(name[0], name[1], e) from None
        yield
    finally:
        await runner.cleanup()


def bound(host: str, port: int, *, key: bool) -> socket.socket:
    """A socket at an address, not listened at yet.

    Raises:
        UserError: there is no such address, it is taken, or others may reach it and there is no
            `key`.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as e:
        raise UserError(
            f"{host!r} is no address of this machine: {e}", hint="--host 127.0.0.1"
        ) from None
    if not ipaddress.ip_address(address[0]).is_loopback and not key:
        raise UserError(
            f"other machines may reach {host}, and there is no key",
            hint="set HRET_SERVE_KEY (or --api-key), or serve this machine alone: no --host",
        )
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as e:
        sock.close()
        raise _taken(host, port, e) from None
    return sock


def _taken(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"{host}:{port} cannot be listened at: {error.strerror or error}",
        hint="is another server there? Pass another --port; 0 takes any that is free",
    )


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(raw)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise BackendError("the body is no JSON object", kind="bad_request", status=400)
    return payload


def _dumped(value: Any) -> str:
    """JSON without the numbers that it has not: a log-probability of minus infinity is large."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(_finite(value), allow_nan=False)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return max(-1e9, min(1e9, value)) if value == value else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value
