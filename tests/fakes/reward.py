"""Servers of reward models on loopback: vLLM's pooling routes, and text-embeddings-inference.

A reward is made of nothing but the two texts (`scored`), so that a mixed-up order is seen. Their
differences are kept: vLLM 0.8 to 0.10 know no conversation at /classify, TEI answers with a list,
both refuse what is too long, and each has its own way to say no.

    with RewardServer("vllm", key="sk-test") as server:
        model = load_reward_model("api", api_base=server.url, api_key="sk-test")
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

from aiohttp import web

Body = dict[str, Any]
LONGEST = 4000  # characters of a prompt and its reply together


def scored(prompt: str, reply: str) -> float:
    """The reward, between -8 and 8, of a reply to a prompt."""
    lot = hashlib.blake2b(f"{prompt}\0{reply}".encode(), digest_size=4).digest()
    return round(16 * int.from_bytes(lot) / 2**32 - 8, 5)


def probability(score: float) -> float:
    """What a server makes of a score where its raw value is not asked for."""
    return 1 / (1 + math.exp(-score))


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class RewardServer:
    """The server, as a context manager.

    Args:
        kind: "vllm", "vllm-old" (no conversation at /classify), "tei".
        routes: the routes that its model offers; all of its kind when left out.
        heads: how many scores the model tells.
        tokens: /pooling tells a score for every token, the last one the reward.
        key: the key to be shown.
        late: seconds that the reward of a prompt takes.
    """

    def __init__(
        self,
        kind: Literal["vllm", "vllm-old", "tei"] = "vllm",
        *,
        routes: Sequence[str] | None = None,
        heads: int = 1,
        tokens: bool = False,
        key: str | None = None,
        late: Callable[[str], float] = lambda prompt: 0.0,
    ) -> None:
        self.kind, self.heads, self.tokens, self.key, self.late = kind, heads, tokens, key, late
        one = ("score",) if heads == 1 else ()
        own = ("predict",) if kind == "tei" else ("classify", "pooling", *one)
        self.routes = tuple(routes if routes is not None else own)
        self.asked: list[tuple[str, Body]] = []
        """(route, body) of each request that was understood, in their order."""
        self.fail: Callable[[str], int | None] = lambda prompt: None
        """The status with which a prompt is refused."""

    def __enter__(self) -> Self:
        sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(sock), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, sock: socket.socket) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await self._answer(request))
        except Refused as no:
            return web.json_response(no.body, status=no.status)

    async def _answer(self, request: web.Request) -> Any:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise Refused(401, {"error": "Unauthorized"})
        route = request.path.removeprefix("/")
        if request.method != "POST" or route not in self.routes:
            raise Refused(404, {"detail": "Not Found"})
        body = await request.json()
        prompt, reply = self._read(route, body)
        self.asked.append((route, body))
        if status := self.fail(prompt):
            raise Refused(status, self._no("refused by the test", status))
        if len(prompt) + len(reply) > LONGEST:
            raise Refused(413 if self.kind == "tei" else 400, self._no("the input is too long"))
        await asyncio.sleep(self.late(prompt))
        return self._told(route, body, scored(prompt, reply))

    def _read(self, route: str, body: Body) -> tuple[str, str]:
        if route == "predict":
            prompt, reply = body["inputs"]
            return prompt, reply
        if route == "score":
            return body["text_1"], body["text_2"]
        if "messages" not in body or (route == "classify" and self.kind == "vllm-old"):
            raise Refused(400, self._no("[{'loc': ('body', 'input'), 'msg': 'Field required'}]"))
        *before, last = body["messages"]
        return "\n".join(m["content"] for m in before), last["content"]

    def _told(self, route: str, body: Body, score: float) -> Any:
        raw = body.get("raw_scores") if route == "predict" else body["use_activation"] is False
        values = [score + head for head in range(self.heads)]
        values = values if raw else [probability(v) for v in values]
        if route == "predict":
            pairs = sorted(enumerate(values), key=lambda pair: -pair[1])
            return [{"score": v, "label": f"LABEL_{i}"} for i, v in pairs]
        one: Body = {"index": 0, "object": route}
        if route == "score":
            one |= {"score": values[0]}
        elif route == "classify":
            one |= {"label": "LABEL_0", "probs": values, "num_classes": self.heads}
        else:
            one |= {"data": [[0.0] * self.heads, values] if self.tokens else values}
        usage = {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0}
        return {"id": "x", "object": "list", "model": "m", "data": [one], "usage": usage}

    def _no(self, message: str, code: int = 400) -> Body:
        if self.kind == "tei":
            return {"error": message, "error_type": "validation"}
        return {"error": {"message": message, "type": "BadRequestError", "code": code}}
