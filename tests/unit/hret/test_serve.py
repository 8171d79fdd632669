"""`hret serve`: a backend over HTTP, asked by real clients; its key, its errors, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import openai
import pytest

from llm_eval.errors import UserError
from llm_eval.models import load_model
from llm_eval.models.base import BaseModel
from llm_eval.models.served import Served
from llm_eval.models.served_http import App, bound, listening
from llm_eval.records import Prediction, Prompt
from llm_eval.secret import secret
from tests.conftest import ROOT, Cli
from tests.fakes.backend import FakeBackend

KEY = "sk-serve-test"
JSON = {"Content-Type": "application/json"}
HI: Any = [{"role": "user", "content": "hi"}]


@contextmanager
def serving(model: BaseModel, key: str | None = None) -> Iterator[str]:
    """The server in a thread; its address."""
    sock = bound("127.0.0.1", 0, key=False)
    up, loop = threading.Event(), asyncio.new_event_loop()
    down = asyncio.Event()

    async def serve() -> None:
        app = App(served=Served(model), names=("m", "fake:m"), key=secret(key))
        async with listening(app, sock):
            up.set()
            await down.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert up.wait(30)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()
        loop.close()


def asked(url: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    """(status, body) of one request."""

    async def ask() -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.request(method, url, **more) as r:
            return r.status, json.loads(await r.read())

    return asyncio.run(ask())


def test_the_openai_client() -> None:
    """Chat, stream, completions, models, and an error with its parameter."""
    with serving(FakeBackend()) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="x") as client:
        said = client.chat.completions.create(model="m", messages=HI)
        assert (said.choices[0].message.content, said.choices[0].finish_reason) == ("네.", "stop")
        assert said.usage is not None and said.usage.completion_tokens == 2
        events = list(
            client.chat.completions.create(
                model="fake:m",
                messages=HI,
                stream=True,
                stream_options={"include_usage": True},
                logprobs=True,
            )
        )
        assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == "네."
        assert [e.choices[0].finish_reason for e in events if e.choices] == [None, "stop"]
        assert events[-1].usage is not None and events[-1].usage.total_tokens == 3
        text = client.completions.create(model="m", prompt=["a b", "c"], echo=True, logprobs=1)
        assert [c.text for c in text.choices] == ["a bA B", "cC"]
        assert text.choices[0].logprobs is not None
        assert text.choices[0].logprobs.token_logprobs == [None, -1.0, -0.5, -0.5, -0.5]
        parts = client.completions.create(model="m", prompt="a", stream=True)
        assert [e.choices[0].text for e in parts] == ["A"]
        assert [m.id for m in client.models.list()] == ["m", "fake:m"]
        assert client.models.retrieve("fake:m").id == "fake:m"
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="m", messages=HI, presence_penalty=1)
        assert caught.value.param == "presence_penalty"
        with pytest.raises(openai.NotFoundError, match="'other' is not served here; 'm' is"):
            client.completions.create(model="other", prompt="a")


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("stream", {"stream": "false"}),
        ("include_usage", {"stream": True, "stream_options": {"include_usage": 1}}),
    ],
)
def test_what_is_neither_true_nor_false_is_refused(param: str, more: dict[str, Any]) -> None:
    """Before the model is asked."""
    with serving(model := FakeBackend()) as url:
        status, body = asked(f"{url}/v1/completions", "POST", json={"prompt": "a", **more})
    assert (status, body["error"]["param"], model.calls) == (400, param, [])


def told(url: str, prompts: list[Prompt]) -> list[Prediction]:
    """What our own `openai` backend makes of a server."""

    async def ask() -> list[Prediction]:
        model = load_model("openai", model_name="m", api_base=f"{url}/v1", max_retries=0)
        try:
            return await model.generate(prompts)
        finally:
            await model.close()

    return asyncio.run(ask())


def test_our_own_backend() -> None:
    """The `openai` backend reads what is served as it reads any server."""
    with serving(FakeBackend()) as url:
        prompts = [Prompt(sample_id=str(i), text=f"{i}") for i in range(30)]
        found = told(url, prompts)
        assert [p.text for p in found] == ["네."] * 30
        assert [p.sample_id for p in found] == [p.sample_id for p in prompts]


def test_a_prompt_over_the_context_is_told_as_one() -> None:
    """With OpenAI's code, which our own backend takes for the kind `length`."""
    with serving(FakeBackend(longest=3)) as url:
        body = {"messages": [{"role": "user", "content": "a b c d"}]}
        status, said = asked(f"{url}/v1/chat/completions", "POST", json=body)
        assert (status, said["error"]["code"]) == (400, "context_length_exceeded")
        assert said["error"]["message"] == "the prompt has 4 tokens; the model reads 3"
        (found,) = told(url, [Prompt(sample_id="0", text="a b c d")])
        assert found.failure is not None and found.failure.kind == "length"


