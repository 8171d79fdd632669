"""How likely texts are, by a completions endpoint that echoes its prompt with log-probabilities.

**Where an option starts.** A prompt's trailing white space is moved to the front of each option,
and prompt and option are sent as one text. The option's tokens are those that begin behind the
prompt; a token that begins in the prompt and ends in the option is the prompt's. Where such a token
leaves nothing of the option, it is counted as the option's only one. That is how
`llm_eval.models.hf.encoding` parts them too, but that there the last case is encoded by itself.

Where a token begins is told by the tokens' own texts, or by `text_offset`; both are believed only
where they fit the text that was sent. Bytes of one character in several tokens often fit neither:
then the prompt is sent by itself once, and its tokens are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from llm_eval.aio import in_order
from llm_eval.errors import BackendError, RunError, UserError
from llm_eval.models import openai_wire as wire
from llm_eval.models.openai_server import Once, Server
from llm_eval.models.siblings import Unsent, current
from llm_eval.records import Continuation, Token, Usage

PROBES = ("The capital of Korea is Seoul.", "Seoul? Korea is, of the capital.")
INSTEAD = "another server, model 'vllm' or 'huggingface', or evaluation_method 'string_match'"


class Echo:
    """A completions endpoint, asked for the tokens of a text and how likely each is."""

    def __init__(self, server: Server, model: str, extra: Mapping[str, Any]) -> None:
        self.server, self.model, self.extra = server, model, extra
        self.least = 0  # tokens that have to be generated; some servers refuse none
        self.ready = Once(self._probe)

    async def tokens(self, text: str | Sequence[int], top: int = 1) -> tuple[list[_Told], Usage]:
        """The tokens of a text (or of token ids), as the server tells them.

        Raises:
            BackendError: it refused, or told nothing of them.
        """
        prompt = text if isinstance(text, str) else list(text)
        asked = {"model": self.model, "prompt": prompt, "echo": True, "logprobs": top}
        try:
            body = await self.server.post({**asked, "max_tokens": self.least, **self.extra})
        except BackendError as e:
            if self.least or e.kind != "bad_request":
                raise
            body = await self.server.post({**asked, "max_tokens": 1, **self.extra})
            self.least = 1
        usage = Usage.of(body)
        logprobs = wire.choices(body)[0].get("logprobs")
        found = wire.tokens_of(logprobs)
        offsets = logprobs.get("text_offset") if isinstance(logprobs, dict) else None
        if not isinstance(offsets, list) or len(offsets) != len(found):
            offsets = [None] * len(found)
        told = [_Told(t, o) for t, o in zip(found, offsets, strict=True)]
        return told[: _asked_for(len(told), usage, self.least)], usage

    async def weighed(
        self, prompt: str, options: Sequence[str]
    ) -> tuple[list[Continuation | RunError], Usage]:
        """For each option how likely it is, or the error in its place; and what all cost.

        Raises:
            Unsent: an error of the whole call kept an option back.
        """
        bare = prompt.rstrip()
        ends = [prompt[len(bare) :] + option for option in options]
        found = await self._each([bare + end for end in ends])
        usage = sum((u for _, u in found), Usage())
        begins = [
            told if isinstance(told, RunError) else _begins(told, bare + end, len(bare))
            for (told, _), end in zip(found, ends, strict=True)
        ]
        if None in begins:
            ((alone, cost),) = await self._each([bare])
            usage += cost
            counted = alone if isinstance(alone, RunError) else len(alone)
            begins = [counted if b is None else b for b in begins]
        told = zip(found, begins, options, strict=True)
        return [_continuation(t, b, option) for (t, _), b, option in told], usage

    async def _each(self, texts: Sequence[str]) -> list[tuple[list[_Told] | RunError, Usage]]:
        """The tokens of texts; of those at the server none is lost by an error of another."""
        kept = current().kept
        told = await in_order(kept(self._or_error(text)) for text in texts)
        found = [one for one in told if one is not None]
        if len(found) < len(told):
            raise Unsent
        return found

    async def _or_error(self, text: str) -> tuple[list[_Told] | RunError, Usage]:
        try:
            return await self.tokens(text) if text else ([], Usage())
        except RunError as e:
            return e, Usage()

    async def _probe(self) -> None:
        """Are log-probabilities of a prompt real here?

        Raises:
            UserError: the server tells none, or none that can be true.
        """
        found = []
        for text in PROBES:
            try:
                told, usage = await self.tokens(text)
            except BackendError as e:
                if e.retryable:
                    raise UserError(e.message, hint="is the server in order?") from None
                raise self._unfit(f"it refused: {e.message}") from None
            if _by_texts(told, text) is None and len(told) != usage.prompt_tokens:
                raise self._unfit("it told none of the prompt's tokens")
            found.append([t.token.logprob for t in told])
        if why := _false(found):
            raise self._unfit(why)

    def _unfit(self, why: str) -> UserError:
        where = f"{self.server.transport.endpoint.base_url}{self.server.path}"
        said = f"{where} does not tell how likely a prompt's tokens are (echo with logprobs): {why}"
        return UserError(said, hint=f"use {INSTEAD}")


class _Told:
    """A token, and where the server says that it begins."""

    __slots__ = ("offset", "token")

    def __init__(self, token: Token, offset: Any) -> None:
        self.token, self.offset = token, offset


def _asked_for(number: int, usage: Usage, generated: int) -> int:
    """How many of a reply's tokens are the prompt's; the others were generated."""
    told = usage.prompt_tokens
    return told if told > 0 and number - told in (0, generated) else number - generated


def _begins(told: Sequence[_Told], text: str, place: int) -> int | None:
    """The first token that begins at `place` of the text or behind it; None: it cannot be told."""
    starts = _by_texts(told, text) or _by_offsets(told, text)
    if starts is None:
        return None
    texts = [t.token.text for t in told]
    if place == 0:
        return next((i for i, s in enumerate(starts) if s >= 0 and texts[i]), 0)
    begins = next((i for i, start in enumerate(starts) if start >= place), len(starts))
    around = texts[max(begins - 1, 0) : begins + 1]
    return begins if all(around) else None  # a part of a character may have no text


def _by_texts(told: Sequence[_Told], text: str) -> list[int] | None:
    """Where tokens begin by their own texts, which have to make up the text.

    Tokens that begin every text (`<s>`) may stand before it.
    """
    ends = list(accumulate(len(t.token.text) for t in told))
    before = ends[-1] - len(text) if ends else -1
    if before < 0 or (before and before not in ends):
        return None
    if not "".join(t.token.text for t in told).endswith(text):
        return None
    return [end - len(t.token.text) - before for end, t in zip(ends, told, strict=True)]


def _by_offsets(told: Sequence[_Told], text: str) -> list[int] | None:
    """Where tokens begin as the server says, if each stands there in the text."""
    starts = [t.offset for t in told]
    if not starts or not all(isinstance(s, int) and 0 <= s <= len(text) for s in starts):
        return None
    if starts != sorted(starts) or starts[0]:
        return None
    stand = all(text.startswith(t.token.text, s) for s, t in zip(starts, told, strict=True))
    return starts if stand else None


def _continuation(
    told: Sequence[_Told] | RunError, begins: int | RunError | None, option: str
) -> Continuation | RunError:
    """The option's tokens summed up; one that has merged with the prompt is counted whole."""
    if isinstance(told, RunError):
        return told
    if isinstance(begins, RunError):
        return begins
    tokens = [t.token for t in told[min(begins or 0, len(told) - 1) :]]
    values = [t.logprob for t in tokens if t.logprob is not None]
    if not tokens or len(values) != len(tokens):
        why = "a token without a log-probability" if tokens else "no token"
        said = f"the server's reply has {why} for the option {option[:80]!r}"
        return BackendError(said, kind="malformed")
    greedy = all(t.top and v >= t.top[0][1] for t, v in zip(tokens, values, strict=True))
    return Continuation(logprob=sum(values), tokens=len(tokens), chars=len(option), greedy=greedy)


def _false(found: Sequence[Sequence[float | None]]) -> str:
    """Why log-probabilities of the two probes cannot be true; "" where they can."""
    for values in found:
        known = [v for v in values[1:] if v is not None]
        if len(known) < 3 or len(known) < len(values) - 1:
            return f"it told {len(known)} for {len(values)} tokens"
        if any(v > 1e-6 for v in known):
            return "it told one above 0"
        if len(set(known)) == 1:
            return f"it told {known[0]:g} for every token"
    return "it told the same for two prompts" if list(found[0]) == list(found[1]) else ""
