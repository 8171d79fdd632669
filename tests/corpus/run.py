"""Runs every check on the corpus: `python -m tests.corpus.run` prints recall and false alarms.

A defect is found when its own check speaks. A false alarm of a gate is a clean case, of whichever
check, on which that gate speaks; of a flag, a clean case of its own on which it speaks.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hret_agents.checks import CHECKS, Rules, check_row, check_unit
from hret_agents.checks.flags import source_anomaly
from hret_agents.plan.glossary import Glossary
from hret_agents.plan.records import Plan, Role, Span, TaskPlan
from hret_agents.plan.schema import values
from hret_agents.translate.audit import split_fault
from hret_agents.translate.reply import decode
from hret_agents.translate.units import Segment, Unit, _split, unit_of
from llm_eval.records import Failure

HERE = Path(__file__).parent
SETS = ("described", "observed", "held_out")
Case = Mapping[str, Any]
MIN_RECALL = {"gate": 0.99, "flag": 0.97}
MAX_ALARMS = {"gate": 0.01, "flag": 0.03}


@cache
def cases(part: str) -> tuple[Case, ...]:
    """The cases of one set."""
    lines = (
        line
        for path in sorted((HERE / part).glob("*.jsonl"))
        for line in path.read_text("utf-8").split("\n")
    )
    return tuple(json.loads(line) for line in lines if line)


def findings(case: Case) -> set[str]:
    """The ids of the checks that speak on a case."""
    return set(_RUNNERS[case["kind"]](case))


def _text(case: Case) -> Iterator[str]:
    unit = Unit((Segment("text", 0, case["source"]),))
    glossary = Glossary(dict(case.get("terms", ())))
    rules = Rules(lang=case.get("lang", "ko"), register=case.get("register"))
    found = check_unit(
        unit,
        [case["target"]],
        rules,
        terms=glossary.occurring([case["source"]]),
        told=case.get("told", False),
    )
    yield from (f.check for f in found)
    if case["source"].strip():  # a row of one text, which is its question
        yield from (f.check for f in source_anomaly({"text": case["source"]}, _ONE_TEXT))


_ONE_TEXT = Plan(
    source="corpus",
    source_lang="en",
    target_lang="ko",
    roles={"text": Role.prose},
    names={},
    task=TaskPlan(kind="ungraded", question=["text"]),
)


def _reply(case: Case) -> Iterator[str]:
    """A row of a reply; one that is no JSON of ours at all lacks every id."""
    spans: list[list[list[str]]] = [[[] for _ in row] for row in case["sources"]]
    reply = decode(case["reply"], case["finish"], spans)[case["row"] - 1]
    if isinstance(reply, Failure):
        yield "json_ids" if reply.kind == "malformed" else reply.kind
        return
    texts = case["sources"][case["row"] - 1]
    unit = Unit(tuple(Segment("text", i, text) for i, text in enumerate(texts)))
    yield from (f.check for f in check_unit(unit, reply, Rules(lang="ko")))


def plan_of(case: Case) -> Plan:
    """The plan that a case tells of."""
    task = dict(case["task"])
    if task.get("span"):
        task["span"] = Span(**task["span"])
    return Plan(
        source="corpus",
        source_lang="en",
        target_lang=case.get("lang", "ko"),
        roles={path: Role(role) for path, role in case["roles"].items()},
        names=case.get("names", {}),
        task=TaskPlan(**task),
        register=case.get("register"),
    )


def _row(case: Case) -> Iterator[str]:
    plan = plan_of(case)
    source, target = case["source"], case["target"]
    yield from (f.check for f in check_row(source, target, plan))
    unit, _ = unit_of(source, plan)
    texts = [_translated(segment, target, plan) for segment in unit.segments]
    if None in texts:
        return
    rules = Rules(lang=plan.target_lang, choices=plan.task.choices, register=plan.register)
    whole = [text for text in texts if text is not None]
    yield from (f.check for f in check_unit(unit, whole, rules))


def _translated(segment: Segment, target: Mapping[str, Any], plan: Plan) -> str | None:
    """What a finished row holds for a segment; None where it holds no text there."""
    try:
        text = values(target, segment.path)[segment.place]
    except (IndexError, KeyError, TypeError):
        return None
    if not isinstance(text, str):
        return None
    return _split(text, plan.roles[segment.path], plan.task.lettered)[1]


def _split_case(case: Case) -> Iterator[str]:
    plan = plan_of(case)
    source, target = case["source"], case["target"]
    types = (case.get("source_types", {}), case.get("target_types", {}))
    said = split_fault(source, target, case["failed"], plan, *types)
    if said:
        yield said.partition(":")[0]
        return
    passed = [row for number, row in enumerate(source) if number not in case["failed"]]
    for old, new in zip(passed, target, strict=True):
        yield from _row({**case, "source": old, "target": new})


_RUNNERS = {"text": _text, "reply": _reply, "row": _row, "split": _split_case}


@dataclass
class Tally:
    """What came of one check on one set."""

    defects: int = 0
    missed: list[str] = field(default_factory=list)
    clean: int = 0
    alarms: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share of defects found."""
        return 1 - len(self.missed) / self.defects if self.defects else 1.0

    @property
    def alarm_rate(self) -> float:
        """The share of clean cases on which the check speaks."""
        return len(self.alarms) / self.clean if self.clean else 0.0


def tallies(parts: Sequence[str] = SETS) -> dict[tuple[str, str], Tally]:
    """By set and check."""
    out: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for part in parts:
        for case in cases(part):
            found = findings(case)
            own = out[part, case["check"]]
            if case["defect"]:
                own.defects += 1
                own.missed += [case["id"]] * (case["check"] not in found)
                continue
            own.clean += 1
            for check in found:
                if check == case["check"]:
                    own.alarms.append(case["id"])
                elif CHECKS[check].severity == "gate":
                    out[part, check].alarms.append(case["id"])
    return dict(out)


def summed(found: Mapping[tuple[str, str], Tally], part: str, severity: str) -> Tally:
    """All checks of one severity on one set; a gate's clean cases are those of every check."""
    total = Tally()
    for (where, check), tally in found.items():
        if where != part:
            continue
        if CHECKS[check].severity == severity:
            total.defects += tally.defects
            total.missed += tally.missed
            total.alarms += tally.alarms
            total.clean += tally.clean
        elif severity == "gate":
            total.clean += tally.clean
    total.alarms = sorted(set(total.alarms))
    return total


def main() -> int:
    """Print the table; 1 if a bar is not reached."""
    found = tallies()
    good = True
    for part in SETS:
        print(f"\n{part:24} {'defects':>7} {'recall':>7} {'clean':>6} {'alarms':>7}")
        for check in CHECKS:
            if (part, check) in found:
                _line(check, found[part, check])
        for severity in ("gate", "flag"):
            total = summed(found, part, severity)
            _line(f"all {severity}s", total)
            good = good and reached(total, severity)
    return 0 if good else 1


def reached(total: Tally, severity: str) -> bool:
    """Does a sum of checks reach its bars?"""
    return total.recall >= MIN_RECALL[severity] and total.alarm_rate <= MAX_ALARMS[severity]


def _line(name: str, tally: Tally) -> None:
    bad = ", ".join([*tally.missed, *(f"!{case}" for case in tally.alarms)])
    print(
        f"{name:24} {tally.defects:7} {tally.recall:7.1%} {tally.clean:6} "
        f"{tally.alarm_rate:7.1%}  {bad}"
    )


if __name__ == "__main__":
    sys.exit(main())
