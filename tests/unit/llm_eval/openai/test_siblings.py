"""Several requests of one call, one of which ends the run: what is answered is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from llm_eval.errors import AuthError, UserError
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Prompt, Usage
from tests.fakes.chat import ChatServer
from tests.unit.llm_eval.openai.asking import asked, made, one
from tests.unit.llm_eval.servers import GOOD, Answer, raw_server

Handler = Callable[[web.Request], Awaitable[web.Response]]
QUOTA = {"error": {"message": "no quota is left", "code": "insufficient_quota"}}


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """A server in this loop, so that a test says what comes first."""
    app = web.Application()
    app.router.add_route("*", "/v1/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def text_of(request: web.Request) -> str:
    """What a request asks."""
    body = await request.json()
    text: str = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
    return text


async def ended(model: OpenAIModel, *prompts: Prompt, how: str = "generate") -> UserError:
    """The error that a call ends with; the model is closed."""
    try:
        with pytest.raises(UserError) as caught:
            await asyncio.wait_for(getattr(model, how)(prompts), 30)
        return caught.value
    finally:
        await model.close()


def test_those_at_the_server_are_waited_for_and_no_other_is_sent() -> None:
    """The slow one's reply is in the error; those that wait for their turn are never asked."""
    seen: list[str] = []
    slow, refused = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        seen.append(text := await text_of(request))
        if text == "slow":
            slow.set()
            await refused.wait()
            await asyncio.sleep(0.05)  # long after the refusal has arrived
            return web.json_response(GOOD)
        await slow.wait()
        refused.set()
        return web.json_response(QUOTA, status=429)

    async def work() -> UserError:
        async with served(handle) as url:
            asks = [one(t, sample=t) for t in ("slow", "refused", "later", "last")]
            return await ended(made(url, concurrency=2), *asks)

    error = asyncio.run(work())
    assert "no quota is left" in error.message
    assert [p and (p.sample_id, p.text) for p in error.finished] == [("slow", "4"), *[None] * 3]
    assert seen == ["slow", "refused"]


def test_a_sibling_that_would_be_tried_again_is_not() -> None:
    """It may be at the server when the key is refused; its next attempt is not made."""
    seen: list[str] = []
    refused = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        seen.append(text := await text_of(request))
        if text == "busy":
            await refused.wait()
            await asyncio.sleep(0.05)
            return web.json_response({}, status=500)
        refused.set()
        return web.json_response({}, status=401)

    async def work() -> UserError:
        async with served(handle) as url:
            asks = [one(t, sample=t) for t in ("busy", "refused")]
            return await ended(made(url, max_retries=5), *asks)

    error = asyncio.run(work())
    assert isinstance(error, AuthError) and error.finished == [None, None]
    assert sorted(seen) == ["busy", "refused"]


def test_one_that_waits_to_try_again_ends_at_once() -> None:
    """Its pause is not sat out."""
    seen: list[str] = []
    busy = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        seen.append(text := await text_of(request))
        if text == "busy":
            busy.set()
            return web.json_response({}, status=500, headers={"Retry-After": "500"})
        await busy.wait()
        await asyncio.sleep(0.05)
        return web.json_response({}, status=401)

    async def work() -> UserError:
        async with served(handle) as url:
            asks = [one(t, sample=t) for t in ("busy", "refused")]
            return await ended(made(url, max_retries=5), *asks)

    assert asyncio.run(work()).finished == [None, None]
    assert sorted(seen) == ["busy", "refused"]


