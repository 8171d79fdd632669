"""What a port is measured against: one cell per request, in batches with a barrier between them.

So does the script that this project replaces: the system prompt travels with each single cell, and
the next batch waits for the slowest reply of the last. Real HTTP; no retries, for the simulated
server does not fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiohttp

from benchmarks.common import SAY_EVERY, say
from benchmarks.simulator import MODEL

BATCH = 50


async def translate(
    url: str, system: str, cells: Sequence[str], batch: int = BATCH
) -> tuple[list[str], float]:
    """(The translation of each cell in order, the seconds it took)."""
    started = told = time.monotonic()
    done: list[str] = []
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        while batch_cells := cells[len(done) : len(done) + batch]:
            asks = (_one(session, url, system, cell) for cell in batch_cells)
            done += await asyncio.gather(*asks)
            if (now := time.monotonic()) - told > SAY_EVERY:
                say(f"    {now - started:5.0f} s: {len(done):,} of {len(cells):,} cells")
                told = now
    return done, time.monotonic() - started


async def _one(session: aiohttp.ClientSession, url: str, system: str, cell: str) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": cell}]
    payload = {"model": MODEL, "messages": messages, "temperature": 0}
    async with session.post(f"{url}/chat/completions", json=payload) as reply:
        reply.raise_for_status()
        text: str = (await reply.json())["choices"][0]["message"]["content"]
        return text
