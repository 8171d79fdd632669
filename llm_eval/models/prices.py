"""What models charge.

Prices stand in `prices.yaml` beside this file, and whatever `HRET_HOME/prices.yaml` says stands
over them. An unlisted model has no price, which is not a price of nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.records import Usage

PRICES = "prices.yaml"
BATCH = 0.5  # the Batch API's price, where a model's entry says nothing else
MICRO = 1_000_000
_RATES = "chars_per_token"
SHAPE = "MODEL: {input: 0.15, output: 0.60}, in USD per million tokens"
RATES: Mapping[str, float] = {  # characters per token
    "latin": 4.6,
    "signs": 1.5,
    "hangul": 1.6,
    "han": 1.35,
    "other": 3.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's price in USD per million tokens, and the characters it makes a token of."""

    input: float
    output: float
    batch: float = BATCH
    rates: Mapping[str, float]


def price_of(model: str) -> Price | None:
    """The price of a model (NAME, `openai:NAME`, `litellm:openai/NAME`); None where it is unknown.

    Another provider's model is listed with its provider: `anthropic/NAME`.
    """
    name = model.removeprefix("openai:").removeprefix("litellm:")
    known = _prices()
    return known.get(model) or known.get(name) or known.get(name.removeprefix("openai/"))


def rates_of(model: str) -> Mapping[str, float]:
    """Characters per token of a model, by script (`RATES`)."""
    price = price_of(model)
    return RATES if price is None else price.rates


def cost(model: str, usage: Usage, *, batch: bool = False) -> float | None:
    """USD for `usage` of `model`; None where its price is unknown, or what was used."""
    price = price_of(model)
    if price is None or (untold(usage) and (price.input or price.output)):
        return None
    return round(pico(price, usage, batch) / MICRO**2, 6)


def untold(usage: Usage) -> bool:
    """Were requests answered without a word on what they used?"""
    return usage.requests > 0 and not (usage.prompt_tokens or usage.completion_tokens)


def own_prices() -> Path:
    """Where a user's own prices are looked for."""
    return settings.home() / PRICES


def pico(price: Price, usage: Usage, batch: bool) -> int:
    """The price in millionths of a millionth of a USD: whole, so that sums are exact."""
    factor = price.batch if batch else 1.0
    sent = usage.prompt_tokens * round(price.input * factor * MICRO)
    return sent + usage.completion_tokens * round(price.output * factor * MICRO)


def _prices() -> dict[str, Price]:
    own = own_prices()
    with as_file(files("llm_eval.models") / PRICES) as shipped:
        return _read(shipped, None) | (_read(own, own.stat().st_mtime_ns) if own.is_file() else {})


@cache
def _read(path: Path, changed: int | None) -> dict[str, Price]:
    """The prices in a file, as it was when it was `changed`."""
    import yaml

    try:
        root = yaml.compose(path.read_text("utf-8-sig"), yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        line = f", line {e.problem_mark.line + 1}" if e.problem_mark else ""
        raise UserError(f"{path}{line}: {e.problem or 'this is no YAML'}", hint=SHAPE) from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path} cannot be read: {e}", hint="save it as UTF-8") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path}, line 1: this is no list of models", hint=SHAPE)
    found = {}
    for name, entry in root.value:
        where = f"{path}, line {name.start_mark.line + 1}"
        found[str(name.value)] = _price(yaml.safe_load(yaml.serialize(entry)), where)
    return found


def _price(raw: Any, where: str) -> Price:
    if not isinstance(raw, dict):
        raise UserError(f"{where}: this is no price", hint=SHAPE)
    if unknown := [str(key) for key in raw if key not in ("input", "output", "batch", _RATES)]:
        raise UserError(f"{where}: unknown key {unknown[0]!r}", hint=SHAPE)
    for key in ("input", "output"):
        if not _is_number(raw.get(key)):
            raise UserError(f"{where}: {key} is no price: {raw.get(key)!r}", hint=SHAPE)
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
