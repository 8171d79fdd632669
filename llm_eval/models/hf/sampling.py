"""Choosing the next token of each row, by the row's own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from llm_eval.models.hf.asking import Sampling
from llm_eval.models.hf.rows import Row, Top


class Drawn(NamedTuple):
    """For each row: the token, its log-probability, the likeliest tokens where it asks for them.

    Log-probabilities are the model's own: before temperature, cuts and choices.
    """

    tokens: list[int]
    told: list[float]
    tops: list[Top | None]


def draw(logits: torch.Tensor, rows: Sequence[Row], ends: frozenset[int]) -> Drawn:
    """The next token of each row, from logits [rows, vocabulary]."""
    full = logits.float()
    top, likeliest = full.max(-1)
    total = (full - top[:, None]).exp_().sum(-1).log_().add_(top)
    free = all(r.asked.sampling.temperature == 0 and not r.choice for r in rows)
    chosen = likeliest if free else _chosen(full, likeliest, rows, ends)
    told = full.gather(1, chosen[:, None])[:, 0] - total
    return Drawn(chosen.tolist(), told.tolist(), _tops(full, total, rows))


def _chosen(
    full: torch.Tensor, likeliest: torch.Tensor, rows: Sequence[Row], ends: frozenset[int]
) -> torch.Tensor:
    held = {i: ids for i, r in enumerate(rows) if (ids := r.allowed(ends)) is not None}
    if held:
        shut = torch.full_like(full, -torch.inf)
        for i in range(len(rows)):
            kept: Any = held.get(i, slice(None))
            shut[i, kept] = full[i, kept]
        full, likeliest = shut, shut.argmax(-1)
    chosen = likeliest.clone()
    ways: dict[Sampling, list[int]] = {}
    for i, row in enumerate(rows):
        if row.asked.sampling.temperature > 0:
            ways.setdefault(row.asked.sampling, []).append(i)
    for sampling, places in ways.items():
        units = [rows[i].unit() for i in places]
        chosen[places] = _thrown(full[places], sampling, units)
    return chosen


def _thrown(logits: torch.Tensor, sampling: Sampling, units: Sequence[float]) -> torch.Tensor:
    """A token for each row, by a number in [0, 1) each."""
    scaled = logits / sampling.temperature
    if 0 < sampling.top_k < scaled.shape[-1]:
        least = scaled.topk(sampling.top_k).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    chances, order = scaled.softmax(-1), None
    if sampling.top_p < 1:
        chances, order = chances.sort(-1, descending=True)
        chances = chances.masked_fill(chances.cumsum(-1) - chances >= sampling.top_p, 0.0)
    heights = chances.cumsum(-1)
    total = heights[:, -1:]
    thrown = torch.tensor(units, device=logits.device, dtype=heights.dtype)[:, None]
    place = torch.searchsorted(heights, thrown * total, right=True)
    place = torch.minimum(place, (heights < total).sum(-1, keepdim=True))
    return (place if order is None else order.gather(1, place))[:, 0]


def _tops(full: torch.Tensor, total: torch.Tensor, rows: Sequence[Row]) -> list[Top | None]:
    asked = [r.asked.logprobs for r in rows]
    most = min(max((k for k in asked if k is not None), default=0), full.shape[-1])
    if not most:
        return [None if k is None else [] for k in asked]
    values, ids = full.topk(most)
    values = values - total[:, None]
    pairs = [
        list(zip(i, v, strict=True)) for i, v in zip(ids.tolist(), values.tolist(), strict=True)
    ]
    return [None if k is None else p[:k] for k, p in zip(asked, pairs, strict=True)]
