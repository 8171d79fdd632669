"""A backend asked as an endpoint: requests read or refused, put into batches, answered in shape."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from llm_eval.errors import BackendError, UserError
from llm_eval.models import as_backend
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.models.function import FunctionModel
from llm_eval.models.openai import reply_text
from llm_eval.models.served import Served
from llm_eval.models.served_asks import CHAT, COMPLETIONS
from llm_eval.models.served_replies import error_body
from llm_eval.records import Prediction, Prompt, Usage
from tests.fakes.backend import FakeBackend

HI = [{"role": "user", "content": "hi"}]


def posted(path: str, payload: Mapping[str, Any], model: BaseModel | None = None) -> Any:
    """The body of the reply to one request."""
    return asyncio.run(Served(model or FakeBackend()).post(path, payload))


def refusal(path: str, payload: Mapping[str, Any], model: BaseModel | None = None) -> BackendError:
    """The error that a request ends with."""
    with pytest.raises(BackendError) as caught:
        posted(path, payload, model)
    return caught.value


def sent(payload: Mapping[str, Any], path: str = CHAT) -> Prompt:
    """The prompt that the backend gets of a request."""
    model = FakeBackend(structured=True)
    posted(path, payload, model)
    return model.calls[0][0]


# -- requests --------------------------------------------------------------------------------------


def test_parameters_travel_with_the_prompt() -> None:
    """All that a prompt can ask; what says nothing is left out."""
    said = {"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 7, "stop": "end", "logprobs": True}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    prompt = sent({"messages": HI, "max_completion_tokens": 9, "response_format": schema, **said})
    assert prompt.params == {
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 7,
        "stop": ["end"],
        "response_format": schema,
        "logprobs": 0,
    }
    assert (prompt.messages, prompt.text) == (tuple(HI), "hi")
    plain: dict[str, Any] = {
        "response_format": {"type": "text"},
        "stop": [],
        "temperature": None,
        "tools": [],
    }
    assert sent({"messages": HI, "user": "u", "presence_penalty": 0, **plain}).params == {}


def test_messages_are_kept_and_shown_as_a_text() -> None:
    """Parts of text are one text; a developer is a system; the text is for those without turns."""
    parts = [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]
    messages = [
        {"role": "developer", "content": parts},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "2+2?"},
    ]
    prompt = sent({"messages": messages})
    assert prompt.messages[0] == {"role": "system", "content": "Be kind."}
    assert (
        prompt.text
        == "System: Be kind.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: 2+2?\n\nAssistant:"
    )


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("min_p", {"min_p": 0.1}),
        ("repetition_penalty", {"repetition_penalty": 1.1}),
        ("top_k", {"top_k": -2}),
        ("presence_penalty", {"presence_penalty": 0.5}),
        ("tools", {"tools": [{"type": "function"}]}),
        ("echo", {"echo": True}),
        ("temperature", {"temperature": -1}),
        ("temperature", {"temperature": "0"}),
        ("top_p", {"top_p": 2}),
        ("seed", {"seed": True}),
        ("n", {"n": 0}),
        ("n", {"n": 1000}),
        ("max_tokens", {"max_tokens": 0}),
        ("stop", {"stop": [1]}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("logprobs", {"logprobs": 3}),
        ("response_format", {"response_format": {"type": "xml"}}),
        ("response_format", {"response_format": {"type": "json_schema"}}),
        ("messages", {"messages": []}),
        ("messages", {"messages": ["hi"]}),
        ("messages", {"messages": [{"role": "user", "content": None}]}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(param: str, more: Mapping[str, Any]) -> None:
    """Before the backend is asked: 400, with the parameter."""
    model = FakeBackend()
    error = refusal(CHAT, {"messages": HI, **more}, model)
    assert (error.kind, error.param, model.calls) == ("bad_request", param, [])
    status, body = error_body(error)
    assert (status, body["error"]["param"]) == (400, param)


def test_what_changes_nothing_is_taken() -> None:
    """Clients that send each parameter, with the value that leaves it out."""
    neutral = {"repetition_penalty": 1.0, "min_p": 0.0, "presence_penalty": 0, "top_k": -1}
    assert sent({"messages": HI, **neutral}).params == {"top_k": -1}
    (choice,) = posted(COMPLETIONS, {"prompt": "a", **neutral, "logprobs": False})["choices"]
    assert (choice["text"], choice["logprobs"]) == ("A", None)
    assert refusal(COMPLETIONS, {"prompt": "a", "logprobs": True}).param == "logprobs"


@pytest.mark.parametrize("prompt", [None, 5, [], [[]], ["a", 1], [[1], "a"], [-1], [[True]]])
def test_prompts_that_are_none(prompt: Any) -> None:
    """A text, texts, token ids, or lists of those."""
    assert refusal(COMPLETIONS, {"prompt": prompt}).param == "prompt"


def test_so_many_replies_of_one_request_and_no_more() -> None:
    """Refused before any prompt is made."""
    model = FakeBackend()
    error = refusal(COMPLETIONS, {"prompt": ["x"] * 33, "n": 128}, model)
    assert (error.status, error.param, model.calls) == (400, "n", [])
    assert len(posted(COMPLETIONS, {"prompt": ["x"] * 32, "n": 128})["choices"]) == 4096


def test_what_the_backend_refuses_names_the_parameter() -> None:
    """So that whoever asks can leave it out."""
    error = refusal(CHAT, {"messages": HI, "response_format": {"type": "json_object"}})
    assert (error.kind, error.param) == ("bad_request", "response_format")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("length", 400, "context_length_exceeded"),
        ("content_filter", 400, "content_filter"),
        ("rate_limit", 429, None),
        ("timeout", 504, None),
        ("connection", 502, None),
        ("server", 500, None),
        ("memory", 500, "out_of_memory"),
    ],
)
def test_failures_have_their_kind_and_status(kind: str, status: int, code: str | None) -> None:
    """In this process by kind, over HTTP by status and code."""
    error = refusal(CHAT, {"messages": HI}, FakeBackend(refusing=kind))
    assert (error.kind, error.message) == (kind, "it does not work")
    found, body = error_body(error)
    assert (found, body["error"]["code"]) == (status, code)


# -- replies ---------------------------------------------------------------------------------------


def test_a_chat_reply() -> None:
    """In OpenAI's shape, with the log-probabilities of its tokens where they are asked for."""
    body = posted(CHAT, {"messages": HI, "logprobs": True, "top_logprobs": 1, "n": 2})
    assert [c["index"] for c in body["choices"]] == [0, 1]
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "네.", "refusal": None}
    first = {"token": "네", "logprob": -0.5, "bytes": [235, 132, 164]}
    assert choice["logprobs"]["content"][0] == {**first, "top_logprobs": [first]}
    assert reply_text(body) == ("네.", "stop")
    assert Usage.of(body) == Usage(1, 1, 4)
    assert posted(CHAT, {"messages": HI})["choices"][0]["logprobs"] is None


