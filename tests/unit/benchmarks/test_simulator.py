"""The simulated server: its timeline is exact, its replies are right, its counts are true."""

from __future__ import annotations

import doctest
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks import simulator
from benchmarks.simulator import Simulator, Slots, Window
from tests.fakes.chat_protocol import size
from tests.fakes.translit import back, forward

Reply = tuple[int, dict[str, Any], dict[str, str]]


@pytest.fixture(scope="module")
def quick() -> Iterator[Simulator]:
    """A server without latency that records what it was asked."""
    with Simulator(8, float("inf"), 0.0, record=True) as server:
        yield server


@pytest.fixture
def server(quick: Simulator) -> Simulator:
    """The same, its counts at nought."""
    quick.reset()
    return quick


def post(server: Simulator, body: object) -> Reply:
    """Status, body and headers (named as the server names them) of the reply."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(f"{server.url}/chat/completions", data) as reply:
            return reply.status, json.load(reply), dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), dict(error.headers)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A chat request with a system message of nine characters."""
    messages = [{"role": "system", "content": "translate"}, {"role": "user", "content": text}]
    return {"model": "sim", "messages": messages, **more}


def pack(*rows: list[str]) -> str:
    """Rows as our engine sends them, with keys that the server need not know."""
    made = [{"id": i, "t": texts, "because": "so"} for i, texts in enumerate(rows, 1)]
    return json.dumps({"rows": made, "terms": {}}, separators=(",", ":"))


def said(reply: Reply) -> str:
    """The text of a good reply."""
    status, body, _ = reply
    assert status == 200
    text: str = body["choices"][0]["message"]["content"]
    return text


def test_the_examples_in_the_docstrings_are_true() -> None:
    """Every doctest passes, and there are some."""
    result = doctest.testmod(simulator)
    assert result.failed == 0 and result.attempted > 0


def test_requests_take_the_slot_that_is_free_first_in_order() -> None:
    """Three at once on two slots: the third starts when the shorter of the first two ends."""
    slots = Slots(2, rate=10, first_token=1.0)
    assert slots.book(100.0, 40) == (100.0, 105.0)
    assert slots.book(100.0, 10) == (100.0, 102.0)
    assert slots.book(100.5, 10) == (102.0, 104.0)
    assert slots.book(100.6, 0) == (104.0, 105.0)


def test_a_slot_that_stood_idle_starts_at_once() -> None:
    """Idle time is lost, not saved up."""
    slots = Slots(1, rate=10, first_token=0.0)
    slots.book(0.0, 10)
    assert slots.book(7.0, 10) == (7.0, 8.0)


def test_no_window_of_a_second_holds_more_than_the_cap() -> None:
    """Asked every 7 ms for 5 s, the window lets in the cap at once and then one for one."""
    window = Window(30)
    times = [i * 0.007 for i in range(715)]
    admitted = [t for t in times if not window.wait(t)]
    assert len(admitted) == 150
    for begin in admitted:
        assert sum(begin <= t < begin + 1.0 for t in admitted) <= 30


def test_rows_come_back_translated_by_id(server: Simulator) -> None:
    """Same shape, every id, whatever else stood in the request."""
    content = json.loads(said(post(server, chat(pack(["a cat", "no"], ["dog"])))))
    assert [row["id"] for row in content["rows"]] == [1, 2]
    assert [[back(t) for t in row["t"]] for row in content["rows"]] == [["a cat", "no"], ["dog"]]


def test_plain_text_comes_back_translated(server: Simulator) -> None:
    """What the baseline sends: a cell, and nothing around it."""
    assert said(post(server, chat("Two ducks."))) == forward("Two ducks.")


def test_what_is_counted_is_what_was_sent(server: Simulator) -> None:
    """Tokens as billed, characters of the cells alone, rows, and the texts themselves."""
    text = pack(["four", "1 2"], ["sixsix"])
    _, body, _ = post(server, chat(text))
    stats = server.stats()
    assert stats.statuses == {"200": 1} and stats.requests == 1 and stats.under_way == 0
    assert stats.prompt_tokens == body["usage"]["prompt_tokens"] == 3 + size(text)
    assert stats.completion_tokens == body["usage"]["completion_tokens"]
    assert stats.completion_tokens == size(body["choices"][0]["message"]["content"])
    assert (stats.rows, stats.source_chars, stats.cell_chars) == (2, 13, 13)
    assert stats.system == "translate"
    assert stats.per_second == [1]
    assert server.asked() == [["four", "1 2"], ["sixsix"]]


