"""What is asked of a model besides the prompt: a backend's parameters, and what one prompt changes.

Nothing here imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_eval.errors import UserError
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Usage, comparable

OF_A_PROMPT = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "logprobs", "choice"),
    "response_format",
)


class Refused(Exception):
    """One prompt cannot be done as it asks; the message says why, and its sample fails with it."""

    def __init__(self, message: str, kind: str = "bad_request") -> None:
        super().__init__(message)
        self.failure = Failure(where="generate", kind=kind, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn; temperature 0 takes the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParams:
    """How one reply is to be written.

    `logprobs`: None, or how many of the likeliest tokens to tell at each place. `choice`: the reply
    is one of these texts. `own_seed`: the seed is the prompt's, not the backend's.
    """

    sampling: Sampling
    max_tokens: int = 256
    seed: int | None = None
    own_seed: bool = False
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    choice: tuple[str, ...] = ()

    def over(self, params: Mapping[str, Any]) -> GenerationParams:
        """This, with a prompt's own parameters over it.

        Raises:
            Refused: one of them is unknown, senseless, or nothing this backend can do.
        """
        given = {k: v for k, v in params.items() if v is not None}
        try:
            return self._over(given) if given else self
        except UserError as e:
            raise Refused(e.message) from None

    def _over(self, given: Mapping[str, Any]) -> GenerationParams:
        for unknown in (k for k in given if k not in OF_A_PROMPT):
            raise UserError(
                f"a prompt takes no {unknown!r}: {', '.join(OF_A_PROMPT)}",
                hint="give it to the backend, in its parameters",
            )
        if given.get("response_format", {"type": "text"}) != {"type": "text"}:
            raise UserError(
                "this backend holds no reply to a response_format",
                hint="leave it out, or name a choice",
            )
        own = self.sampling
        temperature = given.get("temperature", own.temperature)
        choice = given.get("choice", ())
        if isinstance(choice, str) or not all(isinstance(c, str) and c for c in choice):
            raise UserError(
                f"choice={choice!r} is no list of texts", hint="for example choice=['A', 'B']"
            )
        return replace(
            self,
            sampling=sampling_of(
                temperature, None, given.get("top_p", own.top_p), given.get("top_k", own.top_k)
            ),
            max_tokens=at_least(1, max_tokens=given.get("max_tokens", self.max_tokens)) or 1,
            seed=at_least(None, seed=given.get("seed", self.seed)),
            own_seed="seed" in given,
            stop=stops(given["stop"]) if "stop" in given else self.stop,
            logprobs=at_least(0, logprobs=given.get("logprobs", self.logprobs)),
            choice=tuple(choice),
        )


def draws(prompts: Sequence[Prompt], seed: int | None) -> list[str | None]:
    """What each reply is drawn by; None where there is no seed, of the prompt or the backend.

    A prompt's own seed draws alike wherever it stands. The backend's goes by the sample and
    `Prompt.turn`, so that it is alike in every call, and anew where one call asks for the same
    turn again.

    >>> draws([Prompt(sample_id="s", text="?", turn=t) for t in (0, 2, 0)], 7)
    ['7/s/0', '7/s/2', '7/s/0/1']
    >>> draws([Prompt(sample_id="s", text="?", params={"seed": 5})] * 2, 7)
    ['5/0', '5/0']
    """
    seen: Counter[tuple[str, int]] = Counter()
    found: list[str | None] = []
    for prompt in prompts:
        if (own := prompt.params.get("seed")) is not None:
            found.append(f"{own}/{prompt.turn}")
            continue
        again = seen[prompt.sample_id, prompt.turn]
        seen[prompt.sample_id, prompt.turn] += 1
        place = f"{prompt.sample_id}/{prompt.turn}" + (f"/{again}" if again else "")
        found.append(None if seed is None else f"{seed}/{place}")
    return found


def half_of(text: str) -> str | None:
    """Half of a surrogate pair that stands in a text alone, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        return text[e.start]
    return None


def check_text(text: str) -> None:
    """Can a tokenizer read this text?

    Raises:
        Refused: it cannot.
    """
    if half := half_of(text):
        raise Refused(f"half of a surrogate pair (\\u{ord(half):04x}), which no tokenizer reads")


def check_prompt(ids: Sequence[int], more: int, most: int | None) -> None:
    """Can a prompt of these tokens be read, with `more` behind it, by a model that takes `most`?

    Raises:
        Refused: it has none, or all together are too many.
    """
    if not ids:
        raise Refused("the prompt is empty, and no token begins a text")
    if most is not None and len(ids) + more > most:
        what = f"{len(ids):,} tokens" + (f" and its option {more:,} more" if more > 1 else "")
        raise Refused(f"the prompt has {what}; the model takes {most:,} at most", "length")


