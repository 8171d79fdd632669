"""The table that people correct: a line per translated text of a port, written and read again."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hret_agents.review import rows
from hret_agents.review.cells import places, texts_of
from hret_agents.review.rows import Part, Row, parts_of, rows_of
from hret_agents.review.sheet import read_table, write_table
from hret_agents.steps.state import Port
from hret_agents.translate.incoming import text_of
from hret_agents.translate.units import Unit, unit_of
from llm_eval.dataset.spec import Manifest, SplitRecord
from llm_eval.errors import UserError

Only = Literal["all", "flagged", "failed"]
COLUMNS = ("id", "leaf", "place", "source", "translation", "checks", "corrected", "key")
AGAIN = "export it again: hret review export"
_KEY = re.compile(r"k[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that somebody corrected. `where` is its line; `key` tells what stood there before."""

    where: str
    subset: str
    split: str
    row: int
    leaf: str
    place: str
    source: str
    target: str
    key: str

    @property
    def id(self) -> str:
        """The row's id."""
        return f"{self.subset}/{self.split}/{self.row}"


def key_of(slug: str, translation: str) -> str:
    """What a line is known by: its port, and its translation as it was when it was written."""
    port = hashlib.sha256(slug.encode()).hexdigest()[:8]
    text = translation.replace("\r\n", "\n").encode("utf-8", "surrogatepass")
    return f"k{port}{hashlib.sha256(text).hexdigest()[:16]}"


def export(port: Port, path: Path, only: Only = "all") -> tuple[int, int]:
    """Write the texts of a finished port to a .xlsx, .csv or .jsonl file.

    Returns (how many lines it has, how many rows are left out because their texts cannot be told
    from the code around them).
    """
    left_out: list[str] = []
    count = write_table(path, COLUMNS, _lines(port, only, left_out))
    return count, len(left_out)


def _lines(port: Port, only: Only, left_out: list[str]) -> Iterator[tuple[str, ...]]:
    data = {(subset, split): data for subset, split, data in port.source.parts}
    for part in parts_of(port.folder, port.splits, data).values():
        found = _findings(port.folder, part)
        wanted: Sequence[int] | None = None
        if only == "failed":
            wanted = part.failed
        elif only == "flagged":
            flagged = (row for row, _ in _findings(port.folder, part) if not part.has_failed(row))
            wanted = array("q", flagged)
        at, checks = next(found, (-1, []))
        for number, old, new in rows_of(part, port.plan, wanted):
            assert old is not None
            while -1 < at < number:
                at, checks = next(found, (-1, []))
            unit, _ = unit_of(old, port.plan)
            texts = [""] * len(unit.segments) if new is None else texts_of(unit, new)
            row = f"{part.subset}/{part.split}/{number}"
            if texts is None:
                left_out.append(row)
            else:
                here = checks if at == number else []
                yield from _row(port.slug, row, unit, texts, here)


def _findings(folder: Path, part: Part) -> Iterator[tuple[int, list[Row]]]:
    """The findings of each row of a split that has some, in order."""
    for (subset, split, row), notes in rows.by_row(folder / rows.CHECKS):
        if (subset, split) == (part.subset, part.split):
            yield row, notes


def _row(
    slug: str, row: str, unit: Unit, texts: Sequence[str], checks: Sequence[Row]
) -> Iterator[tuple[str, ...]]:
    for segment, place, text in zip(unit.segments, places(unit), texts, strict=True):
        found = dict.fromkeys(n["check"] for n in checks if n["path"] in ("", segment.path))
        yield (
            *(row, segment.path, place, segment.core, text, ", ".join(found), ""),
            key_of(slug, text),
        )


def read_edits(path: Path, manifest: Manifest) -> list[Edit]:
    """The lines of a file that somebody corrected: in `corrected`, or in `translation` itself.

    Raises:
        UserError: naming the line that is not one of this port, or not as it was written.
    """
    found = []
    for where, line in read_table(path, COLUMNS):
        subset, split, row = _place(where, line.get("id", ""), manifest.splits, manifest.slug)
        key = line.get("key", "")
        if not _KEY.fullmatch(key):
            raise UserError(f"{where}: the key {key!r} was changed", hint=AGAIN)
        if key[:9] != key_of(manifest.slug, "")[:9]:
            raise UserError(
                f"{where}: this was exported from another port, not from {manifest.slug}",
                hint="import it by its own port's name",
            )
        if (target := _edited(where, line, key, manifest.slug)) is not None:
            leaf, place, source = (line.get(name, "") for name in ("leaf", "place", "source"))
            found.append(Edit(where, subset, split, row, leaf, place, source, target, key))
    if not found:
        raise UserError(
            f"no line of {path} is corrected", hint="write what is right into 'corrected'"
        )
    return found


