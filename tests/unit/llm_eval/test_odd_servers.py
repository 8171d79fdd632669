"""What no retry can mend, and servers that answer oddly: told in a sentence, without the key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llm_eval.errors import AuthError, BackendError, HretError, UserError
from llm_eval.models.openai import OpenAIModel
from llm_eval.models.retry import retry_after
from llm_eval.secret import Secret
from tests.fakes.chat import SENTENCE, ChatServer
from tests.unit.llm_eval.servers import (
    CHAT,
    GOOD,
    PLAIN,
    Answer,
    RawServer,
    check,
    nobody,
    opened,
    post,
    raw_server,
    said,
    shown,
)

KEY = "sk-wrong-and-secret"


@pytest.fixture
def raw() -> Iterator[RawServer]:
    """A raw server that runs."""
    with raw_server() as server:
        yield server


# --- what no retry can mend --------------------------------------------------------------------

REFUSALS = {
    "message": json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}}),
    "string": json.dumps({"error": f"bad key {KEY}"}),
    "text": f"<html>Authorization: Bearer {KEY}</html>",
    "cut": "x" * (300 - len(KEY) // 2) + KEY,
    "twice": json.dumps({"error": {"message": f"{KEY} {KEY}", "code": KEY}}),
}


@pytest.mark.parametrize("status", [401, 403, 400, 404, 429, 500])
@pytest.mark.parametrize("how", REFUSALS)
def test_a_key_is_in_no_error(raw: RawServer, how: str, status: int) -> None:
    """Even where the server sends it back: the text of every error is without the key."""
    raw.answers = [Answer(status, REFUSALS[how])]
    with pytest.raises(HretError) as caught:
        post(raw.url, api_key=Secret(KEY), max_retries=0)
    text = shown(caught.value)
    assert str(status) in text
    assert KEY[: len(KEY) // 2] not in text


def test_a_refused_key_stops_at_once(chat: ChatServer) -> None:
    """One call, no retry, and the sentence says which key to look at."""
    chat.key = "sk-right"
    with pytest.raises(AuthError, match="OPENAI_API_KEY"):
        post(chat.url, api_key=Secret(KEY), max_retries=5)
    assert len(chat.requests) == 1
    with pytest.raises(AuthError):
        check(chat.url, api_key=Secret(KEY))
    assert len(chat.requests) == 2


def test_a_right_key_is_taken(chat: ChatServer) -> None:
    """The key goes where OpenAI's protocol wants it; without one no such header is sent."""
    chat.key = KEY
    assert said(post(chat.url, api_key=Secret(KEY))) == SENTENCE
    chat.key = None
    post(chat.url)
    assert ["authorization" in r.headers for r in chat.requests] == [True, False]


def test_a_key_that_no_header_can_hold_is_told(chat: ChatServer) -> None:
    """A key with a line break in it is the user's to mend, not a traceback."""
    with pytest.raises(UserError):
        post(chat.url, api_key=Secret("sk-a\nb"))


def test_an_unknown_model_stops_at_once(chat: ChatServer) -> None:
    """A 404 names the model and is not asked again."""
    chat.strict_models = True
    with pytest.raises(UserError, match="'m' does not exist") as caught:
        post(chat.url)
    assert not isinstance(caught.value, BackendError)
    assert chat.count() == 1


def test_an_exhausted_quota_stops_at_once(raw: RawServer) -> None:
    """It comes as a 429, but no waiting mends it."""
    error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
    raw.answers = [Answer(429, json.dumps({"error": error}))]
    with pytest.raises(UserError, match="exceeded your current quota"):
        post(raw.url)
    assert raw.asked == 1


def test_an_empty_purse_stops_at_once(raw: RawServer) -> None:
    """A 402: no further request can be answered either."""
    raw.answers = [Answer(402, json.dumps({"error": {"message": "Insufficient Balance"}}))]
    with pytest.raises(UserError, match="Insufficient Balance") as caught:
        post(raw.url)
    assert "top up" in caught.value.hint and raw.asked == 1


def test_a_flagged_prompt_costs_its_sample(raw: RawServer) -> None:
    """A 403 that is about what a prompt holds says nothing of the key."""
    said = 'Your chosen model requires moderation and your input was flagged for "violence".'
    raw.answers = [Answer(403, json.dumps({"error": {"code": 403, "message": said}}))]
    with pytest.raises(BackendError, match="flagged") as caught:
        post(raw.url)
    assert (caught.value.kind, raw.asked) == ("content_filter", 1)


