"""From prompts to what vLLM is asked, and from what it tells to predictions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from llm_eval.errors import BackendError
from llm_eval.models.conversation import turns
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
from llm_eval.models.hf.encoding import Ids, Texts, pictures
from llm_eval.models.vllm_engine import Job, Told
from llm_eval.models.vllm_likelihood import ONE_TOKEN, Request, Weighed, requests
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Token, Usage

SEEDS = 1 << 62


@dataclass(frozen=True)
class Reply:
    """A reply to be written: how, behind how many tokens (None: images are among them)."""

    asked: GenerationParams
    job: Job
    read: int | None


@dataclass(frozen=True)
class Work:
    """How prompts are put before a loaded model.

    `max_length`: tokens of a prompt and its reply together. `sampling`: what every reply is asked
    with besides `asked`. `vision`: the model reads images.
    """

    texts: Texts
    asked: GenerationParams
    sampling: Mapping[str, Any]
    max_length: int
    vocabulary: int
    vision: bool

    def replies(
        self, prompts: Sequence[Prompt], seeds: Sequence[int | None]
    ) -> list[Reply | Failure]:
        """What is asked for a reply to each prompt; `seeds` are what each is drawn by."""
        plain = iter(self.texts.prompts([p for p in prompts if not pictures(p)]))
        found: list[Reply | Failure] = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            ids = None if pictures(prompt) else next(plain)
            try:
                if isinstance(ids, Failure):
                    found.append(ids)
                else:
                    found.append(self._reply(prompt, ids, seed))
            except Refused as e:
                found.append(e.failure)
            except BackendError as e:
                found.append(Failure.of(e, "generate"))
        return found

    def _reply(self, prompt: Prompt, ids: Ids | None, seed: int | None) -> Reply:
        held, rest = _held(prompt.params)
        asked = self.asked.over(rest)
        need = 1
        if asked.choice:
            if held:
                raise Refused("a choice and a response_format cannot both be asked for")
            held = {"choice": list(asked.choice)}
            need = check_choice(self.texts.choices(prompt, asked.choice), asked.max_tokens)
        params: dict[str, Any] = {**self.sampling, **drawn(asked), "seed": seed}
        if ends := self.texts.special(asked.stop):
            params["stop_token_ids"] = [*(params.get("stop_token_ids") or ()), *sorted(ends)]
        if held:
            params["structured_outputs"] = held
        if asked.choice:  # it may be written in other tokens than its own, one a byte at most
            params["max_tokens"] = max(len(c.encode()) for c in asked.choice) + 1
        if ids is None:
            return Reply(asked, self._seen(prompt, params), None)
        self._check(ids, need)
        params["max_tokens"] = min(params["max_tokens"], self.max_length - len(ids))
        return Reply(asked, Job(tokens=ids, params=params), len(ids))

    def _seen(self, prompt: Prompt, params: Mapping[str, Any]) -> Job:
        if not self.vision:
            raise Refused("this model reads no images")
        if not self.texts.chat:
            raise Refused("images need a chat template, and this model has none")
        from llm_eval.models.images import pixels

        def part(given: Mapping[str, Any], image: Any) -> Mapping[str, Any]:
            return given if image is None else {"type": "image_pil", "image_pil": pixels(image)}

        said = turns(prompt, self.texts.system_message)
        shown = iter(pictures(prompt))
        for message in said:
            if not isinstance(message.get("content"), str | None):
                message["content"] = [
                    part(p, next(shown) if "image" in str(p.get("type")) else None)
                    for p in message["content"]
                ]
        arguments = self.texts.template_arguments
        return Job(conversation=said, template_arguments=arguments, params=params)

    def told(self, prompt: Prompt, reply: Reply, output: Told) -> Prediction:
        """The reply that vLLM wrote."""
        if isinstance(output, Refused):
            return Prediction(sample_id=prompt.sample_id, failure=output.failure)
        read = len(output.prompt_token_ids or ())
        written = output.outputs[0]
        ids, end = list(written.token_ids), written.finish_reason
        if end not in ("stop", "length", "repetition"):
            return _failed(prompt, "server", f"vLLM ended the reply with {end!r}")
        room = self.max_length - read
        if end == "length" and len(ids) >= room and room < reply.asked.max_tokens:
            end = "context_length"
        if reply.asked.choice and written.text not in reply.asked.choice:
            return _failed(prompt, "malformed", "vLLM wrote none of the texts of the choice")
        text = written.text
        if not reply.asked.choice:
            text = self.texts.thought(output.prompt_token_ids or ()) + self._said(reply, written)
        return Prediction(
            sample_id=prompt.sample_id,
            text=text,
            finish_reason=end,
            logprob=written.cumulative_logprob,
            tokens=len(ids),
            detail=self._detail(ids, written.logprobs, reply.asked.logprobs),
            usage=Usage(prompt_tokens=read, completion_tokens=len(ids)),
        )

    def _said(self, reply: Reply, written: Any) -> str:
        """The reply's text; vLLM leaves special tokens out, which may be what bounds a thought."""
        if self.texts.tags.keys().isdisjoint(written.token_ids):
            return str(written.text)
        (text,) = self.texts.written([written.token_ids])
        return cut_off(text, reply.asked.stop)

    def weighings(self, prompts: Sequence[Prompt]) -> list[list[Request] | Failure]:
        """What is asked for the likelihoods of each prompt's options."""
        plain = iter(self.texts.options([p for p in prompts if not pictures(p)]))
        found: list[list[Request] | Failure] = []
        for prompt in prompts:
            told = None if pictures(prompt) else next(plain)
            try:
                if isinstance(told, Failure):
                    found.append(told)
                else:
                    found.append(self._weighing(told))
            except Refused as e:
                found.append(e.failure)
        return found

    def _weighing(self, told: tuple[Ids, list[Ids]] | None) -> list[Request]:
        if told is None:
            raise Refused("model 'vllm' weighs no options behind images")
        context, options = told
        self._check(context, check_options(options, self.vocabulary))
        return requests(context, options)

    def reading(self, prompts: Sequence[Prompt]) -> list[Job | Failure]:
        """What is asked for the log-probabilities of each prompt's tokens."""
        found: list[Job | Failure] = []
        for prompt, ids in zip(prompts, self._tokens(prompts), strict=True):
            try:
                if isinstance(ids, Failure):
                    found.append(ids)
                    continue
                self._check(ids, 1)
                most = self.asked.over(_held(prompt.params)[1]).logprobs or 0
                params = {**ONE_TOKEN, "prompt_logprobs": most}
                found.append(Job(tokens=ids, params=params))
            except Refused as e:
                found.append(e.failure)
        return found

    def read(self, prompt: Prompt, job: Job, output: Told) -> Prediction:
        """The prompt, token by token."""
        if isinstance(output, Refused):
            return Prediction(sample_id=prompt.sample_id, failure=output.failure)
        ids, rows = list(job.tokens), output.prompt_logprobs
        if rows is None or len(rows) != len(ids):
            return _failed(prompt, "malformed", "vLLM told no log-probabilities of the prompt")
        detail = self._detail(ids, rows, job.params["prompt_logprobs"])
        return Prediction(
            sample_id=prompt.sample_id,
            logprob=sum(t.logprob for t in detail if t.logprob is not None),
            tokens=len(ids),
            detail=detail,
            usage=Usage(prompt_tokens=len(ids)),
        )

    def _tokens(self, prompts: Sequence[Prompt]) -> list[Ids | Failure]:
        told = iter(self.texts.prompts([p for p in prompts if not pictures(p)]))
        no = Refused("the tokens of images have no likelihood").failure
        return [no if pictures(p) else next(told) for p in prompts]

    def _check(self, ids: Sequence[int], more: int) -> None:
        """Raise `Refused` where a prompt of these tokens, and `more`, cannot be asked."""
        check_prompt(ids, more, self.max_length)
        check_tokens(ids, self.vocabulary)

    def _detail(self, ids: Sequence[int], rows: Any, most: int | None) -> tuple[Token, ...]:
        if most is None or rows is None:
            return ()
        told = []
        for piece, token, row in zip(self.texts.pieces(ids), ids, rows, strict=True):
            likely = sorted((row or {}).items(), key=lambda item: -item[1].logprob)[:most]
            top = tuple((self.texts.pieces([t])[0], p.logprob) for t, p in likely)
            logprob = row[token].logprob if row else None
            told.append(Token(text=piece, logprob=logprob, id=token, top=top))
        return tuple(told)