def _place(
    where: str, name: str, splits: Mapping[str, Mapping[str, SplitRecord]], slug: str
) -> tuple[str, str, int]:
    subset, split, row = [*name.split("/"), "", "", ""][:3]
    record = splits.get(subset, {}).get(split)
    fits = name.count("/") == 2 and re.fullmatch(r"0|[1-9][0-9]{0,15}", row)
    if record is None or not fits or int(row) >= record.rows:
        raise UserError(f"{where}: {slug} has no row {name!r}", hint=AGAIN)
    return subset, split, int(row)


def _edited(where: str, line: Mapping[str, str], key: str, slug: str) -> str | None:
    """What a line was corrected to; None if it was not."""
    column = "corrected" if line.get("corrected", "").strip() else "translation"
    text = line.get(column, "")
    if column == "translation" and key_of(slug, text) == key:
        return None
    if not text.strip():
        raise UserError(
            f"{where}: the translation was taken out", hint="write the right one into 'corrected'"
        )
    try:
        return text_of({column: text}, column).strip()
    except ValueError as e:
        raise UserError(f"{where}: {e}", hint="nothing was changed") from None


def corrections_of(
    edits: Sequence[Edit], port: Port, parts: Mapping[tuple[str, str], Part]
) -> dict[str, str]:
    """What each corrected text is to become, by its source; equal texts share one translation.

    Raises:
        UserError: a line does not fit the port as it is now, or two of them contradict each other.
    """
    new: dict[str, Edit] = {}
    for (subset, split), part in parts.items():
        here = [e for e in edits if (e.subset, e.split) == (subset, split)]
        by_row: dict[int, list[Edit]] = {}
        for edit in here:
            by_row.setdefault(edit.row, []).append(edit)
        for number, old, target in rows_of(part, port.plan, sorted(by_row)):
            assert old is not None
            known = _known(port, old, target)
            for edit in by_row[number]:
                source = _checked(edit, known, port.slug)
                other = new.setdefault(source, edit)
                if other.target != edit.target:
                    raise UserError(
                        f"{edit.where}: the same text is corrected in another way than in"
                        f" {other.where}",
                        hint="equal texts have one translation: make both the same",
                    )
    return {source: edit.target for source, edit in new.items()}


def _known(port: Port, old: Row, new: Row | None) -> dict[tuple[str, str], tuple[str, str]]:
    """(source, translation) of each text of a row, by leaf and place."""
    unit, _ = unit_of(old, port.plan)
    texts = texts_of(unit, new) if new is not None else None
    return {
        (segment.path, place): (segment.core, text)
        for segment, place, text in zip(
            unit.segments, places(unit), texts or [""] * len(unit.segments), strict=True
        )
    }


def _checked(edit: Edit, known: Mapping[tuple[str, str], tuple[str, str]], slug: str) -> str:
    """The source of a corrected text, as the port has it."""
    found = known.get((edit.leaf, edit.place))
    if found is None:
        raise UserError(
            f"{edit.where}: row {edit.id} has no text {edit.leaf!r} {edit.place!r}", hint=AGAIN
        )
    source, present = found
    if _plain(edit.source) != _plain(source):
        raise UserError(
            f"{edit.where}: this is not the source of {edit.leaf!r} in row {edit.id}",
            hint=f"leave the column 'source' as it is; or the port was made anew: {AGAIN}",
        )
    if edit.key != key_of(slug, present) and present != edit.target:
        raise UserError(
            f"{edit.where}: the port has another translation of this text by now", hint=AGAIN
        )
    return source


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def rows_named(edits: Collection[Edit]) -> set[tuple[str, str, int]]:
    """The rows that the corrected lines are of."""
    return {(e.subset, e.split, e.row) for e in edits}
