"""What a port will cost is said beforehand, and is what it then costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hret_agents.checks import Rules
from hret_agents.estimate import Estimate, estimate
from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.tokens import Meter
from hret_agents.translate.chat import ChatTranslator
from hret_agents.translate.engine import Engine
from hret_agents.translate.memory import Memory, unit_key
from hret_agents.translate.packing import PACK_CHARS
from hret_agents.translate.units import unit_of
from llm_eval.models.prices import RATES, own_prices
from llm_eval.models.transport import Endpoint, Transport
from llm_eval.records import Usage
from tests.fakes.chat import ChatServer

PLAN = Plan(
    source="s",
    source_lang="en",
    target_lang="ko",
    roles={"question": Role.prose, "choices[]": Role.choices, "answer": Role.answer_index},
    names={},
    task=TaskPlan(kind="ungraded", question=["question"], choices=["choices[]"]),
)
FAKE = "{latin: 3, signs: 3, hangul: 1.65}"  # it writes a sign for a sign; Korean takes 0.55


def rows(count: int, *, words: int = 8) -> list[dict[str, Any]]:
    """Different rows."""
    return [
        {
            "question": f"Question number {i} " + "about some thing " * words,
            "choices": [f"choice one of {i}", f"choice two of {i}", "12"],
            "answer": 0,
        }
        for i in range(count)
    ]


def plan(**roles: str) -> Plan:
    """A plan whose columns have these roles."""
    task = TaskPlan(kind="ungraded", question=[next(iter(roles))], lettered=True)
    return replace(
        PLAN, roles={k.replace("__", "[]"): Role(v) for k, v in roles.items()}, task=task
    )


def guess(data: Sequence[Any], plan: Plan = PLAN, **options: Any) -> Estimate:
    """An estimate, with usual options."""
    usual: dict[str, Any] = {"model": "m", "batch_size": 10, "concurrency": 1}
    return estimate(data, plan, **usual | options)


def ported(
    chat: ChatServer, data: list[dict[str, Any]], path: Path, plan: Plan, *, batch_size: int = 10
) -> tuple[Usage, Usage]:
    """(what a port of these rows spends, what its requests were expected to)."""

    async def work() -> tuple[Usage, Usage]:
        transport = Transport(Endpoint(base_url=chat.url, concurrency=1))
        translator = ChatTranslator(transport, "m", "en", "ko")
        try:
            with Memory(path) as memory:
                engine = Engine(translator, memory, Rules(lang="ko"), batch_size=batch_size)
                outcomes = [o async for o in engine.run(unit_of(row, plan)[0] for row in data)]
            assert all(o.texts is not None for o in outcomes)
            return translator.usage, engine.estimated
        finally:
            await translator.close()

    return asyncio.run(work())


@pytest.mark.parametrize(("words", "batch_size"), [(8, 10), (8, 1), (60, 10), (400, 10), (40, 7)])
def test_the_requests_are_those_that_are_sent(
    chat: ChatServer, tmp_path: Path, words: int, batch_size: int
) -> None:
    """On a faultless server the estimate is exact, doubles and row sizes considered."""
    data = [*rows(40, words=words), *rows(10, words=words)]
    found = guess(data, batch_size=batch_size)
    ported(chat, data, tmp_path / "memory.sqlite", PLAN, batch_size=batch_size)
    assert found.requests == chat.count()


BENCHMARKS = {
    "gsm8k_test": plan(question="prose", answer="answer_steps"),
    "aqua_rat_test": plan(question="prose", options__="choices", rationale="prose"),
    "bbq_religion": plan(
        context="prose", question="prose", ans0="choices", ans1="choices", ans2="choices"
    ),
}


@pytest.mark.data
@pytest.mark.parametrize("name", BENCHMARKS)
def test_real_rows_cost_what_was_said(
    chat: ChatServer, tmp_path: Path, shared_data: Path, name: str
) -> None:
    """Dry run, running count and the server's own agree, for a model whose rates are known."""
    own_prices().parent.mkdir(parents=True, exist_ok=True)
    own_prices().write_text(f"m: {{input: 1, output: 2, chars_per_token: {FAKE}}}\n", "utf-8")
    lines = (shared_data / f"{name}.jsonl").read_text("utf-8").split("\n")[:200]
    data = [json.loads(line) for line in lines if line]
    chosen = BENCHMARKS[name]
    data = [{k: row[k] for k in row if any(p.startswith(k) for p in chosen.roles)} for row in data]
    found = guess(data, chosen)
    spent, expected = ported(chat, data, tmp_path / "memory.sqlite", chosen)
    for thought in (found.usage, expected):
        assert thought.requests == pytest.approx(spent.requests, rel=0.05)
        assert thought.prompt_tokens == pytest.approx(spent.prompt_tokens, rel=0.05)
        assert thought.completion_tokens == pytest.approx(spent.completion_tokens, rel=0.05)


