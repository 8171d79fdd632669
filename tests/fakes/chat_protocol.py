"""OpenAI's request and reply shapes: a request checked and refused as OpenAI does, a reply built.

Everything here is pure; `tests.fakes.chat` serves it.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.fakes.translit import text_of

Body = dict[str, Any]
TOKEN = 3
"""Characters in a token."""


class Refused(Exception):
    """A reply that is an error, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.body: Body = {"error": error}
        self.headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}

    @classmethod
    def saying(cls, status: int, body: Body) -> "Refused":
        """An error in another server's shape."""
        made = cls(status, "")
        made.body = body
        return made


class Reply(NamedTuple):
    """What one choice says and why it ends there."""

    text: str | None
    finish: str
    refusal: str | None = None


class Scored(NamedTuple):
    """A token, its log-prob, and the best alternatives with theirs."""

    token: str
    logprob: float
    top: list[tuple[str, float]]


class Ask(NamedTuple):
    """A checked request, of either endpoint."""

    body: Body
    n: int
    limit: int | None
    """Most tokens of a choice."""
    stops: list[str]
    top: int | None
    """How many alternatives beside each token; None: no log-probs."""
    prompts: list[str]
    """Each gets `n` choices. A chat has one: all that its messages say."""
    schema: Body | None = None

    def cut(self, text: str) -> Reply:
        """What stop sequences and the token limit leave of a reply."""
        text = text[: min((i for s in self.stops if (i := text.find(s)) >= 0), default=len(text))]
        if self.limit is not None and size(text) > self.limit:
            return Reply(text[: self.limit * TOKEN], "length")
        return Reply(text, "stop")


def tokens(text: str) -> list[str]:
    """
    >>> tokens("12345")
    ['123', '45']
    """
    return [text[i : i + TOKEN] for i in range(0, len(text), TOKEN)]


def size(text: str | None) -> int:
    """How many tokens a text has."""
    return math.ceil(len(text or "") / TOKEN)


def dumped(value: Any) -> str:
    """JSON without a space too many."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# -- requests --------------------------------------------------------------------------------------


def chat_ask(body: Any, *, structured: bool) -> Ask:
    messages = messages_of(body)
    limits = [_whole(body, key, low=1) for key in ("max_completion_tokens", "max_tokens")]
    top = _whole(body, "top_logprobs", high=20)
    if top is not None and not body.get("logprobs"):
        raise Refused(400, "'top_logprobs' needs 'logprobs'.", param="top_logprobs")
    return _ask(
        body,
        limit=next((limit for limit in limits if limit is not None), None),
        top=(top or 0) if body.get("logprobs") else None,
        prompts=["\n".join(text_of(m.get("content")) for m in messages)],
        schema=schema_of(body, structured=structured),
    )


def completion_ask(body: Any) -> Ask:
    prompt = body.get("prompt") if isinstance(body, dict) else None
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if isinstance(prompt, list) and prompt and all(isinstance(p, int) for p in prompt):
        prompts = ["".join(map(chr, prompt))]  # here a token's id is a sign's number
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise Refused(400, "'prompt' must be a string or a list of strings.", param="prompt")
    limit = _whole(body, "max_tokens", low=0 if body.get("echo") else 1)
    return _ask(
        body,
        limit=16 if limit is None else limit,
        top=_whole(body, "logprobs", high=20),
        prompts=prompts,
    )


def messages_of(body: Any) -> list[Body]:
    """The messages of a chat request."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise Refused(400, "'messages' must be an array of objects.", param="messages")
    return messages


def _ask(body: Body, **rest: Any) -> Ask:
    if not isinstance(body.get("model"), str):
        raise Refused(400, "you must provide a model parameter", param="model")
    if body.get("stream"):
        raise Refused(400, "stream is not supported", param="stream")
    heat = body.get("temperature")
    if heat is not None and not (isinstance(heat, int | float) and 0 <= heat <= 2):
        raise Refused(400, "'temperature' must be between 0 and 2.", param="temperature")
    stop = body.get("stop") or []
    n = _whole(body, "n", low=1, high=128) or 1
    return Ask(body, n, stops=[stop] if isinstance(stop, str) else stop, **rest)


def _whole(body: Body, key: str, *, low: int = 0, high: int | None = None) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or value < low or (high is not None and value > high):
        most = "" if high is None else f" and at most {high}"
        raise Refused(400, f"'{key}' must be an integer, at least {low}{most}.", param=key)
    return value


# -- replies ---------------------------------------------------------------------------------------


def models_reply(names: Sequence[str], root: str | None = None) -> Body:
    more = {"root": root} if root else {}
    data = [{"id": n, "object": "model", "created": 0, "owned_by": "tests", **more} for n in names]
    return {"object": "list", "data": data}


def chat_reply(ask: Ask, replies: Sequence[Reply], scored: Sequence[Sequence[Scored]]) -> Body:
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": reply.text, "refusal": reply.refusal},
            "finish_reason": reply.finish,
            "logprobs": None if ask.top is None else _chat_logprobs(scored[i]),
        }
        for i, reply in enumerate(replies)
    ]
    given = sum(size(text_of(m.get("content"))) for m in ask.body["messages"])
    return _envelope("chat.completion", ask, choices, _usage(given, replies))


def completion_reply(
    ask: Ask,
    replies: Sequence[Reply],
    scored: Sequence[Sequence[Scored]],
    echoed: Sequence[tuple[str, Sequence[Scored]]],
) -> Body:
    """`echoed`: for each choice the prompt that its text begins with, and its scored tokens."""
    choices = [
        {
            "index": i,
            "text": prompt + (reply.text or ""),
            "finish_reason": reply.finish,
            "logprobs": None if ask.top is None else _completion_logprobs(begin, scored[i]),
        }
        for i, (reply, (prompt, begin)) in enumerate(zip(replies, echoed, strict=True))
    ]
    given = sum(map(size, ask.prompts))
    return _envelope("text_completion", ask, choices, _usage(given, replies))


