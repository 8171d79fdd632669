"""From prompts to tokens: the chat template, the token that begins a text, where an option starts.

**Where an option starts.** A prompt's trailing white space is moved to the front of each option.
Prompt and option are then encoded as one text, and the option's tokens are those behind as many as
the prompt has by itself; the prompt's are its own. This is how lm-evaluation-harness does it, so
that numbers can be compared. Where option and prompt merge at the boundary until nothing is left of
the option, it is encoded by itself. An empty prompt is the token that begins a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from llm_eval.errors import UserError


@dataclass(frozen=True)
class Texts:
    """A tokenizer, and how prompts are put before it.

    `chat`: a prompt is a user's turn in the tokenizer's chat template, and the answer, or an
    option, begins the assistant's. Else it is a text, the system message before it.
    """

    tokenizer: Any
    chat: bool
    system_message: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def begins(self) -> list[int]:
        """What the tokenizer puts before every text: the token that begins it, or nothing."""
        first = self.tokenizer("")["input_ids"][:1]
        return list(first) if first and first[0] == self.tokenizer.bos_token_id else []

    def shown(self, prompt: str) -> str:
        """The text that the model reads for a prompt."""
        if not self.chat:
            return f"{self.system_message}\n\n{prompt}" if self.system_message else prompt
        said = [{"role": "user", "content": prompt}]
        if self.system_message:
            said.insert(0, {"role": "system", "content": self.system_message})
        text: str = self.tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True, **self.template_arguments
        )
        return text

    def check(self) -> None:
        """Raise a `UserError` where the template cannot show what it is to show."""
        try:
            self.shown("?")
        except Exception as e:  # a template is the model's own code, and raises what it likes
            raise UserError(
                f"the chat template fails: {e}",
                hint="leave system_message out, or pass apply_chat_template=False",
            ) from None

    def prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """The tokens of prompts, as generation begins from them."""
        shown = [self.shown(p) for p in prompts]
        return [self._begun(t, ids) for t, ids in zip(shown, self._encoded(shown), strict=True)]

    def options(
        self, asked: Sequence[tuple[str, Sequence[str]]]
    ) -> list[tuple[list[int], list[list[int]]]]:
        """For each (prompt, options): the tokens of the prompt, and of each option behind it."""
        parted = [(*_parted(self.shown(prompt)), options) for prompt, options in asked]
        texts = [
            c + end for c, space, options in parted for end in ("", *(space + o for o in options))
        ]
        encoded = iter(self._encoded(texts))
        told = []
        for context, space, options in parted:
            ids = next(encoded)
            ends = [next(encoded)[len(ids) :] for _ in options]
            ends = [end or self._alone(space + o) for end, o in zip(ends, options, strict=True)]
            told.append((self._begun(context, ids), ends))
        return told

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False
        )["input_ids"]
        return found

    def _alone(self, option: str) -> list[int]:
        return self._encoded([option])[0] if option else []

    def _begun(self, text: str, ids: list[int]) -> list[int]:
        """With the token that begins a text, where the tokenizer puts it and the text has it not.

        An empty text is that token, else the one that ends texts, else nothing.
        """
        begins = self.begins
        if begins and ids[:1] != begins:
            return [*begins, *ids]
        if ids:
            return ids
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return [int(token) for token in known if token is not None][:1]


def _parted(text: str) -> tuple[str, str]:
    """A text without the white space at its end, and that white space.

    >>> _parted("정답: ")
    ('정답:', ' ')
    """
    bare = text.rstrip()
    return bare, text[len(bare) :]