def test_a_cancelled_call_is_cancelled() -> None:
    """Ctrl-C is none of this."""

    async def handle(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.json_response(GOOD)

    async def work() -> None:
        async with served(handle) as url:
            model = made(url)
            call = asyncio.create_task(model.generate([one(), one(sample="t")]))
            while len(model.transport.answering) < 2:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await model.close()

    asyncio.run(asyncio.wait_for(work(), 30))


def test_options_that_are_weighed_are_kept_too() -> None:
    """A sample whose options all came is whole; one that lacks an option is none."""

    def told(text: str) -> dict[str, Any]:
        tokens = [*text]
        known = [None, *(-1.0 - (ord(t) % 7) / 7 - i / 9 for i, t in enumerate(tokens[1:]))]
        logprobs = {"tokens": tokens, "token_logprobs": known, "top_logprobs": None}
        choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": "length"}
        return {"choices": [choice], "usage": {"prompt_tokens": len(tokens)}}

    async def handle(request: web.Request) -> web.Response:
        text = await text_of(request)
        if text == "two B":
            return web.json_response(QUOTA, status=429)
        return web.json_response(told(text))

    async def work() -> UserError:
        async with served(handle) as url:
            asks = [one(t, sample=t, options=(" A", " B")) for t in ("one", "two", "three")]
            model = made(url, concurrency=1, endpoint="completions")
            return await ended(model, *asks, how="likelihoods")

    error = asyncio.run(work())
    assert [p and (p.sample_id, len(p.options)) for p in error.finished] == [("one", 2), None, None]


def test_replies_to_one_sample_are_one_request_whatever_their_turn(chat: ChatServer) -> None:
    """Without a seed they may have gaps, as where a run goes on."""
    asked(made(chat.url), *(one(turn=i) for i in (0, 2, 5)))
    asked(made(chat.url), one("a", turn=0), one("b", turn=1))
    assert [r.body.get("n") for r in chat.requests] == [3, None, None]


@pytest.mark.parametrize(
    ("own", "asks"),
    [({"seed": 0}, {}), ({"extra_body": {"seed": 0}}, {}), ({"seed": 5}, {"seed": 0})],
    ids=["own", "extra_body", "of the prompt"],
)
@pytest.mark.parametrize("several", [True, False])
def test_a_seed_draws_each_reply_anew_and_alike_in_every_run(
    chat: ChatServer, several: bool, own: dict[str, Any], asks: dict[str, Any]
) -> None:
    """A request's seed is that of its first reply, from which servers count on.

    130 replies are more than one request may ask for; a run that goes on draws what was missing.
    """

    def bend(asked: Any, reply: Any) -> Any:
        drawn = range(asked["seed"], asked["seed"] + (asked.get("n", 1) if several else 1))
        message = [{"content": str(seed)} for seed in drawn]
        reply["choices"] = [{"message": m, "finish_reason": "stop"} for m in message]
        return reply

    chat.bends.append(bend)

    def drawn(*turns: int) -> list[str | None]:
        model = made(chat.url, **own)
        return [p.text for p in asked(model, *(one(turn=t, params=asks) for t in turns))]

    assert drawn(*range(130)) == [str(i) for i in range(130)]
    assert drawn(1, 2, 4, 129) == ["1", "2", "4", "129"]
    assert drawn(3) == ["3"]


def test_a_choice_that_broke_off_is_drawn_by_its_own_seed(chat: ChatServer) -> None:
    """And stands in its own place; `n` of one's own leaves each reply as many seeds."""

    def bend(asked: Any, reply: Any) -> Any:
        ends = ["abort" if asked.get("n") == 3 else "stop", "stop", "stop"]
        reply["choices"] = [
            {"message": {"content": str(asked["seed"] + i)}, "finish_reason": ends[i]}
            for i in range(asked.get("n", 1))
        ]
        return reply

    chat.bends.append(bend)
    model = made(chat.url, seed=7)
    found = asked(model, *(one(turn=i) for i in range(3)))
    assert [p.text for p in found] == ["7", "8", "9"]
    assert sum((p.usage for p in found), Usage()) == model.usage
    told = asked(made(chat.url, seed=7, n=2), one(turn=0), one(turn=1))
    assert [(p.text, p.alternatives) for p in told] == [("7", ("8",)), ("9", ("10",))]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait_for_a_day_ends_the_run(status: int) -> None:
    """With the time, and at once; others who ask this server are not held back by it."""
    with raw_server() as raw:
        refusal = Answer(status, "{}", {"Retry-After": "86400"})
        raw.answers = [refusal, Answer(200, json.dumps(GOOD))]

        async def work() -> tuple[UserError, str | None]:
            error = await ended(made(raw.url, max_retries=3), one())
            other = made(raw.url)
            (found,) = await asyncio.wait_for(other.generate([one()]), 10)
            await other.close()
            return error, found.text

        error, text = asyncio.run(work())
    assert "1 day, 0:00:00" in error.message and "run this again" in error.hint
    assert "eval" not in error.hint  # a port may be who asks
    assert (text, raw.asked) == ("4", 2)
