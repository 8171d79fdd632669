"""What a reply, or an entry of the memory, makes of a unit: done, failed, or worth asking again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hret_agents.checks import Rules, check_unit
from hret_agents.translate.jobs import Job, Outcome
from hret_agents.translate.memory import Entry, Memory
from llm_eval.records import Failure

SOFT = ("glossary",)  # flags that are worth asking again for, once


@dataclass(slots=True)
class Judge:
    """Judges by the checks, people's translations first. `paid`: the memory is looked up."""

    memory: Memory
    rules: Rules
    paid: bool
    max_retries: int

    def settle(self, jobs: Iterable[Job]) -> None:
        """Give units the texts that humans have translated; done is what has no other."""
        jobs = list(jobs)
        texts = {text for job in jobs for text in job.unit.texts}
        langs = self.rules.source_lang, self.rules.lang
        locked = self.memory.locked(texts, *langs) if texts else {}
        for job in jobs:
            if locked:
                known = enumerate(job.unit.texts)
                job.settled = {place: locked[text] for place, text in known if text in locked}
            if len(job.settled) == len(job.unit.segments):
                outcome = self.accepted(job, job.unit.texts)
                job.outcome = replace(outcome, known=bool(job.settled))

    def look_up(self, jobs: Sequence[Job]) -> None:
        """What the memory knows is done, if it passes today's checks."""
        if not self.paid:
            return
        seen = self.version()
        known = self.memory.get([job.key for job in jobs])
        for job in jobs:
            job.seen = seen
            if entry := known.get(job.key):
                job.outcome = self._known(job, entry)

    def _known(self, job: Job, entry: Entry) -> Outcome | None:
        job.told = entry.insisted
        outcome = self.accepted(job, entry.texts)
        if outcome.texts is None:
            job.told = False
        elif self.wanting(job, outcome):
            job.because = soft_faults(outcome)
            job.good, job.reply, job.tries, job.told = outcome, entry.texts, 1, True
            return None
        return replace(outcome, known=True) if outcome.texts is not None else None

    def version(self) -> int:
        """Changes whenever another process writes to the memory."""
        return int(next(self.memory.rows("PRAGMA data_version"))[0])

    def wanting(self, job: Job, outcome: Outcome) -> bool:
        """Will a reply do, and yet one more attempt is owed to it?"""
        return not job.told and job.tries < self.max_retries and bool(soft_faults(outcome))

    def accepted(self, job: Job, texts: Sequence[str], *, asked: bool = False) -> Outcome:
        """The outcome that texts make: a failure if they fail a gate."""
        texts = job.with_settled(texts)
        found = check_unit(
            job.unit, texts, self.rules, terms=job.terms, told=job.told, settled=job.settled
        )
        gates = [f for f in found if f.severity == "gate"]
        if not gates:
            return Outcome(texts, tuple(found), asked=asked)
        said = "; ".join(f"{f.path}: {f.message}" if f.path else f.message for f in gates)
        failure = Failure(where="translate", kind=gates[0].check, message=said)
        return Outcome(None, tuple(found), failure, asked)


def soft_faults(outcome: Outcome) -> str:
    """What is to be mended in texts that would do."""
    found = (f for f in outcome.findings if f.check in SOFT and not f.settled)
    return "; ".join(f"{f.path}: {f.message}" for f in found)
