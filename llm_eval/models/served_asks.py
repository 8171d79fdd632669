"""What a request in OpenAI's shape asks of a backend: read whole, or refused by a parameter.

What does not change a reply (`user`, `metadata`, ...) is passed over. What would change it and is
not known here is refused: a reply made without it would look like one made with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_eval.errors import BackendError
from llm_eval.records import Prompt

CHAT, COMPLETIONS = "/chat/completions", "/completions"
MOST_COPIES = 128
MOST_REPLIES = 4096  # of one request
_NO_MATTER = (
    *("model", "user", "metadata", "store", "service_tier", "safety_identifier"),
    *("prompt_cache_key", "stream", "stream_options", "parallel_tool_calls"),
)
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "best_of": (1,),
    "suffix": ("",),
}
_OWN = {
    CHAT: ("messages", "max_completion_tokens", "top_logprobs", "response_format"),
    COMPLETIONS: ("prompt", "echo", "response_format"),
}
_COMMON = ("n", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "logprobs")
_FORMATS = ("text", "json_object", "json_schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """A request as a backend takes it: its prompts, in order, each to be continued `n` times.

    `top`: how many likely tokens to tell beside each one's log-probability; None for neither.
    `echo`: the prompt stands before its reply. `write` False: nothing is to be written.
    """

    chat: bool
    prompts: tuple[Prompt, ...]
    n: int = 1
    top: int | None = None
    echo: bool = False
    write: bool = True

    def copies(self) -> Iterator[Prompt]:
        """Each prompt `n` times; with a seed, each time with the next one."""
        for p in self.prompts:
            for i in range(self.n):
                yield replace(p, sample_id=f"{p.sample_id}/{i}", params=_seeded(p.params, i))


def read(path: str, payload: Mapping[str, Any], *, images: bool = False) -> ServedRequest:
    """The request that `payload` is, sent to `path`. `images`: may messages hold some?

    Raises:
        BackendError: of the kind "bad_request", with the parameter that it is about.
    """
    if path not in _OWN:
        raise BackendError(f"there is nothing at {path}", kind="bad_request", status=404)
    given = {k: v for k, v in payload.items() if v is not None and k not in _NO_MATTER}
    for name, value in given.items():
        if name in _NEUTRAL and value in _NEUTRAL[name]:
            continue
        if name not in (*_OWN[path], *_COMMON):
            raise refused(name, "this server does not know it, and it may change the reply")
    return _chat(given, images) if path == CHAT else _completion(given)


def refused(param: str, said: str) -> BackendError:
    """A request that cannot be answered, because of one of its parameters."""
    return BackendError(f"{param}: {said}", kind="bad_request", status=400, param=param)


def _chat(given: Mapping[str, Any], images: bool) -> ServedRequest:
    limit = _whole(given, "max_completion_tokens", 1)
    params = _params(given, _whole(given, "max_tokens", 1) if limit is None else limit)
    top = None
    if flag(given, "logprobs"):
        top = params["logprobs"] = _whole(given, "top_logprobs", 0, 100) or 0
    elif given.get("top_logprobs"):
        raise refused("top_logprobs", "it needs logprobs: true")
    messages = _messages(given.get("messages"), images)
    prompt = Prompt(
        sample_id=_name(messages), text=shown(messages), messages=tuple(messages), params=params
    )
    return ServedRequest(chat=True, prompts=(prompt,), n=_copies(given), top=top)


def _completion(given: Mapping[str, Any]) -> ServedRequest:
    limit = _whole(given, "max_tokens", 0)
    params = _params(given, limit or None)
    top = None if given.get("logprobs") is False else _whole(given, "logprobs", 0, 100)
    if top is not None:
        params["logprobs"] = top
    n, listed = _copies(given), _listed(given.get("prompt"))
    if len(listed) * n > MOST_REPLIES:
        said = f"{len(listed)} prompts with n={n} are over {MOST_REPLIES} replies of one request"
        raise refused("n" if n > 1 else "prompt", said)
    prompts = tuple(_prompt(one, params) for one in listed)
    return ServedRequest(
        chat=False,
        prompts=prompts,
        n=n,
        top=top,
        echo=flag(given, "echo"),
        write=limit != 0,
    )


def _params(given: Mapping[str, Any], limit: int | None) -> dict[str, Any]:
    found = {
        "max_tokens": limit,
        "temperature": _number(given, "temperature", 0, 100),
        "top_p": _number(given, "top_p", 0, 1),
        "top_k": _whole(given, "top_k", -1),
        "seed": _whole(given, "seed", -(2**63)),
        "stop": _stops(given.get("stop")),
        "response_format": _format(given.get("response_format")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _seeded(params: Mapping[str, Any], place: int) -> Mapping[str, Any]:
    return {**params, "seed": params["seed"] + place} if place and "seed" in params else params


def _copies(given: Mapping[str, Any]) -> int:
    return _whole(given, "n", 1, MOST_COPIES) or 1


def _whole(given: Mapping[str, Any], name: str, least: int, most: float = 2**63) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(name, f"{value!r} is no whole number of at least {least}{_at_most(most)}")
    return value


def _number(given: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise refused(name, f"{value!r} is no number from {least:g} to {most:g}")
    return value


def _at_most(most: float) -> str:
    return f" and at most {most:g}" if most < 2**63 else ""


def flag(given: Mapping[str, Any], name: str) -> bool:
    """A parameter that is true or false, and false where it is null or not there."""
    value = given.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise refused(name, f"{value!r} is neither true nor false")
    return value


def _stops(value: Any) -> list[str] | None:
    """Texts that end a reply; an empty list is as good as none."""
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return None
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise refused("stop", "it is a text, or a list of texts")
    return [s for s in stops if s] or None


def _format(value: Any) -> dict[str, Any] | None:
    """A response format; that of plain text is none."""
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in _FORMATS:
        raise refused("response_format", f"its type is one of {', '.join(_FORMATS)}")
    said = value.get("json_schema")
    if kind == "json_schema" and not (
        isinstance(said, dict) and isinstance(said.get("schema"), dict)
    ):
        raise refused("response_format", "its json_schema holds no schema")
    return None if kind == "text" else dict(value)


def _listed(value: Any) -> list[Any]:
    """The prompts of a completion: texts, or lists of token ids."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        if all(isinstance(one, str) for one in value):
            return value
        if _is_ids(value):
            return [value]
        if all(isinstance(one, list) and one and _is_ids(one) for one in value):
            return value
    raise refused("prompt", "it is a text, a list of token ids, or a list of either")


