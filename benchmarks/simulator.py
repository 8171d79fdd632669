"""A simulated OpenAI-compatible chat server: S slots, exact in time, cheap enough to measure by.

`python -m benchmarks.simulator --slots 32 --rate 50 --first-token 0.2` prints its address and
serves until it is stopped; `Simulator(...)` runs the same as a child process. A request holds a
slot for `first_token + reply tokens / rate` seconds, a token being three characters; beyond S
requests it queues, first come first served, and never refuses because of load. When a slot is free
again is computed from the slot's own timeline: a late timer delays one reply and nothing after it.

It transliterates as `tests.fakes.translit` does, so that every row can be proved right. A client
that hangs up keeps its slot to the end, as on a server that does not notice.

With `per_second`, more accepted requests than that in any window of one second are answered 429;
those refused do not count. `Retry-After` is in whole seconds, rounded up (RFC 9110), and unless
`whole_seconds` is set `retry-after-ms` beside it says it exactly, as OpenAI does.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import re
import subprocess
import sys
import urllib.request
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.fakes.chat_protocol import TOKEN, dumped, models_reply, size
from tests.fakes.translit import asked, forward, text_of, translated

ROOT = Path(__file__).resolve().parents[1]
MODEL = "sim"
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


class Slots:
    """When each request starts and ends, on S slots of `rate` tokens a second (inf: at once)."""

    def __init__(self, slots: int, rate: float, first_token: float) -> None:
        self._free = [-math.inf] * slots
        self._rate, self._first_token = rate, first_token

    def book(self, now: float, tokens: int) -> tuple[float, float]:
        """(start, end) of a request that came at `now`; calls must come in order of arrival.

        >>> slots = Slots(1, rate=50, first_token=0.5)
        >>> slots.book(10.0, 100), slots.book(11.0, 50)
        ((10.0, 12.5), (12.5, 14.0))
        """
        start = max(now, self._free[0])
        end = start + self._first_token + tokens / self._rate
        heapq.heapreplace(self._free, end)
        return start, end


class Window:
    """At most `cap` requests in any window of one second."""

    def __init__(self, cap: int) -> None:
        self._times: deque[float] = deque(maxlen=cap)

    def wait(self, now: float) -> float:
        """Seconds until a request would be let in; 0.0: it is let in now, and counted.

        >>> window = Window(1)
        >>> window.wait(5.0), window.wait(5.25), window.wait(6.0)
        (0.0, 0.75, 0.0)
        """
        full = len(self._times) == self._times.maxlen
        if full and (left := self._times[0] + 1.0 - now) > 0:
            return left
        self._times.append(now)
        return 0.0


@dataclass
class Stats:
    """What a simulator has seen since it started or was reset. Times are its own clock's seconds.

    Characters are those of the cells alone: `source_chars` of those asked for, `cell_chars` of
    those in the replies; tokens are counted as the server bills them. `peak` is the most requests
    under way at once, those queued included. `per_second` counts accepted requests. `system` is
    the first system message that came. Status 499 is a client that had hung up.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rows: int = 0
    source_chars: int = 0
    cell_chars: int = 0
    model_lists: int = 0
    busy: float = 0.0
    queued: float = 0.0
    under_way: int = 0
    peak: int = 0
    first_asked: float | None = None
    last_asked: float = 0.0
    last_answered: float = 0.0
    per_second: list[int] = field(default_factory=list)
    system: str = ""

    @property
    def requests(self) -> int:
        """Chat requests accepted."""
        return self.statuses.get("200", 0) + self.statuses.get("499", 0) + self.under_way

    @property
    def wall(self) -> float:
        """Seconds from the first request to the last reply."""
        return 0.0 if self.first_asked is None else self.last_answered - self.first_asked

    def accepted(self, now: float, start: float, end: float) -> None:
        """Count a request that came at `now` and holds its slot from `start` to `end`."""
        self.busy += end - start
        self.queued += start - now
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        self.first_asked = now if self.first_asked is None else self.first_asked
        self.last_asked = now
        second = int(now - self.first_asked)
        self.per_second += [0] * (second + 1 - len(self.per_second))
        self.per_second[second] += 1

    def answered(self, status: int, now: float) -> None:
        """Count the reply to an accepted request."""
        self.under_way -= 1
        self.last_answered = now
        self.count(status)

    def count(self, status: int) -> None:
        """Count a reply by its status."""
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1


