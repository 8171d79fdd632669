"""How likely options are: which requests tell it, and the sums over what they tell.

Options that agree in all but their last token are told by one request: it reads the prompt with
what they have in common, and writes one token, of which vLLM tells the log-probability of each that
is named. So options of one token each, whatever their number, are one request with no log-
probabilities of a prompt. Else what they have in common is told by `prompt_logprobs`.

vLLM reads nothing from its prefix cache where log-probabilities of a prompt are asked for, because
there are none for tokens that it did not read. Here those of the context are not wanted: the cache
may be used as far as the context goes. Where it went further the request is made again without.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_eval.models.hf.asking import Refused
from llm_eval.models.vllm_engine import Job

MOST_NAMED = 128  # tokens that vLLM lets a request name
ONE_TOKEN: Mapping[str, Any] = {"max_tokens": 1, "temperature": 0.0, "detokenize": False}

Weighed = tuple[float, bool]  # the sum of log-probabilities; each token was the likeliest


@dataclass(frozen=True, slots=True)
class Request:
    """The options at `places`, which are `shared` and one more token, `last`, behind `context`."""

    context: Sequence[int]
    shared: tuple[int, ...]
    places: Sequence[int]
    last: Sequence[int]

    def job(self, fresh: bool = False) -> Job:
        """What the engine is asked. `fresh`: the prefix cache is not read."""
        params = {**ONE_TOKEN, "logprob_token_ids": list(dict.fromkeys(self.last))}
        if self.shared:
            params |= {"prompt_logprobs": 0, "skip_reading_prefix_cache": fresh}
        return Job(tokens=[*self.context, *self.shared], params=params)

    def overread(self, output: Any) -> bool:
        """Did the cache hold so much that log-probabilities of the options are missing?"""
        cached = output.num_cached_tokens
        return bool(self.shared) and (cached is None or cached >= len(self.context))

    def weighed(self, output: Any) -> Iterator[tuple[int, Weighed]]:
        """(place, weighed) of each of its options.

        Raises:
            Refused: what vLLM told is not of these tokens.
        """
        parts = list(self._told(output.prompt_logprobs)) if self.shared else []
        start, greedy = math.fsum(p for p, _ in parts), all(g for _, g in parts)
        (written,) = output.outputs[0].token_ids
        (row,) = output.outputs[0].logprobs
        for place, token in zip(self.places, self.last, strict=True):
            if token not in row or math.isnan(row[token].logprob):
                raise Refused("vLLM told no log-probability of an option", "malformed")
            own = row[token].logprob
            yield place, (start + own, greedy and own >= row[written].logprob)

    def _told(self, rows: Any) -> Iterator[Weighed]:
        if rows is None or len(rows) < len(self.shared):
            raise Refused("vLLM told no log-probabilities of the prompt", "malformed")
        for place, token in enumerate(self.shared, start=len(rows) - len(self.shared)):
            row = rows[place] or {}
            if token not in row or math.isnan(row[token].logprob):
                raise Refused("vLLM told no log-probability of an option", "malformed")
            yield row[token].logprob, row[token].rank == 1


def requests(context: Sequence[int], options: Sequence[Sequence[int]]) -> list[Request]:
    """The requests that tell how likely options are behind a context.

    >>> [(r.shared, r.last) for r in requests([1], [[7], [8], [5, 7], [5, 8]])]
    [((), [7, 8]), ((5,), [7, 8])]
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, option in enumerate(options):
        groups.setdefault(tuple(option[:-1]), []).append(place)
    return [
        Request(context, shared, part, [options[i][-1] for i in part])
        for shared, places in groups.items()
        for part in (places[s : s + MOST_NAMED] for s in range(0, len(places), MOST_NAMED))
    ]
