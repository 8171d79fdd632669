"""Choosing the next token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn; temperature 0 takes the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    def draw(
        self, logits: torch.Tensor, dice: Sequence[random.Random]
    ) -> tuple[list[int], list[float]]:
        """(tokens, their log-probabilities before temperature and cuts), one for each row.

        Each row draws from dice of its own, so that what stands beside it changes nothing.
        """
        full = logits.float()
        top, likeliest = full.max(-1)
        total = (full - top[:, None]).exp_().sum(-1).log_()
        if self.temperature == 0:
            return likeliest.tolist(), (-total).tolist()
        chosen = self._drawn(full, dice)
        told = full.gather(1, chosen[:, None])[:, 0] - top - total
        return chosen.tolist(), told.tolist()

    def _drawn(self, logits: torch.Tensor, dice: Sequence[random.Random]) -> torch.Tensor:
        scaled = logits / self.temperature
        if 0 < self.top_k < scaled.shape[-1]:
            least = scaled.topk(self.top_k).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, -torch.inf)
        chances, order = scaled.softmax(-1), None
        if self.top_p < 1:
            chances, order = chances.sort(-1, descending=True)
            chances = chances.masked_fill(chances.cumsum(-1) - chances >= self.top_p, 0.0)
        heights = chances.cumsum(-1)
        thrown = torch.tensor([[d.random()] for d in dice], device=logits.device)
        place = torch.searchsorted(heights, thrown * heights[:, -1:], right=True)
        place = (
            torch.minimum(place, (chances > 0).sum(-1, keepdim=True) - 1)
            if self.top_p < 1
            else place
        )
        place = place.clamp(max=logits.shape[-1] - 1)
        return (place if order is None else order.gather(1, place))[:, 0]