def test_the_key() -> None:
    """Without it nothing but /health is answered; it stands in no reply."""
    with serving(FakeBackend(), KEY) as url:
        assert asked(f"{url}/health") == (200, {"status": "ok", "model": "m"})
        for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {KEY}"}):
            status, body = asked(f"{url}/v1/models", headers=given)
            assert (status, body["error"]["code"]) == (401, "invalid_api_key")
            assert KEY not in json.dumps(body)
        status, body = asked(f"{url}/v1/models", headers={"Authorization": f"Bearer {KEY}"})
        assert (status, body["data"][0]["id"]) == (200, "m")


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", b"[]", 400),
        ("/v1/chat/completions", b"[" * 100_000, 400),
        ("/v1/chat/completions", b"\xff", 400),
        ("/v1/chat/completions", b"x" * (64 * 2**20 + 1), 413),
        ("/v1/embeddings", b"{}", 404),
        ("/v1/models", b"{}", 405),
    ],
    ids=["no JSON", "no object", "deep", "no UTF-8", "too large", "no such path", "no such method"],
)
def test_bad_requests(path: str, data: bytes, status: int) -> None:
    """Each is an error in OpenAI's shape, and the next request is answered."""
    with serving(FakeBackend()) as url:
        found, body = asked(f"{url}{path}", "POST", data=data, headers=JSON)
        assert (found, body["error"]["type"]) == (status, "invalid_request_error")
        assert asked(f"{url}/health")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (JSON, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": "http://localhost.evil.example"}, 403),
        ({**JSON, "Origin": "http://localhost:3000"}, 200),
        ({**JSON, "Origin": "http://[::1]:3000"}, 200),
        ({**JSON, "Host": "evil.example"}, 403),
        ({**JSON, "Host": "localhost:1"}, 200),
    ],
    ids=str,
)
def test_a_web_page_cannot_ask(headers: dict[str, str], status: int) -> None:
    """Nothing is asked of the model for one, where there is no key to keep it out."""
    model = FakeBackend()
    with serving(model) as url:
        sent = {"data": b'{"prompt": "a"}', "headers": headers}
        found, body = asked(f"{url}/v1/completions", "POST", **sent)
    assert (found, len(model.calls)) == (status, int(status == 200))
    assert status == 200 or body["error"]["message"]


def test_who_has_the_key_may_come_from_anywhere() -> None:
    """A page that was given the key, under any name of this machine."""
    headers = {"Authorization": f"Bearer {KEY}", "Origin": "https://a.b", "Host": "a.b"}
    with serving(FakeBackend(), KEY) as url:
        assert asked(f"{url}/v1/models", headers=headers)[0] == 200


def test_other_weights_behind_a_name_are_another_model() -> None:
    """The list tells a hash of what decides replies, which our backend keeps replies under."""
    told = []
    for weights in ("old", "old", "new"):

        class Weights(FakeBackend):
            about = {"weights": weights, "api_key": "sk-hidden"}

        with serving(Weights()) as url:
            model = load_model("openai", model_name="fake:m", api_base=f"{url}/v1")

            async def ask(model: BaseModel = model) -> Any:
                await model.check()
                await model.close()
                return model.about["served"]

            told.append(asyncio.run(ask())["root"])
    assert told[0] == told[1] != told[2]


