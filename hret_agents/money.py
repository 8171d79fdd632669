"""What models charge, what was spent, and a budget that is never exceeded.

Prices stand in `prices.yaml` beside this file, and whatever `HRET_HOME/prices.yaml` says stands
over them. An unlisted model has no price, which is not a price of nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from hret_agents.tokens import RATES
from llm_eval import settings
from llm_eval.errors import HretError, UserError
from llm_eval.records import Usage

PRICES = "prices.yaml"
BATCH = 0.5  # the Batch API's price, where a model's entry says nothing else
_MICRO = 1_000_000
_RATES = "chars_per_token"
_SHAPE = "MODEL: {input: 0.15, output: 0.60}, in USD per million tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's price in USD per million tokens, and the characters it makes a token of."""

    input: float
    output: float
    batch: float = BATCH
    rates: Mapping[str, float]


def price_of(model: str) -> Price | None:
    """The price of a model (`openai:NAME` or NAME); None where it is unknown."""
    return _prices().get(model.removeprefix("openai:"))


def rates_of(model: str) -> Mapping[str, float]:
    """Characters per token of a model, by script (`hret_agents.tokens.RATES`)."""
    price = price_of(model)
    return RATES if price is None else price.rates


def cost(model: str, usage: Usage, *, batch: bool = False) -> float | None:
    """USD for `usage` of `model`; None where its price is unknown."""
    price = price_of(model)
    return None if price is None else round(_pico(price, usage, batch) / _MICRO**2, 6)


def own_prices() -> Path:
    """Where a user's own prices are looked for."""
    return settings.home() / PRICES


class Budget:
    """Most USD that may be spent on a model. What is under way is counted at its worst.

    Raises:
        UserError: the model's price is unknown, so that no promise could be kept.
    """

    def __init__(self, model: str, most_usd: float, *, batch: bool = False) -> None:
        price = price_of(model)
        if price is None:
            raise UserError(
                f"the price of {model!r} is unknown, so --max-cost cannot be kept",
                hint=f"write it into {own_prices()}: {_SHAPE}",
            )
        self.most_usd = most_usd
        self._price, self._batch = price, batch
        self._most = int(most_usd * _MICRO**2)
        self._spent = self._held = 0
        self._settled = asyncio.Event()

    @property
    def spent(self) -> float:
        """USD spent so far."""
        return self._spent / _MICRO**2

    def reserve(self, worst: Usage) -> bool:
        """Set the price of `worst` aside; False, and nothing is, if it would not fit."""
        price = _pico(self._price, worst, self._batch)
        if self._spent + self._held + price > self._most:
            return False
        self._held += price
        return True

    def settle(self, reserved: Usage, actual: Usage) -> None:
        """What was reserved came to cost `actual`."""
        self._held -= _pico(self._price, reserved, self._batch)
        self._spent += _pico(self._price, actual, self._batch)
        self._settled.set()

    async def take(self, worst: Usage) -> None:
        """Reserve, and wait for what is under way where that may make room.

        Raises:
            UserError: there is no room.
        """
        while not self.reserve(worst):
            if not self._held:
                raise UserError(
                    f"{self.spent:.4f} USD are spent, and the next request might exceed "
                    f"--max-cost {self.most_usd:g}",
                    hint="all that was translated is kept: raise --max-cost, and run this again",
                )
            self._settled.clear()
            await self._settled.wait()

    @asynccontextmanager
    async def reserved(self, worst: Usage) -> AsyncIterator[Reservation]:
        """Room for a request while it is under way; what it was told to cost is spent after it.

        An error that the server answered with costs nothing. A request that ends in no way that is
        known (it is cancelled, or tells no usage) is counted at its worst.
        """
        await self.take(worst)
        reservation = Reservation(self, worst)
        try:
            yield reservation
        except HretError:
            reservation.settle(Usage())
            raise
        finally:
            reservation.settle(worst)


class Reservation:
    """Money that is set aside for one request."""

    def __init__(self, budget: Budget, worst: Usage) -> None:
        self._budget, self._worst, self._held = budget, worst, True

    def settle(self, actual: Usage) -> None:
        """It cost so much; whatever is said later is of no account."""
        if self._held:
            self._held = False
            self._budget.settle(self._worst, actual)

    def told(self, usage: Usage) -> None:
        """The reply says what it cost, unless it says nothing."""
        if usage.prompt_tokens or usage.completion_tokens:
            self.settle(usage)

    async def lost(self) -> None:
        """An attempt was sent and broke off: it may have cost the worst. Room for the next one."""
        self.settle(self._worst)
        await self._budget.take(self._worst)
        self._held = True


def _pico(price: Price, usage: Usage, batch: bool) -> int:
    """The price in millionths of a millionth of a USD: whole, so that sums are exact."""
    factor = price.batch if batch else 1.0
    sent = usage.prompt_tokens * round(price.input * factor * _MICRO)
    return sent + usage.completion_tokens * round(price.output * factor * _MICRO)


def _prices() -> dict[str, Price]:
    own = own_prices()
    with as_file(files("hret_agents") / PRICES) as shipped:
        return _read(shipped, None) | (_read(own, own.stat().st_mtime_ns) if own.is_file() else {})


@cache
def _read(path: Path, changed: int | None) -> dict[str, Price]:
    """The prices in a file, as it was when it was `changed`."""
    import yaml

    try:
        root = yaml.compose(path.read_text("utf-8-sig"), yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        line = f", line {e.problem_mark.line + 1}" if e.problem_mark else ""
        raise UserError(f"{path}{line}: {e.problem or 'this is no YAML'}", hint=_SHAPE) from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path} cannot be read: {e}", hint="save it as UTF-8") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path}, line 1: this is no list of models", hint=_SHAPE)
    found = {}
    for name, entry in root.value:
        where = f"{path}, line {name.start_mark.line + 1}"
        found[str(name.value)] = _price(yaml.safe_load(yaml.serialize(entry)), where)
    return found


def _price(raw: Any, where: str) -> Price:
    if not isinstance(raw, dict):
        raise UserError(f"{where}: this is no price", hint=_SHAPE)
    if unknown := [str(key) for key in raw if key not in ("input", "output", "batch", _RATES)]:
        raise UserError(f"{where}: unknown key {unknown[0]!r}", hint=_SHAPE)
    for key in ("input", "output"):
        if not _is_number(raw.get(key)):
            raise UserError(f"{where}: {key} is no price: {raw.get(key)!r}", hint=_SHAPE)
    batch = raw.get("batch", BATCH)
    if not _is_number(batch):
        raise UserError(f"{where}: batch is no part of the price: {batch!r}", hint="batch: 0.5")
    rates: Any = raw.get(_RATES, {})
    rates = rates if isinstance(rates, dict) else dict.fromkeys(RATES, rates)
    if bad := [k for k, v in rates.items() if k not in RATES or not _is_number(v) or not v]:
        raise UserError(
            f"{where}: {_RATES}: {bad[0]!r} has no number of characters that can be right",
            hint=f"{_RATES}: 4, or some of {', '.join(RATES)}: {{latin: 4.6, hangul: 1.6}}",
        )
    both: dict[str, float] = dict(RATES) | rates
    return Price(input=raw["input"], output=raw["output"], batch=batch, rates=both)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < math.inf
