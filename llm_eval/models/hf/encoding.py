"""From prompts to tokens: the chat template, the token that begins a text, where an option starts.

**Where an option starts.** A prompt's trailing white space is moved to the front of each option.
Prompt and option are then encoded as one text, and the option's tokens are those behind as many as
the prompt has by itself; the prompt's are its own. This is how lm-evaluation-harness does it, so
that numbers can be compared. Where option and prompt merge at the boundary until nothing is left of
the option, it is encoded by itself. An empty prompt is the token that begins a text.

A chat template holds every special token that it wants: nothing is put before what it shows, as in
transformers' `apply_chat_template(tokenize=True)` and in vLLM's server.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

from llm_eval import thoughts
from llm_eval.errors import BackendError, UserError
from llm_eval.models.conversation import turns
from llm_eval.models.hf.asking import Refused, check_text
from llm_eval.records import Failure, Prompt

Ids = list[int]
UNFINISHED = "\ufffd"  # what the bytes of half a letter are decoded to
_TAIL = 16  # tokens that what opens a thought and the white space behind it have at most


@dataclass(frozen=True)
class Texts:
    """A tokenizer, and how prompts are put before it.

    `chat`: a prompt is a conversation in the chat template, its text a user's turn; the answer, or
    an option, begins the assistant's. Else it is a text, the system message before it. `renderer`
    is what has the template where that is not the tokenizer (a processor of images): it is given
    the content of each turn in parts, images among them.
    """

    tokenizer: Any
    chat: bool
    system_message: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    renderer: Any = None

    @cached_property
    def begins(self) -> Ids:
        """What the tokenizer puts before every text: the token that begins it, or nothing."""
        first = self.tokenizer("")["input_ids"][:1]
        return list(first) if first and first[0] == self.tokenizer.bos_token_id else []

    @property
    def template(self) -> str | None:
        """The text of the chat template; None where there is none, or it is not used."""
        if not self.chat:
            return None
        told = getattr(self.renderer or self.tokenizer, "chat_template", None)
        return None if told is None else str(told)

    def shown(self, prompt: Prompt) -> str:
        """The text that the model reads for a prompt (of `text` or `messages`).

        Raises:
            Refused: it is a conversation and there is no template, or the template refuses it; or
                it is no text.
        """
        if self.chat:
            return self.rendered(prompt)
        if prompt.messages:
            raise Refused("a conversation needs a chat template, and this model has none")
        first, text = self.system_message, prompt.text
        shown = f"{first}\n\n{text}" if first else text
        check_text(shown)
        return shown

    def rendered(self, prompt: Prompt, *, opened: bool = True) -> str:
        """The conversation in the chat template, with the assistant's turn `opened` behind it.

        Raises:
            Refused: the template refuses it, or leaves the system's turn out; or it is no text.
        """
        try:
            given = turns(prompt, self.system_message)
        except BackendError as e:
            raise Refused(e.message) from None
        said = [self._turn(m) for m in given]
        try:
            text = (self.renderer or self.tokenizer).apply_chat_template(
                said, tokenize=False, add_generation_prompt=opened, **self.template_arguments
            )
        except Exception as e:  # a template is the model's own code, and raises what it likes
            raise Refused(f"the chat template fails: {e}") from None
        for message in given:
            if message.get("role") in ("system", "developer") and not _is_in(text, message):
                raise Refused(f"the chat template leaves the {message['role']}'s turn out")
        check_text(str(text))
        return str(text)

    def _turn(self, message: Mapping[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if self.renderer is None:
            content = content if isinstance(content, str | None) else _joined(content)
        else:
            content = [_placed(part) for part in _parts(content)]
        return {**message, "content": content}

    def check(self) -> None:
        """Raise a `UserError` where the template cannot show what it is to show."""
        try:
            self.shown(Prompt(sample_id="", text="?"))
        except Refused as e:
            raise UserError(
                str(e), hint="leave system_message out, or pass apply_chat_template=False"
            ) from None

    def prompts(self, prompts: Sequence[Prompt]) -> list[Ids | Failure]:
        """The tokens of prompts, as generation begins from them."""
        shown = [self._shown(p) for p in prompts]
        encoded = iter(self.encoded([s for s in shown if isinstance(s, str)]))
        return [self._begun(s, next(encoded)) if isinstance(s, str) else s for s in shown]

    def options(self, prompts: Sequence[Prompt]) -> list[tuple[Ids, list[Ids]] | Failure]:
        """For each prompt: its tokens, and those of each of its options behind it."""
        shown = [self._shown(p, p.options) for p in prompts]
        asked = [(s, p.options) for s, p in zip(shown, prompts, strict=True) if isinstance(s, str)]
        behind = iter(self.behind(asked))
        found: list[tuple[Ids, list[Ids]] | Failure] = []
        for told, prompt in zip(shown, prompts, strict=True):
            if isinstance(told, str):
                found.append(next(behind))
            elif isinstance(told, Failure):
                found.append(told)
            else:
                found.append((told, [self._alone(o) for o in prompt.options]))
        return found

    def behind(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[Ids, list[Ids]]]:
        """For each (text, options): the tokens of the text, and of each option behind it."""
        parted = [(*_parted(text), options) for text, options in asked]
        texts = [
            c + end for c, space, options in parted for end in ("", *(space + o for o in options))
        ]
        encoded = iter(self.encoded(texts))
        told = []
        for context, space, options in parted:
            ids = next(encoded)
            ends = [next(encoded)[len(ids) :] for _ in options]
            ends = [end or self._alone(space + o) for end, o in zip(ends, options, strict=True)]
            told.append((self._begun(context, ids), ends))
        return told

    def choices(self, prompt: Prompt, choice: Sequence[str]) -> list[Ids]:
        """The tokens of the texts that a reply is held to, as they follow the prompt.

        Raises:
            Refused: the prompt cannot be shown, or one of the texts is none.
        """
        for text in choice:
            check_text(text)
        before = "" if prompt.token_ids else self.shown(prompt)
        head, *wholes = self.encoded([before, *(before + c for c in choice)])
        return [
            whole[len(head) :] if before and whole[: len(head)] == head else self._alone(text)
            for whole, text in zip(wholes, choice, strict=True)
        ]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token; together they are the text of all.

        A letter of several tokens stands at its last one, and the others have nothing.
        """
        told: list[str] = []
        start = read = 0
        for end in range(1, len(ids) + 1):
            before, now = self._decoded(ids[start:read]), self._decoded(ids[start:end])
            if now.endswith(UNFINISHED) and end < len(ids):
                told.append("")
                continue
            told.append(now[len(before) :])
            start, read = read, end
        return told

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def special(self, texts: Sequence[str]) -> frozenset[int]:
        """Those of the texts that are special tokens: a reply's text never shows them."""
        known = self.tokenizer
        found = (known.convert_tokens_to_ids([text])[0] for text in texts)
        return frozenset(
            i
            for i, text in zip(found, texts, strict=True)
            if i is not None
            and known.convert_ids_to_tokens([i]) == [text]
            and not known.decode([i], skip_special_tokens=True)
        )

    def thought(self, ids: Sequence[int]) -> str:
        """What opens the thought that a prompt of these tokens ends with; a reply begins in it."""
        tag = thoughts.opened(self._decoded(ids[-_TAIL:]))
        return f"{tag}\n" if tag else ""

    @cached_property
    def tags(self) -> dict[int, str]:
        """The special tokens that bound a thought, with their texts."""
        return {i: tag for tag in thoughts.TOKENS for i in self.special([tag])}

    def written(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """Tokens as texts, without special tokens but those that bound a thought."""
        if self.tags and any(not self.tags.keys().isdisjoint(ids) for ids in replies):
            return ["".join(self._between(ids)) for ids in replies]
        return self._spoken(replies)

    def _between(self, ids: Sequence[int]) -> Iterator[str]:
        for bounds, group in groupby(ids, self.tags.__contains__):
            part = list(group)
            yield from [self.tags[i] for i in part] if bounds else self._spoken([part])

    def _spoken(self, replies: Sequence[Sequence[int]]) -> list[str]:
        texts: list[str] = self.tokenizer.batch_decode(
            list(replies), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts

    def encoded(self, texts: Sequence[str]) -> list[Ids]:
        """The tokens of texts as they stand, with nothing put before or behind them."""
        if not texts:
            return []
        found: list[Ids] = self.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False
        )["input_ids"]
        return found

    def _shown(self, prompt: Prompt, options: Sequence[str] = ()) -> str | Ids | Failure:
        try:
            for option in options:
                check_text(option)
            return list(prompt.token_ids) if prompt.token_ids else self.shown(prompt)
        except Refused as e:
            return e.failure

    def _alone(self, option: str) -> Ids:
        return self.encoded([option])[0] if option else []

    def _begun(self, text: str, ids: Ids) -> Ids:
        """With the token that begins a text, where the tokenizer puts it and the text has it not.

        An empty text is that token, else the one that ends texts, else nothing.
        """
        begins = [] if self.chat else self.begins
        if begins and ids[:1] != begins:
            return [*begins, *ids]
        if ids:
            return ids
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return [int(token) for token in known if token is not None][:1]


def pictures(prompt: Prompt) -> list[Any]:
    """The images of a prompt, in the order in which its turns show them."""
    try:
        said = turns(prompt, None)
    except BackendError:  # they have no place; who shows the prompt says so
        return list(prompt.images)
    return [
        _source(part)
        for message in said
        for part in _parts(message.get("content"))
        if _is_image(part)
    ]


def _parts(content: Any) -> list[Mapping[str, Any]]:
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _is_in(shown: str, message: Mapping[str, Any]) -> bool:
    """Is each text of a message in what is shown, outer white space aside?"""
    texts = [p for p in _parts(message.get("content")) if not _is_image(p)]
    return all(str(part.get("text", "")).strip() in shown for part in texts)


def _joined(content: Any) -> str:
    return "".join(_texts_of(content))


def _texts_of(content: Any) -> Iterator[str]:
    for part in _parts(content):
        if not isinstance(part, Mapping) or part.get("type") not in ("text", "input_text"):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise Refused(f"a part of a message is of the kind {kind!r}, which no text model reads")
        yield str(part.get("text", ""))


def _is_image(part: Mapping[str, Any]) -> bool:
    return part.get("type") in ("image", "image_url", "input_image")


def _placed(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part as templates know it: the image itself is handed to the processor."""
    return {"type": "image"} if _is_image(part) else part


def _source(part: Mapping[str, Any]) -> Any:
    told = part.get("image", part.get("image_url", part.get("url")))
    return told.get("url") if isinstance(told, Mapping) else told


def _parted(text: str) -> tuple[str, str]:
    """A text without the white space at its end, and that white space.

    >>> _parted("정답: ")
    ('정답:', ' ')
    """
    bare = text.rstrip()
    return bare, text[len(bare) :]
