"""The Batch API of a server: upload, make once, poll, download; patient with a network that fails.

Nothing here knows what a batch holds, and nothing is sent twice: a batch whose making got no reply
is looked for in the server's list, by its file and by the tag in its metadata, before it is made
again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hret_agents.translate.batch_store import Intent
from llm_eval.errors import BackendError, HretError, UserError
from llm_eval.models.transport import Transport

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI
    from openai.types import Batch

T = TypeVar("T")
Result = Mapping[str, Any] | HretError
"""The body of a reply, or why there is none."""

TAG = "hret"  # the name in a batch's metadata
ENDS = {"completed", "failed", "expired", "cancelled"}
LOOKS = 2  # how often one looks again for a batch that may just have been made
_UNSURE = ("connection", "timeout", "server")  # errors after which it may have been made
LIST_BACK = 24 * 3600.0  # seconds by which the server's clock may be behind ours
ONWARD = "run the same command again: what was sent is waited for, not sent twice"


class Vanished(UserError):
    """A 404: the server knows no such batch or file, or has no Batch API."""


class BatchServer:
    """One endpoint's files and batches, through the openai SDK. Used in one event loop.

    Args:
        transport: knows the endpoint and its key.
        first_wait, last_wait: seconds between tries; the wait doubles from the first to the last.
        patience: seconds that the server may be away before a call gives up.
    """

    def __init__(
        self, transport: Transport, *, first_wait: float, last_wait: float, patience: float
    ) -> None:
        self.endpoint = transport.endpoint.base_url.rstrip("/")
        self.first_wait, self.last_wait, self.patience = first_wait, last_wait, patience
        self._transport = transport
        self._client: AsyncOpenAI | None = None

    async def check(self) -> None:
        """Raise a `UserError` if there are no batches here, or the key is refused."""
        try:
            await self._patiently(partial(self._openai.batches.list, limit=1))
        except Vanished:
            raise UserError(
                f"{self.endpoint} has no Batch API", hint="leave --batch out", caller_only=True
            ) from None

    async def upload(self, tag: str, data: bytes) -> str:
        """The id of a file of requests. A file that is uploaded twice costs nothing."""
        file = (f"{TAG}-{tag}.jsonl", data)
        create = partial(self._openai.files.create, file=file, purpose="batch")
        return (await self._patiently(create)).id

    async def make(self, tag: str, file: str) -> str:
        """The id of a new batch of the file's requests.

        Raises:
            UserError: the server refused; there is no such batch.
            BackendError: whether there is one is not known.
        """
        from openai import APIError

        begun, wait, unsure = time.monotonic(), self.first_wait, False
        while True:
            try:
                made = await self._openai.batches.create(
                    input_file_id=file,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={TAG: tag},
                )
                return made.id
            except APIError as e:
                error = self._named(e)
            away = time.monotonic() - begun > self.patience
            if away or not isinstance(error, BackendError) or not error.retryable:
                known = error.kind if isinstance(error, BackendError) else ""
                if unsure or known in _UNSURE:
                    raise BackendError(error.message, kind="connection")
                if isinstance(error, UserError):
                    raise error
                raise UserError(error.message, hint="no batch was made, and nothing was paid")
            unsure = unsure or error.kind in _UNSURE
            for _ in range(LOOKS if unsure else 0):
                await asyncio.sleep(wait)
                if found := await self._looked_for(tag, file):
                    return found
            await asyncio.sleep(max(wait, error.retry_after or 0.0))
            wait = min(2 * wait, self.last_wait)

    async def _looked_for(self, tag: str, file: str) -> str | None:
        try:
            return (await self.find({tag: Intent(file, time.time())})).get(tag)
        except UserError as e:
            raise BackendError(e.message, kind="connection") from None

    async def find(self, intents: Mapping[str, Intent]) -> dict[str, str]:
        """The ids of those batches that the server has, by tag."""

        async def look() -> dict[str, str]:
            found: dict[str, str] = {}
            by_file = {intent.file: tag for tag, intent in intents.items()}
            oldest = min(intent.made for intent in intents.values()) - LIST_BACK
            async for batch in self._openai.batches.list(limit=100):
                tag = (batch.metadata or {}).get(TAG) or by_file.get(batch.input_file_id, "")
                if tag in intents:
                    found[tag] = batch.id
                if len(found) == len(intents) or batch.created_at < oldest:
                    break
            return found

        return await self._patiently(look) if intents else {}

    async def ended(self, batch: str) -> Batch:
        """The batch, polled until it is in one of `ENDS`.

        Raises:
            Vanished: the server knows no such batch, and says so more than once: one that was just
                made may not be known everywhere.
        """
        wait, missed = self.first_wait, 0
        while True:
            try:
                told: Batch = await self._patiently(partial(self._openai.batches.retrieve, batch))
                missed = 0
                if told.status in ENDS:
                    return told
            except Vanished:
                missed += 1
                if missed > LOOKS:
                    raise
            await asyncio.sleep(wait)
            wait = min(2 * wait, self.last_wait)

    async def results(self, batch: Batch) -> dict[str, Result]:
        """What a batch that has ended says about its lines, by custom_id, from both its files.

        Raises:
            Vanished: a file is there no longer.
        """
        found = {}
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            data = await self._patiently(partial(self._openai.files.content, file))
            for raw in data.content.split(b"\n"):  # a text may hold what else ends lines
                try:
                    line = json.loads(raw)
                except (ValueError, RecursionError):
                    continue  # whatever it answered is asked anew
                if isinstance(line, dict):
                    found[str(line.get("custom_id"))] = self._result(batch, line)
        return found

    def _result(self, batch: Batch, line: Mapping[str, Any]) -> Result:
        response, error = line.get("response"), line.get("error")
        if not isinstance(response, dict) or not isinstance(response.get("status_code"), int):
            return undone(batch, error if isinstance(error, dict) else {})
        status, body = response["status_code"], response.get("body")
        if status < 400 and isinstance(body, dict):
            return body
        return self._transport.refusal(status, {}, json.dumps(body).encode())

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def _openai(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            endpoint = self._transport.endpoint
            self._client = AsyncOpenAI(
                api_key=endpoint.api_key.reveal() if endpoint.api_key else "none",
                base_url=self.endpoint,
                default_query=endpoint.query_params,
                timeout=endpoint.timeout,
                max_retries=0,
            )
        return self._client

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it succeeds: what is at the server goes on, whatever the network does.

        Raises:
            UserError: the server refused, or was away for longer than `patience`.
        """
        from openai import APIError, NotFoundError

        begun, wait = time.monotonic(), self.first_wait
        while True:
            try:
                return await call()
            except APIError as e:
                error = self._named(e)
                if isinstance(e, NotFoundError):
                    raise Vanished(error.message, hint="check --api-base") from None
            if isinstance(error, UserError):
                raise error
            if not error.retryable or time.monotonic() - begun > self.patience:
                raise UserError(error.message, hint=ONWARD, caller_only=True)
            await asyncio.sleep(max(wait, error.retry_after or 0.0))
            wait = min(2 * wait, self.last_wait)

    def _named(self, error: APIError) -> BackendError | UserError:
        """An error of the SDK under the name that it has in live requests."""
        from openai import APIConnectionError, APIStatusError

        if isinstance(error, APIStatusError):
            headers = {k.lower(): v for k, v in error.response.headers.items()}
            return self._transport.refusal(error.status_code, headers, error.response.content)
        what = f"{self.endpoint} could not be reached, or broke off ({type(error).__name__})"
        away = isinstance(error, APIConnectionError)
        return BackendError(what, kind="connection" if away else "server")


def undone(batch: Batch, error: Mapping[str, Any]) -> HretError:
    """Why a line of a batch that has ended has no reply; `error` is what the line says itself."""
    if batch.status == "cancelled":
        return UserError(
            f"the batch {batch.id} was cancelled at the server",
            hint="run the same command again: what it had done is kept, the rest is sent anew",
            caller_only=True,
        )
    said = error.get("message") or "it is in no file"
    return BackendError(
        f"the batch {batch.id} did not do this request: {said}",
        kind="timeout" if batch.status == "expired" else "server",
    )
