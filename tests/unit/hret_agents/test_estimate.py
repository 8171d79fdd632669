"""What a port will cost is said beforehand, and is what it then costs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hret_agents.estimate import PROMPT_TOKENS, cost, estimate
from hret_agents.plan.records import Plan, Role, TaskPlan
from hret_agents.translate.chat import ChatTranslator
from hret_agents.translate.engine import PACK_CHARS, Engine
from hret_agents.translate.memory import Memory
from hret_agents.translate.units import unit_of
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


def asked(chat: ChatServer, data: list[dict[str, Any]], path: Path, batch_size: int) -> int:
    """The requests that a port of these rows sends."""

    async def work() -> None:
        transport = Transport(Endpoint(base_url=chat.url, concurrency=1))
        translator = ChatTranslator(transport, "m", "en", "ko")
        with Memory(path) as memory:
            engine = Engine(translator, memory, "ko", ["choices[]"], batch_size=batch_size)
            outcomes = [o async for o in engine.run(unit_of(row, PLAN)[0] for row in data)]
        await translator.close()
        assert all(o.texts is not None for o in outcomes)

    asyncio.run(work())
    return chat.count()


@pytest.mark.parametrize(("words", "batch_size"), [(8, 10), (8, 1), (60, 10), (500, 10), (40, 7)])
def test_the_requests_are_those_that_are_sent(
    chat: ChatServer, tmp_path: Path, words: int, batch_size: int
) -> None:
    """On a faultless server the estimate is exact, doubles and row sizes considered."""
    data = [*rows(40, words=words), *rows(10, words=words)]
    found = estimate(data, PLAN, model="m", batch_size=batch_size, concurrency=1)
    assert found.requests == asked(chat, data, tmp_path / "memory.sqlite", batch_size)


@pytest.mark.data
def test_the_requests_for_real_rows(chat: ChatServer, tmp_path: Path, shared_data: Path) -> None:
    """On real questions too the estimate is the number of requests."""
    lines = (shared_data / "gsm8k_test.jsonl").read_text("utf-8").split("\n")[:300]
    data = [
        {"question": json.loads(line)["question"], "choices": [], "answer": 0} for line in lines
    ]
    found = estimate(data, PLAN, model="m", batch_size=10, concurrency=1)
    assert found.requests == asked(chat, data, tmp_path / "memory.sqlite", 10)
    assert found.rows == found.texts == 300


def test_equal_rows_are_paid_once() -> None:
    """A row that stands a hundred times counts as a row each time and is asked once."""
    once = estimate(rows(1), PLAN, model="m", batch_size=10, concurrency=1)
    often = estimate(rows(1) * 100, PLAN, model="m", batch_size=10, concurrency=1)
    assert (often.rows, often.requests, often.texts) == (100, 1, once.texts)
    assert often.prompt_tokens == once.prompt_tokens


def test_what_is_not_sent_is_not_counted() -> None:
    """Korean cells are kept and counted apart; numbers and blanks cost nothing."""
    data = [{"question": "무엇입니까?", "choices": ["하나", "12", "", None], "answer": 0}]
    found = estimate(data, PLAN, model="gpt-4o-mini", batch_size=10, concurrency=4)
    assert (found.rows, found.kept_cells, found.texts, found.requests) == (1, 2, 0, 0)
    assert (found.cost_usd, found.seconds, found.prompt_tokens) == (0.0, 0.0, 0)


def test_nothing_costs_nothing() -> None:
    """No rows: no request, no token, no second."""
    found = estimate([], PLAN, model="gpt-4o-mini", batch_size=10, concurrency=4)
    assert found.to_dict() == dict.fromkeys(found.to_dict(), 0)


def test_tokens_grow_with_the_text_and_the_requests() -> None:
    """Each request carries the prompt once; the text is counted whatever the packs are."""
    packed = estimate(rows(50), PLAN, model="m", batch_size=10, concurrency=1)
    single = estimate(rows(50), PLAN, model="m", batch_size=1, concurrency=1)
    more = (single.requests - packed.requests) * PROMPT_TOKENS
    assert single.requests == 50 and single.prompt_tokens - packed.prompt_tokens == more
    assert single.completion_tokens == packed.completion_tokens > 0
    assert packed.characters < packed.requests * PACK_CHARS


def test_time_falls_with_concurrency_down_to_one_request_each() -> None:
    """Twice the requests under way is half the time, but never more than there are requests."""
    seconds = [
        estimate(rows(100), PLAN, model="m", batch_size=10, concurrency=c).seconds
        for c in (1, 2, 10, 1000, 0)
    ]
    assert seconds[0] == pytest.approx(2 * seconds[1], abs=0.2)
    assert seconds[2] == seconds[3] > 0 and seconds[4] == seconds[0]


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai:gpt-4o-mini"])
def test_the_price_is_the_listed_one(model: str) -> None:
    """A million tokens in and out of a listed model cost what the list says."""
    assert cost(model, Usage(1, 1_000_000, 0)) == 0.15
    assert cost(model, Usage(1, 0, 1_000_000)) == 0.6


@pytest.mark.parametrize("model", ["no-such-model", "memory", "gpt-4o-mini-2", ""])
def test_an_unlisted_model_has_no_price(model: str) -> None:
    """An unknown price is None, which is not 0."""
    assert cost(model, Usage(1, 1_000_000, 1_000_000)) is None
    assert estimate(rows(3), PLAN, model=model, batch_size=1, concurrency=1).cost_usd is None
