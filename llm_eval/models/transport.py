"""The one way to send a request to a model: client, limiter, retries, usage and error kinds.

Translator, backends, judges and module writer all go through `Transport.post`. A failure leaves
here as a `BackendError` with a kind (retried where that may help), or as a `UserError` where no
retry can: a refused key, an unknown model, an exhausted quota, an address nobody answers at.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin

from llm_eval.errors import AuthError, BackendError, UserError
from llm_eval.models import refusals
from llm_eval.models.endpoint import DEFAULT_BASE, Endpoint
from llm_eval.models.limiter import Limiter, Limits, shared_limiter
from llm_eval.models.pace import reset_after
from llm_eval.models.refusals import PEEK
from llm_eval.models.retry import retried, retry_after
from llm_eval.records import Usage
from llm_eval.secret import tellable

if TYPE_CHECKING:
    import aiohttp

__all__ = ["BYTES_PER_TOKEN", "DEFAULT_BASE", "Endpoint", "Transport"]

BYTES_PER_TOKEN = 4  # of a request, before the server has said what it cost
MOST = 128 * 2**20  # bytes of a reply


class Reserved(Protocol):
    """Money that is set aside for a request."""

    async def lost(self) -> None:
        """An attempt broke off without saying what it cost."""

    def told(self, usage: Usage) -> None:
        """What the reply says that it cost."""


@dataclass(eq=False)
class Transport:
    """A client of one endpoint. Used inside the event loop; `close` it there.

    `answering` are the tasks whose request is at the server: what they wait for will be paid for.
    `reserve` is what each request with its body has to pass; it raises where there is no money.
    """

    endpoint: Endpoint
    usage: Usage = Usage()
    answering: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)
    reserve: Callable[[Mapping[str, Any]], AbstractAsyncContextManager[Reserved]] | None = None
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        lost: Callable[[], Awaitable[None]] | None = None,
    ) -> Mapping[str, Any]:
        """The reply's JSON object; tried again up to `max_retries` times where that may help.

        A 429 uses up no attempt as long as others get through: waiting is then all it takes.
        `lost` is told of every attempt that broke off without saying what it cost.
        """
        if self.reserve is None:
            return await self._sent(path, payload, lost)
        async with self.reserve(payload) as reserved:
            reply = await self._sent(path, payload, reserved.lost)
            reserved.told(Usage.of(reply))
            return reply

    async def _sent(
        self, path: str, payload: Mapping[str, Any], lost: Callable[[], Awaitable[None]] | None
    ) -> Mapping[str, Any]:
        body = _encoded(payload)
        reply = await retried(
            lambda: self._once("POST", path, body),
            self.limiter,
            max_retries=self.endpoint.max_retries,
            answering=self.answering,
            backoff=self.endpoint.backoff,
            lost=lost,
        )
        self.usage += Usage.of(reply)
        return reply

    async def check(self, model: str | None = None) -> Mapping[str, Any]:
        """Ask, before anything is paid, whether the endpoint answers and takes the key.

        Returns the entry of `model` in the server's list. A server without a list passes; one whose
        list lacks `model`, or is forbidden to this key, does too: the first request will tell.
        One that is busy is asked again.
        """
        try:
            told = await retried(
                self._listed,
                self.limiter,
                max_retries=self.endpoint.max_retries,
                backoff=self.endpoint.backoff,
            )
        except (BackendError, UserError) as e:
            if isinstance(e, _Unreachable | AuthError) and not isinstance(e, refusals.Forbidden):
                raise
            return {}
        listed = told.get("data")
        entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
        return next((e for e in entries if e.get("id") == model), {})

    async def _listed(self) -> Mapping[str, Any]:
        try:
            return await self._once("GET", "/models", None)
        except BackendError as e:
            if e.kind in ("connection", "timeout"):
                said = "is the server running, and is --api-base right?"
                raise _Unreachable(e.message, hint=said, caller_only=True) from None
            raise

    async def close(self) -> None:
        """Close the connections, and let others at this endpoint go without this one's limits."""
        self.limiter.left(self)
        session, self._session = self._session, None  # whoever asks meanwhile opens another
        if session is not None:
            await session.close()

    async def _once(self, method: str, path: str, body: bytes | None) -> Mapping[str, Any]:
        limiter = self.limiter
        entered = len(body or b"") // BYTES_PER_TOKEN
        async with limiter.slot(entered):
            started = limiter.now()
            status, headers, raw = await self._answer(method, path, body)
            if status == 429:
                limiter.refused(started=started, retry_after=retry_after(headers))
                raise self.refusal(status, headers, raw)
            if 300 <= status < 400:
                raise self._moved(status, path, headers.get("location", ""))
            read = self._read(status, headers, raw)
            if body is not None:
                used = Usage.of(read)
                limiter.corrected(used.prompt_tokens + used.completion_tokens - entered)
                limiter.succeeded(limiter.now() - started, used.completion_tokens)
            if wait := reset_after(headers):
                limiter.pause(wait)
        return read

    async def _answer(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers (by lower-case name) and bytes of what a request is answered by."""
        import aiohttp

        task, started = asyncio.current_task(), self.limiter.now()
        assert task is not None
        self.answering.add(task)
        try:
            async with self._client().request(
                method,
                self.endpoint.url(path),
                data=body,
                headers=self._headers(),
                proxy=self._proxy,
                allow_redirects=False,  # they would take headers to another host
            ) as reply:
                raw = await self._body(reply)
                return reply.status, {k.lower(): v for k, v in reply.headers.items()}, raw
        except TimeoutError:
            self.limiter.pushed_back(started=started)
            raise BackendError(
                f"{self._where} did not answer within {self.endpoint.timeout:g} s",
                kind="timeout",
                sent=True,
            ) from None
        except (aiohttp.ClientError, OSError) as e:
            raise BackendError(
                f"{self._where} could not be reached, or broke off ({type(e).__name__})",
                kind="connection",
                sent=not isinstance(e, aiohttp.ClientConnectorError),
            ) from None
        finally:
            self.answering.discard(task)

    async def _body(self, reply: aiohttp.ClientResponse) -> bytes:
        """The reply's bytes, bounded.

        Raises:
            BackendError: there is no end of them, they are no JSON, or a stream that nobody asked.
        """
        if reply.content_type == "text/event-stream" and reply.status < 400:
            raise self._useless(reply.status, "streams its reply (text/event-stream), unasked")
        plain = "Content-Encoding" not in reply.headers
        if plain and reply.content_length is not None and reply.content_length <= MOST:
            return await reply.read()
        raw = bytearray()
        async for part in reply.content.iter_any():
            raw += part
            if len(raw) > MOST:
                raise self._useless(reply.status, f"sends a reply of over {MOST >> 20} MiB")
            if len(raw) > PEEK and bytes(raw[:PEEK]).lstrip()[:1] not in (b"", b"{", b"[", b"<"):
                raise self._useless(reply.status, "sends bytes without end that are no JSON")
        return bytes(raw)

    def _useless(self, status: int, what: str) -> BackendError:
        said = f"{self._where} {what}"
        return BackendError(said, kind="malformed", status=status, sent=True)

    def _read(self, status: int, headers: Mapping[str, str], raw: bytes) -> Mapping[str, Any]:
        if status >= 400:
            raise self.refusal(status, headers, raw)
        body = refusals.parsed(raw)
        if not isinstance(body, dict):
            what = "a web page" if refusals.is_page(raw) else "no JSON object"
            said = f"{self._where} sent {what}; an api_base mostly ends in /v1"
            raise BackendError(said, kind="server", status=status, sent=True)
        if "choices" not in body and (error := body.get("error")):
            raise self.refusal(refusals.status_in(error), headers, raw)
        return body

    def refusal(
        self, status: int, headers: Mapping[str, str], raw: bytes
    ) -> BackendError | UserError:
        """What a reply of this status says, as the error to raise."""
        return refusals.refusal(
            self._where,
            status,
            headers,
            raw,
            scrub=self.endpoint.scrubbed,
            through=self.limiter.successes > 0,
        )

    def _moved(self, status: int, path: str, location: str) -> UserError:
        """A redirect is not followed: it may lead to another host, and a POST becomes a GET."""
        there = "nowhere"
        with suppress(ValueError):  # of what is no address
            address = urljoin(self.endpoint.url(path), location) if location else there
            there = self.endpoint.scrubbed(str(tellable(address)).removesuffix(path))
        said = f"{self._where} answered {status}: it has moved to {there}"
        return UserError(said, hint="pass the new address as api_base (--api-base)")

    @property
    def limiter(self) -> Limiter:
        """The limiter that all users of this endpoint share."""
        told = self.endpoint
        limits = Limits(told.concurrency, told.rpm, told.tpm)
        return shared_limiter(told.base_url, id(asyncio.get_running_loop()), self, limits)

    @property
    def _where(self) -> str:
        return self.endpoint.base_url

    def _headers(self) -> dict[str, str]:
        """Of each request, and not of the session, whose headers aiohttp sends to a proxy too."""
        headers = {"Content-Type": "application/json"}
        if self.endpoint.api_key:
            headers["Authorization"] = f"Bearer {self.endpoint.api_key.reveal()}"
        return headers | dict(self.endpoint.headers)

    @cached_property
    def _proxy(self) -> str | None:
        return self.endpoint.proxy()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout, connect=30),
                connector=aiohttp.TCPConnector(limit=0),
            )
            weakref.finalize(self, _let_go, self._session, asyncio.get_running_loop())
        return self._session


class _Unreachable(UserError):
    """Nobody answers at an address."""


def _encoded(payload: Mapping[str, Any]) -> bytes:
    """JSON; escaped where a half of a surrogate pair stands in it, which no UTF-8 can hold."""
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload).encode()


def _let_go(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close what its owner, which is gone, did not; at the end of Python aiohttp would complain."""
    if session.closed or not loop.is_running():
        return
    closing = asyncio.run_coroutine_threadsafe(session.close(), loop)
    if asyncio._get_running_loop() is None:
        with suppress(TimeoutError):
            closing.result(1)