def test_a_page_that_forbids_after_replies_is_something_on_the_way(raw: RawServer) -> None:
    """A firewall dislikes one prompt: tried again, and then that sample's failure."""
    page = Answer(403, "<html><title>Attention required</title></html>")
    raw.answers = [page]
    with pytest.raises(AuthError, match="Attention required"):
        post(raw.url)
    raw.answers = [Answer(200, json.dumps(GOOD)), page]

    async def work() -> None:
        async with opened(raw.url, max_retries=1) as transport:
            await transport.post(CHAT, PLAIN)
            with pytest.raises(BackendError) as caught:
                await transport.post(CHAT, PLAIN)
            assert (caught.value.kind, caught.value.retryable) == ("server", True)

    asyncio.run(work())
    assert raw.asked == 4


def test_a_list_of_models_that_is_forbidden_passes(raw: RawServer) -> None:
    """A key may have the right to chat alone; where it has none, the first request tells."""
    said = "You have insufficient permissions. Missing scopes: api.model.read."
    raw.answers = [Answer(403, json.dumps({"error": {"message": said}}))]
    check(raw.url, api_key=Secret("sk-restricted"))
    with pytest.raises(AuthError, match=r"Missing scopes"):
        post(raw.url, api_key=Secret("sk-restricted"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_told_and_not_followed(raw: RawServer, status: int) -> None:
    """It would take the user's headers to another host, and some make a POST a GET."""
    with raw_server() as other:
        place = f"{other.url}{CHAT}?token=hidden-1"
        raw.answers = [Answer(status, "", {"Location": place})]
        with pytest.raises(UserError, match=f"moved to {other.url}\n") as caught:
            post(raw.url, headers=(("api-key", "hidden-2"),))
        assert "api_base" in caught.value.hint and "hidden" not in shown(caught.value)
        assert (raw.asked, other.asked) == (1, 0)


@pytest.mark.parametrize("location", [None, "/v2/chat/completions", "http://[::1"])
def test_an_odd_redirect_is_told_too(raw: RawServer, location: str | None) -> None:
    """Nowhere, to another path, or to what is no address."""
    raw.answers = [Answer(307, "", {"Location": location} if location else {})]
    with pytest.raises(UserError, match="answered 307: it has moved"):
        post(raw.url)


def test_a_bad_request_is_one_samples_failure(chat: ChatServer) -> None:
    """What the server refuses about one request names the parameter and is asked once."""
    with pytest.raises(BackendError) as caught:
        post(chat.url, PLAIN | {"temperature": 9})
    error = caught.value
    assert (error.kind, error.status, error.param) == ("bad_request", 400, "temperature")
    assert chat.count() == 1


def test_a_filtered_prompt_has_a_kind_of_its_own(raw: RawServer) -> None:
    """Azure refuses the prompt itself with a 400: a filter, not a mistake in the request."""
    raw.answers = [Answer(400, json.dumps({"error": {"message": "no", "code": "content_filter"}}))]
    with pytest.raises(BackendError) as caught:
        post(raw.url)
    assert (caught.value.kind, raw.asked) == ("content_filter", 1)


# --- odd servers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["<html>busy</html>", "[1]", '"text"', "", "null", '{"choices": [']
)
def test_a_reply_that_is_no_object_is_asked_again(raw: RawServer, body: str) -> None:
    """A proxy's page with status 200 is trouble on the way, not an answer."""
    raw.answers = [Answer(200, body), Answer(200, json.dumps(GOOD))]
    assert said(post(raw.url)) == "4"
    assert raw.asked == 2


@pytest.mark.parametrize(
    "usage", [None, [], [1], "free", 7, {"prompt_tokens": "many"}, {"prompt_tokens": None}], ids=str
)
def test_an_odd_usage_costs_no_reply(raw: RawServer, usage: object) -> None:
    """What was paid for arrives, however the server counts."""
    raw.answers = [Answer(200, json.dumps(GOOD | {"usage": usage}))]
    model = OpenAIModel("m", api_base=raw.url)
    assert model.generate_batch([{"input": "2+2?"}])[0]["prediction"] == "4"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["4"]},
        {"choices": [{"finish_reason": "stop"}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": ["4"]}}]},
        {"choices": [{"message": "4"}]},
        {"choices": [{"text": None}]},
    ],
    ids=json.dumps,
)
def test_a_reply_without_text_is_data(raw: RawServer, body: Mapping[str, Any]) -> None:
    """Whatever is missing in a reply is its sample's failure and never an empty answer."""
    raw.answers = [Answer(200, json.dumps(body))]
    model = OpenAIModel("m", api_base=raw.url, max_retries=0)
    (found,) = model.generate_batch([{"input": "2+2?"}])
    assert found["prediction"] is None
    assert found["error"]["kind"] == "malformed"