def test_half_of_a_surrogate_pair_comes_back() -> None:
    """What was answered is not lost to how it is written."""
    with serving(FakeBackend()) as url:
        sent = {"data": rb'{"prompt": "a\ud800", "echo": true}', "headers": JSON}
        status, body = asked(f"{url}/v1/completions", "POST", **sent)
    assert (status, body["choices"][0]["text"]) == (200, "a\ud800A\ud800")


def test_a_client_that_leaves_is_not_answered_for() -> None:
    """Its prompt is let go of before it is asked."""

    class Held(FakeBackend):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.let = threading.Event(), threading.Event()

        async def generate(self, prompts: Any) -> Any:
            self.asked.set()
            await asyncio.to_thread(self.let.wait, 30)
            return await super().generate(prompts)

    async def leave(url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=0.3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with pytest.raises(TimeoutError):
                await session.post(f"{url}/v1/completions", json={"prompt": "left"})

    model = Held()
    with serving(model) as url:
        first = threading.Thread(
            target=asked, args=(f"{url}/v1/completions", "POST"), kwargs={"json": {"prompt": "a"}}
        )
        first.start()
        assert model.asked.wait(30)
        asyncio.run(leave(url))
        model.let.set()
        first.join()
        asked(f"{url}/v1/completions", "POST", json={"prompt": "b"})
    assert [p.text for call in model.calls for p in call] == ["a", "b"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_other_machines_only_with_a_key(host: str) -> None:
    """A sentence, before anything is loaded."""
    with pytest.raises(UserError, match="there is no key"):
        bound(host, 0, key=False)
    bound(host, 0, key=True).close()


def test_addresses_that_cannot_be_had(cli: Cli) -> None:
    """No such host, a port that is taken: sentences, and the model is not loaded for them."""
    with pytest.raises(UserError, match="no address of this machine"):
        bound("no.such.host.invalid", 0, key=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = cli("serve", "--model", "huggingface:no/such", "--port", port)
        assert done.returncode == 2
        assert f"127.0.0.1:{port} cannot be listened at" in done.stderr
    for wrong, said in ((("--model", "nope"), "no model"), (("--host", "0.0.0.0"), "no key")):
        done = cli("serve", "--model", "oracle", *wrong)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


SLOW = """
import asyncio, sys
from hret.cli import main
from llm_eval.models import BaseModel, register_model
from llm_eval.models.base import Capabilities
from llm_eval.records import Prediction

@register_model("slow")
class Slow(BaseModel):
    can = Capabilities(batch=4)
    async def generate(self, prompts):
        print("asked", file=sys.stderr, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return [Prediction(sample_id=p.sample_id, text="done") for p in prompts]

sys.exit(main(["serve", "--model", "slow", "--port", "0"]))
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_what_is_in_flight_is_answered_at_the_end(
    sign: signal.Signals, environment: dict[str, str]
) -> None:
    """After Ctrl-C nothing new is taken; a second one ends it at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None and process.stdin is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("Serving slow at http://127.0.0.1:"), line
        url = line.split(" at ")[1].split(" ")[0]
        got: list[Any] = []
        thread = threading.Thread(
            target=lambda: got.append(asked(f"{url}/completions", "POST", json={"prompt": "a"}))
        )
        thread.start()
        assert process.stderr.readline() == "asked\n"
        process.send_signal(sign)
        assert process.stderr.readline().startswith("Stopping:")
        with pytest.raises(aiohttp.ClientConnectorError):
            asked(f"{url}/models")
        process.stdin.write("go\n")
        process.stdin.flush()
        thread.join(30)
        assert got[0][1]["choices"][0]["text"] == "done"
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
