"""A row made again from the texts it has, a person's in their places: nothing is asked.

What comes out is what a port of the row would make of the memory as it will be then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hret_agents.checks import Finding, check_row
from hret_agents.plan.glossary import Glossary
from hret_agents.review.cells import texts_of
from hret_agents.review.rows import Row
from hret_agents.steps.state import Port
from hret_agents.steps.translate import rules_of
from hret_agents.translate.chat import policy_of
from hret_agents.translate.jobs import Job
from hret_agents.translate.judge import Judge
from hret_agents.translate.memory import Entry, Memory, unit_key
from hret_agents.translate.units import Unit, translated_row, unit_of
from llm_eval.errors import UserError
from llm_eval.records import Failure


@dataclass(frozen=True, slots=True)
class Remade:
    """What became of a row: the row with its findings, or why it fails."""

    row: Row | None
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None


class Remaker:
    """Makes rows of a port again. `corrections` are translations by their sources, which the memory
    need not hold yet."""

    def __init__(self, port: Port, memory: Memory, corrections: Mapping[str, str]) -> None:
        assert port.manifest is not None
        plan = self._plan = port.plan
        self._langs = plan.source_lang, plan.target_lang
        self._memory, self._corrections = memory, corrections
        self._judge = Judge(memory, rules_of(plan), paid=False, max_retries=0)
        self._glossary = Glossary(plan.glossary) if plan.glossary else None
        self._policy = policy_of(
            port.manifest.translator,
            plan.source_lang,
            plan.target_lang,
            plan.register,
            plan.style,
        )

    def touches(self, row: Row) -> bool:
        """Does a row of the source hold a corrected text?"""
        unit, _ = unit_of(row, self._plan)
        return any(text in self._corrections for text in unit.texts)

    def remade(self, old: Row, present: Row | None) -> Remade | None:
        """A row made again; None for a failed one of which some text has no translation yet.

        Args:
            old: the row of the source; `present`: that of the port, None where it failed.
        """
        unit, _ = unit_of(old, self._plan)
        job = self._job(unit)
        whole = len(job.settled) == len(unit.segments)
        entry = None if whole else self._memory.get([job.key]).get(job.key)
        texts = unit.texts if whole else self._texts(job, entry, old, present)
        if texts is None:
            return None
        job.told = entry is not None and entry.insisted
        outcome = self._judge.accepted(job, texts)
        if outcome.texts is None and entry is None and not whole:
            job.told = True  # it passed before, so the model was asked about what it left as it was
            outcome = self._judge.accepted(job, texts)
        if outcome.texts is None:
            return Remade(None, failure=outcome.failure) if present or whole else None
        new = translated_row(old, unit, outcome.texts, self._plan)
        found = (*outcome.findings, *check_row(old, new, self._plan))
        gate = next((f for f in found if f.severity == "gate"), None)
        if gate is not None:
            failure = Failure(where="check", kind=gate.check, message=gate.message)
            return Remade(None, failure=failure)
        return Remade(new, found)

    def _job(self, unit: Unit) -> Job:
        terms = self._glossary.occurring(unit.texts) if self._glossary else ()
        job = Job(unit, unit_key(unit, self._policy, terms), terms)
        texts = set(unit.texts)
        locked = self._memory.locked(texts, *self._langs)
        locked |= {text: self._corrections[text] for text in texts if text in self._corrections}
        known = enumerate(unit.texts)
        job.settled = {place: locked[text] for place, text in known if text in locked}
        return job

    def _texts(
        self, job: Job, entry: Entry | None, old: Row, present: Row | None
    ) -> tuple[str, ...] | None:
        """What a row has by now: the memory's texts where the row was made of them, else its own.

        Raises:
            UserError: its texts cannot be told.
        """
        if present is None:
            return entry.texts if entry else None
        if entry is not None and self._made_of(job.unit, entry.texts, old, present):
            return entry.texts
        found = texts_of(job.unit, present)
        if found is None:
            raise UserError(
                "a corrected text stands in a program whose other texts are not known any more",
                hint="port the dataset again first: hret port",
            )
        return tuple(found)

    def _made_of(self, unit: Unit, texts: tuple[str, ...], old: Row, present: Row) -> bool:
        if len(texts) != len(unit.segments):
            return False
        locked = self._memory.locked(set(unit.texts), *self._langs)
        now = [locked.get(source, text) for source, text in zip(unit.texts, texts, strict=True)]
        return translated_row(old, unit, now, self._plan) == present