class _Server:
    """The routes, over one timeline of slots."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.slots = Slots(options.slots, options.rate, options.first_token)
        self.window = Window(options.per_second) if options.per_second else None
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.stats = Stats()
        self.asked: list[list[str]] = []

    def take(self, line: _Line, arrived: float, method: bytes, path: bytes, body: bytes) -> None:
        """Answer a request, now or when its slot has written the reply."""
        match method, path.rpartition(b"/")[2]:
            case b"POST", b"completions":
                self._chat(line, arrived, body)
            case b"GET", b"models":
                self.stats.model_lists += 1
                line.send(200, models_reply([MODEL]))
            case b"GET", b"stats":
                line.send(200, asdict(self.stats))
            case b"GET", b"asked":
                line.send(200, self.asked)
            case b"POST", b"reset":
                self.stats, self.asked = Stats(), []
                line.send(200, {})
            case _:
                line.send(404, _error("no such page"))

    def _chat(self, line: _Line, arrived: float, body: bytes) -> None:
        if self.window and (wait := self.window.wait(arrived)):
            self.stats.count(429)
            line.send(429, _error("too many requests in this second"), self._retry(wait))
            return
        try:
            said = json.loads(body)
            messages = [dict(message) for message in said["messages"]]
            last = text_of(messages[-1]["content"])
        except (ValueError, KeyError, TypeError, IndexError):
            self.stats.count(400)
            line.send(400, _error("a chat request has 'messages'"))
            return
        content, finish = self._content(messages, last), "stop"
        if (most := said.get("max_completion_tokens") or said.get("max_tokens")) and (
            size(content) > most
        ):
            content, finish = content[: most * TOKEN], "length"
        given = sum(size(text_of(m.get("content"))) for m in messages)
        made = size(content)
        stats = self.stats
        stats.prompt_tokens += given
        stats.completion_tokens += made
        stats.system = stats.system or text_of(messages[0].get("content"))
        start, end = self.slots.book(arrived, made)
        stats.accepted(arrived, start, end)
        reply = _reply(content, finish, given, made)

        def answer() -> None:
            sent = line.send(200, reply)
            stats.answered(200 if sent else 499, self.loop.time())

        if end > self.loop.time():
            self.loop.call_at(end, answer)
        else:
            answer()

    def _content(self, messages: list[dict[str, Any]], last: str) -> str:
        """The reply's text: rows for rows, a transliteration of the `last` message otherwise."""
        rows = asked(messages)
        if rows is None:
            self._count([[last]], len(last))
            return forward(last)
        made = translated(rows)
        self._count([row["t"] for row in rows], sum(len(t) for row in made for t in row["t"]))
        return dumped({"rows": made})

    def _count(self, sources: list[list[str]], made: int) -> None:
        self.stats.rows += len(sources)
        self.stats.source_chars += sum(len(text) for row in sources for text in row)
        self.stats.cell_chars += made
        if self.options.record:
            self.asked += sources

    def _retry(self, wait: float) -> str:
        exact = (
            "" if self.options.whole_seconds else f"retry-after-ms: {math.ceil(wait * 1000)}\r\n"
        )
        return f"Retry-After: {math.ceil(wait)}\r\n{exact}"


def _reply(content: str, finish: str, given: int, made: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "sim",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
        },
    }


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


class _Line(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection, one request at a time (no pipelining, no chunks)."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._body = self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Note the time at once; the work waits until every connection has had its time noted."""
        arrived = self._server.loop.time()
        self._buffer += data
        if not self._end:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head)
            self._body = head + 4
            self._end = self._body + (int(length[1]) if length else 0)
        if len(self._buffer) < self._end:
            return
        method, path, _ = self._buffer[: self._body].split(b" ", 2)
        body = bytes(self._buffer[self._body : self._end])
        del self._buffer[: self._end]
        self._end = 0
        self._server.loop.call_soon(
            self._server.take, self, arrived, bytes(method), bytes(path), body
        )

    def send(self, status: int, reply: Any, headers: str = "") -> bool:
        """Write a reply; False if the client has gone."""
        if self._transport.is_closing():
            return False
        body = dumped(reply).encode(errors="replace")  # half a character has no UTF-8
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return True


async def _serve(options: argparse.Namespace) -> None:
    server = _Server(options)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: _Line(server), "127.0.0.1", options.port, backlog=4096
    )
    port = listening.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await listening.serve_forever()


@dataclass
class Simulator:
    """A simulator in a process of its own, for a `with` block. The arguments are the options'."""

    slots: int = 32
    rate: float = 50.0
    first_token: float = 0.2
    per_second: int = 0
    whole_seconds: bool = False
    record: bool = False
    url: str = field(default="", init=False)

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        options = [
            *(f"--{name}={getattr(self, name.replace('-', '_'))}" for name in _NUMBERS),
            *(f"--{name}" for name in _FLAGS if getattr(self, name.replace("-", "_"))),
        ]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.simulator", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the simulator did not start (status {self._child.wait()})")
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self._child.terminate()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    def stats(self) -> Stats:
        """What it has seen so far."""
        return Stats(**self._ask("stats"))

    def asked(self) -> list[list[str]]:
        """The texts of each row asked for, in order; needs `record`."""
        rows: list[list[str]] = self._ask("asked")
        return rows

    def reset(self) -> None:
        """Forget what was counted; the slots stay as busy as they are."""
        self._ask("reset", data=b"")

    def _ask(self, page: str, data: bytes | None = None) -> Any:
        address = f"{self.url.removesuffix('/v1')}/{page}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            address, data
        ) as reply:
            return json.load(reply)


_NUMBERS: dict[str, tuple[Callable[[str], float], float]] = {
    "slots": (int, 32),
    "rate": (float, 50.0),
    "first-token": (float, 0.2),
    "per-second": (int, 0),
}
_FLAGS = ("whole-seconds", "record")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=0)
    for name, (kind, default) in _NUMBERS.items():
        parser.add_argument(f"--{name}", type=kind, default=default)
    for name in _FLAGS:
        parser.add_argument(f"--{name}", action="store_true")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