def _envelope(kind: str, ask: Ask, choices: list[Body], usage: Body) -> Body:
    return {
        "id": f"fake-{time.monotonic_ns()}",
        "object": kind,
        "created": int(time.time()),
        "model": ask.body["model"],
        "choices": choices,
        "usage": usage,
    }


def _usage(given: int, replies: Sequence[Reply]) -> Body:
    made = sum(size(reply.text or reply.refusal) for reply in replies)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _chat_logprobs(scored: Sequence[Scored]) -> Body:
    content = [
        {**_entry(s.token, s.logprob), "top_logprobs": [_entry(*best) for best in s.top]}
        for s in scored
    ]
    return {"content": content, "refusal": None}


def _entry(token: str, logprob: float) -> Body:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def _completion_logprobs(echoed: Sequence[Scored], scored: Sequence[Scored]) -> Body:
    both = [*echoed, *scored]
    logprobs: list[float | None] = [s.logprob for s in both]
    tops: list[dict[str, float] | None] = [{**dict(s.top), s.token: s.logprob} for s in both]
    if echoed:
        logprobs[0] = tops[0] = None  # nothing stands before it that could predict it
    offsets = [i * TOKEN for i in range(len(echoed))]
    begin = sum(len(s.token) for s in echoed)
    return {
        "tokens": [s.token for s in both],
        "token_logprobs": logprobs,
        "top_logprobs": tops,
        "text_offset": offsets + [begin + i * TOKEN for i in range(len(scored))],
    }


# -- structured outputs ----------------------------------------------------------------------------

UNSUPPORTED = ("allOf", "oneOf", "not", "if", "then", "else", "patternProperties", "default")
CHILDREN = ("properties", "$defs", "definitions")


def schema_of(body: Mapping[str, Any], *, structured: bool) -> dict[str, Any] | None:
    """The JSON schema that a request asks for; refused where OpenAI refuses it."""
    wanted = body.get("response_format") or {"type": "text"}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("text", "json_object"):
        return None
    if kind != "json_schema":
        raise _bad_format(f"Invalid value for response_format.type: {kind!r}.")
    if not structured:
        raise _bad_format("response_format json_schema is not supported")
    spec = wanted.get("json_schema")
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise _bad_format("Missing required parameter: 'response_format.json_schema.name'.")
    schema = spec.get("schema")
    if not isinstance(schema, dict):
        raise _bad_format("Missing required parameter: 'response_format.json_schema.schema'.")
    if spec.get("strict"):
        _check_strict(schema, spec["name"])
    return schema


def _bad_format(message: str) -> Refused:
    return Refused(400, message, param="response_format")


def _check_strict(schema: Mapping[str, Any], name: str) -> None:
    """Strict mode: a root object, every object closed, every property required."""
    begin = f"Invalid schema for response_format '{name}': "
    if schema.get("type") != "object":
        kind = schema.get("type")
        raise _bad_format(f"{begin}schema must be of type 'object', got {kind!r}.")
    for where, part in _parts(schema, ()):
        if wrong := _wrong(part):
            raise _bad_format(f"{begin}In context={where!r}, {wrong}")


def _parts(schema: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every schema inside a schema, itself first, with the way to it."""
    if not isinstance(schema, dict):
        return
    yield where, schema
    for group in CHILDREN:
        for key, part in schema.get(group, {}).items():
            yield from _parts(part, (*where, group, key))
    yield from _parts(schema.get("items"), (*where, "items"))
    for i, part in enumerate(schema.get("anyOf", ())):
        yield from _parts(part, (*where, "anyOf", str(i)))


def _wrong(schema: Mapping[str, Any]) -> str | None:
    if bad := [key for key in UNSUPPORTED if key in schema]:
        return f"'{bad[0]}' is not permitted."
    if not {"type", "$ref", "anyOf", "enum", "const"} & set(schema):
        return "schema must have a 'type' key."
    if "properties" not in schema and schema.get("type") != "object":
        return None
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    if missing := sorted(set(schema.get("properties", {})) - set(schema.get("required", ()))):
        return (
            "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{missing[0]}'."
        )
    return None


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfit(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str | None:
    """Why a value does not conform to a schema, as strict mode knows schemas; None if it does."""
    if "$ref" in schema:
        return misfit(value, _resolved(schema["$ref"], root), root)
    if "anyOf" in schema:
        reasons = [misfit(value, part, root) for part in schema["anyOf"]]
        return None if None in reasons else reasons[0]
    if value not in schema.get("enum", [schema.get("const", value)]):
        return f"{value!r} is none of the allowed values"
    kinds = schema.get("type", list(_TYPES))
    if not any(_is_a(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return f"{value!r} is not of type {kinds}"
    if isinstance(value, dict):
        return _misfit_object(value, schema, root)
    items = schema.get("items")
    each = (misfit(v, items, root) for v in value) if isinstance(value, list) and items else ()
    return next((reason for reason in each if reason), None)


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _misfit_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]
) -> str | None:
    known = schema.get("properties", {})
    if missing := sorted(set(schema.get("required", ())) - set(value)):
        return f"{missing[0]!r} is missing"
    if schema.get("additionalProperties") is False and (more := sorted(set(value) - set(known))):
        return f"{more[0]!r} is not in the schema"
    each = (misfit(value[key], part, root) for key, part in known.items() if key in value)
    return next((reason for reason in each if reason), None)


def _resolved(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
        found = found[step]
    return found  # type: ignore[no-any-return]
