"""How likely each token of a text is behind those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from llm_eval.models.hf.batching import Size, in_batches
from llm_eval.models.hf.engine import Engine
from llm_eval.models.hf.likelihood import LOGITS, SLICE
from llm_eval.models.hf.rows import Top


@dataclass
class Reading:
    """A text's tokens; `told` and `top` are of all but the first, before which nothing stands.

    `most`: how many of the likeliest tokens to tell at each place. `done` stays False where the
    text alone was too much for the memory.
    """

    ids: Sequence[int]
    most: int = 0
    told: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)
    done: bool = False


def read_whole(
    engine: Engine, texts: Sequence[Reading], size: Size, stopped: Callable[[], bool]
) -> None:
    """Fill in every reading.

    Raises:
        Stopped: `stopped()` said so between two batches.
    """
    at_once = max(1, LOGITS // engine.vocabulary)

    def work(batch: Sequence[Reading]) -> None:
        with torch.inference_mode():
            while batch:
                longest = len(batch[0].ids)  # the longest come first
                rows = 1 if engine.apart(longest) else max(1, at_once // longest)
                if engine.shares and longest > at_once and not engine.apart(longest):
                    _long(engine, batch[0], at_once)
                else:
                    _batch(engine, batch[:rows])
                batch = batch[rows:]

    in_batches(texts, lambda t: len(t.ids), work, lambda t: None, size, stopped)


def _batch(engine: Engine, batch: Sequence[Reading]) -> None:
    at = [(r, c) for r, t in enumerate(batch) for c in range(len(t.ids) - 1)]
    logits = engine.read([t.ids for t in batch], at, keep=False)[0] if at else None
    start = 0
    for text in batch:
        more = len(text.ids) - 1
        text.told, text.top = [], []
        if logits is not None:
            _note(text, logits[start : start + more], text.ids[1:])
        start, text.done = start + more, True


def _long(engine: Engine, text: Reading, at_once: int) -> None:
    """A piece of the text after another, so that there are never logits for all of it."""
    text.told, text.top = [], []
    ids, cache = text.ids[:-1], None
    for start in range(0, len(ids), at_once):
        part = ids[start : start + at_once]
        at = [(0, c) for c in range(len(part))]
        if cache is None:
            logits, cache = engine.read([part], at, keep=True)
        else:
            logits = engine.go_on([part], at, cache, [start])
        _note(text, logits, text.ids[start + 1 : start + 1 + len(part)])
    text.done = True


def _note(text: Reading, logits: torch.Tensor, targets: Sequence[int]) -> None:
    place = 0
    for part in logits.split(max(1, SLICE // logits.shape[-1])):
        told = part.float().log_softmax(-1)
        wanted = torch.tensor(list(targets[place : place + len(part)]), device=part.device)
        text.told += told.gather(1, wanted[:, None])[:, 0].tolist()
        if text.most:
            top = told.topk(min(text.most, told.shape[-1]))
            rows = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            text.top += [list(zip(ids, values, strict=True)) for ids, values in rows]
        place += len(part)
