"""The engine with the real translator and transport: nothing lost, wrong, or paid for twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hret_agents.checks import Rules
from hret_agents.translate.chat import ChatTranslator
from hret_agents.translate.engine import Engine, Outcome
from hret_agents.translate.memory import Kept, Memory, unit_key
from hret_agents.translate.packing import PACK_CHARS
from hret_agents.translate.units import Segment, Unit
from llm_eval.errors import RETRYABLE, AuthError
from llm_eval.models.transport import Endpoint, Transport
from llm_eval.secret import secret
from tests.fakes.chat import ALL, ChatServer, Fault, Record
from tests.fakes.chat_batch import CHAT
from tests.fakes.chat_protocol import Ask, Body
from tests.fakes.translit import asked, back, forward

WORDS = ["river", "stone", "cloud", "apple", "garden", "window"]
WORDS += ["silver", "market", "winter", "candle", "bridge", "forest"]
HARMLESS = [Fault.slow, Fault.reordered, Fault.fenced, Fault.extra_id]
KINDS = {
    Fault.rate_limit: "rate_limit",
    Fault.server_error: "server",
    Fault.drop: "connection",
    Fault.truncated: "finish_reason",
    Fault.empty: "malformed",
    Fault.refusal: "refusal",
    Fault.content_filter: "content_filter",
    Fault.malformed: "malformed",
    Fault.missing_id: "json_ids",
    Fault.wrong_count: "list_len",
    Fault.echo_source: "target_script",
}


def unit(*texts: str) -> Unit:
    """A question, and choices if there are more texts."""
    paths = ["question", *["choices[]"] * (len(texts) - 1)]
    return Unit(tuple(Segment(p, i, t) for i, (p, t) in enumerate(zip(paths, texts, strict=True))))


def sentence(i: int) -> str:
    """A sentence that no other number gives."""
    return f"The {WORDS[i % 12]} lies behind the {WORDS[i // 12 % 12]}, number {i}."


def units_of(count: int, choices: int = 0) -> list[Unit]:
    """Different units, each with some choices."""
    return [
        unit(sentence(i), *(f"the {WORDS[c]} of {WORDS[i % 12]} {i}" for c in range(choices)))
        for i in range(count)
    ]


class Lab:
    """A memory, and engines that share it and talk to a server."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def outcomes(
        self, url: str, units: Sequence[Unit], *, transport_retries: int = 3, **options: Any
    ) -> AsyncGenerator[Outcome]:
        """The outcomes as they come, through the real translator."""
        endpoint = Endpoint(
            base_url=url,
            api_key=secret(options.pop("key", None)),
            concurrency=options.pop("concurrency", 4),
            rpm=options.pop("rpm", None),
            max_retries=transport_retries,
            backoff=0.001,
        )
        model = options.pop("model", "fake-translator")
        translator = ChatTranslator(Transport(endpoint), model, "en", "ko")
        rules = Rules(lang="ko", choices=["choices[]"])
        with Memory(self.path) as memory:
            engine = Engine(translator, memory, rules, **options)
            stream = engine.run(units)
            try:
                async for outcome in stream:
                    yield outcome
            finally:
                await stream.aclose()
                await translator.close()

    @staticmethod
    def policy() -> Mapping[str, str]:
        """What the keys of these engines' memory hold besides the unit."""
        return ChatTranslator(Transport(Endpoint()), "fake-translator", "en", "ko").policy

    def run(self, chat: ChatServer, units: Sequence[Unit], **options: Any) -> list[Outcome]:
        """All outcomes."""

        async def all_of() -> list[Outcome]:
            return [o async for o in self.outcomes(chat.url, units, **options)]

        return asyncio.run(all_of())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A memory of the test's own."""
    return Lab(tmp_path / "memory.sqlite")


