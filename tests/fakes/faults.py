"""Trouble on demand: what can go wrong, when it does, and what a reply then looks like.

A test asks for it by script or by chance, and the client under test has to survive it.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from enum import StrEnum, auto
from typing import Any, NamedTuple

from tests.fakes.chat_protocol import Refused, Reply
from tests.fakes.translit import Row


class Fault(StrEnum):
    """One kind of trouble. `slow`, `reordered` and `fenced` are still right answers."""

    rate_limit = auto()
    """429 with Retry-After."""
    server_error = auto()
    """500."""
    drop = auto()
    """The connection closes, by turns before the first byte and in the middle of the reply."""
    slow = auto()
    """The right reply, late."""
    truncated = auto()
    """The first half of the content, finish_reason "length"."""
    empty = auto()
    """Content ""."""
    refusal = auto()
    """`message.refusal` is set, content is null."""
    content_filter = auto()
    """Content "", finish_reason "content_filter"."""
    malformed = auto()
    """Broken JSON."""
    missing_id = auto()
    """One row left out."""
    extra_id = auto()
    """One row that nobody asked for."""
    reordered = auto()
    """The rows in reverse."""
    wrong_count = auto()
    """One string missing from the `t` of one row."""
    echo_source = auto()
    """The source texts, untranslated."""
    fenced = auto()
    """The right JSON inside a markdown fence, after a sentence."""


ALL = tuple(Fault)
ROW_FAULTS = {
    Fault.missing_id,
    Fault.extra_id,
    Fault.reordered,
    Fault.wrong_count,
    Fault.echo_source,
}
REFUSAL = "I'm sorry, but I cannot assist with that request."


def too_many(retry_after: float) -> Refused:
    """The answer to one request too many."""
    code = "rate_limit_exceeded"
    return Refused(429, "Rate limit reached.", kind="requests", code=code, retry_after=retry_after)


class Drawn(NamedTuple):
    """The fault that falls on a request. `midway` says where a dropped connection breaks."""

    fault: Fault | None
    midway: bool


class FaultPlan:
    """Which fault falls on which request.

    The script serves requests as they arrive. Chance looks only at the seed, the body and how often
    this body was seen, so that a run is repeatable whatever the order of its requests.
    """

    def __init__(self, rate: float, seed: int, faults: Sequence[Fault]) -> None:
        self.rate, self.seed, self.faults = rate, seed, tuple(faults)
        self.script: deque[Fault | None] = deque()
        self._seen: Counter[bytes] = Counter()

    def draw(self, body: Mapping[str, Any], *, by_chance: bool) -> Drawn:
        text = json.dumps(body, sort_keys=True).encode()
        name = hashlib.blake2b(text, digest_size=16).digest()
        self._seen[name] += 1
        midway = (name[0] + self._seen[name]) % 2 == 1
        if self.script:
            return Drawn(self.script.popleft(), midway)
        return Drawn(self._chance(name) if by_chance else None, midway)

    def _chance(self, name: bytes) -> Fault | None:
        lot = hashlib.blake2b(f"{self.seed} {self._seen[name]} ".encode() + name).digest()
        if not self.faults or int.from_bytes(lot[:8]) >= self.rate * 2**64:
            return None
        return self.faults[int.from_bytes(lot[8:16]) % len(self.faults)]

    def reset(self) -> None:
        self.script.clear()
        self._seen.clear()


def fits(fault: Fault | None, rows: Sequence[Row] | None, *, chat: bool) -> bool:
    """Whether the fault can be seen in the reply: without rows, no row can be missing."""
    if fault is Fault.refusal:
        return chat
    if fault not in ROW_FAULTS:
        return True
    if fault is Fault.wrong_count:
        return any(row["t"] for row in rows or ())
    return len(rows or ()) > (fault is Fault.reordered)


def bend_rows(fault: Fault | None, asked: Sequence[Row], right: list[Row]) -> list[Row]:
    """The rows of a reply as the fault leaves them."""
    match fault:
        case Fault.missing_id:
            gone = len(right) // 2
            return right[:gone] + right[gone + 1 :]
        case Fault.extra_id:
            return [*right, {**right[0], "id": _unused([row["id"] for row in right])}]
        case Fault.reordered:
            return right[::-1]
        case Fault.wrong_count:
            short = next(i for i, row in enumerate(right) if row["t"])
            cut = {**right[short], "t": right[short]["t"][:-1]}
            return [*right[:short], cut, *right[short + 1 :]]
        case Fault.echo_source:
            return [{"id": row["id"], "t": row["t"]} for row in asked]
    return right


def _unused(ids: Sequence[Any]) -> Any:
    """An id like the others that none of them is."""
    numbers = [i for i in ids if isinstance(i, int)]
    return max(numbers) + 1 if numbers else "".join(map(str, ids)) + "x"


def bend_text(fault: Fault | None, text: str) -> str:
    """The content as the fault leaves it, before any limit cuts it."""
    if fault is Fault.malformed:
        return "{" + text.replace(chr(34), "")  # not one row of it is whole
    if fault is Fault.fenced:
        return f"Here is the result:\n\n```json\n{text}\n```"
    return text


def bend_reply(fault: Fault | None, reply: Reply) -> Reply:
    """The finished reply as the fault leaves it."""
    text = reply.text or ""
    match fault:
        case Fault.truncated:
            return Reply(text[: len(text) // 2], "length")
        case Fault.empty:
            return Reply("", "stop")
        case Fault.refusal:
            return Reply(None, "stop", REFUSAL)
        case Fault.content_filter:
            return Reply("", "content_filter")
    return reply