def test_a_full_context_is_a_length_and_thoughts_are_kept_apart() -> None:
    """finish_reason in OpenAI's words."""

    class Thinking(BaseModel):
        async def generate(self, prompts: Any) -> list[Prediction]:
            said: Any = {"text": "a", "finish_reason": "context_length", "reasoning": "hm"}
            return [Prediction(sample_id=p.sample_id, **said) for p in prompts]

    (choice,) = posted(CHAT, {"messages": HI}, Thinking())["choices"]
    assert (choice["finish_reason"], choice["message"]["reasoning_content"]) == ("length", "hm")


def test_completions_of_several_prompts() -> None:
    """`n` of each, in order; a seed is another one each time, and the same the next time."""
    model = FakeBackend()
    payload = {"prompt": ["a", "b"], "n": 2, "seed": 5, "temperature": 1}
    body = posted(COMPLETIONS, payload, model)
    assert [c["text"] for c in body["choices"]] == ["A", "A", "B", "B"]
    (call,) = model.calls
    assert [p.params["seed"] for p in call] == [5, 6, 5, 6]
    assert len({p.sample_id for p in call}) == 4
    again = FakeBackend()
    posted(COMPLETIONS, payload, again)
    assert [p.sample_id for p in again.calls[0]] == [p.sample_id for p in call]
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_echo_with_logprobs_tells_the_prompt() -> None:
    """As lm-evaluation-harness reads it: the first token has none, the written one comes last."""
    payload = {"prompt": "a bb c", "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
    (choice,) = posted(COMPLETIONS, payload)["choices"]
    columns = choice["logprobs"]
    assert choice["text"] == "a bb cA BB C"
    assert columns["tokens"][:4] == ["a", "bb", "c", "A"]
    assert columns["token_logprobs"][:4] == [None, -1.0, -2.0, -0.5]
    assert columns["top_logprobs"][:3] == [None, {"x": -0.25, "bb": -1.0}, {"x": -0.25, "c": -2.0}]
    assert columns["text_offset"][:4] == [0, 1, 3, 4]


def test_token_ids_with_nothing_to_write() -> None:
    """max_tokens 0 reads the prompt alone, and generates nothing."""
    model = FakeBackend()
    payload = {"prompt": [[5, 6], [7]], "echo": True, "logprobs": 0, "max_tokens": 0}
    body = posted(COMPLETIONS, payload, model)
    assert [c["text"] for c in body["choices"]] == ["56", "7"]
    assert [c["logprobs"]["token_logprobs"] for c in body["choices"]] == [[None, -1.0], [None]]
    assert [p.token_ids for call in model.calls for p in call] == [(5, 6), (7,)]
    assert body["usage"]["completion_tokens"] == 0


@pytest.mark.parametrize(
    ("text", "end", "kind"),
    [
        ("아니요.", "refusal", "refusal"),
        ("", "content_filter", "content_filter"),
        ("", "length", "length"),
    ],
)
def test_a_reply_without_an_answer_is_one_for_whoever_needs_it(
    text: str, end: str, kind: str
) -> None:
    """As from OpenAI: a refusal's words stand apart, and a translator takes none of them."""

    class Refusing(FakeBackend):
        async def generate(self, prompts: Any) -> list[Prediction]:
            return [
                Prediction(sample_id=p.sample_id, text=text, finish_reason=end) for p in prompts
            ]

    body = posted(CHAT, {"messages": HI, "logprobs": True}, Refusing())
    (choice,) = body["choices"]
    words = (None, text) if end == "refusal" else (text, None)
    assert (choice["message"]["content"], choice["message"]["refusal"]) == words
    assert choice["finish_reason"] == ("stop" if end == "refusal" else end)
    with pytest.raises(BackendError) as caught:
        reply_text(body)
    assert caught.value.kind == kind


def test_a_backend_that_tells_no_tokens_is_not_made_up_for() -> None:
    """Both are refused where a backend has none to tell."""
    model = FunctionModel(lambda text: "yes")
    assert refusal(COMPLETIONS, {"prompt": "a", "logprobs": 1}, model).param == "logprobs"
    echo = {"prompt": "a", "logprobs": 1, "echo": True}
    assert refusal(COMPLETIONS, echo, model).param == "echo"
    (choice,) = posted(COMPLETIONS, {"prompt": "a", "echo": True}, model)["choices"]
    assert choice["text"] == "ayes"


# -- batches ---------------------------------------------------------------------------------------


def test_who_comes_while_it_works_is_in_the_next_call() -> None:
    """No call is larger than the backend takes; those that come together go together."""

    async def work() -> tuple[list[int], Usage]:
        served = Served(model := FakeBackend())
        bodies = await asyncio.gather(
            *(served.post(COMPLETIONS, {"prompt": f"p{i}"}) for i in range(20))
        )
        assert [b["choices"][0]["text"] for b in bodies] == [f"P{i}" for i in range(20)]
        return [len(call) for call in model.calls], served.usage

    assert asyncio.run(work()) == ([8, 8, 4], Usage(20, 20, 50))


def test_a_backend_of_one_a_call_is_asked_at_once() -> None:
    """Nobody waits for another one."""
    waiting = 0

    class Remote(BaseModel):
        can = Capabilities(chat=True)

        async def generate(self, prompts: Any) -> list[Prediction]:
            nonlocal waiting
            waiting += 1
            while waiting < 5:
                await asyncio.sleep(0)
            return [Prediction(sample_id=p.sample_id, text="a") for p in prompts]

    async def work() -> None:
        served = Served(Remote())
        posts = (served.post(CHAT, {"messages": HI}) for _ in range(5))
        await asyncio.wait_for(asyncio.gather(*posts), 10)
        assert not served.in_process

    asyncio.run(work())


def test_who_is_gone_is_not_asked_and_a_call_without_anyone_ends() -> None:
    """One who leaves the queue; one of a call, whose fellows are answered; all of a call."""

    async def work() -> None:
        served = Served(model := FakeBackend())
        model.gate.clear()
        first = [asyncio.create_task(served.post(COMPLETIONS, {"prompt": p})) for p in "abcdefgh"]
        while not model.calls:
            await asyncio.sleep(0)
        assert served.answering == set(first)
        queued, stays = (asyncio.create_task(served.post(COMPLETIONS, {"prompt": p})) for p in "xy")
        await asyncio.sleep(0)
        queued.cancel()
        first[0].cancel()
        await asyncio.wait([queued, first[0]])
        model.gate.set()
        assert [b["choices"][0]["text"] for b in await asyncio.gather(*first[1:])] == list(
            "BCDEFGH"
        )
        assert (await stays)["choices"][0]["text"] == "Y"
        assert [[p.text for p in call] for call in model.calls] == [list("abcdefgh"), ["y"]]
        model.gate.clear()
        lone = asyncio.create_task(served.post(COMPLETIONS, {"prompt": "z"}))
        while len(model.calls) < 3:
            await asyncio.sleep(0)
        lone.cancel()
        await asyncio.wait([lone])
        model.gate.set()
        assert (await served.post(COMPLETIONS, {"prompt": "w"}))["choices"][0]["text"] == "W"
        assert served.answering == set()

    asyncio.run(asyncio.wait_for(work(), 20))


def test_an_error_over_a_call_costs_the_request_that_it_is_about() -> None:
    """It is divided, a bug too. One that trying again may mend, or nothing can, is every one's."""
    errors: dict[str, Exception] = {
        "bad_request": BackendError("no", kind="bad_request"),
        "server": BackendError("no", kind="server"),
        "bug": ZeroDivisionError(),
        "user": UserError("no model"),
    }

    class Picky(FakeBackend):
        async def generate(self, prompts: Any) -> list[Prediction]:
            found = await super().generate(prompts)
            for prompt in prompts:
                if prompt.text in errors:
                    raise errors[prompt.text]
            return found if all(p.text != "lost" for p in prompts) else found[1:]

    async def work(prompts: list[str]) -> tuple[list[Any], int]:
        served = Served(model := Picky())
        posts = (served.post(COMPLETIONS, {"prompt": p}) for p in prompts)
        bodies = await asyncio.gather(*posts, return_exceptions=True)
        found = [b if isinstance(b, BaseException) else b["choices"][0]["text"] for b in bodies]
        return found, len(model.calls)

    for text in ("bad_request", "bug", "lost"):
        (a, error, *others), calls = asyncio.run(work(["a", text, "c", "d"]))
        assert ([a, *others], calls) == (["A", "C", "D"], 5)
        assert isinstance(error, ZeroDivisionError if text == "bug" else BackendError)
    assert error.kind == "malformed" and "0 predictions for 1 prompts" in error.message
    for text in ("server", "user"):
        found, calls = asyncio.run(work(["a", text, "c"]))
        assert (found, calls) == ([errors[text]] * 3, 1)


class Shouting:
    """A class of haerae-evaluation-toolkit's kind."""

    is_vision_model = True

    def generate_batch(
        self, inputs: list[dict[str, Any]], until: Any = None, max_tokens: int = 9
    ) -> list[dict[str, Any]]:
        return [{**i, "prediction": f"{i['input']}!{i.get('images')}"} for i in inputs]


def test_a_class_that_knows_no_turns_is_shown_a_text() -> None:
    """With the pictures of a conversation beside it; its reply ends where it was to stop."""
    parts = [{"type": "text", "text": "Hi."}, {"type": "image_url", "image_url": {"url": "u"}}]
    for content, said in (("Hi.", "Hi.!None"), (parts, "Hi.!['u']")):
        messages = [{"role": "system", "content": "Be."}, {"role": "user", "content": content}]
        asked = {"messages": messages, "max_tokens": 5}
        (choice,) = posted(CHAT, asked, as_backend(Shouting()))["choices"]
        assert choice["message"]["content"] == f"Be.\n\n{said}"
    (choice,) = posted(COMPLETIONS, {"prompt": "a", "stop": "!"}, as_backend(Shouting()))["choices"]
    assert choice["text"] == "a"


def test_users_beside_each_other() -> None:
    """One backend, a usage each; only its owner closes it, and knows who is left."""

    async def work() -> None:
        served = Served(model := FakeBackend())
        one, other = served.beside(), served.beside(concurrency=3)
        await asyncio.gather(*(s.post(COMPLETIONS, {"prompt": "a"}) for s in (one, other)))
        assert len(model.calls) == 1
        assert (one.usage, other.usage, served.usage) == (Usage(1, 1, 1), Usage(1, 1, 1), Usage())
        assert (one.limiter.limit, other.limiter.limit) == (8, 3)
        assert served.users == 2
        await one.close()
        await one.close()
        assert (served.users, model.closed) == (1, 0)
        await other.close()
        await served.close()
        assert (served.users, model.closed) == (0, 1)

    asyncio.run(work())
