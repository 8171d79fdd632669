"""Servers that never end, break off or say what no model says: one sentence each, and in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_eval.errors import AuthError, BackendError, UserError
from llm_eval.models import transport
from llm_eval.models.openai import OpenAIModel
from llm_eval.secret import Secret
from tests.conftest import Cli
from tests.fakes.chat import ChatServer
from tests.fakes.chat_rules import context
from tests.fakes.sick import breath, endless, sick, stream
from tests.unit.llm_eval.openai.asking import asked, one
from tests.unit.llm_eval.servers import GOOD, Answer, RawServer, check, post, raw_server, said

WORD = b"lorem ipsum " * 6000
WHOLE = json.dumps(GOOD).encode()


@pytest.fixture
def raw() -> Iterator[RawServer]:
    """A raw server that runs."""
    with raw_server() as server:
        yield server


# --- garbage -----------------------------------------------------------------------------------


def test_endless_garbage_ends_at_once() -> None:
    """What does not even begin as JSON is let go of soon, and not asked for again."""
    with sick(endless(WORD, WORD)) as server:
        with pytest.raises(BackendError, match="that are no JSON") as caught:
            post(server.url, within=30)
        assert (caught.value.kind, server.asked) == ("malformed", 1)


@pytest.mark.parametrize("begin", [b'{"choices": [', b"<html>"])
def test_a_reply_without_end_is_bounded(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins well and never ends takes so much memory and no more."""
    monkeypatch.setattr(transport, "MOST", 2 * 2**20)
    with sick(endless(begin, b" " * 65536)) as server:
        with pytest.raises(BackendError, match="over 2 MiB"):
            post(server.url, within=30)
        assert server.asked == 1


def test_garbage_is_its_samples_failure() -> None:
    """The others are answered."""
    with sick(endless(WORD, WORD), stream(WHOLE)) as server:
        model = OpenAIModel("m", api_base=server.url, concurrency=1)
        found = asked(model, one(), one(sample="t"))
    assert [p.failure and p.failure.kind for p in found] == ["malformed", None]


def test_a_stream_that_nobody_asked_for_is_named() -> None:
    """Server-sent events in place of a reply."""
    event = b'data: {"choices": [{"delta": {"content": "4"}}]}\n\n'
    events = stream(event, kind=b"text/event-stream; charset=utf-8")
    with sick(events) as server, pytest.raises(BackendError, match="event-stream") as caught:
        post(server.url)
    assert caught.value.kind == "malformed"


def test_a_reply_in_pieces_is_a_reply() -> None:
    """Chunks, and white space to keep the line open, are nothing odd."""
    with sick(stream(b" \n" * 40000, WHOLE[:7], WHOLE[7:])) as server:
        assert said(post(server.url)) == "4"


PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>x</body></html>"


def test_a_web_page_is_told_by_its_title(raw: RawServer) -> None:
    """Not the page, but what it is, and where an address mostly ends."""
    raw.answers = [Answer(200, PAGE)]
    with pytest.raises(BackendError, match=r"a web page; an api_base mostly ends in /v1"):
        post(raw.url, max_retries=0)
    raw.answers = [Answer(502, PAGE)]
    with pytest.raises(BackendError, match=r"502: a web page, '502 Bad Gateway'$") as caught:
        post(raw.url, max_retries=0)
    assert caught.value.kind == "server"


# --- silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [b"", b'{"choices": [{"mess'])
def test_a_server_that_stops_answering_costs_a_timeout(begin: bytes) -> None:
    """Mid-reply or before it: the request ends, is asked again, and the run goes on."""
    with sick(breath(begin) if begin else iter([]), stream(WHOLE)) as server:
        assert said(post(server.url, timeout=0.4, max_retries=1, within=30)) == "4"
        assert server.asked == 2


def test_silence_for_ever_is_a_failure_with_a_sentence() -> None:
    """After the last attempt."""
    said = r"did not answer within 0\.2 s"
    with sick() as server, pytest.raises(BackendError, match=said) as caught:
        post(server.url, timeout=0.2, max_retries=1, within=30)
    assert (caught.value.kind, caught.value.sent) == ("timeout", True)


# --- what servers call it ----------------------------------------------------------------------