def test_equal_rows_are_paid_once() -> None:
    """A row that stands a hundred times counts as a row each time and is asked once."""
    once, often = guess(rows(1)), guess(rows(1) * 100)
    assert (often.rows, often.requests, often.texts) == (100, 1, once.texts)
    assert often.prompt_tokens == once.prompt_tokens


def test_what_is_not_sent_is_not_counted() -> None:
    """Korean cells are kept and counted apart; numbers and blanks cost nothing."""
    data = [{"question": "무엇입니까?", "choices": ["하나", "12", "", None], "answer": 0}]
    found = guess(data, model="gpt-4o-mini")
    assert (found.rows, found.kept_cells, found.texts, found.requests) == (1, 2, 0, 0)
    assert (found.cost_usd, found.seconds, found.prompt_tokens) == (0.0, 0.0, 0)


def test_nothing_costs_nothing() -> None:
    """No rows: no request, no token, no second."""
    found = guess([], model="gpt-4o-mini")
    assert found.to_dict() == dict.fromkeys(found.to_dict(), 0)


def test_what_the_memory_knows_costs_nothing() -> None:
    """Rows that are known are counted apart, and only the others are estimated."""
    data = rows(1000)
    units = [unit_of(row, PLAN)[0] for row in data]
    has = {unit_key(unit, {}) for unit in units[:600]}
    looked_up: list[int] = []

    def known(keys: Sequence[str]) -> set[str]:
        looked_up.append(len(keys))
        return has & set(keys)

    def key(unit: Any, terms: Any) -> str:
        return unit_key(unit, {}, terms)

    found = guess(data, key=key, known=known)
    fresh = guess(data[600:])
    assert (found.known, found.rows) == (600, 1000) and sum(looked_up) == 1000
    assert found.usage == fresh.usage and fresh.known == 0
    assert guess(data[:600], key=key, known=known).requests == 0


def test_glossary_terms_are_paid_where_they_occur() -> None:
    """Terms that occur add to what is sent; others do not, and nothing is added to the reply."""
    data = rows(50)
    plain = guess(data)
    with_terms = guess(data, replace(PLAN, glossary={"thing": "것", "zebra": "얼룩말"}))
    more = with_terms.prompt_tokens - plain.prompt_tokens
    assert 0 < more <= plain.requests * 20
    assert with_terms.completion_tokens == plain.completion_tokens
    assert guess(data, replace(PLAN, glossary={"zebra": "얼룩말"})).usage == plain.usage


def test_a_long_cell_goes_in_pieces() -> None:
    """A text that fits into no request takes several."""
    data = [{"question": "word " * 4000, "choices": [], "answer": 0}]
    assert guess(data).requests >= 20_000 // PACK_CHARS + 1


def test_tokens_grow_with_the_text_and_the_requests() -> None:
    """Each request carries the prompt once; the text is counted whatever the packs are."""
    packed, single = guess(rows(50)), guess(rows(50), batch_size=1)
    more = single.prompt_tokens - packed.prompt_tokens
    assert single.requests == 50 and packed.requests == 5
    assert 150 < more / 45 < 300
    assert 0 < single.completion_tokens - packed.completion_tokens < 10 * 45


def test_time_falls_with_concurrency_down_to_one_request_each() -> None:
    """Twice the requests under way is half the time; the Batch API tells no time, and is cheap."""
    seconds = [guess(rows(100), concurrency=c).seconds or 0.0 for c in (1, 2, 0)]
    assert seconds[0] == pytest.approx(2 * seconds[1], rel=0.1) and seconds[2] == seconds[0]
    live = guess(rows(100), model="gpt-4o-mini")
    batch = guess(rows(100), model="gpt-4o-mini", batch=True)
    assert batch.seconds is None and batch.usage == live.usage
    assert batch.cost_usd == pytest.approx((live.cost_usd or 0) / 2, abs=1e-6)


def test_an_unlisted_model_has_no_price() -> None:
    """An unknown model shows tokens only."""
    found = guess(rows(3), model="no-such-model")
    assert found.cost_usd is None and found.completion_tokens > 0


@pytest.mark.parametrize(
    ("text", "tokens"),  # by OpenAI's o200k_base
    [
        ("How many apples are left in the basket after three days?", 12),
        ("사과 바구니에서 사흘 뒤에 남은 사과는 몇 개입니까?", 21),
        ("She has 48/2 = 24 clips in May, so 48 + 24 = 72 in all: 72 × 5 = 360.", 34),
    ],
)
def test_tokens_are_near_those_of_a_real_tokenizer(text: str, tokens: int) -> None:
    """English, Korean and formulas are counted about as OpenAI counts them."""
    assert Meter("ko", RATES).text(text) == pytest.approx(tokens, rel=0.25)
