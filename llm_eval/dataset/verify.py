"""Is a dataset module right? Found out by running it in a child process, row by row.

Verified means: it imports from outside the checkout, registers, and `load()`s every row; on every
row the gold answer scores 1 and each wrong one 0, and the prompt holds the question and every
choice and never the answer. What is right is known from the data and the plan, not from the module;
the child answers questions and the parent computes the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_eval.dataset.process import ChildModule
from llm_eval.errors import DatasetError

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a row must do.

    `golds` are replies that must score 1, `wrong` replies that must score 0; `shown` are texts the
    prompt must hold, in this order; `hidden` must not stand in it once those are taken out. An
    `ungraded` row must score nothing (None), whatever the reply.
    """

    shown: Sequence[str]
    golds: Sequence[str]
    wrong: Sequence[str]
    hidden: Sequence[str] = ()
    ungraded: bool = False


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
    parts: Iterable[tuple[str, str, int, Iterable[Expected]]],
    *,
    timeout: float = 600.0,
) -> Verdict:
    """Verify the module at `module` on every (subset, split, number of rows, expectations)."""
    checked = 0
    try:
        for subset, split, count, expected in parts:
            with ChildModule(module, timeout=timeout) as child:
                checked += _part(child, slug, subset, split, count, expected)
    except DatasetError as e:
        return Verdict(checked, e.message)
    except (KeyError, IndexError, TypeError, ValueError) as e:
        return Verdict(checked, f"the module's answers make no sense: {type(e).__name__}: {e}")
    return Verdict(checked)


def _part(
    child: ChildModule, slug: str, subset: str, split: str, count: int, expected: Iterable[Expected]
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
    start = 0
    for batch in _batches(expected):
        _batch(child, where, start, batch)
        start += len(batch)
    if start != count:
        raise DatasetError(f"{where} holds {count} rows, and {start} are expected of the module")
    return count


def _batch(child: ChildModule, where: str, start: int, batch: Sequence[Expected]) -> None:
    rows = child.ask("rows", start, start + len(batch))
    for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
        for text in (row["input"], row["prompt"]):
            if reason := prompt_fault(text, want):
                raise DatasetError(f"{where}, row {i}: {reason}")
    for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
        if (row["reference"] is None) != want.ungraded and (want.golds or want.ungraded):
            raise DatasetError(f"{where}, row {i}: its reference is {row['reference']!r}")
    given = [() if row["reference"] is None else (str(row["reference"]),) for row in rows]
    asked = [
        (i, reply, score)
        for i, (want, reference) in enumerate(zip(batch, given, strict=True), start)
        for score, replies in (
            (1.0, (*want.golds, *reference)),
            (0.0, want.wrong),
            (None, _any_reply(want)),
        )
        for reply in replies
    ]
    verdicts = child.ask("judge", [[i, reply] for i, reply, _ in asked])
    for (i, reply, score), verdict in zip(asked, verdicts, strict=True):
        if verdict != [bool(score), score]:
            kind = {1.0: "gold", 0.0: "wrong", None: "unjudgeable"}[score]
            if score == 1.0 and reply not in batch[i - start].golds:
                kind = "reference as an"
            raise DatasetError(f"{where}, row {i}: the {kind} answer {reply!r} scores {verdict}")


def _any_reply(want: Expected) -> Sequence[str]:
    return ("A", "1") if want.ungraded else ()


def prompt_fault(prompt: str, want: Expected) -> str:
    """What is wrong with a prompt; empty when nothing is.

    >>> want = Expected(shown=["질문?", "하나"], golds=[], wrong=[], hidden=["42"])
    >>> prompt_fault("질문? A. 하나 B. 둘", want)
    ''
    >>> prompt_fault("질문? A. 하나 (답은 42)", want)
    "the prompt gives the answer away: '42'"
    """
    rest, place = prompt, 0
    for text in want.shown:
        if text not in prompt:
            return f"the prompt lacks {text[:80]!r}"
        if (place := prompt.find(text, place)) < 0:
            return f"the prompt holds {text[:80]!r} out of its place"
        place += len(text)
        rest = rest.replace(text, "\0", 1)
    for secret in want.hidden:
        if secret and secret in rest:
            return f"the prompt gives the answer away: {secret[:80]!r}"
    return ""


def _batches(expected: Iterable[Expected]) -> Iterator[list[Expected]]:
    batch: list[Expected] = []
    for want in expected:
        batch.append(want)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
