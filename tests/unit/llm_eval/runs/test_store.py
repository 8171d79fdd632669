"""What is written to a journal by a thread, while who had asked for it is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from llm_eval.records import Prediction, Sample, Usage
from llm_eval.results import Reply
from llm_eval.runs.journal import Entry, Journal
from llm_eval.runs.meter import Spent
from llm_eval.runs.store import Store

SIZE = 101


class Slow(Journal):
    """Its large writes wait for a gate."""

    def __init__(self, path: Path, samples: Sequence[Sample]) -> None:
        super().__init__(path, samples)
        self.begun, self.gate = threading.Event(), threading.Event()

    def _write(self, lines: Sequence[bytes]) -> None:
        if len(lines) >= SIZE - 1:
            self.begun.set()
            assert self.gate.wait(30)
        super()._write(lines)


def test_a_cancelled_put_is_written_before_the_next(tmp_path: Path) -> None:
    """Its thread goes on: what comes after it, the end as well, waits for it."""
    samples = [Sample(index=i, input="q") for i in range(SIZE)]
    entries = [
        Entry(i, [Reply(Prediction(sample_id=s.id, text=f"a{i}"), None)])
        for i, s in enumerate(samples)
    ]
    journal = Slow(tmp_path / "journal.jsonl", samples)

    async def work() -> None:
        store = Store(journal, None, None)
        put = asyncio.create_task(store.put(entries[:-1], [], Spent(Usage(SIZE - 1))))
        await asyncio.to_thread(journal.begun.wait, 30)
        put.cancel()
        await asyncio.wait([put])
        last = asyncio.create_task(store.put(entries[-1:], [], Spent(Usage(SIZE))))
        await asyncio.wait([last], timeout=0.05)
        assert put.cancelled() and not last.done()
        journal.gate.set()
        await last
        await store.close(Spent(Usage(SIZE)))

    asyncio.run(work())
    assert [row.prediction.text for row in journal.rows()] == [f"a{i}" for i in range(SIZE)]
    again = Journal(journal.path, samples)
    assert len(list(again.replay())) == SIZE and again.earlier.usage == Usage(SIZE)
    again.close()
