"""Is a dataset module right? Found out by running it in a child process, row by row.

Verified means: it imports from outside the checkout, registers, and `load()`s every row; on every
row the gold answer scores 1 and each wrong one 0, and the prompt holds the question and every
choice and never the answer. A program is not run here: what the method `code` judges it by must be
as in the data. What is right is known from the data and the plan, not from the module;
the child answers questions and the parent computes the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_eval.dataset.adapt import metadata_of
from llm_eval.dataset.expect import Expected
from llm_eval.dataset.gold import LETTERS, as_number, is_number, math_text
from llm_eval.dataset.leaks import Prompts
from llm_eval.dataset.process import ChildModule
from llm_eval.dataset.ways import AFTER, BEFORE, Part, Way
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
    parts: Iterable[Part],
    *,
    ways: Sequence[Way] = (),
    timeout: float | None = None,
    enforce: bool = False,
    repos: Mapping[str, Path] | None = None,
) -> Verdict:
    """Verify the module at `module` on every (subset, split, number of rows, expectations); what is
    None of subset and split is not passed, as in `load_datasets`, and left to the module.

    Args:
        ways: how else its dataset must be made, looked at in some rows once all parts hold.
        timeout: seconds for one part, and for all ways; as many as the rows need, and some, when
            left out.
        enforce: in the kernel's sandbox or not at all.
        repos: folders of ports, by the names under which the module may load them.

    Raises:
        SandboxUnavailable: `enforce`, and this machine has no sandbox.
    """
    checked = 0
    options: dict[str, Any] = {"enforce": enforce, "repos": repos}
    try:
        for subset, split, count, expected in parts:
            seconds = timeout or _STARTING + _PER_ROW * count
            with ChildModule(module, timeout=seconds, **options) as child:
                _opened(child, slug, count, subset, split, True)
                _part(child, _named(subset, split), count, expected)
                checked += count
        if ways:
            seconds = timeout or _STARTING + _PER_ROW * sum(way.rows for way in ways)
            with ChildModule(module, timeout=seconds, **options) as child:
                for way in ways:
                    template = BEFORE + "{query}" + AFTER if way.template else ""
                    _opened(child, slug, way.rows, way.subset, way.split, False, template)
                    _way(child, way)
    except DatasetError as e:
        return Verdict(checked, e.message)
    except UserError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        return Verdict(checked, f"the module's answers make no sense: {type(e).__name__}: {e}")
    return Verdict(checked)


def _named(subset: str | list[str] | None, split: str | None) -> str:
    """How a reason calls what was asked for."""
    if split is None:
        return "without subset and split" if subset is None else f"{subset} without split"
    return f"{subset}/{split}"


def _opened(
    child: ChildModule, slug: str, count: int, subset: Any, split: str | None, *more: Any
) -> None:
    """Make the dataset. It must be registered, and have its rows."""
    opened = child.ask("open", str(child.path), subset, split, *more)
    if slug not in opened["registered"]:
        raise DatasetError(f"the module registers {opened['registered']}, not {slug!r}")
    loaded = child.ask("loaded")
    if (opened["rows"], loaded) != (count, count):
        raise DatasetError(
            f"{_named(subset, split)} holds {count} rows; "
            f"the module has {opened['rows']} and load()s {loaded}"
        )


def _part(child: ChildModule, where: str, count: int, expected: Iterable[Expected]) -> None:
    start, read = 0, (Prompts(), Prompts())
    for batch in batched(expected):
        _held(child, where, start, batch, read)
        start += len(batch)
    if start != count:
        raise DatasetError(f"{where} holds {count} rows, and {start} are expected of the module")
    for prompts in read:
        i, said = prompts.last_fault()
        if said:
            raise DatasetError(f"{where}, row {i}: {said}")


def _way(child: ChildModule, way: Way) -> None:
    where, read = _named(way.subset, way.split), (Prompts(), Prompts())
    told = child.ask("info")
    for name, known in way.info.items():
        if told.get(name) not in known:
            raise DatasetError(f"{where}: info() gives as its {name} {told.get(name)!r}"[:_SHOWN])
    where += ", with a base_prompt_template" if way.template else ""
    for start, batch in way.looks:
        _held(child, where, start, batch, read, way.template)


def _held(
    child: ChildModule,
    where: str,
    start: int,
    batch: Sequence[Expected],
    read: tuple[Prompts, Prompts],
    template: bool = False,
) -> None:
    """Hold some rows against what is expected of them; the inputs and the prompts are read on."""
    inputs, prompts = read
    rows = child.ask("rows", start, start + len(batch))
    for i, (row, want) in enumerate(zip(rows, batch, strict=True), start):
        said = _no_text(row) or (_unframed(row["input"]) if template else "")
        said = said or inputs.fault(i, row["input"], want)
        said = said or prompts.fault(i, row["get_prompt"], want) or _load_fault(row, want)
        if said:
            raise DatasetError(f"{where}, row {i}: {said}")
    _judge(child, where, start, rows, batch)
    again = child.ask("again", start, start + len(batch))
    for i, (row, prompt) in enumerate(zip(rows, reversed(again), strict=True), start):
        if row["get_prompt"] != prompt:
            raise DatasetError(f"{where}, row {i}: get_prompt() gives another prompt each time")


def _unframed(text: str) -> str:
    """What is wrong with an input that a template was given for."""
    if text.startswith(BEFORE) and text.endswith(AFTER) and text.count(BEFORE) == 1:
        return ""
    return f"for {BEFORE}{{query}}{AFTER} its input is {text[:_SHOWN]!r}"


def _no_text(row: Mapping[str, Any]) -> str:
    if not isinstance(row.get("input"), str):
        return f"load() gives as its input {row.get('input')!r}"[:_SHOWN]
    return "" if isinstance(row["get_prompt"], str) else "get_prompt() gives no text"


def _load_fault(row: Mapping[str, Any], want: Expected) -> str:
    """What is wrong with what `load()` gives beside the prompt."""
    reference, told = row.get("reference"), metadata_of(row)
    if want.subset and row.get("_subset_name") != want.subset:
        return f"its _subset_name is {row.get('_subset_name')!r}, not {want.subset!r}"
    if want.code is not None:
        told["reference"] = reference
        return next(
            (
                f"load() gives {k!r} as {told.get(k)!r}"[:_SHOWN]
                for k, v in want.code.items()
                if told.get(k) != v
            ),
            "",
        )
    if (reference is None) != want.ungraded:
        return f"its reference is {reference!r}"
    options = row.get("options")
    if want.choices and not _are_options(options, want):
        return f"load() gives as its options {options!r}"[:_SHOWN]
    if want.choices and not _are_texts(told.get("choices"), want):
        return f"load() gives as its choices {told['choices']!r}"[:_SHOWN]
    if want.reference and not _is_reference(str(reference), options, want):
        return f"its reference is {str(reference)[:_SHOWN]!r}, not {want.reference[:_SHOWN]!r}"
    return ""


def _are_options(options: Any, want: Expected) -> bool:
    """A letter for each choice, or the choice itself; nothing where no option is right."""
    if options is None and want.ungraded:
        return True
    if not isinstance(options, list) or len(options) != len(want.choices):
        return False
    each = zip(map(str, options), LETTERS, want.choices, strict=False)
    return all(
        given.strip("(). ") == letter or given.strip().endswith(text.strip())
        for given, letter, text in each
    )


def _are_texts(choices: Any, want: Expected) -> bool:
    """The choices themselves, which `log_likelihood` may weigh; or nothing."""
    if choices is None:
        return True
    if not isinstance(choices, list) or len(choices) != len(want.choices):
        return False
    each = zip(map(str, choices), want.choices, strict=True)
    return all(given.strip().endswith(text.strip()) for given, text in each)


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
