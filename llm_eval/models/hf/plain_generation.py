"""Writing one row after another by the model's own `generate`, where its state is no cache of keys
and values (Mamba and its like), so that rows can neither be padded nor join one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from llm_eval.models.hf.batching import Stopped
from llm_eval.models.hf.engine import Engine, ran_out
from llm_eval.models.hf.generation import Row
from llm_eval.models.hf.sampling import Sampling


def write_plainly(
    engine: Engine,
    sampling: Sampling,
    rows: Sequence[Row],
    has_stop: Callable[[Sequence[int]], bool],
    stopped: Callable[[], bool],
) -> None:
    """Write every row to its end; no log-probabilities are told.

    Raises:
        Stopped: `stopped()` said so.
    """
    for row in rows:
        with torch.inference_mode():
            try:
                _write(engine, sampling, row, has_stop, stopped)
            except RuntimeError as e:
                if not ran_out(e):
                    raise
                row.written, row.end = [], "memory"
        if stopped():
            raise Stopped


def _write(
    engine: Engine,
    sampling: Sampling,
    row: Row,
    has_stop: Callable[[Sequence[int]], bool],
    stopped: Callable[[], bool],
) -> None:
    start = len(row.prompt)

    def at_end(ids: Any, scores: Any, **_: Any) -> Any:
        done = stopped() or has_stop(ids[0, start:].tolist())
        return torch.tensor([done], device=ids.device)

    ids = torch.tensor([list(row.prompt)], device=engine.device)
    drawn = sampling.temperature > 0
    how: dict[str, Any] = {"do_sample": drawn, "max_new_tokens": row.limit}
    if drawn:
        torch.manual_seed(row.dice.getrandbits(63))
        how |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        how |= {"top_k": sampling.top_k}
    ends = sorted(engine.end_tokens)
    found = engine.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        stopping_criteria=[at_end],
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
        **how,
    )
    row.written = found[0, start:].tolist()
    ended = row.written[-1:] and row.written[-1] in engine.end_tokens
    row.end = "stop" if ended or has_stop(row.written) else "length"
