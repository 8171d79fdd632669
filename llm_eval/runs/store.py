"""Where finished samples and replies are put before they are counted: journal and reply cache.

A sample is in the journal, and thus safe from a kill, as soon as it is judged; syncing to the disk
follows in another thread. The cache is written in transactions: replies that come while one is
under way go out together in the next.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from llm_eval.runs.folder import RunFolder, unwritable
from llm_eval.runs.journal import Entry, Journal, Listed
from llm_eval.runs.meter import Spent
from llm_eval.runs.replies import Found, Replies

logger = logging.getLogger(__name__)
SYNC_SECONDS = 0.2
_AT_ONCE = 64  # samples that are written without leaving the event loop


@dataclass(slots=True)
class _Batch:
    written: asyncio.Future[None]
    replies: list[Found] = field(default_factory=list)


class Store:
    """The journal, and the cache where there is one. Used inside the event loop."""

    def __init__(
        self, journal: Journal | Listed, folder: RunFolder | None, replies: Replies | None
    ) -> None:
        self.journal, self.folder, self.replies = journal, folder, replies
        self.note = ""
        """What went wrong with the cache, which costs no reply."""
        self._order = asyncio.Lock()  # of what is written to the journal
        self._appending: asyncio.Task[None] | None = None  # in a thread, which no cancelling ends
        self._syncing: asyncio.Task[None] | None = None
        self._synced = time.monotonic()
        self._in_use = asyncio.Lock()  # the cache: one thread at a time may use it
        self._next: _Batch | None = None
        self._writing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin a session of this process.

        Raises:
            UserError: the journal cannot be written.
        """
        try:
            if isinstance(self.journal, Journal):
                self.journal.begin()
        except OSError as e:
            raise self._unwritable(e) from None

    async def put(self, entries: Sequence[Entry], replies: Sequence[Found], spent: Spent) -> None:
        """Write; returns when it is written. `spent`: all that this session has spent so far.

        Raises:
            UserError: the journal cannot be written (the disk is full).
        """
        try:
            async with self._in_order():
                if len(entries) <= _AT_ONCE:
                    self.journal.append(entries, spent)
                else:
                    work = asyncio.to_thread(self.journal.append, entries, spent)
                    self._appending = asyncio.create_task(work)
                    await asyncio.shield(self._appending)
            await self._sync_now_and_then()
        except OSError as e:
            raise self._unwritable(e) from None
        if replies and self.replies is not None:
            await self._kept(replies)

    async def look_up(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """What the cache has of `keys`."""
        async with self._in_use:
            if self.replies is None:
                return {}
            try:
                return await asyncio.to_thread(self.replies.get, keys)
            except sqlite3.DatabaseError as e:
                self._without_cache(e)
                return {}

    async def close(self, spent: Spent) -> None:
        """Note what was spent in the end, sync, and let go of the files.

        Raises:
            UserError: the disk is full.
        """
        try:
            waited = [task for task in (self._writing, self._syncing) if task is not None]
            if waited:
                await asyncio.wait(waited)
            async with self._in_order():
                await asyncio.to_thread(self._last, spent)
            for task in waited:
                task.result()
        except OSError as e:
            raise self._unwritable(e) from None
        finally:
            if self.replies is not None:
                self.replies.close()
            if self.folder is not None:
                self.folder.close()

    def _last(self, spent: Spent) -> None:
        try:
            self.journal.append([], spent)
            self.journal.sync()
        finally:
            self.journal.close()

    @asynccontextmanager
    async def _in_order(self) -> AsyncIterator[None]:
        """One at a time, and after a thread that still writes what somebody cancelled had put."""
        async with self._order:
            if self._appending is not None:
                await asyncio.wait([self._appending])
            yield

    async def _sync_now_and_then(self) -> None:
        """Begin to sync where it is time to. What an earlier one met is raised here."""
        if self._syncing is not None and self._syncing.done():
            task, self._syncing = self._syncing, None
            task.result()
        if self._syncing is None and time.monotonic() - self._synced >= SYNC_SECONDS:
            self._synced = time.monotonic()
            self._syncing = asyncio.create_task(asyncio.to_thread(self.journal.sync))

    async def _kept(self, replies: Sequence[Found]) -> None:
        batch = self._next
        if batch is None:
            batch = self._next = _Batch(asyncio.get_running_loop().create_future())
        batch.replies += replies
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(batch.written)

    async def _write(self) -> None:
        while (batch := self._next) is not None:
            self._next = None
            try:
                async with self._in_use:
                    if self.replies is not None:
                        await asyncio.to_thread(self.replies.put, batch.replies)
            except sqlite3.DatabaseError as e:
                self._without_cache(e)
            finally:
                batch.written.set_result(None)

    def _without_cache(self, error: Exception) -> None:
        """The journal has the replies: the run goes on without the cache."""
        if self.replies is not None:
            self.note = f"{self.replies.path} cannot be used ({error}): no reply is kept there"
            logger.warning(self.note)
            self.replies.close()
            self.replies = None

    def _unwritable(self, error: OSError) -> Exception:
        if self.folder is None:
            return error
        return unwritable(self.folder.path, error, self.folder.id)
