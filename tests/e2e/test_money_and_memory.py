"""Money and pace: what is said, what is spent, where it ends. Memory: out, in, and edited."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scenario import Machine, back, rows_of
from tests.e2e.test_translation import Row, ported_rows, translations, written
from tests.fakes.chat import ChatServer, Fault

PRICE_IN, PRICE_OUT = 10.0, 20.0  # USD per million tokens
RATES = "{latin: 3, signs: 3, hangul: 1.65}"  # the fake: a token is three signs, a sign a letter
PRICES = f"fake: {{input: {PRICE_IN:g}, output: {PRICE_OUT:g}, chars_per_token: {RATES}}}\n"


class Billing(ChatServer):
    """Sums what all replies would be charged for, those among them that broke off on the way."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent = self.came = 0

    def _chat(self, ask: Any, fault: Fault | None) -> Any:
        reply = super()._chat(ask, fault)
        self.sent += reply["usage"]["prompt_tokens"]
        self.came += reply["usage"]["completion_tokens"]
        return reply

    @property
    def bill(self) -> float:
        """USD."""
        return (self.sent * PRICE_IN + self.came * PRICE_OUT) / 1e6


def priced(where: Path, chat: ChatServer, *, within: bool = True) -> Machine:
    """A machine whose user has written the price of the model `fake` down."""
    machine = Machine(where, chat=chat, within=within)
    home = Path(machine.environment["HRET_HOME"])
    home.mkdir(parents=True)
    (home / "prices.yaml").write_text(PRICES, "utf-8")
    return machine


def near(estimated: float, real: float) -> bool:
    """Within 15 %."""
    return abs(real / estimated - 1) <= 0.15


@pytest.mark.data
def test_the_dry_run_says_what_the_port_then_costs(shared_data: Path, tmp_path: Path) -> None:
    """Requests to the one, tokens and money within 15 %; usage is the server's own count."""
    with Billing() as chat:
        machine = priced(tmp_path, chat)
        data = written(machine, "gsm_test.jsonl", rows_of(shared_data / "gsm8k_test.jsonl")[:300])
        port = ("--dataset", data, "--model", "fake", "--concurrency", "4")
        said = machine.ported(*port, "--dry-run")["estimate"]
        assert chat.requests == []
        result = machine.ported(*port)
        assert said["requests"] == chat.count() == result["usage"]["requests"]
        assert result["usage"]["prompt_tokens"] == chat.sent
        assert result["usage"]["completion_tokens"] == chat.came
        assert result["cost_usd"] == pytest.approx(chat.bill, abs=1e-6)
        for kind in ("prompt_tokens", "completion_tokens"):
            assert near(said[kind], result["usage"][kind]), kind
            assert near(result["estimated"][kind], result["usage"][kind]), kind
        assert near(said["cost_usd"], chat.bill)
        assert result["estimated"]["requests"] == chat.count()
        later = machine.ported(*port, "--dry-run")["estimate"]
        assert (later["known"], later["requests"], later["cost_usd"]) == (300, 0, 0)


def test_a_model_without_a_price_has_tokens_and_no_budget(chat: ChatServer, tmp_path: Path) -> None:
    """Unknown is said as unknown, never as nothing; a budget for it is refused."""
    machine = priced(tmp_path, chat)
    data = written(machine, "stones_test.jsonl", [{"question": "Where is the stone?"}])
    port = ("--dataset", data, "--model", "unheard-of")
    done = machine.main(*port, "--dry-run")
    assert done.returncode == 0 and "unknown price" in done.stdout, done.stderr
    done = machine.main(*port, "--max-cost", "1")
    assert done.returncode == 2 and "the price of 'unheard-of' is unknown" in done.stderr
    assert chat.count() == 0
    result = machine.ported(*port)
    assert result["cost_usd"] is None and result["usage"]["prompt_tokens"] > 0


def finished(machine: Machine, *port: str) -> dict[str, Any]:
    """The result of a port, gone on with while rows fail: by chance one may use its tries up.

    How rows are packed depends on what the budget left over, and chance on the pack.
    """
    for _ in range(4):
        done = machine.main(*port, "--json")
        result: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if result["rows"]["failed"] else 0), done.stderr
        if done.returncode == 0:
            return result
    pytest.fail(f"rows still fail: {result['failures']}")


@pytest.mark.data
@pytest.mark.parametrize("fault_rate", [0.0, 0.3])
def test_a_budget_is_never_exceeded_and_nothing_is_paid_twice(
    fault_rate: float, shared_data: Path, tmp_path: Path
) -> None:
    """By the server's own bill. Exit status 2 says how to go on, and going on pays for the rest."""
    rows = rows_of(shared_data / "gsm8k_test.jsonl")[:120]
    with Billing(fault_rate=fault_rate, seed=3, slow_seconds=0.02, retry_after=0.01) as chat:
        machine = priced(tmp_path, chat, within=not fault_rate)
        port = ("--dataset", written(machine, "gsm_test.jsonl", rows), "--model", "fake")
        most = 0.6 * machine.ported(*port, "--dry-run")["estimate"]["cost_usd"]
        done = machine.main(*port, "--max-cost", f"{most:.6f}", "--json")
        assert done.returncode == 2, done.stdout
        assert "--max-cost" in done.stderr and "raise --max-cost" in done.stderr
        assert "Traceback" not in done.stderr
        assert 0.1 * most < chat.bill <= most
        paid = chat.sources(answered=True)
        assert paid
        chat.reset()
        result = finished(machine, *port, "--max-cost", "5")
        assert result["rows"]["passed"] == len(rows)
        if not fault_rate:
            assert not paid & chat.sources()
            assert set((paid + chat.sources()).values()) == {1}
            assert result["usage"]["requests"] == chat.count()
    for old, new in zip(rows, ported_rows(result), strict=True):
        assert {"question": back(new["질문"]), "answer": back(new["정답"])} == old


