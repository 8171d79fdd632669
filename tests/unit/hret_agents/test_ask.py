"""One question to a model: paid once, kept before it is used, and never over the budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hret_agents.ask import (
    LONGEST,
    Asker,
    kept_at,
    may_ask,
    model_name,
    models_asked,
    module_model,
)
from hret_agents.job import PortJob
from hret_agents.translators import Choice
from llm_eval.errors import AuthError, BackendError, Unknown, UserError
from llm_eval.records import Usage
from llm_eval.settings import home
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_protocol import Refused

KEY = "sk-NOBODY-MAY-READ-ME"
QUESTION = [{"role": "user", "content": "무엇입니까? \ud800 {x}"}]


def asker(chat: ChatServer, model: str = "gpt-4o-mini", **options: Any) -> Asker:
    return Asker(model, api_base=chat.url, api_key=KEY, **options)


def bodies(chat: ChatServer) -> list[dict[str, Any]]:
    return [record.body for record in chat.requests if record.path.endswith("completions")]


def refuses(chat: ChatServer, *parameters: str, said: str = "is not supported") -> None:
    """The server refuses requests that hold one of these parameters."""

    def answer(messages: Any) -> str:
        for name in parameters:
            if name in bodies(chat)[-1]:
                raise Refused(400, f"'{name}' {said}", param=name)
        return "네"

    chat.answer = answer


def test_a_question_is_paid_once(chat: ChatServer) -> None:
    """The second time, in a new process as well, the reply is the kept one and nothing is spent."""
    chat.answer = lambda messages: "답\u2028입니다."
    first, second = asker(chat), asker(chat)
    assert first.ask(QUESTION) == second.ask(QUESTION) == "답\u2028입니다."
    assert chat.count() == 1
    assert first.usage.requests == 1 and first.cost is not None and first.cost > 0
    assert (second.usage, second.cost) == (Usage(), 0.0)
    (body,) = bodies(chat)
    assert body == {"model": "gpt-4o-mini", "temperature": 0, "messages": body["messages"]}


def test_another_question_is_another(chat: ChatServer) -> None:
    """Model and messages tell questions apart."""
    chat.answer = lambda messages: str(len(messages))
    assert asker(chat).ask(QUESTION) == "1"
    assert asker(chat).ask([*QUESTION, *QUESTION]) == "2"
    assert asker(chat, "gpt-4o").ask(QUESTION) == "1"
    assert chat.count() == 3
    assert len(list((home() / "asked").iterdir())) == 3


def test_a_reply_that_cannot_be_kept_is_used(
    chat: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is paid for. That it will be asked for again is said."""
    home().mkdir(exist_ok=True)
    (home() / "asked").write_text("no folder")
    chat.answer = lambda messages: "답"
    assert asker(chat).ask(QUESTION) == "답"
    assert "cannot be written" in caplog.text and KEY not in caplog.text


def test_no_key_is_kept(chat: ChatServer) -> None:
    """What is kept is the reply, and the key is in no file."""
    asker(chat).ask(QUESTION)
    assert not [p for p in home().rglob("*") if p.is_file() and KEY in p.read_text("utf-8")]
    assert asker(chat).scrub(f"it says {KEY}!") == "it says ***!"


def test_a_torn_file_is_asked_for_again(chat: ChatServer) -> None:
    """What cannot be read is no reply."""
    asker(chat).ask(QUESTION)
    path = kept_at("gpt-4o-mini", QUESTION)
    for text in ("{", "[]", '{"text": "x"}', ""):
        path.write_text(text)
        asker(chat).ask(QUESTION)
    assert chat.count() == 5
    assert json.loads(path.read_text())["text"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.refusal, "refusal"), (Fault.content_filter, "content_filter"),
     (Fault.truncated, "length")],
)  # fmt: skip
def test_what_a_model_will_not_say_is_kept_too(chat: ChatServer, fault: Fault, kind: str) -> None:
    """Asking again would be paid again and bring the same."""
    chat.script(fault)
    for _ in range(2):
        with pytest.raises(BackendError) as caught:
            asker(chat).ask(QUESTION)
        assert caught.value.kind == kind
    assert chat.count() == 1


def test_trouble_on_the_way_is_tried_again(chat: ChatServer) -> None:
    """A busy server is waited for; one that stays broken is a sentence, and nothing is kept."""
    chat.script(Fault.rate_limit, Fault.server_error, None)
    assert asker(chat).ask(QUESTION)
    assert chat.count() == 3
    chat.script(Fault.server_error, Fault.server_error)
    with pytest.raises(UserError, match="nothing is paid twice"):
        asker(chat, max_retries=1).ask([*QUESTION, *QUESTION])
    assert len(list((home() / "asked").iterdir())) == 1


def test_a_refused_key_and_a_dead_server() -> None:
    """Both are told before anything is asked, and when it is."""
    with ChatServer(key="sk-other") as chat:
        for ask in (lambda: asker(chat).check(), lambda: asker(chat).ask(QUESTION)):
            with pytest.raises(AuthError) as caught:
                ask()
            assert KEY not in str(caught.value)
    dead = asker(chat, max_retries=0)
    for ask in (dead.check, lambda: dead.ask(QUESTION)):
        with pytest.raises(UserError):
            ask()


