"""What the worker thread does: from prompts to tokens, through the model, and to predictions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_eval.errors import UserError
from llm_eval.models.hf import identity
from llm_eval.models.hf.asking import GenerationParams, Refused, draws
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
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Token, Usage, comparable

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

    def likelihoods(self, prompts: Sequence[Prompt], stopped: Stopped) -> list[Prediction]:
        """A prediction for each prompt, with the likelihoods of its options."""
        asked: list[Question | Failure] = []
        plain = [p for p in prompts if not pictures(p)]
        told = iter(self.texts.options(plain))
        for prompt in prompts:
            if pictures(prompt):
                asked.append(self._weighed_by_sight(prompt, stopped))
            else:
                asked.append(self._question(prompt, next(told)))
        open_ones = [q for q in asked if isinstance(q, Question) and not q.found]
        score_options(self.engine, open_ones, self.reading, stopped)
        return [_weighed(p, q) for p, q in zip(prompts, asked, strict=True)]

    def replies(self, prompts: Sequence[Prompt], stopped: Stopped) -> list[Prediction]:
        """A reply to each prompt."""
        keys, found = self._keys(prompts), dict[int, Prediction]()
        plain = [i for i, p in enumerate(prompts) if not pictures(p)]
        rows: dict[int, Row | Failure] = {}
        for i, ids in zip(plain, self.texts.prompts([prompts[i] for i in plain]), strict=True):
            rows[i] = self._row(prompts[i], ids, keys[i])
        asked = [r for r in rows.values() if isinstance(r, Row)]
        joined = [r for r in asked if self.engine.shares and not self.engine.apart(r.most)]
        Writer(self.engine, self.writing, self.decoded, stopped).write(joined)
        alone = [r for r in asked if not self.engine.shares or self.engine.apart(r.most)]
        write_plainly(self.engine, alone, self.decoded, stopped)
        for i, prompt in enumerate(prompts):
            row = rows[i] if i in rows else self._written_by_sight(prompt, keys[i], stopped)
            found[i] = self._reply(prompt, row)
        return [found[i] for i in range(len(prompts))]

    def prompt_logprobs(self, prompts: Sequence[Prompt], stopped: Stopped) -> list[Prediction]:
        """A prediction for each prompt whose detail is the prompt, token by token."""
        told: list[Reading | Failure] = []
        for prompt, ids in zip(prompts, self._tokens(prompts), strict=True):
            refused = ids if isinstance(ids, Failure) else self._refused(ids, 0)
            try:
                most = self.asked.over(prompt.params).logprobs or 0
                told.append(refused or Reading(ids if isinstance(ids, list) else [], most))
            except Refused as e:
                told.append(e.failure)
        read_whole(self.engine, [r for r in told if isinstance(r, Reading)], self.reading, stopped)
        return [self._read(p, r) for p, r in zip(prompts, told, strict=True)]

    def decoded(self, written: Sequence[Sequence[int]]) -> list[str]:
        """Tokens as texts."""
        texts: list[str] = self.texts.tokenizer.batch_decode(
            list(written), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts

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
        except Refused as e:
            return e.failure
        need = max(map(len, choice), default=0)
        if refused := self._refused(ids, max(1, need), seen="inputs" in more):
            return refused
        if need > asked.max_tokens:
            return _failure(
                "bad_request",
                f"max_tokens={asked.max_tokens} cuts off a text of the choice ({need} tokens)",
            )
        room = asked.max_tokens
        if self.engine.max_length is not None:
            room = min(room, self.engine.max_length - len(ids))
        ends = self.texts.special(asked.stop)
        return Row(prompt=ids, limit=room, asked=asked, key=key, choice=choice, ends=ends, **more)

    def _choice(self, prompt: Prompt, asked: GenerationParams) -> list[list[int]]:
        tokens = self.texts.choices(prompt, asked.choice)
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
        context, options = told
        if empty := _nothing(options):
            return empty
        longest = max(map(len, options))
        return self._refused(context, longest - 1) or Question(context, options)

    def _weighed_by_sight(self, prompt: Prompt, stopped: Stopped) -> Question | Failure:
        if self.vision is None:
            return _failure("bad_request", self.blind)
        if empty := _nothing(prompt.options):
            return empty
        try:
            refused = partial(self._refused, seen=True)
            question = self.vision.score_options(self.engine, prompt, refused, stopped)
        except Refused as e:
            return e.failure
        except UNREADABLE as e:
            return _unseen(e)
        if isinstance(question, Question) and not question.found:
            return _no_memory(question.longest)
        return question

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
                write_plainly(self.engine, [row], self.decoded, stopped)
            except UNREADABLE as e:
                return _unseen(e)
            row.inputs = None
        return row

    def _refused(self, ids: Sequence[int], more: int, seen: bool = False) -> Failure | None:
        """Why a prompt of these tokens, and `more` to be read or written, cannot be asked.

        `seen`: some of them stand for images.
        """
        if not ids:
            return _failure("bad_request", "the prompt is empty, and no token begins a text")
        known = self.engine.vocabulary
        if not 0 <= min(ids) <= max(ids) < known and not (seen and self.engine.reads(ids)):
            return _failure(
                "bad_request", f"a token of the prompt is none of the model's {known:,}"
            )
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
        (text,) = self.decoded([row.written])
        if row.asked.choice:
            tokens = self.texts.choices(prompt, row.asked.choice)
            text = next(
                t for t, ids in zip(row.asked.choice, tokens, strict=True) if ids in row.choice
            )
        else:
            starts = [text.find(s) for s in row.asked.stop if s in text]
            text = self.texts.thought(row.prompt) + (text[: min(starts)] if starts else text)
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


def _nothing(options: Sequence[Any]) -> Failure | None:
    """What keeps options from being weighed: there are none, or one is empty."""
    empty = [i for i, option in enumerate(options, start=1) if not option]
    if options and not empty:
        return None
    what = f"option {empty[0]} is empty" if empty else "it has no options"
    return _failure("bad_request", f"nothing to weigh: {what}")


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
    if not comparable(options):
        said = f"the model's log-probabilities of the options are {[o.logprob for o in options]}"
        return Prediction(sample_id=prompt.sample_id, failure=_failure("malformed", said))
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


def _unseen(error: Exception) -> Failure:
    return _failure("bad_request", f"the model cannot read its images: {str(error)[:300]}")


def _no_memory(tokens: int) -> Failure:
    return _failure("memory", f"out of memory with this prompt alone ({tokens:,} tokens)")
