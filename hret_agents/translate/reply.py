"""Reading a chat model's reply: taken row by row, and never where it can be read in two ways.

What stands around the JSON (fences, chatter, thoughts) is passed over. Of JSON that breaks off the
rows before the break count. A row that is said twice and differently fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hret_agents.translate.base import Reply
from hret_agents.translate.masks import unmask
from llm_eval.records import Failure

Spans = Sequence[Sequence[str]]
"""The protected spans of each text of a row."""
_JSON = json.JSONDecoder(strict=False)  # a line break may stand in a string as it is
_ROWS = re.compile(r'\s*"rows"\s*:\s*\[')
_NEXT = re.compile(r"\s*,?\s*")
_KEY = re.compile(r'\s*"')
_THOUGHTS = re.compile(  # closed, or never closed; the opening tag may have been the prompt's
    r".*</think(?:ing)?>|\s*<think(?:ing)?>.*", re.DOTALL
)
_FENCED = re.compile(r"```[a-z]*\s*([{\[].*?[}\]])\s*```", re.DOTALL)


def decode(text: str, finish: str | None, spans: Sequence[Spans]) -> list[Reply]:
    """What a reply holds for each row, the first having the id 1: its texts with the spans put
    back, or why not."""
    read = _read(text, finish, dict(enumerate(spans, 1)))
    return [read[row_id] for row_id in range(1, len(spans) + 1)]


def _read(text: str, finish: str | None, spans: Mapping[int, Spans]) -> dict[int, Reply]:
    blocks = _blocks(text)
    if finish == "length":
        missing = _failed("finish_reason", "the reply was cut at the length limit")
    elif not blocks:
        missing = _failed("malformed", "the reply is no JSON of the shape asked for")
    else:
        missing = _failed("json_ids", "its id is missing from the reply")
    lone = next(iter(spans)) if len(spans) == 1 else None
    by_id: dict[int, list[Any]] = {}
    for rows in blocks:
        here: dict[int, list[Any]] = {}
        for row in rows:
            row_id = _id(row, lone if len(rows) == 1 else None)
            if row_id is not None:
                here.setdefault(row_id, []).append(row.get("t"))
        for row_id, said in here.items():
            earlier = by_id.setdefault(row_id, said)
            if earlier is not said and earlier != said:
                earlier += said
    return {i: _texts(by_id[i], found) if i in by_id else missing for i, found in spans.items()}


def _id(row: Any, lone: int | None) -> int | None:
    """A row's id, a whole number or its digits; where none is told and one was asked, that one."""
    if not isinstance(row, dict):
        return None
    found = row.get("id", lone if "t" in row else None)
    if isinstance(found, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", found):
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _texts(given: Sequence[Any], spans: Spans) -> Reply:
    if len(given) != 1:
        return _failed("json_ids", "its id stands twice in the reply")
    texts = given[0]
    if isinstance(texts, str) and len(spans) == 1:
        texts = [texts]
    if not isinstance(texts, list) or not all(isinstance(t, str) and _whole(t) for t in texts):
        return _failed("malformed", "its texts are no list of texts")
    if len(texts) != len(spans):
        return _failed("list_len", f"{len(spans)} texts were sent and {len(texts)} came back")
    whole = [unmask(t, s) for t, s in zip(texts, spans, strict=True)]
    if None in whole:
        place = whole.index(None)
        return _failed("placeholder_multiset", _marks_fault(place + 1, len(spans[place])))
    return tuple(t for t in whole if t is not None)


def _marks_fault(place: int, count: int) -> str:
    if not count:
        return f"text {place} must hold no mark like ⟦1⟧"
    return f"text {place} must hold each of the marks ⟦1⟧ to ⟦{count}⟧ once"


def _whole(text: str) -> bool:
    """Half a character (a lone surrogate) can be written nowhere."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _failed(kind: str, message: str) -> Failure:
    return Failure(where="translate", kind=kind, message=message, retryable=True)


def _blocks(text: str) -> list[list[Any]]:
    """The lists of rows in a reply; rows that stand alone are a list of their own."""
    blocks, loose = [], []
    for found in _objects(text):
        if isinstance(found.get("rows"), list):
            blocks.append(found["rows"])
        elif "t" in found:
            loose.append(found)
    return [*blocks, loose] if loose else blocks


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a reply, one after another. Behind one that breaks off comes no more:
    what looks like a row there may be the text of one."""
    text = _said(text)
    start = text.find("{")
    while start >= 0:
        try:
            found, end = _JSON.raw_decode(text, start)
            yield found
        except ValueError:
            if _KEY.match(text, start + 1):
                opening = _ROWS.match(text, start + 1)
                if opening and (rows := _whole_rows(text, opening.end())):
                    yield {"rows": rows}
                return
            end = start + 1
        except RecursionError:
            return
        start = text.find("{", end)


def _whole_rows(text: str, start: int) -> list[Any]:
    """The rows of a list that breaks off, up to there."""
    rows = []
    try:
        while True:
            row, end = _JSON.raw_decode(text, start)
            rows.append(row)
            start = _NEXT.match(text, end).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        return rows


def _said(text: str) -> str:
    """The reply without thoughts and the words around one fence; quotes straight if none is."""
    if text.lstrip().startswith("{"):
        return _straight(text)
    if thoughts := _THOUGHTS.match(text):
        text = text[thoughts.end() :]
    fenced = _FENCED.findall(text)
    return _straight(fenced[0] if len(fenced) == 1 else text)


def _straight(text: str) -> str:
    return text if '"' in text else re.sub("[“”]", '"', text)
