"""Prompts with images: what a processor makes of them, and how likely options are behind them.

Each is read by itself, since every model lays its images out in its own way; an option is read
with its prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from llm_eval.errors import HretError
from llm_eval.models.hf.asking import Refused
from llm_eval.models.hf.batching import Stopped, let_go
from llm_eval.models.hf.encoding import Texts, pictures
from llm_eval.models.hf.engine import Engine, ran_out
from llm_eval.models.hf.likelihood import Question, weighed, whole
from llm_eval.records import Prompt


@dataclass(frozen=True)
class Seen:
    """A prompt with images as the model reads it: the processor's tensors, its tokens too."""

    inputs: Mapping[str, Any]

    @property
    def ids(self) -> list[int]:
        """The tokens, those that stand for images among them."""
        found: list[int] = self.inputs["input_ids"][0].tolist()
        return found


@dataclass(frozen=True)
class Vision:
    """A processor, beside the texts of its model."""

    processor: Any
    texts: Texts

    def seen(self, prompt: Prompt, *, bare: bool = False) -> Seen:
        """What the model is given for a prompt; `bare`: without white space at its end.

        Raises:
            Refused: an image cannot be had, or has no place in the prompt.
        """
        from llm_eval.models.images import pixels

        if prompt.token_ids:
            raise Refused("images go with a text or a conversation, not with tokens")
        shown, images = self.texts.shown(prompt), pictures(prompt)
        if not self.texts.chat:
            mark = getattr(self.processor, "image_token", None)
            if not mark or shown.count(mark) != len(images):
                raise Refused(
                    f"this model has no chat template, so a prompt tells where its images go: by "
                    f"{mark!r}, once for each"
                )
        try:
            opened = [pixels(image) for image in images]
            made = self.processor(
                text=[shown.rstrip() if bare else shown],
                images=opened,
                return_tensors="pt",
                add_special_tokens=not self.texts.chat,
            )
        except HretError as e:
            raise Refused(e.message) from None
        except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError) as e:
            raise Refused(f"the model's processor refuses its images: {e}") from None
        return Seen(dict(made))

    def score_options(
        self,
        engine: Engine,
        prompt: Prompt,
        check: Callable[[Sequence[int], Sequence[Sequence[int]]], None],
        stopped: Callable[[], bool],
    ) -> Question:
        """The question, answered; its `found` is empty where the memory was too small.

        Raises:
            Refused: see `seen`; or `check`, which is given the tokens, says so.
            Stopped: `stopped()` said so.
        """
        seen = self.seen(prompt, bare=True)
        ((_, options),) = self.texts.behind([(self.texts.shown(prompt), prompt.options)])
        question = Question(seen.ids, options)
        check(seen.ids, options)
        for option in options:
            if stopped():
                raise Stopped
            if (told := _weighed(engine, seen, option)) is None:
                let_go()
                question.found = []
                break
            question.found.append(told)
        return question


def _weighed(engine: Engine, seen: Seen, option: Sequence[int]) -> tuple[float, bool] | None:
    places = [(0, len(seen.ids) - 1 + i) for i in range(len(option))]
    try:
        with torch.inference_mode():
            logits = engine.see(_longer(seen.inputs, option[:-1]), places)
            return whole(weighed(logits, list(enumerate(option))))
    except RuntimeError as e:
        if not ran_out(e):
            raise
        return None


def _longer(inputs: Mapping[str, Any], more: Sequence[int]) -> dict[str, Any]:
    """The processor's tensors with tokens behind: those that go by token grow with them.

    Where they tell which images a token sees, the new ones see what the last one does.
    """
    ids = inputs["input_ids"]
    tail = torch.tensor([list(more)], dtype=ids.dtype)
    found = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.shape == ids.shape:
            fill = tail if name == "input_ids" else torch.zeros_like(tail)
            if name == "attention_mask":
                fill = torch.ones_like(tail)
            found[name] = torch.cat([value, fill.to(value.dtype)], dim=1)
        elif name == "cross_attention_mask":
            found[name] = torch.cat([value, value[:, -1:].repeat(1, len(more), 1, 1)], dim=1)
    return found
