"""The translate step: all rows stream through one engine into parquet, and are read back."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hret_agents.checks import Rules, check_row
from hret_agents.job import Listener, PortJob, Rows, Stage
from hret_agents.module.expect import gold_of
from hret_agents.plan.glossary import Glossary
from hret_agents.plan.records import Plan, Role
from hret_agents.spent import Spending
from hret_agents.steps.snapshot import snapshot
from hret_agents.steps.state import Port, Splits
from hret_agents.translate.audit import audit
from hret_agents.translate.base import Translator
from hret_agents.translate.engine import Engine, Outcome
from hret_agents.translate.memory import Memory, voice_of
from hret_agents.translate.suggest import MOST, Suggestions
from hret_agents.translate.units import Unit, translated_row, unit_of
from hret_agents.translate.write import Notes, SplitWriter, tables
from hret_agents.translators import chosen, translator_of
from llm_eval import settings
from llm_eval.aio import run_sync
from llm_eval.dataset.spec import SplitRecord, sha256_of
from llm_eval.records import Failure

TOLD_EVERY = 20  # rows between two events


def translate(port: Port, listener: Listener) -> Port:
    """The port with its data, failed rows and findings written to the work folder."""
    port = port if port.choice else replace(port, choice=chosen(port.job))
    listener(Stage("translate", f"{port.source.rows} rows by {port.paid_model}"))
    shutil.rmtree(port.work, ignore_errors=True)
    port.work.mkdir(parents=True)
    (port.work / "plan.yaml").write_text(port.plan.to_yaml(), encoding="utf-8")
    port, parts = run_sync(_translate(port, listener))
    listener(Stage("audit", "what was written against the source"))
    for part in parts:
        audit(part.data, part.files, part.failed, port.plan, f"{part.subset}/{part.split}")
    return port


def _with_what_is_left(port: Port) -> PortJob:
    """The job with the money that asking about the plan has left of it."""
    spent = port.cost_usd
    if port.job.max_cost is None or not spent:
        return port.job
    return replace(port.job, max_cost=max(port.job.max_cost - spent, 1e-9))


async def _translate(port: Port, listener: Listener) -> tuple[Port, list[_Part]]:
    assert port.choice is not None
    translator = translator_of(_with_what_is_left(port), port.choice, port.plan)
    finished, spending = False, Spending(port.folder)
    try:
        with Memory(settings.home() / "memory.sqlite") as memory, Notes(port.work) as notes:
            if port.old:
                notes.carried(port.folder, set(port.kept))
            engine = _engine(port, translator, memory)
            run = _Run(port, engine, translator, notes, listener, spending)
            engine.progress = run.tell
            engine.notice = lambda said: listener(Stage("stop", said))
            await run.all()
            finished = True
    finally:
        await translator.close(finished=finished)
        spending.note(port.paid_model, translator.usage, translator.cost(translator.usage))
    return run.result(), run.parts


def _engine(port: Port, translator: Translator, memory: Memory) -> Engine:
    found, job, plan = settings.load(), port.job, port.plan
    suggestions = None
    if translator.paid and job.suggestions:
        upto = snapshot(port, memory)
        voice = voice_of(translator.policy)
        pairs = memory.pairs(plan.source_lang, plan.target_lang, upto, newest=MOST, voice=voice)
        suggestions = Suggestions(pairs)
    return Engine(
        translator,
        memory,
        rules_of(plan),
        batch_size=found.batch_size if job.batch_size is None else job.batch_size,
        max_retries=found.max_retries if job.max_retries is None else job.max_retries,
        glossary=Glossary(plan.glossary) if plan.glossary else None,
        suggestions=suggestions or None,  # an empty one costs time
    )


def rules_of(plan: Plan) -> Rules:
    """What the checks of texts go by."""
    return Rules(
        lang=plan.target_lang.partition("-")[0],
        source_lang=plan.source_lang,
        choices=plan.task.choices,
        register=plan.register,
        span=(plan.task.span.context, plan.task.span.text) if plan.task.span else None,
        lettered=plan.roles.get(plan.task.answer or "") is Role.answer_letter
        and not (plan.task.choices or plan.task.fixed_choices),
        ignore={path: frozenset(checks) for path, checks in plan.ignore.items()},
    )


@dataclass(slots=True, eq=False)
class _Part:
    """A split of a subset on its way: its writer, what failed of it, and how far it is."""

    subset: str
    split: str
    data: Any
    writer: SplitWriter
    kept: int = 0
    rows: int = 0
    failed: set[int] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)

    @property
    def record(self) -> SplitRecord:
        """What the manifest says of it."""
        return SplitRecord(
            rows=self.rows,
            passed=self.rows - len(self.failed),
            failed=len(self.failed),
            kept=self.kept,
            files={f.name: sha256_of(f) for f in self.files},
        )


@dataclass(slots=True)
class _Batch:
    """Rows read, on their way through the engine."""

    part: _Part
    table: Any
    rows: list[dict[str, Any]]
    units: list[Unit]
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """All splits of one port, in one stream: there is no pause between two of them."""

    port: Port
    engine: Engine
    translator: Translator
    notes: Notes
    listener: Listener
    spending: Spending
    parts: list[_Part] = field(default_factory=list)
    remembered: int = 0
    graded: int = 0
    _reading: deque[_Batch] = field(default_factory=deque)
    _told: int = 0

    async def all(self) -> None:
        """Translate and write every row."""
        for subset, split, data in self.port.source.parts:
            folder = self.port.work / "data" / subset
            writer = SplitWriter(folder, split, data.features, self.port.plan)
            self.parts.append(_Part(subset, split, data, writer))
        async with aclosing(self.engine.run(self._units())) as outcomes:
            async for outcome in outcomes:
                batch = self._reading[0]
                batch.outcomes.append(outcome)
                self.remembered += outcome.known
                if len(batch.outcomes) == len(batch.rows):
                    self._reading.popleft()
                    batch.part.writer.write(batch.table, self._written(batch))
        for part in self.parts:
            part.files = part.writer.close()

    def _units(self) -> Iterator[Unit]:
        for part in self.parts:
            for table in tables(part.data):
                rows = table.to_pylist()
                batch = _Batch(part, table, rows, [])
                self._reading.append(batch)
                for row in rows:
                    unit, kept = unit_of(row, self.port.plan)
                    part.kept += kept
                    batch.units.append(unit)
                    yield unit

    def _written(self, batch: _Batch) -> list[dict[str, Any] | None]:
        """The batch's rows as they go into the split; None for those that failed."""
        part = batch.part
        out: list[dict[str, Any] | None] = []
        for row, unit, outcome in zip(batch.rows, batch.units, batch.outcomes, strict=True):
            new = self._row(part, row, unit, outcome)
            if new is None:
                part.failed.add(part.rows)
            part.rows += 1
            out.append(new)
        return out

    def _row(
        self, part: _Part, row: dict[str, Any], unit: Unit, outcome: Outcome
    ) -> dict[str, Any] | None:
        """A row of the port, its findings noted; None if it failed, which is noted too."""
        place = part.subset, part.split, part.rows
        plan = self.port.plan
        if outcome.texts is None:
            assert outcome.failure is not None
            self.notes.failed(*place, row, outcome.failure)
            return None
        new = translated_row(row, unit, outcome.texts, plan)
        found = [*outcome.findings, *check_row(row, new, plan)]
        gate = next((f for f in found if f.severity == "gate"), None)
        if gate is not None:
            failure = Failure(where="check", kind=gate.check, message=gate.message)
            self.notes.failed(*place, row, failure)
            return None
        self.graded += gold_of(row, plan) is not None
        self.notes.found(*place, found)
        return new

    def tell(self, done: int, failed: int) -> None:
        """Say how far it is, every so many rows."""
        total = self.port.source.rows
        if done - self._told >= TOLD_EVERY or (done == total and done > self._told):
            self._told = done
            usage = self.translator.usage
            spent = self.translator.cost(usage)
            self.listener(Rows(done, total, failed, usage, spent))
            self.spending.note(self.port.paid_model, usage, spent)

    def result(self) -> Port:
        """The port as it stands after this step."""
        splits: Splits = {}
        for part in self.parts:
            splits.setdefault(part.subset, {})[part.split] = part.record
        return replace(
            self.port,
            splits=splits,
            checks=self.notes.counts,
            failures=tuple(self.notes.named),
            remembered=self.remembered,
            graded=self.graded,
            usage=self.translator.usage,
            estimated=self.engine.estimated,
            prompt_version=self.translator.policy.get("prompt", "none"),
        )
