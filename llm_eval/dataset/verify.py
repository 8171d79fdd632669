"""Is a dataset module right? Found out by running it in a child process, row by row.

Verified means: it imports from outside the checkout, registers, and `load()`s every row; on every
row the gold answer scores 1 and each wrong one 0, and the prompt holds the question and every
choice and never the answer. What is right is known from the data and the plan, not from the module;
the child answers questions and the parent computes the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_eval.dataset.expect import Expected, Prompts
from llm_eval.dataset.process import ChildModule
from llm_eval.errors import DatasetError, UserError

BATCH = 500  # rows asked about at once
LONG = 4_000_000  # characters of them


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome: how many rows held, and the first reason against the module (empty: none)."""

    rows: int
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Did every row hold?"""
        return not self.reason


def verify(
    module: Path,
    slug: str,
    parts: Iterable[tuple[str | None, str | None, int, Iterable[Expected]]],
    *,
    timeout: float = 600.0,
    enforce: bool = False,
    repos: Mapping[str, Path] | None = None,
) -> Verdict:
    """Verify the module at `module` on every (subset, split, number of rows, expectations); None
    as subset and split leaves the choice to the module.

    Args:
        timeout: seconds for one part.
        enforce: in the kernel's sandbox or not at all.
        repos: folders of ports, by the names under which the module may load them.

    Raises:
        SandboxUnavailable: `enforce`, and this machine has no sandbox.
    """
    checked = 0
    try:
        for subset, split, count, expected in parts:
            with ChildModule(module, timeout=timeout, enforce=enforce, repos=repos) as child:
                checked += _part(child, slug, subset, split, count, expected)
    except DatasetError as e:
        return Verdict(checked, e.message)
    except UserError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as e:
        return Verdict(checked, f"the module's answers make no sense: {type(e).__name__}: {e}")
    return Verdict(checked)


def _part(
    child: ChildModule,
    slug: str,
    subset: str | None,
    split: str | None,
    count: int,
    expected: Iterable[Expected],
) -> int:
    where = f"{subset}/{split}"
    opened = child.ask("open", str(child.path), subset, split)
    if slug not in opened["registered"]:
        raise DatasetError(f"the module registers {opened['registered']}, not {slug!r}")
    loaded = child.ask("loaded")
    if (opened["rows"], loaded) != (count, count):
        raise DatasetError(
            f"{where} holds {count} rows; the module has {opened['rows']} and load()s {loaded}"
        )
    start, inputs, prompts = 0, Prompts(), Prompts()
    for batch in batched(expected):
        rows = child.ask("rows", start, start + len(batch))
        for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
            said = inputs.fault(i, row["input"], want) or prompts.fault(i, row["prompt"], want)
            if said := said or _load_fault(row, want):
                raise DatasetError(f"{where}, row {i}: {said}")
        _judge(child, where, start, rows, batch)
        start += len(batch)
    if start != count:
        raise DatasetError(f"{where} holds {count} rows, and {start} are expected of the module")
    for read in (inputs, prompts):
        i, said = read.last_fault()
        if said:
            raise DatasetError(f"{where}, row {i}: {said}")
    return count


def _load_fault(row: Mapping[str, Any], want: Expected) -> str:
    """What is wrong with what `load()` gives beside the prompt."""
    if want.code is not None:
        told = {"reference": row["reference"], **(row.get("metadata") or {})}
        return next(
            (
                f"load() gives {k!r} as {told.get(k)!r}"
                for k, v in want.code.items()
                if told.get(k) != v
            ),
            "",
        )
    missing = row["reference"] is None
    return f"its reference is {row['reference']!r}" if missing != want.ungraded else ""


def _judge(
    child: ChildModule,
    where: str,
    start: int,
    rows: Sequence[Mapping[str, Any]],
    batch: Sequence[Expected],
) -> None:
    """Right replies must score 1, wrong ones 0, and where nothing is right nothing is scored."""
    asked: list[tuple[int, str, float | None, str]] = []
    for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
        own = [] if want.ungraded else [str(row["reference"])]
        asked += [(i, reply, 1.0, "gold") for reply in want.golds]
        asked += [(i, reply, 1.0, "reference as an") for reply in own]
        asked += [(i, reply, 0.0, "wrong") for reply in want.wrong]
        asked += [(i, reply, None, "unjudgeable") for reply in ("A", "1") if want.ungraded]
    verdicts = child.ask("judge", [[i, reply] for i, reply, _, _ in asked])
    for (i, reply, score, kind), verdict in zip(asked, verdicts, strict=True):
        if verdict != [bool(score), score]:
            raise DatasetError(f"{where}, row {i}: the {kind} answer {reply!r} scores {verdict}")


def batched(expected: Iterable[Expected]) -> Iterator[list[Expected]]:
    """Expectations in lists of at most `BATCH`, fewer where rows are long."""
    batch: list[Expected] = []
    size = 0
    for want in expected:
        batch.append(want)
        size += sum(map(len, want.shown)) + sum(map(len, want.choices))
        if len(batch) == BATCH or size > LONG:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
