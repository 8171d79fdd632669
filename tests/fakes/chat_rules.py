"""How servers differ from OpenAI's: requests that they refuse, replies that they bend.

chat.rules.append(refuses("max_tokens"))
chat.bends.append(one_choice)
"""

import json
from collections.abc import Callable
from typing import Any

from tests.fakes.chat_protocol import Body, Refused, dumped, size
from tests.fakes.translit import text_of

Rule = Callable[[str, Any], None]
"""Given path and body of a request; raises `Refused`."""
Bend = Callable[[Body, Body], Body]
"""Given a request's body and the good reply to it; the reply as it goes out."""


def refuses(*names: str) -> Rule:
    """Each of these parameters, as OpenAI says that it does not support one."""

    def rule(path: str, body: Any) -> None:
        for name in names:
            if isinstance(body, dict) and name in body:
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                raise Refused(400, said, code="unsupported_parameter", param=name)

    return rule


def refuses_fields(*names: str) -> Rule:
    """The same in the words of a server on FastAPI (transformers serve): 422 and `detail`."""

    def rule(path: str, body: Any) -> None:
        if unexpected := set(names) & set(body if isinstance(body, dict) else ()):
            said = {"detail": f"Unexpected fields in the request: {unexpected}"}
            raise Refused.saying(422, said)

    return rule


def generates(path: str, body: Any) -> None:
    """At least one token is generated: `max_tokens` 0 is refused."""
    if isinstance(body, dict) and body.get("max_tokens") == 0:
        raise Refused(400, "max_tokens must be at least 1, got 0.", param="max_tokens")


def context(limit: int) -> Rule:
    """Prompts of more tokens than that are refused as OpenAI does."""

    def rule(path: str, body: Any) -> None:
        if not isinstance(body, dict) or not path.endswith("/completions"):
            return
        said = [text_of(m.get("content")) for m in body.get("messages", ())]
        given = sum(map(size, [*said, str(body.get("prompt", ""))]))
        if given > limit:
            raise Refused(
                400,
                f"This model's maximum context length is {limit} tokens. However, your messages "
                f"resulted in {given} tokens. Please reduce the length of the messages.",
                code="context_length_exceeded",
                param="messages",
            )

    return rule


def filters(*texts: str) -> Rule:
    """A request that ends in one of these texts is refused, as Azure's content filter does."""

    def rule(path: str, body: Any) -> None:
        if not isinstance(body, dict):
            return
        said = [text_of(m.get("content")) for m in body.get("messages", ())]
        if (said[-1] if said else str(body.get("prompt", ""))).endswith(texts):
            raise Refused(400, "filtered: the content management policy", code="content_filter")

    return rule


def one_choice(asked: Body, reply: Body) -> Body:
    """`n` is not honoured: one choice, whatever was asked."""
    return reply | {"choices": reply["choices"][:1]}


def thinks(thought: str, field: str = "reasoning_content", **message: Any) -> Bend:
    """The model thinks aloud; `message` goes over the reply's own fields."""

    def bend(asked: Body, reply: Body) -> Body:
        for choice in reply["choices"]:
            choice["message"] |= {field: thought, **message}
        return reply

    return bend


def constrains(way: str) -> Bend:
    """A choice is held to when it is asked for in this way; the last of its texts is taken."""

    def bend(asked: Body, reply: Body) -> Body:
        told = asked.get(way)
        if not told:
            return reply
        if way == "response_format":
            schema = told["json_schema"]["schema"]
            text = dumped({"choice": schema["properties"]["choice"]["enum"][-1]})
        else:
            text = (told["choice"] if way == "structured_outputs" else told)[-1]
        for choice in reply["choices"]:
            if "message" in choice:
                choice["message"]["content"] = text
            else:
                choice["text"] = text
        return reply

    return bend


def untold_prompt(asked: Body, reply: Body) -> Body:
    """`echo` is taken and the prompt's tokens come without true log-probs: all 0.0 (llama.cpp)."""
    for choice in reply["choices"]:
        if told := choice.get("logprobs"):
            told["token_logprobs"] = [0.0 for _ in told["token_logprobs"]]
    return reply


def marked(reply_tokens: Callable[[list[str]], list[str]]) -> Bend:
    """The tokens' texts are told otherwise than they are."""

    def bend(asked: Body, reply: Body) -> Body:
        for choice in reply["choices"]:
            if told := choice.get("logprobs"):
                told["tokens"] = reply_tokens(told["tokens"])
        return reply

    return bend


def without(*fields: str) -> Bend:
    """Fields of the reply, and of its choices, are missing."""

    def bend(asked: Body, reply: Body) -> Body:
        kept = json.loads(json.dumps(reply))
        for part in (kept, *kept["choices"]):
            for field in fields:
                part.pop(field, None)
        return dict(kept)

    return bend
