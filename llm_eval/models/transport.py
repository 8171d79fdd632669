"""The one way to send a request to a model: client, limiter, retries, usage and error kinds.

Translator, backends, judges and module writer all go through `Transport.post`. A failure leaves
here as a `BackendError` with a kind (retried where that may help), or as a `UserError` where no
retry can: a refused key, an unknown model, an exhausted quota, an address nobody answers at.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_eval.errors import AuthError, BackendError, Kind, UserError
from llm_eval.models.limiter import Limiter, shared_limiter
from llm_eval.models.pace import reset_after
from llm_eval.models.retry import retried, retry_after
from llm_eval.records import Usage
from llm_eval.secret import Secret, parted, scrubbed, secrets_in

if TYPE_CHECKING:
    import aiohttp

BYTES_PER_TOKEN = 4  # of a request, before the server has said what it cost
MOST = 128 * 2**20  # bytes of a reply
PEEK = 64 * 2**10  # bytes after which a reply has to look like JSON
DEFAULT_BASE = "https://api.openai.com/v1"
NO_MODEL = ("model_not_found", 40301)  # the number is FastChat's, as the next one is
TOO_LONG = ("context_length_exceeded", 40303)
BUSY = 42900  # from here on FastChat's numbers are of a busy or sick server, under a status of 400
_OVER = re.compile(
    r"(context|prompt) length|context (size|window)|prompt is too long|input is too long"
    r"|reduce the length|input token count|`inputs` (must have less|tokens \+)",
    re.IGNORECASE,
)
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go. `timeout` is in seconds, for one whole request.

    `concurrency` fixes how many are under way; `rpm` and `tpm` cap requests and tokens a minute.
    `headers` go with every request, and may hold what nobody is to see; so may the query of the
    address, which is parted from `base_url`. `hidden` are further texts to take out of errors.
    """

    base_url: str = DEFAULT_BASE
    api_key: Secret | None = None
    timeout: float = 600.0
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_retries: int = 3
    backoff: float = 0.5
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: str = field(default="", repr=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        base, query = parted(self.base_url)
        object.__setattr__(self, "base_url", base)
        object.__setattr__(self, "query", query or self.query)
        if self.concurrency is not None and self.concurrency < 1:
            raise UserError(f"concurrency {self.concurrency} is less than 1")
        for name, value in (("rpm", self.rpm), ("tpm", self.tpm)):
            if value is not None and not value > 0:
                raise UserError(f"{name} {value} is not more than 0")
        if self.max_retries < 0:
            raise UserError(f"max_retries {self.max_retries} is less than 0")
        if self.api_key and not re.fullmatch(r"[!-~]+", self.api_key.reveal()):
            raise UserError("the API key holds a sign that no key has", hint="is it pasted whole?")
        if re.search(r"//[^/]*@", self.base_url):
            raise UserError(
                "api_base holds a user or a password: http://...@...",
                hint="pass the key by api_key (--api-key), not in the address",
            )
        if not self.base_url.startswith(("http://", "https://")):
            raise UserError(
                f"api_base {self.base_url!r} is no address",
                hint="it begins with http:// or https:// and mostly ends in /v1",
            )

    def url(self, path: str) -> str:
        """Where a path lies, with the query that goes with every request."""
        whole = self.base_url.rstrip("/") + path
        return f"{whole}?{self.query}" if self.query else whole

    def scrubbed(self, text: str) -> str:
        """`text` without the key, what stands in headers and query, and what else is hidden."""
        found = set(self.hidden) | secrets_in(f"http://h/?{self.query}")
        found |= {value for _, value in self.headers} | secrets_in({"headers": dict(self.headers)})
        if self.api_key:
            found.add(self.api_key.reveal())
        return scrubbed(text, found)


@dataclass
class Transport:
    """A client of one endpoint. Used inside the event loop; `close` it there.

    `answering` are the tasks whose request is at the server: what they wait for will be paid for.
    """

    endpoint: Endpoint
    usage: Usage = Usage()
    answering: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)
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
        list lacks `model` does too, for lists are often partial: the first request will tell.
        One that is busy is asked again.
        """
        try:
            told = await retried(
                self._listed,
                self.limiter,
                max_retries=self.endpoint.max_retries,
                backoff=self.endpoint.backoff,
            )
        except (AuthError, _Unreachable):
            raise
        except (BackendError, UserError):
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
                raise _Unreachable(e.message, hint=said) from None
            raise

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, method: str, path: str, body: bytes | None) -> Mapping[str, Any]:
        import aiohttp

        limiter = self.limiter
        entered = len(body or b"") // BYTES_PER_TOKEN
        async with limiter.slot(entered):
            started = limiter.now()
            task = asyncio.current_task()
            assert task is not None
            self.answering.add(task)
            try:
                async with self._client().request(
                    method, self.endpoint.url(path), data=body
                ) as reply:
                    status, raw = reply.status, await self._body(reply)
                    headers = {k.lower(): v for k, v in reply.headers.items()}
            except TimeoutError:
                limiter.pushed_back(started=started)
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
            if status == 429:
                limiter.refused(started=started, retry_after=retry_after(headers))
                raise self.refusal(status, headers, raw)
            read = self._read(status, headers, raw)
            if body is not None:
                used = Usage.of(read)
                limiter.corrected(used.prompt_tokens + used.completion_tokens - entered)
                limiter.succeeded(limiter.now() - started, used.completion_tokens)
            if wait := reset_after(headers):
                limiter.pause(wait)
        return read

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
        body = _parsed(raw)
        if not isinstance(body, dict):
            what = "a web page" if _is_page(raw) else "no JSON object"
            said = f"{self._where} sent {what}; an api_base mostly ends in /v1"
            raise BackendError(said, kind="server", status=status, sent=True)
        if "choices" not in body and (error := body.get("error")):
            raise self.refusal(_status_in(error), headers, raw)
        return body

    def refusal(
        self, status: int, headers: Mapping[str, str], raw: bytes
    ) -> BackendError | UserError:
        """What a reply of this status says, as the error to raise."""
        said, code, param = _reason(raw)
        if isinstance(code, int) and code >= BUSY:
            status = code // 100
        message = f"{self._where} answered {status}: {self.endpoint.scrubbed(said)[:500]}"
        if status in (401, 403):
            return AuthError(message, hint="check OPENAI_API_KEY or --api-key")
        if code == "insufficient_quota":
            return UserError(message, hint="top up, then run this again")
        if status == 404 or code in NO_MODEL:
            return UserError(message, hint="check --model and --api-base")
        if status == 429:
            wait = retry_after(headers)
            return BackendError(message, kind="rate_limit", status=status, retry_after=wait)
        if status >= 500 or status in (408, 424):  # 424: TGI's, of a failed generation
            return BackendError(
                message, kind="server", status=status, retry_after=retry_after(headers)
            )
        kind: Kind = "content_filter" if code == "content_filter" else "bad_request"
        if code in TOO_LONG or _OVER.search(said):
            kind, message = "length", f"the prompt is over the context length: {message}"
        return BackendError(message, kind=kind, status=status, param=param)

    @property
    def limiter(self) -> Limiter:
        """The limiter that all users of this endpoint share."""
        loop_id = id(asyncio.get_running_loop())
        return shared_limiter(
            self.endpoint.base_url,
            loop_id,
            fixed=self.endpoint.concurrency,
            rpm=self.endpoint.rpm,
            tpm=self.endpoint.tpm,
        )

    @property
    def _where(self) -> str:
        return self.endpoint.base_url

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            headers = {"Content-Type": "application/json"}
            if self.endpoint.api_key:
                headers["Authorization"] = f"Bearer {self.endpoint.api_key.reveal()}"
            headers.update(self.endpoint.headers)
            self._session = aiohttp.ClientSession(
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout, connect=30),
                connector=aiohttp.TCPConnector(limit=0),
                trust_env=bool(os.environ.get("HTTPS_PROXY") or os.environ.get("HTTP_PROXY")),
            )
        return self._session


class _Unreachable(UserError):
    """Nobody answers at an address."""


def _encoded(payload: Mapping[str, Any]) -> bytes:
    """JSON; escaped where a half of a surrogate pair stands in it, which no UTF-8 can hold."""
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload).encode()


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _is_page(raw: bytes) -> bool:
    return raw[:PEEK].lstrip()[:1] == b"<"


def _reason(raw: bytes) -> tuple[str, Any, str | None]:
    """(message, code, parameter) of an error reply, in whichever of the shapes there are.

    >>> _reason(b'{"error": "`inputs` cannot be empty", "error_type": "validation"}')
    ('`inputs` cannot be empty', 'validation', None)
    >>> _reason(b'{"object": "error", "message": "Only m allowed now", "code": 40301}')
    ('Only m allowed now', 40301, None)
    """
    body = _parsed(raw)
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        error = {"message": error, "code": body.get("error_type")}
    if not isinstance(error, dict):
        page = _TITLE.search(raw[:PEEK].decode("utf-8", "replace")) if _is_page(raw) else None
        text = f"a web page, {page[1].strip()!r}" if page else raw[:PEEK].decode("utf-8", "replace")
        return text or "no reason given", None, None
    said = error.get("message") or error.get("detail") or "no reason given"
    param, code = error.get("param"), error.get("code")
    return (
        said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
        code if isinstance(code, str | int) else error.get("type"),
        param if isinstance(param, str) else None,
    )


def _status_in(error: Any) -> int:
    """The status that an error has which came under the status of a good reply."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
