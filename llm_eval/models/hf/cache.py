# mypy: disable-error-code="misc"
"""Keys and values of what a model has read: with room to write on, and copied row by row.

A pass over prompts of different lengths pads them on the right, which a causal model does not see.
Whoever goes on from there first aligns the rows on the right, so that a token's distance to those
before it is what it is without padding (sliding windows and ALiBi count on it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64  # positions that a buffer grows by


class Layer(DynamicLayer):
    """The keys and values of one layer, [rows, heads, positions, size], in buffers that may be
    longer: a new token is written, not concatenated."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self.buffers: tuple[Any, Any] | None = None

    @classmethod
    def of(cls, keys: Any, values: Any, length: int) -> Layer:
        """A layer whose buffers hold `length` positions already."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer.buffers = keys, values
        layer.keys, layer.values = keys[:, :, :length], values[:, :, :length]
        return layer

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write these behind what is there; all of it, as views."""
        if self.buffers is None:
            self.lazy_initialization(key_states, value_states)
            self.buffers = self.keys, self.values = key_states, value_states
            return key_states, value_states
        have, more = self.keys.shape[2], key_states.shape[2]
        if have + more > self.buffers[0].shape[2]:
            self.buffers = tuple(_longer(b, have, more + ROOM) for b in self.buffers)
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, have : have + more] = new
        self.keys, self.values = (b[:, :, : have + more] for b in self.buffers)
        return self.keys, self.values


def _longer(buffer: Any, length: int, more: int) -> Any:
    rows, heads, _, size = buffer.shape
    longer = buffer.new_empty(rows, length + more, heads, size).transpose(1, 2)
    longer[:, :, :length] = buffer[:, :, :length]
    return longer


def empty() -> Cache:
    """A cache that has read nothing."""
    return Cache(layer_class_to_replicate=Layer)


def bytes_of(cache: Cache) -> int:
    """How much memory keys and values take."""
    return sum(int(t.nbytes) for layer in cache.layers for t in (layer.keys, layer.values))


def aligned(
    parts: Sequence[tuple[Cache, Sequence[int], Sequence[int]]], width: int, room: int
) -> Cache:
    """A new cache of chosen rows, aligned on the right at `width`, with `room` to write on.

    Each part is a cache, the rows to take from it (any may come several times), and for each the
    position behind its last token. What stands before a row's first token is left to the mask.
    """
    layers, known = [], {}
    for number in range(len(parts[0][0].layers)):
        pieces: list[list[Any]] = [[], []]
        for part, (cache, rows, ends) in enumerate(parts):
            buffers = cache.layers[number].buffers
            place = part, buffers[0].shape[2], buffers[0].device
            if place not in known:
                known[place] = _places(rows, ends, *place[1:], width, room)
            for made, buffer in zip(pieces, buffers, strict=True):
                _, heads, _, size = buffer.shape
                flat = buffer.transpose(1, 2).reshape(-1, heads * size)
                taken = flat.index_select(0, known[place])
                made.append(taken.view(len(rows), width + room, heads, size).transpose(1, 2))
        keys, values = (p[0] if len(p) == 1 else torch.cat(p) for p in pieces)
        layers.append(Layer.of(keys, values, width))
    return Cache(layers=layers)


def _places(
    rows: Sequence[int], ends: Sequence[int], long: int, device: Any, width: int, room: int
) -> Any:
    """Where in a flattened buffer of `long` positions a row each new position comes from."""
    row = torch.tensor(rows, device=device)[:, None]
    end = torch.tensor(ends, device=device)[:, None]
    position = torch.arange(width + room, device=device)[None] - width + end
    return (row * long + position.clamp(0, long - 1)).reshape(-1)
