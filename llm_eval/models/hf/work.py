"""What the worker thread does: from prompts to tokens, through the model, and to predictions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_eval.errors import UserError
from llm_eval.models.base import Done
from llm_eval.models.hf import identity
from llm_eval.models.hf.asking import (
    GenerationParams,
    Refused,
    check_choice,
    check_options,
    check_prompt,
    check_tokens,
    cut_off,
    draws,
    likeliest,
)
from llm_eval.models.hf.batching import Size
from llm_eval.models.hf.encoding import Texts, pictures
from llm_eval.models.hf.engine import Engine
from llm_eval.models.hf.generation import Writer
from llm_eval.models.hf.likelihood import Question, score_options
from llm_eval.models.hf.loading import Loaded, Source, engine_of, load
from llm_eval.models.hf.plain_generation import write_plainly
from llm_eval.models.hf.reading import Reading, read_whole
from llm_eval.models.hf.rows import Row, Top
from llm_eval.models.hf.vision import Vision
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Token, Usage

if TYPE_CHECKING:
    from llm_eval.models.huggingface import HuggingFaceModel

WRITING = {"cpu": 1 << 15, "cuda": 1 << 20}  # tokens that rows being written have at most
# what a model's own code says of images that it cannot read
UNREADABLE = (RuntimeError, ValueError, TypeError, KeyError, IndexError)
Stopped = Callable[[], bool]


@dataclass
class Work:
    """A loaded model and how it is asked. Used by one thread.

    `blind` is why the model is shown no images; `about` all that decides a reply but the prompt.
    """

    engine: Engine
    texts: Texts
    asked: GenerationParams
    reading: Size
    writing: Size
    vision: Vision | None
    blind: str
    about: dict[str, Any]

    @classmethod
    def of(cls, model: HuggingFaceModel) -> Work:
        """Load what `model` describes.

        Raises:
            UserError: it cannot be loaded, or has no chat template and is to use one.
        """
        source = Source(**model.source)
        loaded = load(source)
        texts = _texts(model, loaded)
        engine = engine_of(loaded, source)
        most = WRITING.get(engine.device.type, WRITING["cuda"])
        kind = str(engine.model.config.model_type)
        return cls(
            engine=engine,
            texts=texts,
            asked=model.asked,
            reading=Size.of(model.batch_size, engine),
            writing=Size.of(model.batch_size, engine, most, most // 4),
            vision=Vision(loaded.processor, texts) if loaded.processor else None,
            blind=loaded.blind or f"a model of the kind {kind!r} reads no images",
            about=_about(model, source, engine, texts),
        )

    def likelihoods(self, prompts: Sequence[Prompt], stopped: Stopped, tell: Done) -> None:
        """Tell a prediction for each prompt, with the likelihoods of its options."""
        asked: dict[Question, int] = {}
        options = iter(self.texts.options([p for p in prompts if not pictures(p)]))
        for i, prompt in enumerate(prompts):
            if pictures(prompt):
                question = self._weighed_by_sight(prompt, stopped)
            else:
                question = self._question(prompt, next(options))
            if isinstance(question, Question) and not question.found:
                asked[question] = i
            else:
                tell(i, _weighed(prompt, question))

        def found(question: Question) -> None:
            tell(asked[question], _weighed(prompts[asked[question]], question))

        score_options(self.engine, list(asked), self.reading, stopped, found)

    def replies(self, prompts: Sequence[Prompt], stopped: Stopped, tell: Done) -> None:
        """Tell a reply to each prompt, as it ends."""
        keys = self._keys(prompts)
        plain = [i for i, p in enumerate(prompts) if not pictures(p)]
        asked: dict[Row, int] = {}
        for i, ids in zip(plain, self.texts.prompts([prompts[i] for i in plain]), strict=True):
            row = self._row(prompts[i], ids, keys[i])
            if isinstance(row, Row):
                asked[row] = i
            else:
                tell(i, self._reply(prompts[i], row))

        def ended(row: Row) -> None:
            tell(asked[row], self._reply(prompts[asked[row]], row))

        joined = [r for r in asked if self.engine.shares and not self.engine.apart(r.most)]
        Writer(self.engine, self.writing, self.texts.written, stopped, ended).write(joined)
        alone = [r for r in asked if not self.engine.shares or self.engine.apart(r.most)]
        write_plainly(self.engine, alone, self.texts.written, stopped, ended)
        for i in sorted(set(range(len(prompts))) - set(plain)):
            tell(i, self._reply(prompts[i], self._written_by_sight(prompts[i], keys[i], stopped)))

    def prompt_logprobs(self, prompts: Sequence[Prompt], stopped: Stopped, tell: Done) -> None:
        """Tell a prediction for each prompt whose detail is the prompt, token by token."""
        told: list[Reading | Failure] = []
        for prompt, ids in zip(prompts, self._tokens(prompts), strict=True):
            if isinstance(ids, Failure):
                told.append(ids)
                continue
            try:
                self._check(ids, 0)
                told.append(Reading(ids, self.asked.over(prompt.params).logprobs or 0))
            except Refused as e:
                told.append(e.failure)
        read_whole(self.engine, [r for r in told if isinstance(r, Reading)], self.reading, stopped)
        for i, (prompt, reading) in enumerate(zip(prompts, told, strict=True)):
            tell(i, self._read(prompt, reading))

    def _tokens(self, prompts: Sequence[Prompt]) -> list[list[int] | Failure]:
        """The tokens of prompts without images."""
        plain = [p for p in prompts if not pictures(p)]
        told = iter(self.texts.prompts(plain))
        no = _failure("bad_request", "the tokens of images have no likelihood")
        return [no if pictures(p) else next(told) for p in prompts]

    def _keys(self, prompts: Sequence[Prompt]) -> list[str]:
        """What each reply is drawn by: alike in every run where there is a seed."""
        return [key or secrets.token_hex(8) for key in draws(prompts, self.asked.seed)]

    def _row(
        self, prompt: Prompt, ids: list[int] | Failure, key: str, **more: Any
    ) -> Row | Failure:
        if isinstance(ids, Failure):
            return ids
        try:
            asked = self.asked.over(prompt.params)
            choice = self._choice(prompt, asked) if asked.choice else []
            need = check_choice(choice, asked.max_tokens) if choice else 1
            self._check(ids, need, seen="inputs" in more)
        except Refused as e:
            return e.failure
        room = asked.max_tokens
        if self.engine.max_length is not None:
            room = min(room, self.engine.max_length - len(ids))
        ends = self.texts.special(asked.stop)
        return Row(prompt=ids, limit=room, asked=asked, key=key, choice=choice, ends=ends, **more)

    def _choice(self, prompt: Prompt, asked: GenerationParams) -> list[list[int]]:
        tokens = self.texts.choices(prompt, asked.choice)
        for ids in tokens:
            check_tokens(ids, self.engine.vocabulary, "the choice")
        whole = {tuple(t) for t in tokens}
        begun = {tuple(t[:n]) for t in tokens for n in range(1, len(t))}
        if whole & begun and not self.engine.end_tokens:
            raise Refused("one text of the choice begins another, and no token ends a text here")
        return tokens

    def _question(
        self, prompt: Prompt, told: tuple[list[int], list[list[int]]] | Failure
    ) -> Question | Failure:
        if isinstance(told, Failure):
            return told
        try:
            self._check_question(*told)
        except Refused as e:
            return e.failure
        return Question(*told)

    def _weighed_by_sight(self, prompt: Prompt, stopped: Stopped) -> Question | Failure:
        if self.vision is None:
            return _failure("bad_request", self.blind)
        try:
            check = partial(self._check_question, seen=True)
            question = self.vision.score_options(self.engine, prompt, check, stopped)
        except Refused as e:
            return e.failure
        except UNREADABLE as e:
            return _unseen(e)
        return question if question.found else _no_memory(question.longest)

    def _written_by_sight(self, prompt: Prompt, key: str, stopped: Stopped) -> Row | Failure:
        if self.vision is None:
            return _failure("bad_request", self.blind)
        try:
            seen = self.vision.seen(prompt)
        except Refused as e:
            return e.failure
        row = self._row(prompt, seen.ids, key, inputs=seen.inputs)
        if isinstance(row, Row):
            try:
                write_plainly(self.engine, [row], self.texts.written, stopped, lambda row: None)
            except UNREADABLE as e:
                return _unseen(e)
            row.inputs = None
        return row

    def _check(self, ids: Sequence[int], more: int, seen: bool = False) -> None:
        """Raise `Refused` where a prompt of these tokens, and `more`, cannot be asked.

        `seen`: some of them stand for images.
        """
        check_prompt(ids, more, self.engine.max_length)
        if not (seen and self.engine.reads(ids)):
            check_tokens(ids, self.engine.vocabulary)

    def _check_question(
        self, context: Sequence[int], options: Sequence[Sequence[int]], seen: bool = False
    ) -> None:
        """Raise `Refused` where the options cannot be weighed behind the prompt."""
        longest = check_options(options, self.engine.vocabulary)
        self._check(context, longest - 1, seen)

    def _reply(self, prompt: Prompt, row: Row | Failure) -> Prediction:
        if isinstance(row, Failure):
            return Prediction(sample_id=prompt.sample_id, failure=row)
        if row.end == "memory":
            return Prediction(sample_id=prompt.sample_id, failure=_no_memory(len(row.prompt)))
        (text,) = self.texts.written([row.written])
        if row.asked.choice:
            tokens = self.texts.choices(prompt, row.asked.choice)
            text = next(
                t for t, ids in zip(row.asked.choice, tokens, strict=True) if ids in row.choice
            )
        else:
            text = self.texts.thought(row.prompt) + cut_off(text, row.asked.stop)
        full = row.end == "length" and row.limit < row.asked.max_tokens
        return Prediction(
            sample_id=prompt.sample_id,
            text=text,
            finish_reason="context_length" if full else row.end,
            logprob=sum(row.told),
            tokens=len(row.written),
            detail=self._detail(row.written, row.told, row.top) if row.top else (),
            usage=Usage(prompt_tokens=len(row.prompt), completion_tokens=len(row.written)),
        )

    def _read(self, prompt: Prompt, reading: Reading | Failure) -> Prediction:
        if isinstance(reading, Failure):
            return Prediction(sample_id=prompt.sample_id, failure=reading)
        if not reading.done:
            return Prediction(sample_id=prompt.sample_id, failure=_no_memory(len(reading.ids)))
        top: list[Top] = [[], *reading.top] if reading.most else []
        return Prediction(
            sample_id=prompt.sample_id,
            logprob=sum(reading.told),
            tokens=len(reading.ids),
            detail=self._detail(reading.ids, [None, *reading.told], top),
            usage=Usage(prompt_tokens=len(reading.ids)),
        )

    def _detail(
        self, ids: Sequence[int], told: Sequence[float | None], tops: Sequence[Top]
    ) -> tuple[Token, ...]:
        known = {t: "" for top in tops for t, _ in top}
        for token in known:
            known[token] = self.texts.pieces([token])[0]
        return tuple(
            Token(
                text=piece,
                logprob=logprob,
                id=token,
                top=tuple((known[t], p) for t, p in tops[i]) if tops else (),
            )
            for i, (piece, token, logprob) in enumerate(
                zip(self.texts.pieces(ids), ids, told, strict=True)
            )
        )


def _texts(model: HuggingFaceModel, loaded: Loaded) -> Texts:
    renderer = loaded.processor
    has = bool(getattr(renderer or loaded.tokenizer, "chat_template", None))
    if renderer is not None and not has and getattr(loaded.tokenizer, "chat_template", None):
        renderer.chat_template, has = loaded.tokenizer.chat_template, True
    asked = model.apply_chat_template
    if asked is True and not has:
        raise UserError(
            f"{model.source['name']} has no chat template",
            hint="pass apply_chat_template=False, or the tokenizer that has one",
        )
    chat = has if asked == "auto" else bool(asked)
    texts = Texts(
        loaded.tokenizer, chat, model.system_message, model.chat_template_kwargs, renderer
    )
    texts.check()
    return texts


def _about(model: HuggingFaceModel, source: Source, engine: Engine, texts: Texts) -> dict[str, Any]:
    sampling = model.asked.sampling
    return {
        **identity.known(source, engine.model, texts),
        "max_length": engine.max_length,
        "max_tokens": model.asked.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": model.asked.seed,
        "stop": list(model.asked.stop),
        "shared_prefix": engine.shares,
    }


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
    return likeliest(prompt, options, len(question.context) + sum(map(len, question.options)))


def _failure(kind: str, message: str) -> Failure:
    return Failure(where="generate", kind=kind, message=message)


def _unseen(error: Exception) -> Failure:
    return _failure("bad_request", f"the model cannot read its images: {str(error)[:300]}")


def _no_memory(tokens: int) -> Failure:
    return _failure("memory", f"out of memory with this prompt alone ({tokens:,} tokens)")
