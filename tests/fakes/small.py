"""A small server on loopback: JSON in, JSON out, a thread a connection, and what it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.fakes.chat_http import parsed
from tests.fakes.chat_protocol import Body, Refused


class SmallServer:
    """Subclasses write `answer`. Use it in a `with` block; `url` ends in /v1."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        """Path and body of each request."""
        self._crashes: list[Exception] = []

    def answer(self, method: str, path: str, body: Any) -> Body:
        """The reply to a request; raises `Refused`."""
        raise NotImplementedError

    def bodies(self, path: str) -> list[Any]:
        """The bodies that came to a path."""
        return [body for asked, body in self.asked if asked == path]

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        if self._crashes and kind is None:
            raise self._crashes[0]

    def _reply(self, method: str, path: str, raw: bytes) -> tuple[int, Body]:
        body = parsed(raw)
        self.asked.append((path, body))
        try:
            return 200, self.answer(method, path, body)
        except Refused as no:
            return no.status, no.body
        except Exception as crash:  # a bug in the fake must fail its test
            self._crashes.append(crash)
            return 500, {"error": repr(crash)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, reply = server._reply(self.command, self.path, raw)
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