def check_tokens(ids: Sequence[int], vocabulary: int, what: str = "the prompt") -> None:
    """Is each of these tokens one of the model's? One that is not would end a GPU's process.

    Raises:
        Refused: it is not.
    """
    if ids and not 0 <= min(ids) <= max(ids) < vocabulary:
        raise Refused(f"a token of {what} is none of the model's {vocabulary:,}")


def check_options(options: Sequence[Sequence[int]], vocabulary: int) -> int:
    """Can options of these tokens be weighed? Returns the length of the longest.

    Raises:
        Refused: there are none, one is empty, or a token is none of the model's.
    """
    empty = [i for i, option in enumerate(options, start=1) if not option]
    if not options or empty:
        what = f"option {empty[0]} is empty" if empty else "it has no options"
        raise Refused(f"nothing to weigh: {what}")
    for i, option in enumerate(options, start=1):
        check_tokens(option, vocabulary, f"option {i}")
    return max(map(len, options))


def check_choice(choice: Sequence[Sequence[int]], max_tokens: int) -> int:
    """Is there room for every text of a choice? Returns the tokens of the longest.

    Raises:
        Refused: there is not.
    """
    need = max(map(len, choice))
    if need > max_tokens:
        raise Refused(f"max_tokens={max_tokens} cuts off a text of the choice ({need} tokens)")
    return need


def likeliest(prompt: Prompt, options: Sequence[Continuation], read: int) -> Prediction:
    """The prediction for a prompt whose options were weighed, for which `read` tokens were read.

    Where their log-probabilities tell nothing (none is a number, or none is possible), a failure.
    """
    if not comparable(options):
        said = f"the model's log-probabilities of the options are {[o.logprob for o in options]}"
        failure = Failure(where="generate", kind="malformed", message=said)
        return Prediction(sample_id=prompt.sample_id, failure=failure)
    best = max(range(len(options)), key=lambda i: options[i].logprob)
    return Prediction(
        sample_id=prompt.sample_id,
        text=prompt.options[best],
        options=tuple(options),
        usage=Usage(prompt_tokens=read),
    )


def template_wanted(said: object) -> None:
    """Is `apply_chat_template` one of its three values?

    Raises:
        UserError: it is something else.
    """
    if said not in ("auto", True, False):
        raise UserError(
            f"apply_chat_template={said!r} is none of auto, true, false",
            hint="leave it out for auto",
        )


def at_least(least: int | None, **given: Any) -> int | None:
    """The one value given, a whole number of at least `least`, or None.

    Raises:
        UserError: it is something else.
    """
    ((name, value),) = given.items()
    if value is None:
        return None
    if type(value) is not int or (least is not None and value < least):
        of = "" if least is None else f" of at least {least}"
        raise UserError(
            f"{name}={value!r} is no whole number{of}", hint="leave it out for the default"
        )
    return int(value)


def stops(given: str | Sequence[str]) -> tuple[str, ...]:
    """The texts that end a reply.

    Raises:
        UserError: one is empty, or no text.
    """
    found = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(s, str) and s and half_of(s) is None for s in found):
        raise UserError(
            f"stop={given!r} holds what is no text", hint="give a text, or a list of texts"
        )
    return found


def cut_off(text: str, stop: Sequence[str]) -> str:
    """A reply up to the first of the texts that end it."""
    starts = [text.find(s) for s in stop if s in text]
    return text[: min(starts)] if starts else text


def sampling_of(
    temperature: float | None, do_sample: bool | None, top_p: float, top_k: int
) -> Sampling:
    """How to draw, from the parameters as transformers names them.

    Raises:
        UserError: they make no sense, alone or together.
    """
    if temperature is None:
        temperature = 1.0 if do_sample else 0.0
    if not _number(temperature) or not 0 <= temperature < 1e6:
        raise UserError(
            f"temperature={temperature!r} is no number of at least 0",
            hint="0 always takes the likeliest token",
        )
    if do_sample and temperature == 0:
        raise UserError("do_sample=True with temperature=0", hint="leave one of them out")
    if not _number(top_p) or not 0 < top_p <= 1:
        raise UserError(f"top_p={top_p!r} is not above 0 and at most 1", hint="leave it out for 1")
    if top_k == -1:  # vLLM's way to say that nothing is cut
        top_k = 0
    return Sampling(
        temperature=0.0 if do_sample is False else float(temperature),
        top_p=float(top_p),
        top_k=at_least(0, top_k=top_k) or 0,
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