def test_a_request_that_is_refused_is_not_kept(chat: ChatServer) -> None:
    """A request that was too long cost nothing."""

    def answer(messages: Any) -> str:
        raise Refused(400, "This model's maximum context length is 10 tokens.")

    chat.answer = answer
    with pytest.raises(BackendError) as caught:
        asker(chat).ask(QUESTION)
    assert caught.value.kind == "length"
    assert not (home() / "asked").exists()


@pytest.mark.parametrize("refused", [("temperature",), ("temperature", "max_tokens")])
def test_parameters_that_a_server_refuses(chat: ChatServer, refused: tuple[str, ...]) -> None:
    """They are left out, or called otherwise."""
    refuses(chat, *refused)
    assert asker(chat, max_cost=1.0).ask(QUESTION) == "네"
    last = bodies(chat)[-1]
    assert not set(refused) & set(last)
    assert last.get("max_tokens" if len(refused) == 1 else "max_completion_tokens") == LONGEST


def test_a_lower_limit(chat: ChatServer) -> None:
    """A server's own limit on replies is taken."""

    def answer(messages: Any) -> str:
        if bodies(chat)[-1]["max_tokens"] > 4096:
            raise Refused(400, "max_tokens is too large: at most 4096", param="max_tokens")
        return "네"

    chat.answer = answer
    assert asker(chat, max_cost=1.0).ask(QUESTION) == "네"
    assert [body["max_tokens"] for body in bodies(chat)] == [LONGEST, 4096]


def test_no_limit_means_no_budget(chat: ChatServer) -> None:
    """A server that takes no limit cannot be held to a budget."""
    refuses(chat, "max_tokens", "max_completion_tokens")
    with pytest.raises(UserError, match="leave --max-cost out"):
        asker(chat, max_cost=1.0).ask(QUESTION)


def test_the_budget_holds(chat: ChatServer) -> None:
    """What the run has spent counts; nothing is asked that might exceed it, and it is said."""
    worst = LONGEST * 0.6 / 1e6
    with pytest.raises(UserError, match=r"0\.9980 USD are spent.*--max-cost 1") as caught:
        asker(chat, max_cost=1.0, spent=1.0 - worst + 0.0028).ask(QUESTION)
    assert "nothing is paid twice" in caught.value.hint
    assert chat.count() == 0
    assert asker(chat, max_cost=1.0, spent=0.9).ask(QUESTION)
    with pytest.raises(UserError, match="price"):
        asker(chat, "no-such-model", max_cost=1.0)


def test_a_reply_that_the_budget_cut_is_asked_for_again_without_one(chat: ChatServer) -> None:
    """With a budget it stays cut, and costs nothing more."""
    chat.script(Fault.truncated)
    for _ in range(2):
        with pytest.raises(BackendError, match="cut"):
            asker(chat, max_cost=1.0).ask(QUESTION)
    assert chat.count() == 1
    assert asker(chat).ask(QUESTION) == asker(chat, max_cost=1.0).ask(QUESTION)
    assert chat.count() == 2


def test_thoughts_that_the_budget_cut_are_asked_for_again_without_one(chat: ChatServer) -> None:
    """As a reply that it cut: the model may have been near its answer."""
    cut = {"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}
    chat.bends.append(lambda asked, reply: reply | cut if "max_tokens" in asked else reply)
    for _ in range(2):
        with pytest.raises(BackendError, match="still thinking"):
            asker(chat, max_cost=1.0).ask(QUESTION)
    assert chat.count() == 1
    assert asker(chat).ask(QUESTION) == asker(chat, max_cost=1.0).ask(QUESTION)
    assert chat.count() == 2


@pytest.mark.parametrize(
    "name", ["gpt-4o", "openai:gpt-4o", "llama3:8b", "org/model", "vllm:x", "litellm:anthropic/x"]
)
def test_names_of_models(name: str) -> None:
    """As for the translator."""
    assert model_name(name) == name.removeprefix("openai:")


@pytest.mark.parametrize(
    "name", ["memory", "memory:x", "oracle", "vllm", "vllm:", "openai", "openai:", ""]
)
def test_what_is_no_model(name: str) -> None:
    """A baseline, the memory, or a backend without a model cannot be asked."""
    with pytest.raises(Unknown, match="no model to ask"):
        model_name(name)
    with pytest.raises(Unknown):
        models_asked(PortJob(dataset="sample", plan_model=name))


def test_who_writes_the_module() -> None:
    """The module model; for a guide prompt else the translator; else nobody."""
    by_model, memory = Choice("openai", "gpt-4o"), Choice("memory", "")
    asked: Callable[..., PortJob] = lambda **options: PortJob(dataset="sample", **options)  # noqa: E731
    assert module_model(asked(), by_model) is None
    assert module_model(asked(guide_prompt="x"), by_model) == "gpt-4o"
    assert module_model(asked(guide_prompt="x"), memory) is None
    assert module_model(asked(module_model="openai:a"), memory) == "a"


def test_a_job_is_checked_before_it_begins(chat: ChatServer, tmp_path: Path) -> None:
    """A price that is unknown and a number of tries that is none are told at once."""
    job = PortJob(dataset="sample", module_model="gpt-4o", api_base=chat.url)
    may_ask(job)
    assert chat.count() == 0
    for wrong in ({"max_cost": 1.0, "module_model": "unknown"}, {"module_repairs": -1}):
        with pytest.raises(UserError):
            may_ask(PortJob(**{**vars(job), **wrong}))
