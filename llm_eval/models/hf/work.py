"""What the worker thread does: from prompts to tokens, through the model, and to predictions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_eval.errors import UserError
from llm_eval.models.hf.batching import Size
from llm_eval.models.hf.encoding import Texts
from llm_eval.models.hf.engine import Engine
from llm_eval.models.hf.generation import Row, Writer
from llm_eval.models.hf.likelihood import Question, weigh
from llm_eval.models.hf.loading import Source, load
from llm_eval.models.hf.plain_generation import write_plainly
from llm_eval.models.hf.sampling import Sampling
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Usage

if TYPE_CHECKING:
    from llm_eval.models.huggingface import HuggingFaceModel

WRITING = {"cpu": 1 << 15, "cuda": 1 << 20}  # tokens that rows being written have at most
Stopped = Callable[[], bool]


@dataclass
class Work:
    """A loaded model and how it is asked. Used by one thread."""

    engine: Engine
    texts: Texts
    sampling: Sampling
    stops: Sequence[str]
    max_new_tokens: int
    reading: Size
    writing: Size

    @classmethod
    def of(cls, model: HuggingFaceModel) -> Work:
        """Load what `model` describes.

        Raises:
            UserError: it cannot be loaded, or has no chat template and is to use one.
        """
        engine, tokenizer = load(Source(**model.source))
        has, asked = bool(getattr(tokenizer, "chat_template", None)), model.apply_chat_template
        if asked is True and not has:
            raise UserError(
                f"{model.source['name']} has no chat template",
                hint="pass apply_chat_template=False, or the tokenizer that has one",
            )
        chat = has if asked == "auto" else bool(asked)
        texts = Texts(tokenizer, chat, model.system_message, model.chat_template_kwargs)
        texts.check()
        most = WRITING.get(engine.device.type, WRITING["cuda"])
        return cls(
            engine=engine,
            texts=texts,
            sampling=Sampling(**model.sampling),
            stops=model.stop,
            max_new_tokens=model.max_new_tokens,
            reading=Size.of(model.batch_size, engine),
            writing=Size.of(model.batch_size, engine, most, most // 4),
        )

    @property
    def about(self) -> dict[str, Any]:
        """What decides a result besides the prompt."""
        return {
            "chat_template": self.texts.chat,
            "dtype": str(self.engine.model.dtype).removeprefix("torch."),
            "device": str(self.engine.device),
            "max_length": self.engine.max_length,
            "shared_prefix": self.engine.shares,
        }

    def likelihoods(self, prompts: Sequence[Prompt], stopped: Stopped) -> list[Prediction]:
        """A prediction for each prompt, with the likelihoods of its options."""
        told = self.texts.options([(p.text, p.options) for p in prompts])
        asked: list[Question | Failure] = []
        for prompt, (context, options) in zip(prompts, told, strict=True):
            empty = [i for i, option in enumerate(options, start=1) if not option]
            if not options or empty:
                what = f"option {empty[0]} is empty" if empty else "it has no options"
                asked.append(_failure("bad_request", f"nothing to weigh: {what}"))
            elif refused := self._refused(prompt, context, max(map(len, options)) - 1):
                asked.append(refused)
            else:
                asked.append(Question(context, options))
        weigh(self.engine, [q for q in asked if isinstance(q, Question)], self.reading, stopped)
        return [_weighed(p, q) for p, q in zip(prompts, asked, strict=True)]

    def replies(
        self, prompts: Sequence[Prompt], dice: Sequence[random.Random], stopped: Stopped
    ) -> list[Prediction]:
        """A reply to each prompt."""
        rows: list[Row | Failure] = []
        for prompt, ids, own in zip(
            prompts, self.texts.prompts([p.text for p in prompts]), dice, strict=True
        ):
            limit = self.max_new_tokens
            if self.engine.max_length is not None:
                limit = min(limit, self.engine.max_length - len(ids))
            refused = self._refused(prompt, ids, 1)
            rows.append(refused or Row(prompt=ids, limit=limit, dice=own))
        asked = [r for r in rows if isinstance(r, Row)]
        if self.engine.shares:
            Writer(
                self.engine, self.sampling, self.writing, self.stops, self._decoded, stopped
            ).write(asked)
        else:
            write_plainly(self.engine, self.sampling, asked, self._has_stop, stopped)
        return [self._reply(p, r) for p, r in zip(prompts, rows, strict=True)]

    def _refused(self, prompt: Prompt, ids: Sequence[int], more: int) -> Failure | None:
        """Why a prompt of these tokens, and `more` to be read or written, cannot be asked."""
        if prompt.images:
            return _failure("bad_request", f"{self.engine.model.config.model_type} reads no images")
        if not ids:
            return _failure("bad_request", "the prompt is empty, and no token begins a text")
        most = self.engine.max_length
        if most is not None and len(ids) + more > most:
            what = f"{len(ids):,} tokens" + (f" and its option {more:,} more" if more > 1 else "")
            return _failure("length", f"the prompt has {what}; the model reads {most:,} at most")
        return None

    def _reply(self, prompt: Prompt, row: Row | Failure) -> Prediction:
        if isinstance(row, Failure):
            return Prediction(sample_id=prompt.sample_id, failure=row)
        if row.end == "memory":
            return Prediction(sample_id=prompt.sample_id, failure=_no_memory(len(row.prompt)))
        (text,) = self._decoded([row.written])
        starts = [text.find(s) for s in self.stops if s in text]
        full = row.end == "length" and row.limit < self.max_new_tokens
        return Prediction(
            sample_id=prompt.sample_id,
            text=text[: min(starts)] if starts else text,
            finish_reason="context_length" if full else row.end,
            logprob=row.logprob if self.engine.shares else None,
            tokens=len(row.written),
            usage=Usage(prompt_tokens=len(row.prompt), completion_tokens=len(row.written)),
        )

    def _has_stop(self, written: Sequence[int]) -> bool:
        (text,) = self._decoded([written])
        return any(s in text for s in self.stops)

    def _decoded(self, written: Sequence[Sequence[int]]) -> list[str]:
        texts: list[str] = self.texts.tokenizer.batch_decode(
            list(written), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts


def _weighed(prompt: Prompt, question: Question | Failure) -> Prediction:
    if isinstance(question, Failure):
        return Prediction(sample_id=prompt.sample_id, failure=question)
    if not question.found:
        return Prediction(sample_id=prompt.sample_id, failure=_no_memory(question.longest))
    options = tuple(
        Continuation(logprob=logprob, tokens=len(ids), chars=len(text), greedy=greedy)
        for (logprob, greedy), ids, text in zip(
            question.found, question.options, prompt.options, strict=True
        )
    )
    best = max(range(len(options)), key=lambda i: options[i].logprob)
    read = len(question.context) + sum(map(len, question.options))
    return Prediction(
        sample_id=prompt.sample_id,
        text=prompt.options[best],
        options=options,
        usage=Usage(prompt_tokens=read),
    )


def _failure(kind: str, message: str) -> Failure:
    return Failure(where="generate", kind=kind, message=message)


def _no_memory(tokens: int) -> Failure:
    return _failure("memory", f"out of memory with this prompt alone ({tokens:,} tokens)")
