"""What one prompt asks of a backend besides a reply, and the answer of one that cannot do it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from llm_eval.errors import UserError
from llm_eval.records import Failure, Prediction, Prompt, options_of, text_of

PARAMS = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "logprobs")
HOW = ("batch_size", "show_progress", "max_retries", "cot")  # how it is done here is ours to choose


def unable(prompt: Prompt, who: str, can: Collection[str] = ()) -> Prediction | None:
    """The failure of a prompt that asks for more than `can` ("stop", "messages", ...); else None.

    What counts are its `params` and, where they are not empty, "messages", "token_ids", "images".
    """
    asked = {k for k in ("messages", "token_ids", "images") if getattr(prompt, k)}
    asked |= {k for k, v in prompt.params.items() if v is not None}
    beyond = sorted(asked - set(can))
    if not beyond:
        return None
    said = f"{who} cannot do what the prompt asks for: {', '.join(beyond)}"
    failure = Failure(where="generate", kind="bad_request", message=said)
    return Prediction(sample_id=prompt.sample_id, failure=failure)


def stopped(text: str, prompt: Prompt) -> str:
    """`text` up to the first of the prompt's stop sequences."""
    stop = prompt.params.get("stop") or ()
    ends = [text.find(s) for s in ([stop] if isinstance(stop, str) else stop)]
    return text[: min((e for e in ends if e >= 0), default=len(text))]


def params_of(until: str | Sequence[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt's `params` from the arguments of `generate_batch`.

    Raises:
        UserError: an argument that would be taken and have no effect.
    """
    named = {"max_tokens" if k == "max_new_tokens" else k: v for k, v in given.items()}
    for name, value in named.items():
        if (name not in PARAMS and name not in HOW) or (name == "cot" and value):
            near = get_close_matches(name, PARAMS, n=1)
            raise UserError(
                f"generate_batch() takes no {name}={value!r}",
                hint=(f"did you mean {near[0]!r}? " if near else "")
                + f"it takes: until, {', '.join(PARAMS)}",
            )
    found = {k: v for k, v in named.items() if k in PARAMS and v is not None}
    if until:
        found["stop"] = [until] if isinstance(until, str) else list(until)
    return found


def prompt_of(
    index: int, item: Mapping[str, Any], params: Mapping[str, Any] | None = None
) -> Prompt:
    """The prompt in a dict: `input` is a text, or a conversation as a list of messages.

    `images` are several, or one.

    Raises:
        UserError: an option is missing.
    """
    given, images = item["input"], item.get("images") or ()
    chat = isinstance(given, list | tuple)
    return Prompt(
        sample_id=str(index),
        text="" if chat else str(given),
        messages=tuple(given) if chat else (),
        options=options_of(item.get("options"), f"input {index}"),
        reference=text_of(item.get("reference")),
        images=tuple(images) if isinstance(images, list | tuple) else (images,),
        params=dict(params or {}),
    )
