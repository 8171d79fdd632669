"""Ways to spend more on a sample (best of n, self-consistency, ...): the room is here, empty."""

from __future__ import annotations

from typing import Any

from llm_eval.registry import Registry

SCALING_METHODS: Registry[type[Any]] = Registry("scaling method")
register_scaling_method = SCALING_METHODS.add
