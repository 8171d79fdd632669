"""What a port has cost, over all runs of it: `HRET_HOME/spent`, one file a port.

A port's folder holds nothing that differs between two runs, so the cost stands here, and the card
that a push uploads shows it. A file is replaced whole; whoever writes it holds the port's lock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from llm_eval import settings
from llm_eval.files import write_text
from llm_eval.records import Usage


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model was paid. `cost_usd` sums the runs whose price was known, `unpriced` counts
    the requests of the others."""

    usage: Usage = Usage()
    cost_usd: float = 0.0
    unpriced: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.usage + other.usage,
            round(self.cost_usd + other.cost_usd, 6),
            self.unpriced + other.unpriced,
        )


class Spending:
    """What one run adds to a port's account, said as often as it changes: each time in whole.

    A run that is killed leaves what it said last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = spent(folder)
        self._said = Usage()

    def note(self, model: str, usage: Usage, cost_usd: float | None) -> None:
        """This run has had so much of `model` by now; None where its price is unknown."""
        if usage == self._said:
            return
        self._said = usage
        unpriced = usage.requests if cost_usd is None else 0
        now = self._before.get(model, Spent()) + Spent(usage, cost_usd or 0.0, unpriced)
        account = {**self._before, model: now}
        text = json.dumps({name: asdict(account[name]) for name in sorted(account)}, indent=1)
        write_text(_path(self._folder), text + "\n", sync=False)  # within the event loop


def spent(folder: Path) -> Mapping[str, Spent]:
    """What the port in `folder` has cost so far, by model; empty where nothing is known."""
    try:
        raw = json.loads(_path(folder).read_text("utf-8"))
        return {
            model: Spent(Usage(**said["usage"]), float(said["cost_usd"]), int(said["unpriced"]))
            for model, said in raw.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return settings.home() / "spent" / f"{name}.json"
