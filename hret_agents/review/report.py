"""report.html: a port on one page, to be read in a browser without a server or a network.

The page is three files of this folder put together; a port's rows stand in it as compressed blocks.
No cell is ever part of its HTML: cells travel as base64 and are shown as text by the script, which
alone may run (content security policy). Equal ports give equal bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from hret_agents.checks import CHECKS
from hret_agents.plan.records import Plan
from hret_agents.plan.schema import values
from hret_agents.review import rows
from hret_agents.review.opened import Part, remember, sources
from hret_agents.review.rows import Row, parts_of, rows_of
from hret_agents.review.words import SAYS_KO
from hret_agents.steps.state import Port
from llm_eval.dataset.spec import MANIFEST, Manifest, read_manifest
from llm_eval.files import replaced

REPORT = "report.html"
MOST_ROWS = 10_000
MOST_CHARS = 48_000_000  # of rows, as JSON
_FIRST_BLOCK, _BLOCK = 40_000, 600_000  # characters
_LONGEST_OTHER = 2_000  # characters shown of a leaf that is not translated


def write_report(port: Port, cost: str | None = None) -> None:
    """Write report.html into the port's work folder, whose other files must be there.

    Args:
        cost: what the port cost, as a sentence; a page without it is the same after every run.
    """
    remember(port)
    manifest = read_manifest(port.work) if (port.work / MANIFEST).is_file() else None
    splits = manifest.splits if manifest else port.splits
    parts = parts_of(port.work, splits, sources(port))
    found = _Found.read(port.work)
    with (
        replaced(port.work / REPORT) as new,
        new.open("w", encoding="utf-8", newline="\n") as file,
    ):
        head, script, tail = _page()
        file.write(head)
        file.write(_block("facts", json.dumps(_facts(port, manifest, parts, found, cost))))
        blocks = _blocks(_rows(port, parts, found))
        file.write(_block("rows", next(blocks, "[]")))
        file.write(script)
        for text in blocks:
            file.write(_block("rows", text))
        file.write(tail)


# --- what is shown ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What checks.jsonl says: counts of all of it, and the findings of the first flagged rows."""

    counts: dict[str, list[Any]] = field(default_factory=dict)
    """By check: how many findings, and whether it fails a row."""
    flagged: int = 0
    rows: dict[tuple[str, str, int], list[list[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> _Found:
        """Read in flat memory."""
        found = cls()
        for place, notes in rows.by_row(folder / rows.CHECKS):
            failed = False
            for note in notes:
                count = found.counts.setdefault(note["check"], [0, False])
                count[0] += 1
                gate = note["severity"] == "gate"
                count[1], failed = count[1] or gate, failed or gate
            if failed:
                continue
            found.flagged += 1
            if len(found.rows) < MOST_ROWS:
                found.rows[place] = [[n["check"], n["path"], n["message"]] for n in notes]
        return found


def _facts(
    port: Port,
    manifest: Manifest | None,
    parts: Mapping[Part, rows.Part],
    found: _Found,
    cost: str | None,
) -> Row:
    """All of the page but the rows. Parts and checks stand in an order of their own."""
    records = [part.record for part in parts.values()]
    plan = port.plan
    return {
        "slug": port.slug,
        "languages": [plan.source_lang, plan.target_lang],
        "counts": {
            "rows": sum(r.rows for r in records),
            "passed": sum(r.passed for r in records),
            "failed": sum(r.failed for r in records),
            "flagged": found.flagged,
            "kept": sum(r.kept for r in records),
        },
        "parts": [
            [*key, part.record.rows, part.record.passed, part.record.failed]
            for key, part in parts.items()
        ],
        "checks": [
            [name, *found.counts[name], CHECKS[name].says if name in CHECKS else "",
             SAYS_KO.get(name, "")]
            for name in sorted(found.counts)
        ],
        "leaves": plan.translated,
        "plan": plan.to_yaml(),
        "cost": cost,
        "provenance": {
            "source": port.source.name,
            "revision": port.source.revision,
            "licence": port.source.licence,
            "translator": manifest.translator if manifest else port.paid_model,
            "prompt": manifest.prompt_version if manifest else port.prompt_version,
            "module": manifest.module_way if manifest else None,
        },
    }  # fmt: skip


def _rows(port: Port, parts: Mapping[Part, rows.Part], found: _Found) -> Iterator[Row]:
    """The rows to show: failed ones first, then flagged ones, then others, in order each."""
    shown = 0
    numbers = {key: place for place, key in enumerate(parts)}
    for note in islice(rows.notes(port.work / rows.FAILED), MOST_ROWS):
        key = note["subset"], note["split"]
        shown += 1
        error = note["error"]
        yield _shown(
            port.plan, numbers[key], note["row"], 0, note["source"], None,
            [[error["kind"], "", error["message"]]],
        )  # fmt: skip
    flagged: dict[Part, list[int]] = {}
    for subset, split, number in islice(found.rows, MOST_ROWS - shown):
        flagged.setdefault((subset, split), []).append(number)
    for key, wanted in flagged.items():
        for number, old, new in rows_of(parts[key], port.plan, sorted(wanted)):
            shown += 1
            yield _shown(port.plan, numbers[key], number, 1, old, new, found.rows[*key, number])
    for key, part in parts.items():
        others = (
            n
            for n in range(part.record.rows)
            if not part.has_failed(n) and (*key, n) not in found.rows
        )
        wanted = list(islice(others, MOST_ROWS - shown))
        for number, old, new in rows_of(part, port.plan, wanted):
            shown += 1
            yield _shown(port.plan, numbers[key], number, 2, old, new, [])


def _shown(
    plan: Plan,
    part: int,
    number: int,
    state: int,
    old: Row | None,
    new: Row | None,
    found: Sequence[Sequence[str]],
) -> Row:
    """A row as the page's script reads it: `c` cells that were translated, `o` the others."""
    cells: list[list[Any]] = []
    others: list[list[str]] = []
    for path, role in plan.roles.items():
        before, after = (None if row is None else _values(row, path) for row in (old, new))
        both = before is not None and after is not None
        if role.translated or (both and before != after):
            pairs = zip_longest(before or (), after or ())
            cells += [[path, i, _text(a), _text(b)] for i, (a, b) in enumerate(pairs)]
        else:
            kept = after if before is None else before
            others += [[path, (_text(v) or "")[:_LONGEST_OTHER]] for v in kept or ()]
    return {"p": part, "n": number, "s": state, "c": cells, "o": others, "k": list(found)}


def _values(row: Row, path: str) -> list[Any]:
    try:
        return values(row, path)
    except (KeyError, TypeError):  # a column of images; failed.jsonl holds such cells as text
        return []


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    return json.dumps(value, ensure_ascii=False, default=str)


# --- how it is written ------------------------------------------------------------------------


def _blocks(found: Iterable[Row]) -> Iterator[str]:
    """JSON lists of rows: a small one first, so that something is seen at once."""
    block: list[str] = []
    size = total = 0
    most = _FIRST_BLOCK
    for row in found:
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        total += len(text)
        if total > MOST_CHARS:
            break
        block.append(text)
        size += len(text)
        if size >= most:
            yield f"[{','.join(block)}]"
            block, size, most = [], 0, _BLOCK
    if block:
        yield f"[{','.join(block)}]"


def _block(kind: str, text: str) -> str:
    """A block of data: gzip, whose bytes depend on the text alone, as base64."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # half a character, which only JSON's own escapes can hold
        raw = json.dumps(json.loads(text)).encode()
    packed = base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode()
    return f'<script type="text/plain" class="{kind}">{packed}</script>\n'


def _page() -> tuple[str, str, str]:
    """The page up to its facts and first rows, from there to the other rows, and what is left."""
    style, script, page = (_file(name) for name in ("page.css", "page.js", "page.html"))
    page = page.replace("$STYLE_HASH", _hash(style)).replace("$SCRIPT_HASH", _hash(script))
    head, rest = page.replace("$STYLE", style).split("$DATA")
    between, tail = rest.split("$MORE")
    return head, between.replace("$SCRIPT", script), tail


def _file(name: str) -> str:
    return (files("hret_agents.review") / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
