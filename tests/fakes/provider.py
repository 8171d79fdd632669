"""What servers of providers have in common that do not speak OpenAI's protocol: on loopback, with
trouble by script, random latency, and a memory of what they were asked. No model is behind them.
"""

import asyncio
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from aiohttp import web

from tests.fakes.chat_protocol import TOKEN, Body, size


class Trouble(NamedTuple):
    """An error to answer with. `kind` is the provider's own name for it."""

    status: int
    message: str
    kind: str = ""
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    """A request as it arrived, keys and all: tests look whether they leave it."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    at: float
    """`time.monotonic()` of its arrival."""


class Denied(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, kind: str = "", **headers: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(status, message, kind, headers)


class ProviderServer:
    """One provider's server, as a context manager. Attributes may be set while it runs.

    A subclass says how its wire looks: `reply`, `error` and `key_of`; and where the key fails.
    """

    def __init__(self, key: str, *, models: tuple[str, ...] = (), latency: float = 0.0) -> None:
        """`latency`: the most seconds a reply takes; each takes some random part of them."""
        self.key, self.models, self.latency = key, models, latency
        self.answer: Callable[[str], str] = lambda text: f"reply to {text}"
        """What the last turn's text is answered."""
        self.script: deque[Trouble | str | None] = deque()
        """What befalls the next requests, in the order of arrival: an error, raw bytes in place of
        the reply, or (None) nothing."""
        self.requests: list[Asked] = []
        self.url = ""
        self._dice = random.Random(0)

    def reply(self, asked: Asked) -> Body:
        """The reply to a good request. Raises `Denied` for one that is not good."""
        raise NotImplementedError

    def error(self, trouble: Trouble) -> Body:
        """An error in this provider's shape."""
        raise NotImplementedError

    def key_of(self, headers: Mapping[str, str]) -> str:
        """The key that a request brings."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = await request.read()
        body = json.loads(raw) if raw else {}
        asked = Asked(request.path, dict(request.query), headers, body, time.monotonic())
        self.requests.append(asked)
        await asyncio.sleep(self._dice.uniform(0, self.latency))
        befalls = self.script.popleft() if self.script else None
        if isinstance(befalls, str):
            return web.Response(text=befalls, content_type="application/json")
        try:
            if self.key_of(headers) != self.key:
                raise Denied(401, f"invalid key {self.key_of(headers)}", "authentication_error")
            if befalls is not None:
                return self._said(befalls)
            return web.json_response(self.reply(asked))
        except Denied as no:
            return self._said(no.trouble)

    def _said(self, trouble: Trouble) -> web.Response:
        return web.json_response(
            self.error(trouble), status=trouble.status, headers=trouble.headers
        )

    def check_model(self, name: str) -> None:
        """Refuse a model that is none of `models`, if there are any."""
        if self.models and name not in self.models:
            raise Denied(404, f"model: {name}", "not_found_error")

    def cut(self, text: str, most: int | None) -> tuple[str, bool]:
        """`text` within so many tokens, and whether it was cut."""
        if most is None or size(text) <= most:
            return text, False
        return text[: TOKEN * most], True


def last_text(messages: list[Body]) -> str:
    """The text of the last turn."""
    content = messages[-1]["content"]
    parts = content if isinstance(content, list) else [{"text": content}]
    return "".join(str(part.get("text", "")) for part in parts)


def identity() -> str:
    """An id that no other reply has."""
    return f"fake-{time.monotonic_ns()}"


def tokens_in(messages: Any) -> int:
    """How many tokens a conversation has."""
    return size(json.dumps(messages, ensure_ascii=False))