def weighed(prompt: Prompt, asked: Sequence[Request], outputs: Sequence[Told]) -> Prediction:
    """The likelihoods of a prompt's options, from all that was asked for them."""
    found: dict[int, Weighed] = {}
    try:
        for request, output in zip(asked, outputs, strict=True):
            if isinstance(output, Refused):
                raise output
            found.update(request.weighed(output))
    except Refused as e:
        return Prediction(sample_id=prompt.sample_id, failure=e.failure)
    lengths = {i: len(r.shared) + 1 for r in asked for i in r.places}
    options = tuple(
        Continuation(logprob=found[i][0], tokens=lengths[i], chars=len(text), greedy=found[i][1])
        for i, text in enumerate(prompt.options)
    )
    return likeliest(prompt, options, len(asked[0].context) + sum(lengths.values()))


def seeds(prompts: Sequence[Prompt], seed: int | None) -> list[int]:
    """A seed for each reply, alike in every run where there is one: see `draws`."""
    keys = draws(prompts, seed)
    return [secrets.randbelow(SEEDS) if key is None else _seed(key) for key in keys]


def _seed(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % SEEDS


def drawn(asked: GenerationParams) -> dict[str, Any]:
    """SamplingParams' arguments for how a reply is to be written."""
    return {
        "temperature": asked.sampling.temperature,
        "top_p": asked.sampling.top_p,
        "top_k": asked.sampling.top_k,
        "max_tokens": asked.max_tokens,
        "stop": list(asked.stop),
        "logprobs": asked.logprobs,
    }


def _held(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what a reply is held to by a response_format, the other parameters)."""
    rest = dict(params)
    given = rest.pop("response_format", None) or {"type": "text"}
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind == "text":
        return {}, rest
    if kind == "json_object":
        return {"json_object": True}, rest
    held = given.get("json_schema") if kind == "json_schema" else None
    schema = held.get("schema") if isinstance(held, Mapping) else None
    if not isinstance(schema, Mapping):
        raise Refused(f"response_format={given!r} is none that vLLM can hold a reply to")
    return {"json": dict(schema)}, rest


def _failed(prompt: Prompt, kind: str, message: str) -> Prediction:
    failure = Failure(where="generate", kind=kind, message=message)
    return Prediction(sample_id=prompt.sample_id, failure=failure)
