"""OpenAI's protocol, chat and completions: requests and what replies say. Pure.

Replies are read as the servers that speak it really send them: fields may be missing, and reasons
to end have other names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from llm_eval.errors import BackendError
from llm_eval.models.conversation import turns
from llm_eval.models.images import chat_part
from llm_eval.records import TRUNCATED, Prediction, Prompt, Token, Usage

Endpoint = Literal["chat", "completions"]
PATHS: Mapping[Endpoint, str] = {"chat": "/chat/completions", "completions": "/completions"}
LIMITS = ("max_tokens", "max_completion_tokens")  # of a reply; servers know the one or the other
CONSTRAINTS = ("structured_outputs", "guided_choice", "response_format")
BROKE_OFF = frozenset(  # reasons to end that are a provider's own trouble
    "error network_error abort insufficient_system_resource malformed_response "
    "malformed_function_call".split()
)
_FINISH = {"eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What one choice of a reply says. `detail` is empty where no log-probabilities came.

    `finish` is "refusal" of a text that a server tells apart as one.
    """

    text: str
    finish: str | None
    reasoning: str | None = None
    detail: tuple[Token, ...] = ()

    @property
    def logprob(self) -> float | None:
        """The sum over its tokens, in nats; None where one is missing."""
        told = [t.logprob for t in self.detail if t.logprob is not None]
        return sum(told) if told and len(told) == len(self.detail) else None


# -- requests --------------------------------------------------------------------------------------


def request(
    endpoint: Endpoint, model: str, prompt: Prompt, system: str | None, own: Mapping[str, Any]
) -> dict[str, Any]:
    """The request of one prompt, whose parameters go over the backend's `own`.

    A seed is that of the prompt's turn: further replies to a sample are no copies of the first.

    Raises:
        BackendError: this endpoint cannot take what the prompt holds.
    """
    if endpoint == "chat":
        said: dict[str, Any] = {"messages": _messages(prompt, system)}
    else:
        said = {"prompt": list(prompt.token_ids) or shown(prompt, system)}
    if not prompt.params:
        return {"model": model, **said, **_seeded(own, prompt.turn)}
    asked = {k: v for k, v in prompt.params.items() if v is not None and k != "choice"}
    if isinstance(asked.get("stop"), Sequence) and not asked["stop"]:
        asked.pop("stop")
    merged = {**own, **asked}
    if any(name in asked for name in LIMITS):
        merged = {k: v for k, v in merged.items() if k in asked or k not in LIMITS}
    if "logprobs" in asked:
        merged.pop("top_logprobs", None)
        merged |= logprobs(endpoint, int(asked["logprobs"]))
    return {"model": model, **said, **_seeded(merged, prompt.turn)}


def _seeded(sent: Mapping[str, Any], turn: int) -> Mapping[str, Any]:
    """Parameters with the seed of a turn, counted on as vLLM does for choices of one request."""
    if turn and isinstance(seed := sent.get("seed"), int):
        sent = {**sent, "seed": seed + turn}
    if turn and isinstance(extra := sent.get("extra_body"), Mapping):
        sent = {**sent, "extra_body": _seeded(extra, turn)}
    return sent


def shown(prompt: Prompt, system: str | None) -> str:
    """The text that a completions endpoint reads for a prompt.

    Raises:
        BackendError: the prompt is a conversation, or has images.
    """
    if prompt.messages or prompt.images:
        what = "messages" if prompt.messages else "images"
        raise bad(f"the completions endpoint takes no {what}; endpoint 'chat' does")
    return f"{system}\n\n{prompt.text}" if system else prompt.text


def logprobs(endpoint: Endpoint, top: int) -> dict[str, Any]:
    """How log-probabilities are asked for, with the `top` likeliest tokens at each place."""
    if endpoint == "completions":
        return {"logprobs": top}
    return {"logprobs": True, "top_logprobs": top} if top else {"logprobs": True}


