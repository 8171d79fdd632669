"""How likely each option is behind its prompt: the prompt is read once, whatever its options.

The prompts of a batch are read together. What stands behind a prompt's last token is enough for the
first token of every option; for options of more tokens, the keys and values of their prompt are
copied to a row per option and only the option is read. Logits are made for the option's tokens
alone, and their log-softmax is taken in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_eval.models.hf.batching import Size, in_batches, let_go
from llm_eval.models.hf.cache import aligned
from llm_eval.models.hf.engine import Engine, ran_out

SLICE = 1 << 22  # logits that are exponentiated at once
LOGITS = 1 << 26  # logits that are made at once


@dataclass(eq=False)
class Question:
    """Tokens of a prompt and of its options, and what came of them.

    `found` has (sum of the log-probabilities, every token was the likeliest) for each option;
    it stays empty where one question alone was too much for the memory.
    """

    context: Sequence[int]
    options: Sequence[Sequence[int]]
    found: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def longest(self) -> int:
        """Tokens of the prompt with its longest option."""
        return len(self.context) + max(map(len, self.options))


def score_options(
    engine: Engine,
    questions: Sequence[Question],
    size: Size,
    stopped: Callable[[], bool],
    done: Callable[[Question], None],
) -> None:
    """Fill in `found` of every question; `done` is called with each one then.

    Raises:
        Stopped: `stopped()` said so between two batches.
    """

    def work(batch: Sequence[Question]) -> None:
        joins = [engine.shares and not engine.apart(q.longest) for q in batch]
        shared = [q for q, one in zip(batch, joins, strict=True) if one]
        apart = [q for q, one in zip(batch, joins, strict=True) if not one]
        with torch.inference_mode():
            found = [*_shared(engine, shared, size), *_plain(engine, apart)]
        for question, told in zip((*shared, *apart), found, strict=True):
            question.found = told
            done(question)

    in_batches(questions, lambda q: q.longest, work, done, size, stopped)


Told = list[list[tuple[float, bool]]]


def _shared(engine: Engine, batch: Sequence[Question], size: Size) -> Told:
    """Each prompt once."""
    if not batch:
        return []
    longer = [(i, j) for i, q in enumerate(batch) for j, o in enumerate(q.options) if len(o) > 1]
    ends = [(i, len(q.context) - 1) for i, q in enumerate(batch)]
    logits, cache = engine.read([q.context for q in batch], ends, keep=bool(longer))
    first = [(i, o[0]) for i, q in enumerate(batch) for o in q.options]
    told = iter(weighed(logits, first))
    found = [[next(told) for _ in q.options] for q in batch]
    del logits
    chunks = list(_chunks(batch, longer, size, engine.vocabulary))
    while chunks:
        chunk = chunks.pop(0)
        rest = _rest_of(engine, batch, chunk, cache)
        if rest is None:
            if len(chunk) == 1:
                raise torch.OutOfMemoryError("out of memory with one option")
            let_go()
            half = len(chunk) // 2
            chunks[:0] = [chunk[:half], chunk[half:]]
            continue
        for (i, j), parts in zip(chunk, rest, strict=True):
            found[i][j] = whole([found[i][j], *parts])
    return found


def _rest_of(
    engine: Engine, batch: Sequence[Question], chunk: Sequence[tuple[int, int]], cache: Any
) -> Told | None:
    """The tokens behind the first of each option, behind copies of their prompts; None where
    memory ran out."""
    rows = [batch[i].options[j] for i, j in chunk]
    lengths = [len(batch[i].context) for i, _ in chunk]
    more = max(map(len, rows)) - 1
    at = [(r, c) for r, row in enumerate(rows) for c in range(len(row) - 1)]
    try:
        own = aligned([(cache, [i for i, _ in chunk], lengths)], max(lengths), more)
        logits = engine.go_on([row[:-1] for row in rows], at, own, lengths)
        told = iter(weighed(logits, [(n, rows[r][c + 1]) for n, (r, c) in enumerate(at)]))
    except RuntimeError as e:
        if not ran_out(e):
            raise
        return None
    return [[next(told) for _ in row[1:]] for row in rows]


def _plain(engine: Engine, batch: Sequence[Question]) -> Told:
    """Each prompt once for each of its options, for models whose state cannot be shared."""
    pairs = [(q.context, o) for q in batch for o in q.options]
    step = 1 if any(engine.apart(q.longest) for q in batch) else max(1, len(pairs))
    told = [t for i in range(0, len(pairs), step) for t in _read(engine, pairs[i : i + step])]
    wholes = iter(told)
    return [[next(wholes) for _ in q.options] for q in batch]


def _read(
    engine: Engine, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[tuple[float, bool]]:
    """Prompts with their options, read as they stand."""
    rows = [[*context, *option[:-1]] for context, option in pairs]
    at = [(r, len(c) - 1 + t) for r, (c, o) in enumerate(pairs) for t in range(len(o))]
    targets = [token for _, option in pairs for token in option]
    logits, _ = engine.read(rows, at, keep=False)
    told = iter(weighed(logits, list(enumerate(targets))))
    return [whole([next(told) for _ in option]) for _, option in pairs]


def _chunks(
    batch: Sequence[Question],
    pairs: Sequence[tuple[int, int]],
    size: Size,
    vocabulary: int,
) -> Iterator[list[tuple[int, int]]]:
    """(question, option) pairs by as many as fit at once, with the copies of their prompts."""
    chunk: list[tuple[int, int]] = []
    longest = tokens = 0
    for i, j in pairs:
        longest = max(longest, batch[i].longest)
        tokens += len(batch[i].options[j]) - 1
        over = tokens * vocabulary > LOGITS or (len(chunk) + 1) * longest > 2 * size.tokens
        if chunk and over:
            yield chunk
            chunk, longest, tokens = [], batch[i].longest, len(batch[i].options[j]) - 1
        chunk.append((i, j))
    if chunk:
        yield chunk


def weighed(logits: torch.Tensor, wanted: Sequence[tuple[int, int]]) -> list[tuple[float, bool]]:
    """(log-probability, is it the likeliest) of each (row of `logits`, token)."""
    tops, sums = [], []
    for part in logits.split(max(1, SLICE // logits.shape[-1])):
        full = part.float()
        top = full.amax(-1, keepdim=True)
        tops.append(top[:, 0])
        sums.append((full - top).exp_().sum(-1).log_())
    rows, tokens = (torch.tensor(w, device=logits.device) for w in zip(*wanted, strict=True))
    above = logits[rows, tokens].float() - torch.cat(tops)[rows]
    told = above - torch.cat(sums)[rows]
    return list(zip(told.tolist(), (above >= 0).tolist(), strict=True))


def whole(parts: Sequence[tuple[float, bool]]) -> tuple[float, bool]:
    return math.fsum(p for p, _ in parts), all(greedy for _, greedy in parts)
