"""A server that speaks OpenAI's protocol on loopback, for tests and benchmarks.

It translates (a user message that is JSON with `rows`), answers anything else as the test tells it
to, scores prompts, misbehaves on demand, and remembers what it was asked. No model is behind it.

    with ChatServer(key="sk-test") as chat:
        chat.script(Fault.rate_limit, None)
        client = OpenAI(base_url=chat.url, api_key="sk-test")

`python -m tests.fakes.chat --port 8080` serves until interrupted.
"""

import argparse
import asyncio
import hashlib
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from tests.fakes import chat_protocol as protocol
from tests.fakes.chat_batch import CHAT, Batches
from tests.fakes.chat_http import broken_off, parsed, redacted
from tests.fakes.chat_protocol import Ask, Body, Refused, Scored
from tests.fakes.chat_rules import Bend, Rule
from tests.fakes.faults import (
    ALL,
    Fault,
    FaultPlan,
    bend_reply,
    bend_rows,
    bend_text,
    fits,
    too_many,
)
from tests.fakes.translit import asked, terms_asked, translated

__all__ = ["ALL", "ChatServer", "Fault", "Record", "hashed_logprob"]

SENTENCE = "네, 알겠습니다. 정답은 4입니다."


@dataclass(slots=True)
class Record:
    """One request as it arrived, and what became of it."""

    path: str
    body: Any
    """The parsed JSON; the text where it is not JSON."""
    headers: dict[str, str]
    """By lower-case name. A key is replaced by a hash of it."""
    start: float
    """Both times are `time.monotonic()`."""
    end: float | None = None
    status: int | None = None
    """None until it is answered, and for ever when the connection broke."""
    fault: Fault | None = None
    """The fault that was served, if one was."""


def hashed_logprob(prefix: str, token: str) -> float:
    """A log-prob between -10 and 0 that depends on nothing but the two texts."""
    text = f"{prefix}\0{token}".encode("utf-8", "surrogatepass")
    lot = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest())
    return -round(0.01 + 9.98 * lot / 2**32, 6)


