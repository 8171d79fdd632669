"""A chat server whose model calls tools, as a test has written it down.

    with AgentServer() as server:
        server.plays(("dataset_downloader", {"dataset_name": "quiz.jsonl"}), "I am done.")

A chat with `tools` gets the next turn; all else is answered as `ChatServer` does.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.fakes import chat_protocol as protocol
from tests.fakes.chat import ChatServer
from tests.fakes.chat_protocol import Ask, Body
from tests.fakes.faults import Fault
from tests.fakes.translit import text_of

Call = tuple[str, dict[str, Any]]
Turn = str | Call | list[Call] | Callable[[str], Any]
LAST = "<the first line of the last result>"


class AgentServer(ChatServer):
    """The server. A turn is a call, several at once, a text without a call, or a function of the
    last result that gives one of these (and may change the server)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.turns: deque[Turn] = deque()

    def plays(self, *turns: Turn) -> None:
        """What the model does from now on."""
        self.turns.extend(turns)

    @property
    def asked(self) -> list[Body]:
        """The requests of agents, in order."""
        return [r.body for r in self.requests if isinstance(r.body, dict) and r.body.get("tools")]

    @property
    def results(self) -> list[str]:
        """What the model was told after each turn but the last."""
        return [observed(body["messages"]) for body in self.asked[1:]]

    def _chat(self, ask: Ask, fault: Fault | None) -> Body:
        payload = super()._chat(ask, fault)
        if ask.body.get("tools"):
            last = observed(ask.body["messages"])
            turn: Any = self.turns.popleft()
            turn = turn(last) if callable(turn) else turn
            self._turned(payload, turn, last)
        return payload

    def _turned(self, payload: Body, turn: str | Call | list[Call], last: str) -> None:
        message = payload["choices"][0]["message"]
        if isinstance(turn, str):
            message["content"] = turn
            return
        first = last.partition("\n")[0]
        calls = [
            {
                "id": f"call_{i}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(_filled(arguments, first))},
            }
            for i, (name, arguments) in enumerate([turn] if isinstance(turn, tuple) else turn)
        ]
        message |= {"content": None, "tool_calls": calls}
        payload["choices"][0]["finish_reason"] = "tool_calls"
        payload["usage"]["completion_tokens"] = protocol.size(protocol.dumped(calls))


def observed(messages: list[Body]) -> str:
    """The last result in a chat."""
    text = text_of(messages[-1].get("content"))
    return text.removeprefix("Observation:\n").strip()


def _filled(arguments: dict[str, Any], first: str) -> dict[str, Any]:
    return {name: first if value == LAST else value for name, value in arguments.items()}


def ported(dataset: str, *, translator: str = "fake-translator", **said: Any) -> list[Turn]:
    """The three turns of a port."""
    return [
        ("dataset_downloader", {"dataset_name": dataset, **said}),
        ("dataset_translator", {"port": LAST, "model": translator}),
        ("module_generator", {"port": LAST}),
    ]


def answered(text: str) -> Call:
    """The last turn."""
    return "final_answer", {"answer": text}