def constraint(way: str, choice: Sequence[str]) -> dict[str, Any]:
    """What holds a reply to one of the texts, in a server's own way (`CONSTRAINTS`)."""
    texts = list(dict.fromkeys(choice))
    if way == "structured_outputs":
        return {way: {"choice": texts}}
    if way == "guided_choice":
        return {way: texts}
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": texts}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    named = {"name": "answer", "strict": True, "schema": schema}
    return {way: {"type": "json_schema", "json_schema": named}}


def chosen(way: str, text: str, choice: Sequence[str]) -> str | None:
    """Which of the texts a constrained reply is; None: it is none of them."""
    if way == "response_format":
        try:
            text = json.loads(text)["choice"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
    return text if text in choice else None


def held(way: str, reply: Reply, choice: Sequence[str]) -> Reply:
    """A constrained reply as the text that it chose; one without an answer as it is.

    Raises:
        BackendError: it is none of them.
    """
    if no_answer(reply.text, reply.finish):
        return reply
    text = chosen(way, reply.text, choice)
    if text is None:
        said = f"the reply {reply.text[:80]!r} (ended by {reply.finish}) is none of the choice"
        raise BackendError(said, kind="malformed")
    if text == reply.text:
        return reply
    return replace(reply, text=text, detail=())  # the tokens were those of JSON around it


def is_about(error: BackendError, parameter: str) -> bool:
    """Does a server refuse this parameter of the request?"""
    if error.kind != "bad_request":
        return False
    if error.param:
        return error.param == parameter
    return bool(re.search(rf"(?<![\w\\]){parameter}(?!\w)", error.message))


def bad(message: str) -> BackendError:
    """The error of a prompt that asks for what cannot be had here."""
    return BackendError(message, kind="bad_request")


def _messages(prompt: Prompt, system: str | None) -> list[dict[str, Any]]:
    if prompt.token_ids:
        raise bad("the chat endpoint takes no token ids; endpoint 'completions' does")
    return turns(prompt, system, chat_part)


# -- replies ---------------------------------------------------------------------------------------


def reply_text(body: Mapping[str, Any]) -> tuple[str, str | None]:
    """(text, finish_reason) of a chat or completion reply that has to hold an answer.

    Raises:
        BackendError: it holds none: as `no_answer` and `reply_of`.
    """
    reply = reply_of(choices(body)[0])
    if error := no_answer(reply.text, reply.finish):
        raise error
    return reply.text, reply.finish


def no_answer(text: str | None, finish: str | None) -> BackendError | None:
    """Why a reply holds no answer: `refusal`, `content_filter` or `length`; None: it may hold one.

    Of a model under test such a reply is scored like any other. Whoever needs what was asked for,
    a translator or a judge, needs this.
    """
    if finish == "refusal":
        return BackendError(f"the model refused: {text}", kind="refusal")
    if finish == "content_filter":
        said = "the provider's content filter stopped the reply"
        return BackendError(said, kind="content_filter")
    if not text and finish in TRUNCATED:
        said = "the model was still thinking at the length limit and gave no answer"
        return BackendError(f"{said}: raise max_tokens", kind="length")
    return None


def decode(sample_id: str, body: Mapping[str, Any]) -> Prediction:
    """The prediction in a reply: its first choice, the texts of the others as alternatives.

    Raises:
        BackendError: as `reply_text`; a choice after the first that is unusable is left out.
    """
    first, *others = choices(body)
    found = prediction(sample_id, reply_of(first))
    texts = []
    for choice in others:
        with suppress(BackendError):
            texts.append(reply_of(choice).text)
    return replace(found, alternatives=tuple(texts), usage=Usage.of(body))


def prediction(sample_id: str, reply: Reply) -> Prediction:
    """A reply as a prediction, without what it cost."""
    return Prediction(
        sample_id=sample_id,
        text=reply.text,
        finish_reason=reply.finish,
        logprob=reply.logprob,
        tokens=len(reply.detail) or None,
        detail=reply.detail,
        reasoning=reply.reasoning,
    )


def choices(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The choices of a reply, at least one, in the order of their index where they tell it."""
    found = body.get("choices")
    if not isinstance(found, list) or not found or not all(isinstance(c, dict) for c in found):
        raise BackendError("the reply holds no choices", kind="malformed")
    if all(isinstance(c.get("index"), int) for c in found):
        return sorted(found, key=lambda c: c["index"])
    return found


def reply_of(choice: Mapping[str, Any]) -> Reply:
    """What a choice says.

    A refusal's words are its text. A missing text is an empty one where the reply says why: a
    limit, a filter, a refusal, or a thought that nothing came after.

    Raises:
        BackendError: `malformed` where there is no text, or `server` where the reply broke off.
    """
    raw = choice.get("finish_reason")
    finish = _FINISH.get(raw, raw) if isinstance(raw, str) else None
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {}
    if str(finish).lower() in BROKE_OFF or choice.get("error"):
        raise _broke_off(finish, choice.get("error"))
    text, part = _texts_of(choice["text"] if "text" in choice else message.get("content"))
    thought = next((t for k in _THOUGHTS if isinstance(t := message.get(k), str) and t), part)
    if refusal := _refusal(message):
        return Reply(refusal, "refusal", thought)
    if text is None and (thought or finish in _UNANSWERED):
        text = ""
    if text is None:
        raise BackendError("the reply's message has no content", kind="malformed")
    return Reply(text, finish, thought, tokens_of(choice.get("logprobs")))


_THOUGHTS = ("reasoning_content", "reasoning")
_UNANSWERED = ("length", "content_filter", "refusal")


def _refusal(message: Mapping[str, Any]) -> str:
    """The words of a refusal, which LiteLLM has elsewhere; "" where it is none."""
    hidden = message.get("provider_specific_fields")
    places = (message, hidden if isinstance(hidden, dict) else {})
    return next((r for p in places if isinstance(r := p.get("refusal"), str)), "")


def _broke_off(finish: str | None, error: Any) -> BackendError:
    told = error.get("message") if isinstance(error, dict) else error
    said = f"the server broke the reply off: {told or finish}"
    return BackendError(said, kind="server", sent=True)


def _texts_of(content: Any) -> tuple[str | None, str | None]:
    """(text, thought) of a content, which may be a list of parts; None for what there is not."""
    if not isinstance(content, list):
        return (content if isinstance(content, str) else None), None
    found: dict[str, list[str]] = {"text": [], "thinking": []}
    for part in content:
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind in found:
            inner = part.get(kind)  # of a thought it may be a list of parts again
            told = inner if isinstance(inner, str) else _texts_of(inner)[0]
            found[kind] += [told] if told is not None else []
    text, thought = ("".join(texts) if texts else None for texts in found.values())
    return text, thought or None


def tokens_of(told: Any) -> tuple[Token, ...]:
    """The tokens in a choice's `logprobs`, in the shape of either endpoint; () where none are."""
    if not isinstance(told, dict):
        return ()
    if isinstance(content := told.get("content"), list):
        return tuple(_chat_token(t) for t in content if isinstance(t, dict))
    texts, values = told.get("tokens"), told.get("token_logprobs")
    if not isinstance(texts, list) or not isinstance(values, list) or len(texts) != len(values):
        return ()
    tops = told.get("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(texts):
        tops = [None] * len(texts)
    return tuple(
        Token(str(t), _number(v), top=_top(best.items() if isinstance(best, dict) else ()))
        for t, v, best in zip(texts, values, tops, strict=True)
    )


def _chat_token(entry: Mapping[str, Any]) -> Token:
    best = entry.get("top_logprobs")
    pairs = [(b.get("token"), b.get("logprob")) for b in best or () if isinstance(b, dict)]
    return Token(str(entry.get("token", "")), _number(entry.get("logprob")), top=_top(pairs))


def _top(pairs: Any) -> tuple[tuple[str, float], ...]:
    known = [(str(text), value) for text, told in pairs if (value := _number(told)) is not None]
    return tuple(sorted(known, key=lambda pair: -pair[1]))


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not math.isnan(value)
    return float(value) if known else None
