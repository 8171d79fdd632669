"""The translate step: rows stream through the engine into parquet and are read back."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from hret_agents.estimate import cost
from hret_agents.job import Listener, Rows, Stage
from hret_agents.module.expect import gold_fault, gold_of, question_fault
from hret_agents.steps.state import Port, Splits
from hret_agents.translate.audit import audit, row_fault
from hret_agents.translate.base import Translator
from hret_agents.translate.checks import Finding
from hret_agents.translate.engine import Engine, Outcome
from hret_agents.translate.memory import Memory
from hret_agents.translate.units import Unit, translated_row, unit_of
from hret_agents.translate.write import Notes, SplitWriter, tables
from hret_agents.translators import chosen, translator_of
from llm_eval import settings
from llm_eval.aio import run_sync
from llm_eval.dataset.spec import SplitRecord, sha256_of
from llm_eval.records import Failure


def translate(port: Port, listener: Listener) -> Port:
    """The port with its data, failed rows and findings written to the work folder."""
    port = port if port.choice else replace(port, choice=chosen(port.job))
    listener(Stage("translate", f"{port.source.rows} rows by {port.paid_model}"))
    shutil.rmtree(port.work, ignore_errors=True)
    port.work.mkdir(parents=True)
    (port.work / "plan.yaml").write_text(port.plan.to_yaml(), encoding="utf-8")
    return run_sync(_translate(port, listener))


async def _translate(port: Port, listener: Listener) -> Port:
    found = settings.load()
    job, plan = port.job, port.plan
    assert port.choice is not None
    translator = translator_of(job, port.choice, plan.source_lang)
    try:
        with Memory(settings.home() / "memory.sqlite") as memory, Notes(port.work) as notes:
            if port.old:
                notes.carried(port.folder, set(port.kept))
            engine = Engine(
                translator,
                memory,
                plan.target_lang,
                plan.task.choices,
                batch_size=found.batch_size if job.batch_size is None else job.batch_size,
                max_retries=found.max_retries if job.max_retries is None else job.max_retries,
            )
            run = _Run(port, engine, translator, notes, listener)
            for subset, split, data in port.source.parts:
                await run.split(subset, split, data)
    finally:
        await translator.close()
    return replace(
        port,
        splits=run.splits,
        checks=notes.counts,
        failures=tuple(notes.named),
        remembered=run.remembered,
        graded=run.graded,
        usage=translator.usage,
        prompt_version=translator.policy.get("prompt", "none"),
    )


@dataclass(slots=True)
class _Batch:
    """Rows read, on their way through the engine."""

    table: Any
    rows: list[dict[str, Any]]
    units: list[Unit]
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """The splits of one port, one after another."""

    port: Port
    engine: Engine
    translator: Translator
    notes: Notes
    listener: Listener
    splits: Splits = field(default_factory=dict)
    remembered: int = 0
    graded: int = 0
    _done: int = 0
    _failed: int = 0

    async def split(self, subset: str, split: str, data: Any) -> None:
        """Translate, write and audit one split."""
        plan = self.port.plan
        folder = self.port.work / "data" / subset
        writer = SplitWriter(folder, split, data.features, plan)
        reading: deque[_Batch] = deque()
        kept = 0

        def units() -> Iterator[Unit]:
            nonlocal kept
            for table in tables(data):
                rows = table.to_pylist()
                pairs = [unit_of(row, plan) for row in rows]
                kept += sum(n for _, n in pairs)
                reading.append(_Batch(table, rows, [unit for unit, _ in pairs]))
                yield from reading[-1].units

        failed: set[int] = set()
        start = 0
        async with aclosing(self.engine.run(units())) as outcomes:
            async for outcome in outcomes:
                batch = reading[0]
                batch.outcomes.append(outcome)
                self._tell(outcome)
                if len(batch.outcomes) == len(batch.rows):
                    reading.popleft()
                    writer.write(batch.table, self._written(subset, split, start, batch, failed))
                    start += len(batch.rows)
        files = writer.close()
        audit(data, files, failed, plan, f"{subset}/{split}")
        self.splits.setdefault(subset, {})[split] = SplitRecord(
            rows=len(data),
            passed=len(data) - len(failed),
            failed=len(failed),
            kept=kept,
            files={f.name: sha256_of(f) for f in files},
        )

    def _written(
        self, subset: str, split: str, start: int, batch: _Batch, failed: set[int]
    ) -> list[dict[str, Any] | None]:
        """The batch's rows as they go into the split; None for those that failed."""
        out: list[dict[str, Any] | None] = []
        triples = zip(batch.rows, batch.units, batch.outcomes, strict=True)
        for number, (row, unit, outcome) in enumerate(triples, start):
            new, failure = self._row(row, unit, outcome)
            if failure is not None:
                failed.add(number)
                self.notes.failed(subset, split, number, row, failure)
            else:
                self.graded += gold_of(row, self.port.plan) is not None
                found = [*outcome.findings, *self._anomalies(row)]
                self.notes.found(subset, split, number, found)
            out.append(new)
        return out

    def _anomalies(self, row: dict[str, Any]) -> Iterator[Finding]:
        """What is wrong with the source itself, to be reviewed."""
        task = self.port.plan.task
        if said := gold_fault(row, self.port.plan):
            yield Finding("source_anomaly", "flag", task.answer or "", said)
        if said := question_fault(row, self.port.plan):
            yield Finding("source_anomaly", "flag", task.question[0], said)

    def _row(
        self, row: dict[str, Any], unit: Unit, outcome: Outcome
    ) -> tuple[dict[str, Any] | None, Failure | None]:
        """(the row of the port, None) or (None, why there is none)."""
        if outcome.texts is None:
            return None, outcome.failure
        new = translated_row(row, unit, outcome.texts, self.port.plan)
        if said := row_fault(row, new, self.port.plan):
            check, _, message = said.partition(": ")
            return None, Failure(where="check", kind=check, message=message)
        return new, None

    def _tell(self, outcome: Outcome) -> None:
        self._done += 1
        self._failed += outcome.texts is None
        self.remembered += bool(outcome.texts) and not outcome.asked
        if self._done % 20 == 0 or self._done == self.port.source.rows:
            usage = self.translator.usage
            spent = cost(self.port.paid_model, usage)
            self.listener(Rows(self._done, self.port.source.rows, self._failed, usage, spent))