@pytest.fixture
def serve() -> Iterator[Callable[..., ChatServer]]:
    """Start servers that stop with the test."""
    running: list[ChatServer] = []

    def start(kind: type[ChatServer] = ChatServer, **options: Any) -> ChatServer:
        running.append(kind(**{"slow_seconds": 0.01, "retry_after": 0.01} | options).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__(None)


def right(outcome: Outcome, source: Unit) -> bool:
    """Is it the unit's own translation?"""
    return outcome.texts == tuple(forward(t) for t in source.texts)


def failed(outcomes: Sequence[Outcome], units: Sequence[Unit]) -> list[Unit]:
    """The units that failed, after making sure that all others are right."""
    out = []
    for outcome, source in zip(outcomes, units, strict=True):
        if outcome.texts is None:
            assert outcome.failure is not None and outcome.failure.message
            out.append(source)
        else:
            assert outcome.failure is None
            assert tuple(back(t) for t in outcome.texts) == source.texts
            assert right(outcome, source)
    return out


def rows_of(record: Record) -> list[dict[str, Any]]:
    """The rows of a request."""
    return asked(record.body["messages"]) or []


def packs(chat: ChatServer) -> list[int]:
    """How many rows each request held."""
    return [len(rows_of(r)) for r in chat.requests if r.path == CHAT]


def test_order_is_kept_whatever_the_latency(lab: Lab, serve: Callable[..., ChatServer]) -> None:
    """Half of the replies come late; outcomes stand in the order of their units."""
    chat = serve(fault_rate=0.5, faults=[Fault.slow], seed=3, slow_seconds=0.2)
    units = units_of(150, choices=2)
    outcomes = lab.run(chat, units, batch_size=3, concurrency=16)
    assert failed(outcomes, units) == [] and all(o.asked for o in outcomes)
    assert chat.peak > 4
    ends = [r.end for r in chat.requests]
    assert ends != sorted(ends, key=float)  # type: ignore[arg-type]


def test_equal_units_are_asked_once(lab: Lab, chat: ChatServer) -> None:
    """Of many equal rows one is sent, and each of them gets its translation."""
    units = units_of(7) * 100
    outcomes = lab.run(chat, units, batch_size=2)
    assert failed(outcomes, units) == []
    assert set(chat.sources().values()) == {1} and len(chat.sources()) == 7


def test_equal_units_far_apart_are_asked_once(lab: Lab, chat: ChatServer) -> None:
    """A row that comes again after thousands of others is known by then."""
    units = [*units_of(2500), *units_of(30)]
    outcomes = lab.run(chat, units, batch_size=50, concurrency=8)
    assert failed(outcomes, units) == [] and set(chat.sources().values()) == {1}


def test_a_second_run_asks_nothing(lab: Lab, chat: ChatServer) -> None:
    """What was translated once is never asked again, whatever the batch size is."""
    units = units_of(40, choices=3)
    lab.run(chat, units)
    chat.reset()
    outcomes = lab.run(chat, list(reversed(units)), batch_size=3)
    assert failed(outcomes, list(reversed(units))) == [] and chat.count() == 0
    assert not any(o.asked for o in outcomes)


def test_another_model_asks_anew(lab: Lab, chat: ChatServer) -> None:
    """The memory of one model does not answer for another."""
    lab.run(chat, units_of(5))
    lab.run(chat, units_of(5), model="other")
    assert chat.count() == 2


@pytest.mark.parametrize("fault", ALL)
def test_one_fault_costs_no_row(lab: Lab, serve: Callable[..., ChatServer], fault: Fault) -> None:
    """Any trouble that passes leaves every row translated, and none twice in the memory."""
    chat = serve()
    chat.script(fault)
    units = units_of(12, choices=2)
    outcomes = lab.run(chat, units, batch_size=6, concurrency=1)
    assert failed(outcomes, units) == []
    assert chat.requests[0].fault is fault
    if fault in HARMLESS:
        assert chat.count() == 2


@pytest.mark.parametrize("fault", ALL)
def test_a_fault_that_stays_fails_its_row(
    lab: Lab, serve: Callable[..., ChatServer], fault: Fault
) -> None:
    """Trouble that never ends fails the row under its own name; a harmless one never does."""
    chat = serve(fault_rate=1.0, faults=[fault])
    (outcome,) = lab.run(chat, units_of(1, choices=2), transport_retries=1)
    if fault in HARMLESS:
        assert right(outcome, units_of(1, choices=2)[0])
    else:
        assert outcome.texts is None and outcome.failure is not None
        assert outcome.failure.kind == KINDS[fault]
    count = chat.count()
    if KINDS.get(fault) in RETRYABLE:
        assert count == 2  # a row alone is not tried again beyond what the transport tried
    lab.run(chat, units_of(1, choices=2), transport_retries=1)
    assert chat.count() == (count if fault in HARMLESS else 2 * count)


@pytest.mark.parametrize("seed", range(3))
def test_seeded_faults_lose_nothing(lab: Lab, serve: Callable[..., ChatServer], seed: int) -> None:
    """With a tenth of all replies faulty, each outcome is its own unit's translation or a failure,
    and a second run asks for what failed alone."""
    chat = serve(fault_rate=0.1, seed=seed)
    units = units_of(300, choices=2)
    missing = failed(lab.run(chat, units, batch_size=3, concurrency=16), units)
    assert len({r.fault for r in chat.requests}) > 5
    assert len(missing) < 10
    chat.reset()
    again = failed(lab.run(chat, units, batch_size=3, concurrency=16), units)
    assert set(again) <= set(missing)
    assert set(chat.sources()) == {text for u in missing for text in u.texts}


def test_only_missing_ids_are_asked_again(lab: Lab, chat: ChatServer) -> None:
    """Of a pack with one row left out, that row alone is asked again."""
    chat.script(Fault.missing_id)
    units = units_of(8)
    assert failed(lab.run(chat, units, batch_size=8, concurrency=1), units) == []
    first, second = (rows_of(r) for r in chat.requests)
    assert (len(first), [row["t"] for row in second]) == (8, [first[4]["t"]])
    assert chat.sources().most_common(1) == [(first[4]["t"][0], 2)]


def test_what_fails_is_asked_in_smaller_packs(lab: Lab, chat: ChatServer) -> None:
    """A pack that came back unusable is halved, and halved again."""
    chat.script(Fault.empty, Fault.empty, None)
    units = units_of(8)
    assert failed(lab.run(chat, units, batch_size=8, concurrency=1), units) == []
    assert packs(chat)[:2] == [8, 4] and max(packs(chat)[2:]) == 4 and 2 in packs(chat)


def test_a_gates_reason_goes_with_the_second_try(lab: Lab, chat: ChatServer) -> None:
    """What a check found wrong is told to the model; a transport's trouble is not."""
    chat.script(Fault.echo_source, None)
    lab.run(chat, units_of(1), batch_size=1)
    first, second = (rows_of(r)[0] for r in chat.requests)
    assert "because" not in first and "untranslated" in second["because"]
    chat.reset()
    chat.script(Fault.server_error, None)
    lab.run(chat, [unit("Another sentence.")], transport_retries=0, batch_size=2)
    assert all("because" not in row for r in chat.requests for row in rows_of(r))


def test_the_echo_of_the_source_is_never_accepted_silently(
    lab: Lab, serve: Callable[..., ChatServer]
) -> None:
    """A server that sends the source back: sentences fail and names pass flagged, each time."""
    chat = serve(fault_rate=1.0, faults=[Fault.echo_source])
    units = [unit("Which one is it?"), unit("Python"), unit("It is so.", "UNESCO", "a cat")]
    for _ in range(2):
        one, two, three = lab.run(chat, units)
        assert one.texts is None and three.texts is None
        assert two.texts == ("Python",) and [f.check for f in two.findings] == ["unchanged"]


def test_no_retries_means_one_request(lab: Lab, chat: ChatServer) -> None:
    """With max_retries 0 a bad reply fails its rows after one request; good rows beside it stay."""
    chat.script(Fault.missing_id)
    units = units_of(4)
    outcomes = lab.run(chat, units, max_retries=0, transport_retries=0, batch_size=4)
    assert failed(outcomes, units) == [units[2]] and chat.count() == 1
    assert failed(lab.run(chat, units, max_retries=0, transport_retries=0), units) == []
    assert chat.count() == 2 and packs(chat) == [4, 1]


def test_retries_are_bounded(lab: Lab, serve: Callable[..., ChatServer]) -> None:
    """A row that never gets right is asked max_retries times more, no more."""
    chat = serve(fault_rate=1.0, faults=[Fault.echo_source])
    lab.run(chat, units_of(1), max_retries=2)
    assert chat.count() == 3


@pytest.mark.parametrize("batch_size", [10, 32])
def test_a_poisonous_row_fails_alone(
    lab: Lab, serve: Callable[..., ChatServer], batch_size: int
) -> None:
    """A row that the provider's filter stops takes no neighbour with it, however big the pack."""

    class Filter(ChatServer):
        def _chat(self, ask: Ask, fault: Fault | None) -> Body:
            poison = "poison" in json.dumps(ask.body["messages"])
            return super()._chat(ask, Fault.content_filter if poison else fault)

    units = [*units_of(20), unit("How is poison made?"), *units_of(40)[20:]]
    outcomes = lab.run(serve(Filter), units, batch_size=batch_size)
    assert failed(outcomes, units) == [units[20]]


def test_packs_are_bounded(lab: Lab, chat: ChatServer) -> None:
    """No request holds more rows, or more characters of several rows, than it may."""
    units = [unit(sentence(i) * (1 + i % 40)) for i in range(60)]
    units.append(unit(sentence(99) * 200))
    assert failed(lab.run(chat, units, batch_size=7), units) == []
    for rows in (rows_of(r) for r in chat.requests):
        size = sum(len(text) for row in rows for text in row["t"])
        assert len(rows) <= 7 and (size <= PACK_CHARS or len(rows) == 1)


def test_nothing_in_nothing_out(lab: Lab, chat: ChatServer) -> None:
    """No units, and units without a text, cost no request."""
    assert lab.run(chat, []) == []
    assert lab.run(chat, [Unit(()), Unit(())]) == [Outcome(()), Outcome(())]
    assert chat.requests == []


def test_what_no_longer_passes_is_asked_anew(lab: Lab, chat: ChatServer) -> None:
    """An entry of the memory that today's checks refuse is not used, and is replaced."""
    source = units_of(1)[0]
    lab.run(chat, [source])
    with Memory(lab.path) as memory:
        kept = Kept(unit_key(source, lab.policy()), source, source.texts)
        memory.put([kept], lab.policy())
    (outcome,) = lab.run(chat, [source])
    assert right(outcome, source) and chat.count() == 2
    lab.run(chat, [source])
    assert chat.count() == 2


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_refused_key_ends_the_run(
    lab: Lab, serve: Callable[..., ChatServer], key: str | None
) -> None:
    """A key that is refused is told once, by name, and no row is blamed for it."""
    chat = serve(key="right")
    with pytest.raises(AuthError):
        lab.run(chat, units_of(50), key=key, batch_size=1)
    assert chat.count() <= 4
