"""HRET Agents: port a benchmark into Korean, verified, and evaluate any model on it."""

from __future__ import annotations

__version__ = "0.1.0"