class ChatServer:
    """The server, as a context manager. Its public attributes may be set while it runs."""

    def __init__(
        self,
        *,
        key: str | None = None,
        models: Sequence[str] = ("fake-translator",),
        strict_models: bool = False,
        structured: bool = True,
        echo: bool = True,
        lang: str = "ko",
        fault_rate: float = 0.0,
        seed: int = 0,
        faults: Sequence[Fault] = ALL,
        slow_seconds: float = 0.2,
        retry_after: float = 0.05,
        slots: int | None = None,
        slot_rate: float | None = None,
        rate_cap: int | None = None,
        port: int = 0,
    ) -> None:
        """At most `slots` requests are worked on at once, each at `slot_rate` tokens a second; the
        others queue. Beyond `rate_cap` requests a second the answer is 429."""
        self.key, self.models, self.strict_models = key, list(models), strict_models
        self.structured, self.echo, self.lang = structured, echo, lang
        self.slow_seconds, self.retry_after = slow_seconds, retry_after
        self.slot_rate, self.rate_cap, self.port, self.url = slot_rate, rate_cap, port, ""
        self.answer: Callable[[list[Body]], str | Body] = lambda messages: SENTENCE
        """What a chat that is no translation is answered; called once per choice."""
        self.complete: Callable[[str], str] = lambda prompt: SENTENCE
        """How /v1/completions goes on after a prompt; called once per choice."""
        self.logprob: Callable[[str, str], float] = hashed_logprob
        """The log-prob of a token after a prefix."""
        self.candidates: Sequence[str] = "ABCDEFGHIJ0123456789"
        """The tokens that top_logprobs chooses from, besides the one in the reply."""
        self.batches = Batches(self._batched, self._answered)
        """The files and batches; see `chat_batch`."""
        self.root: str | None = None
        """What the model list says that its models were loaded from, as vLLM does."""
        self.rules: list[Rule] = []
        """What is refused beyond what OpenAI refuses; see `chat_rules`."""
        self.bends: list[Bend] = []
        """How replies differ from OpenAI's; see `chat_rules`."""
        self.longest: int | None = None
        """The model's output limit: a longer reply is cut after so many tokens."""
        self.obeys = True
        """Does the model translate terms as the request says?"""
        self.peak = 0
        """The most requests in flight at once, those that queue included. A reply that takes no
        time (no `held`, `slow` or `slot_rate`) overlaps with no other."""
        self._plan = FaultPlan(fault_rate, seed, faults)
        self._slots: AbstractAsyncContextManager[None, bool | None] = (
            nullcontext() if slots is None else asyncio.Semaphore(slots)
        )
        self._gate = asyncio.Event()
        self._gate.set()
        self._passes = 0
        self._recent: deque[float] = deque()
        self._records: list[Record] = []
        self._in_flight = 0
        self._crashes: list[Exception] = []

    def script(self, *faults: Fault | None) -> None:
        """The faults of the next (chat) completions, in arrival order; None is a good reply."""
        self._plan.script.extend(faults)

    @property
    def requests(self) -> list[Record]:
        return list(self._records)

    def count(self, endpoint: str = "chat/completions") -> int:
        """How many requests an endpoint had."""
        return sum(record.path == f"/v1/{endpoint}" for record in self.requests)

    def sources(self, *, answered: bool = False, batched: bool = False) -> Counter[str]:
        """How often each text was sent for translation; `answered`: and replied to with a 200.

        `batched`: what batches hold counts too.
        """
        seen: Counter[str] = Counter()
        for record in [*self.requests, *(self.batches.requests if batched else ())]:
            if record.path == CHAT and (record.status == 200 or not answered):
                with suppress(Refused):
                    rows = asked(protocol.messages_of(record.body)) or ()
                    seen.update(text for row in rows for text in row["t"])
        return seen

    def reset(self) -> None:
        """Forget the requests, the peak, the script and how often each body was seen."""
        self._records.clear()
        self._recent.clear()
        self._plan.reset()
        self.batches.reset()
        self.peak = self._in_flight

    @contextmanager
    def held(self, after: int = 0) -> Iterator[None]:
        """While the block runs, `after` (chat) completions are answered; others arrive and wait."""
        self._passes = after
        self._gate.clear()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._gate.set)

    def __enter__(self) -> Self:
        sock = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(sock), self._loop).result()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._crashes and kind is None:
            raise self._crashes[0]

    async def _start(self, sock: socket.socket) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.SockSite(self._runner, sock, backlog=1024).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        start = time.monotonic()
        upload = request.content_type == "multipart/form-data"
        raw = b"" if upload else await request.read()
        record = Record(request.path, parsed(raw), redacted(request.headers), start)
        self._records.append(record)
        headers: Mapping[str, str] = {}
        payload: Body | bytes
        midway = False
        with self._flight(record):
            try:
                self._check_key(request.headers.get("Authorization"))
                if request.path.startswith(("/v1/files", "/v1/batches")):
                    payload = await self.batches.handle(request, record)
                    midway = isinstance(payload, bytes)
                else:
                    payload, midway = await self._route(request.method, record)
                status = 200
            except Refused as no:
                status, payload, headers = no.status, no.body, no.headers
            except Exception as crash:  # a bug in what a test plugged in must fail that test
                self._crashes.append(crash)
                status, payload = 500, Refused(500, repr(crash)).body
        if record.fault is Fault.drop:
            return await broken_off(request, payload, midway)
        record.status = status
        if isinstance(payload, bytes):
            return web.Response(body=payload)
        return web.json_response(payload, status=status, headers=headers)

    @contextmanager
    def _flight(self, record: Record) -> Iterator[None]:
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
            record.end = time.monotonic()

    def _check_key(self, header: str | None) -> None:
        if self.key is None or header == f"Bearer {self.key}":
            return
        if header is None:
            raise Refused(401, "You didn't provide an API key.")
        raise Refused(401, "Incorrect API key provided.", code="invalid_api_key")

    async def _route(self, method: str, record: Record) -> tuple[Body, bool]:
        """The payload, and where a dropped one breaks off."""
        for rule in self.rules:
            rule(record.path, record.body)
        match method, record.path:
            case "GET", "/v1/models":
                return protocol.models_reply(self.models, self.root), False
            case "POST", "/v1/chat/completions":
                ask = protocol.chat_ask(record.body, structured=self.structured)
                return await self._work(ask, record, chat=True)
            case "POST", "/v1/completions":
                return await self._work(protocol.completion_ask(record.body), record, chat=False)
        raise Refused(404, f"Invalid URL ({method} {record.path})")

    async def _work(self, ask: Ask, record: Record, *, chat: bool) -> tuple[Body, bool]:
        self._check_model(ask.body["model"])
        self._check_rate()
        fault, midway = self._draw(ask, record, chat=chat)
        if not self._passes:
            await self._gate.wait()
        self._passes = max(0, self._passes - 1)
        async with self._slots:
            if fault is Fault.slow:
                await asyncio.sleep(self.slow_seconds)
            payload = self._chat(ask, fault) if chat else self._completion(ask, fault)
            for bend in self.bends:
                payload = bend(ask.body, payload)
            if self.slot_rate is not None:
                await asyncio.sleep(payload["usage"]["completion_tokens"] / self.slot_rate)
        return payload, midway

    def _draw(self, ask: Ask, record: Record, *, chat: bool) -> tuple[Fault | None, bool]:
        """The fault that falls on a request, and where a dropped reply breaks off."""
        fault, midway = self._plan.draw(ask.body, by_chance=chat)
        rows = asked(ask.body["messages"]) if chat else None
        fault = record.fault = fault if fits(fault, rows, chat=chat) else None
        if fault is Fault.rate_limit:
            raise too_many(self.retry_after)
        if fault is Fault.server_error:
            raise Refused(500, "The server had an error.", kind="server_error")
        return fault, midway

    def _batched(self, body: Any) -> Record:
        return Record(CHAT, body, {}, time.monotonic())

    def _answered(self, record: Record) -> Body:
        """The reply to a request in a batch, which knows no queue and takes no time."""
        ask = protocol.chat_ask(record.body, structured=self.structured)
        self._check_model(ask.body["model"])
        fault, _ = self._draw(ask, record, chat=True)
        return self._chat(ask, fault)

    def _check_model(self, model: str) -> None:
        if self.strict_models and model not in self.models:
            message = f"The model '{model}' does not exist."
            raise Refused(404, message, code="model_not_found", param="model")

    def _check_rate(self) -> None:
        if self.rate_cap is None:
            return
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.rate_cap:
            raise too_many(self._recent[0] + 1 - now)
        self._recent.append(now)

    def _chat(self, ask: Ask, fault: Fault | None) -> Body:
        if self.longest is not None:
            ask = ask._replace(limit=min(ask.limit or self.longest, self.longest))
        said = [bend_text(fault, self._said(ask, fault)) for _ in range(ask.n)]
        replies = [bend_reply(fault, ask.cut(text)) for text in said]
        scored = [self._scored(ask.prompts[0], reply.text or "", ask.top) for reply in replies]
        return protocol.chat_reply(ask, replies, scored)

    def _said(self, ask: Ask, fault: Fault | None) -> str:
        messages = ask.body["messages"]
        rows = asked(messages)
        if rows is not None:
            terms = terms_asked(messages) if self.obeys else []
            right = translated(rows, self.lang, terms)
            return protocol.dumped({"rows": bend_rows(fault, rows, right)})
        said = self.answer(messages)
        if isinstance(said, str):
            return said
        if ask.schema and (why := protocol.misfit(said, ask.schema, ask.schema)):
            raise ValueError(f"the test's answer does not fit the schema asked for: {why}")
        return protocol.dumped(said)

    def _completion(self, ask: Ask, fault: Fault | None) -> Body:
        prompts = [prompt for prompt in ask.prompts for _ in range(ask.n)]
        said = [bend_text(fault, self.complete(prompt)) for prompt in prompts]
        replies = [bend_reply(fault, ask.cut(text)) for text in said]
        scored = [
            self._scored(prompt, reply.text or "", ask.top)
            for prompt, reply in zip(prompts, replies, strict=True)
        ]
        echoes = prompts if self.echo and ask.body.get("echo") else [""] * len(prompts)
        echoed = [(prompt, self._scored("", prompt, ask.top)) for prompt in echoes]
        return protocol.completion_reply(ask, replies, scored, echoed)

    def _scored(self, prefix: str, text: str, top: int | None) -> list[Scored]:
        scored = []
        for token in protocol.tokens(text) if top is not None else ():
            others = self.candidates if top else ()
            rated = {each: self.logprob(prefix, each) for each in (token, *others)}
            best = sorted(rated.items(), key=lambda pair: -pair[1])[:top]
            scored.append(Scored(token, rated[token], best))
            prefix += token
        return scored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server = ChatServer(port=options.port, fault_rate=options.fault_rate, seed=options.seed)
    with suppress(KeyboardInterrupt), server as chat:
        print(chat.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
