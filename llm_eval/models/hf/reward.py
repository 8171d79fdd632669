"""A reward model of transformers: how good a reply is, by a model that classifies sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import logsigmoid

from llm_eval.errors import UserError
from llm_eval.models.conversation import turns
from llm_eval.models.hf import identity
from llm_eval.models.hf.asking import Refused, check_text
from llm_eval.models.hf.batching import Size, in_batches
from llm_eval.models.hf.encoding import Texts, pictures
from llm_eval.models.hf.loading import Source, context_of, load
from llm_eval.records import Failure, Prompt

if TYPE_CHECKING:
    from llm_eval.models.hf_reward import HuggingFaceReward


@dataclass
class Encoded:
    """A conversation with its reply as tokens (and the kinds of them), and its reward once told."""

    inputs: Mapping[str, Sequence[int]]
    reward: float | None = None

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.inputs["input_ids"])


@dataclass
class RewardWork:
    """A loaded reward model. Used by one thread.

    `label` is the place of the class whose log-probability is the reward; None: the model has one
    value, and that is it. A model made for regression tells the value itself; one whose labels do
    not exclude each other tells each one's own probability.
    """

    model: Any
    texts: Texts
    device: Any
    label: int | None
    max_length: int | None
    size: Size
    about: dict[str, Any]
    token_bytes: float = 0.0

    @classmethod
    def of(cls, backend: HuggingFaceReward) -> RewardWork:
        """Load what `backend` describes.

        Raises:
            UserError: it cannot be loaded, has no head that classifies, or no such label.
        """
        source = Source(**backend.source)
        loaded = load(source, "AutoModelForSequenceClassification")
        has = bool(getattr(loaded.tokenizer, "chat_template", None))
        asked = backend.apply_chat_template
        if asked is True and not has:
            raise UserError(
                f"{source.name} has no chat template",
                hint="name a reward model that was trained on chats",
            )
        texts = Texts(
            loaded.tokenizer,
            has if asked == "auto" else bool(asked),
            backend.system_message,
            backend.chat_template_kwargs,
        )
        label = _label(loaded.model.config, backend.asked_label, source.name)
        longest = source.max_length or _longest(loaded.model, loaded.tokenizer)
        work = cls(
            model=loaded.model,
            texts=texts,
            device=loaded.device,
            label=label,
            max_length=longest,
            size=Size(rows=1, tokens=1, most=1, auto=False),
            about={},
        )
        work.size = Size.of(backend.batch_size, work)
        work.about = {
            **identity.known(source, loaded.model, texts),
            "max_length": longest,
            "label": label,
        }
        return work

    def rewards(
        self, items: Sequence[tuple[Prompt, str]], stopped: Callable[[], bool]
    ) -> list[float | Failure]:
        """The reward of each (prompt, reply), in order."""
        asked = [self._asked(prompt, reply) for prompt, reply in items]

        def work(batch: Sequence[Encoded]) -> None:
            with torch.inference_mode():
                told = self._told(self._logits(batch))
            for one, reward in zip(batch, told, strict=True):
                one.reward = reward

        open_ones = [a for a in asked if isinstance(a, Encoded)]
        in_batches(open_ones, lambda a: a.length, work, lambda a: None, self.size, stopped)
        return [_result(a) for a in asked]

    def _asked(self, prompt: Prompt, reply: str) -> Encoded | Failure:
        try:
            inputs = self._inputs(prompt, reply)
        except Refused as e:
            return e.failure
        found = Encoded(inputs)
        if not found.length:
            return _failure("bad_request", "there is nothing to judge")
        if self.max_length is not None and found.length > self.max_length:
            return _failure(
                "length",
                f"prompt and reply have {found.length:,} tokens; the reward model reads "
                f"{self.max_length:,} at most",
            )
        return found

    def _inputs(self, prompt: Prompt, reply: str) -> dict[str, Sequence[int]]:
        tokenizer = self.texts.tokenizer
        if pictures(prompt):
            raise Refused("this reward model reads no images")
        if prompt.token_ids:
            raise Refused("a reward model judges a text or a conversation, not tokens")
        check_text(reply)
        if self.texts.chat:
            said = (*turns(prompt, None), {"role": "assistant", "content": reply})
            shown = self.texts.rendered(Prompt(sample_id="", text="", messages=said), opened=False)
            return {"input_ids": self.texts.encoded([shown])[0]}
        made = tokenizer(self.texts.shown(prompt), reply)
        return {k: made[k] for k in ("input_ids", "token_type_ids") if k in made}

    def _logits(self, batch: Sequence[Encoded]) -> torch.Tensor:
        config = self.model.config.get_text_config()
        own = getattr(config, "pad_token_id", None)
        pad = own if own is not None else _unused(batch, config.vocab_size)
        longest = max(a.length for a in batch)
        given = {
            name: _padded(
                [a.inputs[name] for a in batch], longest, pad if name == "input_ids" else 0
            )
            for name in batch[0].inputs
        }
        given["attention_mask"] = _padded([[1] * a.length for a in batch], longest, 0)
        config.pad_token_id = pad  # a causal model looks for the last token before these
        try:
            placed = {k: v.to(self.device) for k, v in given.items()}
            logits: torch.Tensor = self.model(**placed).logits.float()
        finally:
            config.pad_token_id = own
        return logits

    def _told(self, logits: torch.Tensor) -> list[float]:
        kind = self.model.config.problem_type
        if self.label is None or kind == "regression":
            told = logits[:, self.label or 0]
        elif kind == "multi_label_classification":
            told = logsigmoid(logits[:, self.label])
        else:
            told = logits.log_softmax(-1)[:, self.label]
        found: list[float] = told.tolist()
        return found


def _padded(rows: Sequence[Sequence[int]], longest: int, pad: int) -> torch.Tensor:
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def _unused(batch: Sequence[Encoded], vocabulary: int) -> int:
    """A token that occurs in no row, so that padding by it hides none."""
    used = {t for a in batch for t in a.inputs["input_ids"]}
    return next(t for t in range(vocabulary) if t not in used)


def _label(config: Any, asked: str | int | None, name: str) -> int | None:
    names = {int(i): str(label) for i, label in (config.id2label or {}).items()}
    if asked is None and config.num_labels == 1:
        return None
    known = ", ".join(names[i] for i in sorted(names))
    if asked is None:
        raise UserError(f"{name} has {config.num_labels} labels", hint=f"label=one of: {known}")
    found = [i for i, label in names.items() if asked in (i, label)]
    if not found:
        raise UserError(f"{name} has no label {asked!r}", hint=f"its labels are: {known}")
    return found[0] if config.num_labels > 1 else None


def _longest(model: Any, tokenizer: Any) -> int | None:
    """The context; models that count positions from behind the padding's have less than theirs."""
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            return int(part.num_embeddings) - int(part.padding_idx) - 1
    return context_of(model.config, tokenizer)


def _result(asked: Encoded | Failure) -> float | Failure:
    if isinstance(asked, Failure):
        return asked
    if asked.reward is None:
        return _failure("memory", f"out of memory with this one alone ({asked.length:,} tokens)")
    return asked.reward


def _failure(kind: str, message: str) -> Failure:
    return Failure(where="reward", kind=kind, message=message)
