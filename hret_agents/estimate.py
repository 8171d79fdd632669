"""What a port will cost, before it costs anything: requests, tokens, money and time.

Tokens are estimated offline (about four characters of English, and a little under two of Korean,
make one); prices come from `prices.yaml`, in USD per million tokens. An unlisted model has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hret_agents.plan.records import Plan
from hret_agents.translate.engine import PACK_CHARS
from hret_agents.translate.units import unit_of
from llm_eval.records import Usage

CHARS_PER_TOKEN = 4.0
OUTPUT_RATIO = {"ko": 1.2, "ja": 1.2, "zh": 1.0}  # output tokens per source token
TOKENS_PER_SECOND = 50.0
PROMPT_TOKENS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate: `seconds` at 50 tokens/s and `concurrency` requests under way."""

    rows: int
    texts: int
    characters: int
    kept_cells: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def estimate(
    rows: Iterable[Any], plan: Plan, *, model: str, batch_size: int, concurrency: int
) -> Estimate:
    """The estimate for translating `rows` from scratch. Rows that are equal count once."""
    seen: set[tuple[str, ...]] = set()
    total = texts = characters = kept = requests = in_pack = pack_chars = 0
    for row in rows:
        unit, here = unit_of(row, plan)
        total, kept = total + 1, kept + here
        if not unit.segments or unit.texts in seen:
            continue
        seen.add(unit.texts)
        texts, characters = texts + len(unit.texts), characters + unit.size
        if not in_pack or in_pack >= batch_size or pack_chars + unit.size > PACK_CHARS:
            requests, in_pack, pack_chars = requests + 1, 0, 0
        in_pack, pack_chars = in_pack + 1, pack_chars + unit.size
    source = characters / CHARS_PER_TOKEN + 8 * len(seen)
    spent = Usage(
        requests,
        int(source + requests * PROMPT_TOKENS),
        int(source * OUTPUT_RATIO.get(plan.target_lang, 1.1)),
    )
    return Estimate(
        rows=total,
        texts=texts,
        characters=characters,
        kept_cells=kept,
        requests=requests,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost_usd=cost(model, spent),
        seconds=round(
            spent.completion_tokens / TOKENS_PER_SECOND / max(1, min(concurrency, requests or 1)), 1
        ),
    )


@cache
def _prices() -> dict[str, dict[str, float]]:
    import yaml

    prices = yaml.safe_load((files("hret_agents") / "prices.yaml").read_text("utf-8"))
    return dict(prices)


def cost(model: str, usage: Usage) -> float | None:
    """USD for `usage` of `model`; None where its price is unknown."""
    price = _prices().get(model.rsplit(":", 1)[-1])
    if price is None:
        return None
    million = 1_000_000
    spent = usage.prompt_tokens * price["input"] + usage.completion_tokens * price["output"]
    return round(float(spent) / million, 6)
