"""Servers that are no model, and the shortest ways to ask one, for the tests of the transport."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from llm_eval.models.transport import Endpoint, Transport
from llm_eval.records import Usage

CHAT = "/chat/completions"
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "2+2?"}]}
GOOD = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "usage": {}}


class Answer(NamedTuple):
    """What a raw server says."""

    status: int
    body: str
    headers: Mapping[str, str] = {}


class RawServer:
    """Says what a test tells it to, byte for byte; the last answer is said again and again.

    `seen` are the path and the headers (by lower-case name) of each request.
    """

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.asked = url, [Answer(200, json.dumps(GOOD))], 0
        self.seen: list[tuple[str, dict[str, str]]] = []

    def next(self) -> Answer:
        """The answer to the next request."""
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """A raw server that runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            answer = server.next()
            data = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_CONNECT = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = RawServer(f"http://127.0.0.1:{http.server_port}/v1")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield server
        http.shutdown()
        thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def opened(url: str, **changes: Any) -> AsyncIterator[Transport]:
    """A transport with short pauses, closed afterwards."""
    transport = Transport(Endpoint(**{"base_url": url, "backoff": 0.001, **changes}))
    try:
        yield transport
    finally:
        await transport.close()


def post(
    url: str, payload: Mapping[str, Any] = PLAIN, *, within: float = 60, **changes: Any
) -> Mapping[str, Any]:
    """The reply to one post, or its error."""

    async def work() -> Mapping[str, Any]:
        async with opened(url, **changes) as transport:
            return await asyncio.wait_for(transport.post(CHAT, payload), within)

    return asyncio.run(work())


def many(url: str, number: int, **changes: Any) -> tuple[list[Any], Usage]:
    """The replies (or errors) to so many different posts at once, and what was spent."""

    async def work() -> tuple[list[Any], Usage]:
        async with opened(url, **changes) as transport:
            asks = (transport.post(CHAT, asking(f"question {i}")) for i in range(number))
            return await asyncio.gather(*asks, return_exceptions=True), transport.usage

    return asyncio.run(work())


def check(url: str, **changes: Any) -> None:
    """Check an endpoint."""

    async def work() -> None:
        async with opened(url, **changes) as transport:
            await transport.check()

    asyncio.run(work())


def asking(text: str) -> dict[str, Any]:
    """A chat request with one message."""
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def said(body: Mapping[str, Any]) -> str:
    """The text of a reply."""
    text: str = body["choices"][0]["message"]["content"]
    return text


def shown(error: BaseException) -> str:
    """What a traceback prints of an error and of those behind it."""
    found = traceback.TracebackException.from_exception(error)
    return "".join(found.format_exception_only()) + f"{error.__cause__} {error.__context__}"
