"""Forward passes: many rows at once, and logits only where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch

from llm_eval.models.hf.cache import aligned, bytes_of, empty

Ids = Sequence[int]
Place = tuple[int, int]  # a row, and a position in what was fed of it
PROBE = (3, 5, 7, 11, 13, 17)
WANTS = (  # of memory, in the words of CUDA, ROCm, XPU, MPS, the CPU's allocator, and of libraries
    *(
        "out of memory",
        "out_of_memory",
        "outofmemory",
        "out_of_device_memory",
        "out_of_host_memory",
    ),
    *("can't allocate memory", "cannot allocate memory", "not enough memory"),
    *("alloc_failed", "failed to allocate", "out_of_resources", "invalid buffer size"),
)


class _Picker:
    """Lets the model's head see only the places asked for.

    What a model does to its logits besides (a scale, a soft cap) stays its own: the head is run by
    the model, on fewer hidden states.
    """

    def __init__(self, model: Any) -> None:
        self.places: Sequence[Place] = ()
        self.used = False
        head = model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(self)

    def __call__(self, head: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not self.places or not args:
            return None
        self.used = True
        return (_at(args[0], self.places)[None], *args[1:])


def _at(values: Any, places: Sequence[Place]) -> Any:
    rows, columns = (torch.tensor(p, device=values.device) for p in zip(*places, strict=True))
    return values[rows, columns]


@dataclass
class Engine:
    """A model with all that is known of it.

    `max_length` is the context length in tokens, None where nobody knows it; `sees` whether it
    reads images; `turn` is the length beyond which a text is read by itself; `shares` whether a
    prefix can be read once for several rows; `token_bytes` what keys and values of a token take.
    """

    model: Any
    device: Any
    max_length: int | None
    end_tokens: frozenset[int]
    sees: bool = False
    turn: int | None = None
    shares: bool = False
    token_bytes: float = 0.0

    def __post_init__(self) -> None:
        self._picker = _Picker(self.model)
        self._takes = set(signature(self.model.forward).parameters)
        self.shares = self._can_share()

    @property
    def vocabulary(self) -> int:
        """How many tokens there are to choose from."""
        return int(self.model.config.get_text_config().vocab_size)

    def reads(self, ids: Ids) -> bool:
        """Does the model read each of these tokens, those that stand for images among them?"""
        config, embeddings = self.model.config, self.model.get_input_embeddings()
        known = getattr(embeddings, "num_embeddings", self.vocabulary)
        images = {getattr(config, n, None) for n in ("image_token_id", "image_token_index")}
        return all(0 <= i < known or i in images for i in ids)

    def apart(self, tokens: int) -> bool:
        """Must a text of so many tokens be read by itself, and from its first token on?

        Rotary positions that scale ("longrope", "dynamic") go by the longest row of a batch.
        """
        return self.turn is not None and tokens > self.turn

    def read(self, rows: Sequence[Ids], at: Sequence[Place], *, keep: bool) -> tuple[Any, Any]:
        """(logits [places, vocabulary], cache or None) of rows from their first token on."""
        if self.apart(max(map(len, rows))):  # a short text undoes what the last long one has set
            self.model(input_ids=torch.tensor([rows[0][:1]], device=self.device))
        cache = empty() if keep else None
        known: dict[str, Any] = {"past_key_values": cache, "use_cache": keep}
        if self.sees:  # some of these keep positions of the images that they saw last
            known["position_ids"] = torch.arange(max(map(len, rows)), device=self.device)[None]
        return self._forward(rows, at, known), cache

    def go_on(
        self, rows: Sequence[Ids], at: Sequence[Place], cache: Any, lengths: Sequence[int]
    ) -> Any:
        """Logits [places, vocabulary] of rows behind what `cache` holds, which grows by them.

        `lengths` are the tokens each row has there, aligned on the right.
        """
        width, more = cache.get_seq_length(), max(map(len, rows))
        had = torch.tensor(lengths, device=self.device)[:, None]
        known: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
        if min(lengths) < width or "position_ids" not in self._takes:
            seen = torch.arange(width + more, device=self.device)[None] >= width - had
            known["attention_mask"] = seen.long()
        if "position_ids" in self._takes:
            known["position_ids"] = had + torch.arange(more, device=self.device)[None]
        return self._forward(rows, at, known)

    def see(self, inputs: Mapping[str, Any], at: Sequence[Place]) -> Any:
        """Logits [places, vocabulary] of what a processor made of texts and images."""
        return self._run({**self.placed(inputs), "use_cache": False}, at)

    def placed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """A processor's tensors on the model's device, in its precision."""
        return {
            k: v.to(self.device, self.model.dtype if v.is_floating_point() else None)
            for k, v in inputs.items()
            if isinstance(v, torch.Tensor)
        }

    def _forward(self, rows: Sequence[Ids], at: Sequence[Place], known: dict[str, Any]) -> Any:
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        return self._run({"input_ids": ids.to(self.device), **known}, at)

    def _run(self, given: Mapping[str, Any], at: Sequence[Place]) -> Any:
        self._picker.places, self._picker.used = at, False
        try:
            out = self.model(**given, return_dict=True)
        finally:
            self._picker.places = ()
        return out.logits[0] if self._picker.used else _at(out.logits, at)

    def _can_share(self) -> bool:
        """Does reading a prefix once give what reading it again gives? Tried on a few tokens.

        States that are no keys and values (Mamba and its like) cannot be shared.
        """
        whole = [i % self.vocabulary for i in PROBE]
        places = [(0, len(whole) - 1)]
        with torch.inference_mode():
            wanted, _ = self.read([whole], places, keep=False)
            try:
                _, cache = self.read([whole[:2], whole[:4]], [(0, 0)], keep=True)
                self.token_bytes = bytes_of(cache) / 8
                both = aligned([(cache, [1, 0], [4, 2])], width=4, room=2)
                ends = [(0, 1), (1, 3)]
                found = self.go_on([whole[4:], whole[2:]], ends, both, [4, 2])
            except Exception:  # a model's own code refuses a cache of ours however it likes
                return False
        wanted, found = wanted.float().log_softmax(-1), found.float().log_softmax(-1)
        near = 1e-3 if self.model.dtype == torch.float32 else 0.1
        likely = wanted.topk(min(100, self.vocabulary)).indices[0]
        return bool((found - wanted)[:, likely].abs().max() < near)


def ran_out(error: RuntimeError) -> bool:
    """Is it want of memory, on whatever device?"""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(want in said for want in WANTS)
