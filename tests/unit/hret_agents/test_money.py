"""Prices can be edited, and a budget adds up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hret_agents.money import Budget
from hret_agents.tokens import Meter
from llm_eval.errors import UserError
from llm_eval.models.prices import RATES, cost, own_prices, price_of, rates_of
from llm_eval.records import Usage

MILLION = Usage(1, 1_000_000, 1_000_000)


def own(text: str) -> Path:
    """The user's own price file."""
    path = own_prices()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai:gpt-4o-mini"])
def test_the_price_is_the_listed_one(model: str) -> None:
    """A million tokens in and out cost what the list says, and half of it in batches."""
    assert cost(model, Usage(1, 1_000_000, 0)) == 0.15
    assert cost(model, Usage(1, 0, 1_000_000)) == 0.6
    assert cost(model, MILLION, batch=True) == 0.375


@pytest.mark.parametrize("model", ["no-such-model", "memory", "gpt-4o-mini-2", "", "gpt"])
def test_an_unlisted_model_has_no_price(model: str) -> None:
    """An unknown price is None, which is not 0."""
    assert cost(model, MILLION) is None and price_of(model) is None
    assert rates_of(model) == RATES


def test_a_users_prices_stand_over_the_shipped_ones() -> None:
    """Entries are added and replaced, and a change counts at once."""
    own("gpt-4o: {input: 1, output: 2, batch: 0.25}\nllama3:8b: {input: 0, output: 0}\n")
    assert cost("gpt-4o", MILLION) == 3 and cost("gpt-4o", MILLION, batch=True) == 0.75
    assert cost("llama3:8b", MILLION) == 0 and cost("gpt-4o-mini", MILLION) == 0.75
    path = own("gpt-4o: {input: 10, output: 20, chars_per_token: 3}\n")
    os.utime(path, ns=(1, 1))
    assert cost("gpt-4o", MILLION) == 30
    assert set(rates_of("gpt-4o").values()) == {3}
    own("")
    assert cost("gpt-4o", MILLION) == 12.5


def test_the_rates_of_a_model_count_its_tokens() -> None:
    """A model's own characters per token are used, script by script."""
    own("m: {input: 1, output: 1, chars_per_token: {hangul: 2, signs: 1}}\n")
    meter = Meter("ko", rates_of("m"))
    assert (meter.text("가나다라"), meter.text("12")) == (2, 2)
    assert meter.text("ab") == Meter("ko", RATES).text("ab")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {input: 1, output: 2}\nb: {input: 1}\n", "line 2: output"),
        ("a: {input: -1, output: 2}\n", "line 1: input"),
        ("\na: {input: yes, output: 2}\n", "line 2: input"),
        ("a: {input: .inf, output: 2}\n", "line 1: input"),
        ("a: {input: 1, output: 2, batch: half}\n", "line 1: batch"),
        ("a: {input: 1, output: 2, outptu: 2}\n", "line 1: unknown key 'outptu'"),
        ("a: {input: 1, output: 2, chars_per_token: 0}\n", "line 1: chars_per_token"),
        ("a: {input: 1, output: 2, chars_per_token: {greek: 2}}\n", "chars_per_token: 'greek'"),
        ("a: 3\n", "line 1: this is no price"),
        ("- a\n", "line 1: this is no list"),
        ("a: {input: 1\nb: 2}: [\n", "line"),
    ],
)
def test_a_bad_price_file_is_told(text: str, said: str) -> None:
    """What is wrong with the file is a sentence with its path and line."""
    path = own(text)
    with pytest.raises(UserError, match=rf"{path}.*{said}"):
        cost("gpt-4o", MILLION)


def test_a_budget_holds_back_the_worst() -> None:
    """What is reserved is not there for others until it is settled for less; sums are exact."""
    own("m: {input: 0.1, output: 0.2}\n")
    budget = Budget("m", 0.3)
    worst = Usage(1, 1_000_000, 0)
    assert [budget.reserve(worst) for _ in range(4)] == [True, True, True, False]
    budget.settle(worst, Usage(1, 500_000, 0))
    assert not budget.reserve(worst) and budget.spent == 0.05
    budget.settle(worst, Usage())
    assert budget.reserve(worst) and not budget.reserve(Usage(1, 500_001, 0))
    assert budget.reserve(Usage(1, 500_000, 0))


def test_batches_stretch_a_budget() -> None:
    """In batches the same money buys twice as much."""
    own("m: {input: 1, output: 1}\n")
    assert not Budget("m", 1).reserve(MILLION)
    assert Budget("m", 1, batch=True).reserve(MILLION)


def test_a_budget_needs_a_price() -> None:
    """A promise about money of an unknown price is refused, and the file to mend it named."""
    with pytest.raises(UserError, match="--max-cost cannot be kept") as refused:
        Budget("no-such-model", 1)
    assert str(own_prices()) in refused.value.hint
