"""What a port will cost, before it costs anything: requests, tokens, money and time.

Nothing is asked: tokens are estimated (`hret_agents.tokens`), units packed as the engine packs
them, and what the memory knows is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from hret_agents.plan.glossary import Glossary, Terms
from hret_agents.plan.records import Plan
from hret_agents.tokens import Meter
from hret_agents.translate.chat import system_prompt
from hret_agents.translate.packing import PACK_CHARS, packs_of
from hret_agents.translate.split import PIECE_CHARS
from hret_agents.translate.units import Unit, unit_of
from llm_eval.models.prices import cost, rates_of
from llm_eval.records import Usage

__all__ = ["Estimate", "Key", "Known", "cost", "estimate"]

Key = Callable[[Unit, Terms], str]
Known = Callable[[Sequence[str]], set[str]]
TOKENS_PER_SECOND = 50.0
FEED = 256  # rows looked up in the memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate. `known` counts rows that the memory has: they cost nothing.

    `seconds` is at 50 tokens a second and `concurrency` requests under way; None with the Batch
    API, which answers within 24 hours.
    """

    rows: int
    texts: int
    characters: int
    kept_cells: int
    known: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float | None

    @property
    def usage(self) -> Usage:
        """Requests and tokens."""
        return Usage(self.requests, self.prompt_tokens, self.completion_tokens)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def estimate(
    rows: Iterable[Any],
    plan: Plan,
    *,
    model: str,
    batch_size: int,
    concurrency: int,
    batch: bool = False,
    key: Key | None = None,
    known: Known | None = None,
) -> Estimate:
    """The estimate for translating `rows`. Rows that are equal count once.

    Args:
        batch: by the Batch API, at its price.
        key, known: the memory's name of a unit with its glossary terms, and which of some names it
            has. Without them the port is estimated from scratch.
    """
    count = _Count(plan, model, key, known)
    packs = packs_of(count.sizes(rows), batch_size, 1 if batch else concurrency)
    sent, came = count.usage(len(packs))
    spent = Usage(len(packs), round(sent), round(came))
    under_way = max(1, min(concurrency, len(packs) or 1))
    return Estimate(
        rows=count.rows,
        texts=count.texts,
        characters=count.characters,
        kept_cells=count.kept,
        known=count.known,
        requests=spent.requests,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost_usd=cost(model, spent, batch=batch),
        seconds=None if batch else round(came / TOKENS_PER_SECOND / under_way, 1),
    )


class _Count:
    """What is counted on the way through the rows."""

    def __init__(self, plan: Plan, model: str, key: Key | None, known: Known | None) -> None:
        self._plan, self._key, self._known = plan, key, known
        self._glossary = Glossary(plan.glossary) if plan.glossary else None
        self._meter = Meter(plan.target_lang, rates_of(model))
        self._seen: set[int | str] = set()
        self._sent = self._came = self._by_row = 0.0
        self._all: set[tuple[str, str]] = set()
        self.rows = self.texts = self.characters = self.kept = self.known = 0

    def sizes(self, rows: Iterable[Any]) -> Iterator[int]:
        """The sizes of the units that are sent; a long one goes in pieces."""
        source = iter(rows)
        while batch := list(islice(source, FEED)):
            named = [self._named(row) for row in batch]
            names = [name for _, _, name in named if isinstance(name, str)]
            had = self._known(names) if self._known and names else set()
            for unit, terms, name in named:
                if not unit.segments:
                    continue
                if name in had:
                    self.known += 1
                elif name not in self._seen:
                    self._seen.add(name)
                    yield from self._sizes(unit, terms)

    def _named(self, row: Any) -> tuple[Unit, Terms, int | str]:
        unit, kept = unit_of(row, self._plan)
        self.rows, self.kept = self.rows + 1, self.kept + kept
        terms = self._glossary.occurring(unit.texts) if self._glossary else ()
        name = self._key(unit, terms) if self._key else hash((unit.texts, unit.fields))
        return unit, terms, name

    def _sizes(self, unit: Unit, terms: Terms) -> Iterator[int]:
        sent, came = self._meter.row(unit.texts)
        self._sent, self._came = self._sent + sent, self._came + came
        self._by_row += self._meter.terms(terms)
        self._all.update(terms)
        self.texts, self.characters = self.texts + len(unit.texts), self.characters + unit.size
        left, most = unit.size, PIECE_CHARS if unit.size > PACK_CHARS else unit.size
        while left > 0:
            yield min(left, most)
            left -= most

    def usage(self, requests: int) -> tuple[float, float]:
        """(tokens sent, tokens that come back). A request names a term once, for all its rows."""
        terms = min(self._by_row, requests * self._meter.terms(sorted(self._all)))
        plan = self._plan
        system = system_prompt(plan.source_lang, plan.target_lang, plan.register, plan.style)
        sent, came = self._meter.frame(system)
        return self._sent + terms + requests * sent, self._came + requests * came
