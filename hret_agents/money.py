"""What was spent, and a budget that is never exceeded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from llm_eval.errors import HretError, UserError
from llm_eval.models.prices import MICRO, SHAPE, own_prices, pico, price_of
from llm_eval.records import Usage


class CostLimit(UserError):
    """A limit of money would be exceeded, or cannot be kept."""

    caller_only = True


class Budget:
    """Most USD that may be spent on a model. What is under way is counted at its worst.

    Raises:
        CostLimit: the model's price is unknown, so that no promise could be kept.
    """

    def __init__(self, model: str, most_usd: float, *, batch: bool = False) -> None:
        price = price_of(model)
        if price is None:
            raise CostLimit(
                f"the price of {model!r} is unknown, so --max-cost cannot be kept",
                hint=f"write it into {own_prices()}: {SHAPE}",
            )
        self.most_usd = most_usd
        self._price, self._batch = price, batch
        self._most = int(most_usd * MICRO**2)
        self._spent = self._held = 0
        self._settled = asyncio.Event()

    @property
    def spent(self) -> float:
        """USD spent so far."""
        return self._spent / MICRO**2

    def reserve(self, worst: Usage) -> bool:
        """Set the price of `worst` aside; False, and nothing is, if it would not fit."""
        price = pico(self._price, worst, self._batch)
        if self._spent + self._held + price > self._most:
            return False
        self._held += price
        return True

    def settle(self, reserved: Usage, actual: Usage) -> None:
        """What was reserved came to cost `actual`."""
        self._held -= pico(self._price, reserved, self._batch)
        self._spent += pico(self._price, actual, self._batch)
        self._settled.set()

    async def take(self, worst: Usage) -> None:
        """Reserve, and wait for what is under way where that may make room.

        Raises:
            CostLimit: there is no room.
        """
        while not self.reserve(worst):
            if not self._held:
                raise CostLimit(
                    f"{self.spent:.4f} USD are spent, and the next request might exceed "
                    f"--max-cost {self.most_usd:g}",
                    hint="what was done is kept: raise --max-cost, and run this again",
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
