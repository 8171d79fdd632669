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

from llm_eval.dataset.expect import Expected
from llm_eval.dataset.gold import LETTERS, as_number, is_number, math_text
from llm_eval.dataset.leaks import Prompts
from llm_eval.dataset.process import ChildModule
from llm_eval.errors import DatasetError, UserError

BATCH = 500  # rows asked about at once
LONG = 4_000_000  # characters of them
_STARTING, _PER_ROW = 600.0, 0.02  # seconds that a module may take
_SHOWN = 120


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
    timeout: float | None = None,
    enforce: bool = False,
    repos: Mapping[str, Path] | None = None,
    bare: bool = False,
) -> Verdict:
    """Verify the module at `module` on every (subset, split, number of rows, expectations); None
    as subset and split leaves the choice to the module.

    Args:
        timeout: seconds for one part; as many as its rows need, and some, when left out.
        enforce: in the kernel's sandbox or not at all.
        repos: folders of ports, by the names under which the module may load them.
        bare: a subset or split that is None is not passed at all.

    Raises:
        SandboxUnavailable: `enforce`, and this machine has no sandbox.
    """
    checked = 0
    try:
        for subset, split, count, expected in parts:
            seconds = timeout or _STARTING + _PER_ROW * count
            with ChildModule(module, timeout=seconds, enforce=enforce, repos=repos) as child:
                opened = child.ask("open", str(child.path), subset, split, bare)
                if slug not in opened["registered"]:
                    raise DatasetError(f"the module registers {opened['registered']}, not {slug!r}")
                checked += _part(child, f"{subset}/{split}", opened["rows"], count, expected)
    except DatasetError as e:
        return Verdict(checked, e.message)
    except UserError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as e:
        return Verdict(checked, f"the module's answers make no sense: {type(e).__name__}: {e}")
    return Verdict(checked)


def _part(
    child: ChildModule, where: str, rows_of_module: int, count: int, expected: Iterable[Expected]
) -> int:
    loaded = child.ask("loaded")
    if (rows_of_module, loaded) != (count, count):
        raise DatasetError(
            f"{where} holds {count} rows; the module has {rows_of_module} and load()s {loaded}"
        )
    start, inputs, prompts = 0, Prompts(), Prompts()
    for batch in batched(expected):
        rows = child.ask("rows", start, start + len(batch))
        for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
            said = _no_text(row) or inputs.fault(i, row["input"], want)
            if said := said or prompts.fault(i, row["prompt"], want) or _load_fault(row, want):
                raise DatasetError(f"{where}, row {i}: {said}")
        _judge(child, where, start, rows, batch)
        again = child.ask("again", start, start + len(batch))
        for i, (row, prompt) in enumerate(zip(rows, reversed(again), strict=True), start):
            if row["prompt"] != prompt:
                raise DatasetError(f"{where}, row {i}: get_prompt() gives another prompt each time")
        start += len(batch)
    if start != count:
        raise DatasetError(f"{where} holds {count} rows, and {start} are expected of the module")
    for read in (inputs, prompts):
        i, said = read.last_fault()
        if said:
            raise DatasetError(f"{where}, row {i}: {said}")
    return count


def _no_text(row: Mapping[str, Any]) -> str:
    if not isinstance(row["input"], str):
        return f"load() gives as its input {row['input']!r}"[:_SHOWN]
    return "" if isinstance(row["prompt"], str) else "get_prompt() gives no text"


def _load_fault(row: Mapping[str, Any], want: Expected) -> str:
    """What is wrong with what `load()` gives beside the prompt."""
    reference = row["reference"]
    if want.code is not None:
        told = {"reference": reference, **(row.get("metadata") or {})}
        return next(
            (
                f"load() gives {k!r} as {told.get(k)!r}"
                for k, v in want.code.items()
                if told.get(k) != v
            ),
            "",
        )
    if (reference is None) != want.ungraded:
        return f"its reference is {reference!r}"
    options = row["options"]
    if options is not None and want.choices and not _are_options(options, want):
        return f"load() gives as its options {options!r}"[:_SHOWN]
    if want.reference and not _is_reference(str(reference), options, want):
        return f"its reference is {str(reference)[:_SHOWN]!r}, not {want.reference[:_SHOWN]!r}"
    return ""


def _are_options(options: Any, want: Expected) -> bool:
    """A letter for each choice, or the choice itself."""
    if not isinstance(options, list) or len(options) != len(want.choices):
        return False
    each = zip(map(str, options), LETTERS, want.choices, strict=False)
    return all(
        given.strip("(). ") == letter or given.strip().endswith(text.strip())
        for given, letter, text in each
    )


def _is_reference(reference: str, options: Any, want: Expected) -> bool:
    """Is it the gold, as one would write it who knows the row's options?"""
    if want.choices:
        place = LETTERS.index(want.reference)
        own = [str(options[place])] if options is not None else []
        return reference.strip("(). ") == want.reference or reference in own
    right = [want.reference, *want.golds]
    if is_number(reference) and is_number(want.reference):
        return as_number(reference) == as_number(want.reference)
    return math_text(reference).casefold() in [math_text(gold).casefold() for gold in right]


def _judge(
    child: ChildModule,
    where: str,
    start: int,
    rows: Sequence[Mapping[str, Any]],
    batch: Sequence[Expected],
) -> None:
    """Right replies must score 1, wrong ones 0, and where nothing is right nothing is scored.

    They are asked about backwards: no order of calls, as one might expect it, helps a module.
    """
    asked: list[tuple[int, str, float | None, str]] = []
    for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
        own = [] if want.ungraded else [str(row["reference"])]
        asked += [(i, reply, 1.0, "gold") for reply in want.golds]
        asked += [(i, reply, 1.0, "reference as an") for reply in own]
        asked += [(i, reply, 0.0, "wrong") for reply in want.wrong]
        asked += [(i, reply, None, "unjudgeable") for reply in ("A", "1") if want.ungraded]
    backwards = child.ask("judge", [[i, reply] for i, reply, _, _ in reversed(asked)])
    for (i, reply, score, kind), verdict in zip(asked, reversed(backwards), strict=True):
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