def test_an_error_under_a_good_status_is_an_error(raw: RawServer) -> None:
    """Some gateways send 200 and an error: asked again where its own code says that may help."""
    busy = Answer(200, json.dumps({"error": {"message": "overloaded", "code": 502}}))
    raw.answers = [busy, Answer(200, json.dumps(GOOD))]
    assert said(post(raw.url)) == "4"
    raw.answers = [Answer(200, json.dumps({"error": {"message": "no", "code": 401}}))]
    with pytest.raises(AuthError):
        post(raw.url)


@pytest.mark.parametrize("status", [408, 409, 424, 425, 503])
def test_a_conflict_or_a_busy_server_is_asked_again(raw: RawServer, status: int) -> None:
    """What passes by itself costs no sample."""
    busy = Answer(status, json.dumps({"error": {"message": "busy"}}), {"Retry-After": "0.01"})
    raw.answers = [busy, Answer(200, json.dumps(GOOD))]
    assert said(post(raw.url, max_retries=1)) == "4"
    raw.answers = [busy]
    with pytest.raises(BackendError) as caught:
        post(raw.url, max_retries=0)
    assert (caught.value.kind, caught.value.retry_after) == ("server", 0.01)


@pytest.mark.parametrize(
    ("until", "wait"),
    [
        ("Wed, 21 Oct 2026 07:29:30 GMT", 90.0),
        ("Wednesday, 21-Oct-26 07:29:30 GMT", 90.0),
        ("Wed, 21 Oct 2026 07:27:00 -0000", 0.0),
        ("Wed, 40 Oct 2026 07:27:00 GMT", None),
    ],
)
def test_a_retry_after_may_be_a_date(until: str, wait: float | None) -> None:
    """By the server's clock, whatever ours says; one that is over is no wait."""
    assert retry_after({"retry-after": until, "date": "Wed, 21 Oct 2026 07:28:00 GMT"}) == wait
    assert retry_after({"retry-after": "Thu, 01 Jan 2004 00:00:00 GMT"}) == 0.0


def test_an_empty_purse_in_words_stops_at_once(raw: RawServer) -> None:
    """As Anthropic says it: a 400, and no mistake in the request."""
    said = "Your credit balance is too low to access the Anthropic API."
    raw.answers = [Answer(400, json.dumps({"error": {"message": said}}))]
    with pytest.raises(UserError, match="credit balance") as caught:
        post(raw.url)
    assert "top up" in caught.value.hint and raw.asked == 1


@pytest.mark.parametrize("wait", ["soon", "-5", "nan", "inf", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_no_time_is_passed_over(raw: RawServer, wait: str) -> None:
    """The request is asked again after a pause of our own."""
    busy = Answer(429, "{}", {"Retry-After": wait})
    raw.answers = [busy, Answer(200, json.dumps(GOOD))]
    assert said(post(raw.url, within=3)) == "4"


def test_nobody_there_is_told() -> None:
    """A check says so in a sentence at once; a post tries again and says the same."""
    with nobody() as url:
        with pytest.raises(UserError, match="is the server running"):
            check(url)
        with pytest.raises(BackendError, match="could not be reached") as caught:
            post(url, max_retries=1)
    assert caught.value.kind == "connection"


def test_a_password_in_the_address_is_in_no_error() -> None:
    """An address with a user's name and password is shown without them."""
    with nobody() as url, pytest.raises(UserError) as caught:
        check(url.replace("//", "//me:hunter2@"))
    assert "hunter2" not in shown(caught.value)


@pytest.mark.parametrize(
    ("answer", "asked"),
    [(Answer(404, "no list"), 1), (Answer(500, "{}"), 3), (Answer(429, "{}"), 3)],
)
def test_a_server_without_a_list_of_models_passes(
    raw: RawServer, answer: Answer, asked: int
) -> None:
    """Only a refused key, or nobody there, ends a run before its first request."""
    raw.answers = [answer]
    check(raw.url, max_retries=2)
    assert raw.asked == asked