LONG = {
    "OpenAI": '{"error": {"message": "Your input is 9 of 5", "code": "context_length_exceeded"}}',
    "vLLM": '{"error": {"message": "This model\'s maximum context length is 5 tokens. However, you '
    'requested 9 tokens in the messages", "type": "BadRequestError", "code": 400}}',
    "vLLM before": '{"object": "error", "message": "This model\'s maximum context length is 5 '
    'tokens. However, you requested 9", "type": "BadRequestError", "code": 400}',
    "llama.cpp": '{"error": {"code": 400, "message": "the request exceeds the available context '
    'size (9 > 5)", "type": "exceed_context_size_error"}}',
    "FastChat": '{"object": "error", "message": "too many: 9 of 5", "code": 40303}',
    "TGI": '{"error": "Input validation error: `inputs` must have less than 5 tokens. Given: 9", '
    '"error_type": "validation"}',
    "TGI, with a limit": '{"error": "Input validation error: `inputs` tokens + `max_new_tokens` '
    'must be <= 5. Given: 9 `inputs` tokens and 1 `max_new_tokens`", "error_type": "validation"}',
    "Anthropic": '{"error": {"message": "prompt is too long: 9 tokens > 5 maximum"}}',
    "vLLM's engine": '{"error": {"message": "The decoder prompt (length 9) is longer than the '
    'maximum model length of 5. Make sure that `max_model_len` is no smaller"}}',
    "SGLang": '{"error": {"message": "Input length 9 exceeds the maximum allowed length 5"}}',
    "Copilot": '{"error": {"message": "prompt token count of 9 exceeds the limit of 5"}}',
    "DashScope": '{"error": {"message": "Range of input length should be [1, 5], not 9"}}',
    "TEI": '{"error": "inputs tokens + max_new_tokens must be <= 5, not 9"}',
    "Cohere": '{"message": "too many tokens: the prompt cannot exceed 5, received 9"}',
}


@pytest.mark.parametrize("who", LONG)
def test_a_prompt_over_the_context_has_a_kind_of_its_own(raw: RawServer, who: str) -> None:
    """In each server's words: `length`, with both numbers, and asked once."""
    raw.answers = [Answer(400, LONG[who])]
    with pytest.raises(BackendError, match="over the context length") as caught:
        post(raw.url)
    assert (caught.value.kind, raw.asked) == ("length", 1)
    assert "9" in caught.value.message and "5" in caught.value.message


def test_a_limit_that_is_too_large_is_no_long_prompt(raw: RawServer) -> None:
    """A reply's limit that the model does not have is about that parameter."""
    text = "max_tokens is too large: 9999. This model supports at most 4096 completion tokens"
    error = {"message": text, "param": "max_tokens", "code": "invalid_value"}
    raw.answers = [Answer(400, json.dumps({"error": error}))]
    with pytest.raises(BackendError) as caught:
        post(raw.url)
    assert (caught.value.kind, caught.value.param) == ("bad_request", "max_tokens")


@pytest.mark.parametrize("detail", ['"Unexpected fields: top_k"', '[{"loc": ["body", "top_k"]}]'])
def test_a_detail_is_a_reason(raw: RawServer, detail: str) -> None:
    """Servers on FastAPI say `detail`: a text, or a list."""
    raw.answers = [Answer(422, f'{{"detail": {detail}}}')]
    with pytest.raises(BackendError, match="top_k"):
        post(raw.url)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_no_header_of_the_users_is_in_an_error(raw: RawServer, status: int) -> None:
    """Even where the server sends it back."""
    raw.answers = [Answer(status, json.dumps({"error": {"message": "no: hush-hush"}}))]
    headers = (("X-Key", "hush-hush"),)
    with pytest.raises((BackendError, UserError)) as caught:
        post(raw.url, headers=headers, max_retries=0)
    assert "no: ***" in str(caught.value) and "hush" not in str(caught.value)


def test_a_refused_key_in_fastapis_shape(raw: RawServer) -> None:
    """A refused key ends the check, whatever shape the refusal has."""
    raw.answers = [Answer(401, '{"detail": {"error": {"code": "invalid_api_key"}}}')]
    with pytest.raises(AuthError):
        check(raw.url, api_key=Secret("sk-x"))


# --- from the command line ---------------------------------------------------------------------

MODULE = """
from llm_eval.dataset import BaseDataset

class Sums(BaseDataset):
    def load(self):
        long = "1+" * 200
        return [{"input": t, "reference": "2"} for t in ("1+1", long + "1", "1+1=?")]
"""


def evaluated(cli: Cli, work: Path, chat: ChatServer, key: str = "sk-right") -> tuple[int, str]:
    """(exit status, all that was printed) of an evaluation by the command line."""
    (work / "sums.py").write_text(MODULE, encoding="utf-8")
    done = cli(
        *("eval", "--model", "openai", "--model-name", "m", "--dataset", str(work / "sums.py")),
        env={"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": key},
    )
    return done.returncode, done.stdout + done.stderr


def test_a_wrong_key_is_one_sentence(cli: Cli, work: Path, chat: ChatServer) -> None:
    """Exit 2, what to look at, no traceback and no key."""
    chat.key = "sk-right"
    status, text = evaluated(cli, work, chat, "sk-very-wrong")
    assert status == 2 and "OPENAI_API_KEY" in text
    assert "Traceback" not in text and "sk-very-wrong" not in text


def test_no_such_model_is_one_sentence(cli: Cli, work: Path, chat: ChatServer) -> None:
    """Exit 2 and the model's name."""
    chat.strict_models = True
    status, text = evaluated(cli, work, chat)
    assert status == 2 and "'m' does not exist" in text and "Traceback" not in text


def test_a_long_prompt_costs_one_sample(cli: Cli, work: Path, chat: ChatServer) -> None:
    """The others are scored, and the failure is counted apart."""
    chat.answer = lambda messages: "2"
    chat.rules.append(context(100))
    status, text = evaluated(cli, work, chat)
    assert "Traceback" not in text and status in (0, 1)
    assert chat.count() == 3 and "context length" in text
