"""Which units go into one request, so that the server is full from the first row to the last.

While more rows come, packs are as large as they may be. Once all are read, what is longest goes
first and packs shrink with what is left (guided self-scheduling, Polychronopoulos & Kuck 1987), so
that all requests end at about the same time. While it is still being tried out how many requests a
server takes, packs are small, for their replies tell soonest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

PACK_CHARS = 8_000  # source characters in one request
SHARE = 0.5  # a pack of the last ones is what is left, divided by so many times the slots ...
FINE = 1.0  # ... or by so many times, where each slot gets fewer than two full packs in all
LEAST_CHARS = 300  # a smaller pack would cost more in its prompt than it saves in time
ROW_CHARS = 30  # what a row costs beside its characters


class Sized(Protocol):
    """Something with a length in characters."""

    @property
    def size(self) -> int:
        """Characters."""
        ...


T = TypeVar("T", bound=Sized)


class Packer(Generic[T]):
    """Units that wait to be sent. `most` is the characters of a full pack, and may be lowered."""

    def __init__(self, batch_size: int, most: int = PACK_CHARS) -> None:
        self.batch_size, self.most = batch_size, most
        self._waiting: deque[T] = deque()
        self._chars = 0
        self._closed = False
        self._share = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, unit: T) -> None:
        """Another one waits."""
        self._waiting.append(unit)
        self._chars += unit.size + ROW_CHARS

    def close(self) -> None:
        """No more will come: the longest goes first from now on."""
        if not self._closed:
            self._closed = True
            self._waiting = deque(sorted(self._waiting, key=lambda u: -u.size))

    def next(self, slots: float, *, trying: bool = False) -> list[T]:
        """The next pack, for a server that works on `slots` requests at once."""
        most = float(LEAST_CHARS) if trying else self._most(slots)
        shortest = trying and self._closed
        pack = [self._taken(shortest)]
        chars = pack[0].size
        while self._waiting and len(pack) < self.batch_size:
            chars += self._waiting[-1 if shortest else 0].size
            if chars > most:
                break
            pack.append(self._taken(shortest))
        return pack

    def _most(self, slots: float) -> float:
        """Characters of a pack now."""
        if not self._closed:
            return self.most
        each = self._chars / max(slots, 1.0)
        self._share = self._share or (FINE if each < 2 * self.most else SHARE)
        return min(self.most, max(LEAST_CHARS, each / self._share))

    def _taken(self, shortest: bool = False) -> T:
        unit = self._waiting.pop() if shortest else self._waiting.popleft()
        self._chars -= unit.size + ROW_CHARS
        return unit


class _Plain(int):
    @property
    def size(self) -> int:
        return self


def packs_of(sizes: Iterable[int], batch_size: int, slots: int) -> list[list[int]]:
    """The packs that units of these sizes go in, for the dry run: sizes by pack."""
    packer: Packer[_Plain] = Packer(batch_size)
    for size in sizes:
        packer.add(_Plain(size))
    packer.close()
    packs: list[list[int]] = []
    while packer:
        packs.append([int(u) for u in packer.next(slots)])
    return packs