def _is_ids(value: list[Any]) -> bool:
    return all(isinstance(t, int) and not isinstance(t, bool) and t >= 0 for t in value)


def _prompt(one: Any, params: Mapping[str, Any]) -> Prompt:
    if isinstance(one, str):
        return Prompt(sample_id=_name(one), text=one, params=params)
    return Prompt(sample_id=_name(one), text="", token_ids=tuple(one), params=params)


def _messages(value: Any, images: bool) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise refused("messages", "it is a list of messages, of one at least")
    return [_message(one, images) for one in value]


def _message(value: Any, images: bool) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise refused("messages", "each has a role and a content")
    content = value.get("content")
    if isinstance(content, list):
        content = _parts(content, images)
    elif content is None and value["role"] == "assistant":
        content = ""
    elif not isinstance(content, str):
        raise refused("messages", "a content is a text, or a list of parts")
    role = "system" if value["role"] == "developer" else value["role"]
    return {**value, "role": role, "content": content}


def _parts(parts: list[Any], images: bool) -> str | list[Any]:
    """The parts of a content; a text where there is nothing else."""
    kinds = {part.get("type") if isinstance(part, dict) else None for part in parts}
    if not kinds <= {"text", "image_url"}:
        raise refused("messages", "parts of a content are of the type text or image_url")
    if kinds == {"text"}:
        return "".join(str(part.get("text", "")) for part in parts)
    if not images:
        raise refused("messages", "this model takes no images")
    return parts


def shown(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as one text, for a backend that knows no conversations.

    >>> shown([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}])
    'Be kind.\\n\\nHi'
    """
    plain = all(m["role"] in ("system", "user") for m in messages)
    said = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join(part.get("text", "") for part in content or ())
        said.append(content if plain else f"{message['role'].capitalize()}: {content}")
    return "\n\n".join([*said, *([] if plain else ["Assistant:"])])


def _name(content: Any) -> str:
    """A prompt's name follows from it, so that a seed draws alike whenever it is asked."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