def test_a_reset_forgets(server: Simulator) -> None:
    """The next run begins at nought."""
    post(server, chat("one"))
    server.reset()
    assert server.stats() == simulator.Stats() and server.asked() == []


def test_the_models_are_listed_and_counted_apart(server: Simulator) -> None:
    """A preflight is no translation."""
    with urllib.request.urlopen(f"{server.url}/models") as reply:
        assert [m["id"] for m in json.load(reply)["data"]] == ["sim"]
    assert (server.stats().model_lists, server.stats().requests) == (1, 0)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"messages": []}', b'{"messages": [1]}', b'{"messages": [{"role": 1}]}']
)
def test_what_is_no_chat_request_is_refused(server: Simulator, body: bytes) -> None:
    """A 400 in OpenAI's shape, and the server lives on."""
    status, reply, _ = post(server, body)
    assert status == 400 and "messages" in reply["error"]["message"]
    assert said(post(server, chat("on"))) == forward("on")
    assert server.stats().statuses == {"400": 1, "200": 1}


def test_an_unknown_page_is_404(server: Simulator) -> None:
    """And not counted."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/embeddings")
    caught.value.close()
    assert caught.value.code == 404 and server.stats().statuses == {}


def test_a_reply_is_cut_at_the_limit_of_the_request(server: Simulator) -> None:
    """Two tokens are six characters, and the reply says why it ends."""
    _, body, _ = post(server, chat("a long story", max_tokens=2))
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["content"] == forward("a long")
    assert body["usage"]["completion_tokens"] == 2


def test_a_connection_is_kept_and_a_request_may_come_in_pieces(server: Simulator) -> None:
    """Two requests on one line, byte by byte, each answered whole."""
    body = json.dumps(chat("hi")).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with _line(server) as line, line.makefile("rb") as replies:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for i in range(len(request)):
                line.sendall(request[i : i + 1])
            while (head := replies.readline()) != b"\r\n":
                if head.startswith(b"Content-Length"):
                    length = int(head.split()[1])
            reply = json.loads(replies.read(length))
            assert reply["choices"][0]["message"]["content"] == forward("hi")


def test_beyond_its_slots_the_server_queues_and_refuses_nobody() -> None:
    """Four requests of 0.1 s on one slot: 0.4 s of work, one after another, none refused."""
    with Simulator(1, rate=50, first_token=0.04) as server, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda text: post(server, chat(text)), ["abcdefghi"] * 4))
        stats = server.stats()
    assert [said(reply) for reply in replies] == [forward("abcdefghi")] * 4
    assert stats.busy == pytest.approx(0.4) and stats.wall >= 0.4
    assert stats.queued > 0 and 2 <= stats.peak <= 4
    assert stats.statuses == {"200": 4}


@pytest.mark.parametrize("whole_seconds", [False, True])
def test_above_the_cap_it_answers_429_and_says_when(whole_seconds: bool) -> None:
    """The third request of a second: not answered, not counted as accepted."""
    options = {"per_second": 2, "whole_seconds": whole_seconds}
    with Simulator(8, float("inf"), 0.0, **options) as server:  # type: ignore[arg-type]
        replies = [post(server, chat("x")) for _ in range(3)]
        stats = server.stats()
    status, _, headers = replies[2]
    assert [reply[0] for reply in replies] == [200, 200, 429]
    assert status == 429 and headers["Retry-After"] == "1"
    if whole_seconds:
        assert "retry-after-ms" not in headers
    else:
        assert 0 < int(headers["retry-after-ms"]) <= 1000
    assert stats.statuses == {"200": 2, "429": 1} and stats.requests == 2


def test_a_client_that_hangs_up_is_counted() -> None:
    """As 499; its slot stays taken to the end."""
    body = json.dumps(chat("abc")).encode()
    with Simulator(1, rate=50, first_token=0.2) as server:
        with _line(server) as line:
            line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
            line.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            _until(lambda: server.stats().under_way == 1)
        _until(lambda: server.stats().under_way == 0)
        stats = server.stats()
    assert stats.statuses == {"499": 1}
    assert stats.busy == pytest.approx(0.22)


def test_one_that_cannot_start_says_so() -> None:
    """An option that makes no sense ends the child: an error here, not a wait without end."""
    with pytest.raises(RuntimeError, match="did not start"), Simulator(slots="many"):  # type: ignore[arg-type]
        pass


def _line(server: Simulator) -> socket.socket:
    port = int(server.url.split(":")[2].split("/")[0])
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def _until(true: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