# -- pace ------------------------------------------------------------------------------------------


def numbered(count: int) -> list[Row]:
    """Short rows, no two alike."""
    return [{"question": f"Which stone lies under tree {i}?"} for i in range(count)]


def test_a_pace_is_kept(tmp_path: Path) -> None:
    """--rpm: the server sees requests no faster than was said; --concurrency: no more at once, and
    as many; --tpm: no more tokens, by the server's own count."""
    machine = Machine(tmp_path)
    data = written(machine, "stones_test.jsonl", numbered(60))
    port = ("--dataset", data, "--batch-size", "1", "--no-suggestions")
    with ChatServer() as chat:
        machine.chat = chat
        machine.ported(*port, "--rpm", "600", "--model", "paced")
        starts = sorted(r.start for r in translations(chat))
        assert len(starts) == 60
        assert starts[-1] - starts[0] >= 0.8 * 59 / 10
        assert max(sum(a <= b < a + 3 for b in starts) for a in starts) <= 40
        chat.reset()
        chat.slot_rate = 100.0  # a reply takes about 0.2 s
        few = ("--dataset", written(machine, "few_test.jsonl", numbered(18)), *port[2:])
        machine.ported(*few, "--concurrency", "3", "--model", "three-at-once")
        assert (chat.count(), chat.peak) == (18, 3)


def test_tokens_a_minute_are_kept(tmp_path: Path) -> None:
    """What all requests but the last cost, by the server's own count, took its time."""
    machine = Machine(tmp_path)
    data = written(machine, "stones_test.jsonl", numbered(24))
    with Billing() as machine.chat:
        machine.ported("--dataset", data, "--batch-size", "2", "--tpm", "120000")
        starts = sorted(r.start for r in translations(machine.chat))
        cost = (machine.chat.sent + machine.chat.came) / len(starts)
    assert len(starts) >= 12
    assert starts[-1] - starts[0] >= 0.7 * cost * (len(starts) - 1) / 2000


# -- memory ----------------------------------------------------------------------------------------


def hret(machine: Machine, *arguments: str) -> Any:
    """`hret memory ... --json`."""
    done = machine.hret("memory", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def travelled(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Machine, tuple[str, ...], list[Row]]]:
    """A machine that knows a port from another one's exported memory alone; the port's rows."""
    rows = [
        {
            "question": f"Is <b>box {i}</b> \"new\" & 'blue'?\nOr $x^{i}$?",
            "answer": f"It is no. {i}.",
        }
        for i in range(12)
    ]
    with ChatServer() as chat:
        machine = Machine(tmp_path_factory.mktemp("travelled"), chat=chat, within=True)
        port = ("--dataset", written(machine, "boxes_test.jsonl", rows))
        first = machine.ported(*port)
        made = ported_rows(first)
        assert [back(r["질문"]) for r in made] == [r["question"] for r in rows]
        for name in ("memory.jsonl", "memory.tmx"):
            assert hret(machine, "export", name)["units"] == 12
        machine.more = {"HRET_HOME": str(machine.where / "second-home")}
        assert hret(machine, "import", "memory.jsonl")["units"] == 12
        yield machine, port, made


def test_an_exported_memory_pays_on_another_machine(
    travelled: tuple[Machine, tuple[str, ...], list[Row]],
) -> None:
    """The port comes out of the imported lines: no request, and the same rows."""
    machine, port, made = travelled
    assert machine.chat is not None
    machine.chat.reset()
    result = machine.ported(*port, "--output-dir", "second")
    assert machine.chat.count() == 0
    assert (result["rows"]["from_memory"], ported_rows(result)) == (12, made)
    stats = hret(machine, "stats")
    assert sum(row["entries"] for row in stats["units"]) == 12


def test_an_edit_in_a_tmx_is_what_the_port_then_says(
    travelled: tuple[Machine, tuple[str, ...], list[Row]],
) -> None:
    """A person's version of one text is taken without a request, and changes that cell alone."""
    machine, port, made = travelled
    assert machine.chat is not None
    machine.chat.reset()
    file = machine.work / "memory.tmx"
    tree = ET.parse(file)
    segs = [seg for seg in tree.iter("seg") if "".join(seg.itertext()) == made[5]["정답"]]
    assert len(segs) == 1
    edited = "5번입니다, 사람이 고쳤습니다."
    segs[0].clear()
    segs[0].text = edited
    tree.write(file, encoding="utf-8", xml_declaration=True)
    assert hret(machine, "import", "memory.tmx")["locked"] == 1  # the other 23 are no edits
    result = machine.ported(*port, "--output-dir", "third")
    assert machine.chat.count() == 0
    assert ported_rows(result) == [*made[:5], made[5] | {"정답": edited}, *made[6:]]
    assert result["rows"]["from_memory"] == 12


def test_gc_forgets_a_model_and_only_that(
    travelled: tuple[Machine, tuple[str, ...], list[Row]],
) -> None:
    """Dry, it only counts; what people have locked stays."""
    machine, _, _ = travelled
    model = hret(machine, "stats")["units"][0]["model"]
    assert hret(machine, "gc", "--model", model, "--dry-run")["units"] == 12
    assert sum(row["entries"] for row in hret(machine, "stats")["units"]) == 12
    locked = hret(machine, "stats")["locked"]
    assert hret(machine, "gc", "--model", model)["units"] == 12
    stats = hret(machine, "stats")
    assert (stats["units"], stats["locked"]) == ([], locked)
    assert stats["requests"] == []  # this home has paid for nothing
