"""`get_logger`, as modules written for haerae-evaluation-toolkit call it."""

from __future__ import annotations

import logging


def get_logger(name: str = "llm_eval", level: str | int | None = None) -> logging.Logger:
    """The logger `name`. `level` is taken and left alone: how much is logged, the program says."""
    return logging.getLogger(name)
