"""Writing one row after another by the model's own `generate`: where its state is no cache of keys
and values (Mamba and its like), so that rows can neither be padded nor join one another, and where
a prompt has images, which each model reads in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from llm_eval.models.hf.batching import Stopped, let_go
from llm_eval.models.hf.engine import Engine, ran_out
from llm_eval.models.hf.rows import Decode, Ended, Row, see_stops
from llm_eval.models.hf.sampling import draw


def write_plainly(
    engine: Engine,
    rows: Sequence[Row],
    decode: Decode,
    stopped: Callable[[], bool],
    ended: Ended,
) -> None:
    """Write every row to its end, and call `ended` with it then.

    Raises:
        Stopped: `stopped()` said so.
    """
    for row in rows:
        if stopped():
            raise Stopped
        if not _wrote(engine, row, decode, stopped):
            row.end = "memory"
            let_go()
        if row.end:
            ended(row)
    if stopped():
        raise Stopped


def _wrote(engine: Engine, row: Row, decode: Decode, stopped: Callable[[], bool]) -> bool:
    try:
        with torch.inference_mode():
            _write(engine, row, decode, stopped)
    except RuntimeError as e:
        if not ran_out(e):
            raise
        return False
    return True


def _write(engine: Engine, row: Row, decode: Decode, stopped: Callable[[], bool]) -> None:
    ends = engine.end_tokens

    def chosen(_: Any, logits: torch.Tensor) -> torch.Tensor:
        """Our own choice, forced on the model's loop."""
        (token,), (told,), (top,) = draw(logits, [row], ends)
        row.add(token, told, top, ends)
        see_stops([row], decode)
        forced = torch.full_like(logits, -torch.inf)
        forced[:, token] = 0.0
        return forced

    def at_end(ids: Any, _: Any, **__: Any) -> torch.Tensor:
        return torch.tensor([bool(row.end) or stopped()], device=ids.device)

    if row.inputs is None:
        ids = torch.tensor([list(row.prompt)], device=engine.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    else:
        inputs = engine.placed(row.inputs)
    engine.model.generate(
        **inputs,
        logits_processor=[chosen],
        stopping_criteria=[at_end],
        max_new_tokens=row.limit,
        do_sample=False,
        pad_token_id=0,
    )
