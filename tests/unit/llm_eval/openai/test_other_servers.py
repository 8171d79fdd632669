"""FastChat and TGI: what they leave out, call otherwise or refuse is no loss and no riddle."""

from __future__ import annotations

import pytest

from llm_eval.errors import UserError
from llm_eval.records import Usage
from tests.fakes.fastchat import INTERNAL, INVALID_MODEL, FastChat
from tests.fakes.tgi import TGI
from tests.live.check_server import offers
from tests.unit.llm_eval.openai.asking import asked, made, one, with_options

# --- FastChat ----------------------------------------------------------------------------------


def test_fastchat_answers_and_counts() -> None:
    """Chat and completions, and several choices in one request."""
    with FastChat("m") as server:
        model = made(server.url)
        asked(model, how="check")
        found = asked(model, *[one()] * 3, one(sample="t"))
        (plain,) = asked(made(server.url, endpoint="completions"), one())
    assert [p.text for p in [*found, plain]] == [server.says] * 5
    assert sum((p.usage for p in found), Usage()) == model.usage
    assert len(server.bodies("/v1/chat/completions")) == 2


def test_fastchats_numbers_are_understood() -> None:
    """No such model ends the run; a long prompt is its sample's; a busy worker is asked again."""
    with FastChat("vicuna") as server:
        with pytest.raises(UserError, match="Only vicuna allowed now") as caught:
            asked(made(server.url), one())
        assert "--model" in caught.value.hint
    with FastChat("m") as server:
        long, good = asked(made(server.url), one("x" * 9000), one(sample="t"))
        assert long.failure and long.failure.kind == "length" and "2048" in long.failure.message
        assert good.text == server.says
        server.troubles = [INTERNAL]
        (again,) = asked(made(server.url, max_retries=1), one())
        assert again.text == server.says
        server.troubles = [INVALID_MODEL]


def test_fastchat_tells_no_likelihoods() -> None:
    """It repeats the prompt and tells nothing of it."""
    with FastChat("m") as server:
        with pytest.raises(UserError, match="none of the prompt's tokens"):
            asked(
                made(server.url, endpoint="completions"), with_options("a", "b"), how="likelihoods"
            )
        assert [b["max_tokens"] for b in server.bodies("/v1/completions")] == [0, 1]


# --- TGI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["eos_token", "stop_sequence", "stop"])
def test_tgis_reasons_to_end_have_our_names(ends: str) -> None:
    """Before 2.3 it calls the end of a reply otherwise than OpenAI."""
    with TGI(ends=ends) as server:
        whole, cut = asked(made(server.url), one(), one(sample="t", params={"max_tokens": 1}))
    assert (whole.finish_reason, cut.finish_reason) == ("stop", "length")


def test_tgi_without_usage_and_index_is_read() -> None:
    """What is missing is not made up."""
    with TGI() as server:
        server.bare = True
        (found,) = asked(made(server.url), one())
        (plain,) = asked(made(server.url, endpoint="completions"), one())
    assert found.text == plain.text == server.says
    assert found.usage == Usage(1) and found.logprob is None


def test_tgi_gives_one_choice_and_the_others_are_asked_for() -> None:
    """`n` is passed over there."""
    with TGI() as server:
        found = asked(made(server.url), *[one()] * 3)
    assert [p.text for p in found] == [server.says] * 3
    assert len(server.bodies("/v1/chat/completions")) == 3


def test_tgi_tells_the_log_probabilities_of_a_chat() -> None:
    """And none of a completion, which is then that prompt's failure."""
    with TGI() as server:
        (chat,) = asked(made(server.url), one(params={"logprobs": 1}))
        (plain,) = asked(made(server.url, endpoint="completions"), one(params={"logprobs": 1}))
    assert chat.logprob is not None and "".join(t.text for t in chat.detail) == server.says
    assert plain.failure and "no log-probabilities" in plain.failure.message


def test_tgis_errors_are_understood() -> None:
    """Too long, overloaded, failed in generation, and no likelihoods."""
    with TGI(context=50) as server:
        (long,) = asked(made(server.url), one("x" * 600))
        assert long.failure and long.failure.kind == "length"
        assert "50" in long.failure.message and "200" in long.failure.message
        server.troubles = [
            (429, "Model is overloaded", "overloaded"),
            (424, "Request failed during generation: Server error", "generation"),
        ]
        (again,) = asked(made(server.url, max_retries=3), one())
        assert again.text == server.says and server.troubles == []
        with pytest.raises(UserError, match="does not tell how likely"):
            asked(made(server.url, endpoint="completions"), how="probe")


# --- what a server offers ----------------------------------------------------------------------


def test_what_a_server_offers_is_told() -> None:
    """The script for whoever has such a server: a line a feature, yes or why not."""
    with TGI() as server:
        told = offers(server.url, "m")
    assert told["chat"] == "yes" and told["completions"] == "yes"
    assert told["several choices in one request (n)"].startswith("no")
    assert told["log-probabilities of a chat's reply"] == "yes"
    assert told["likelihoods (echo)"].startswith("no")
    assert told["replies held to a choice"].startswith("no")
    with FastChat("m") as fast:
        told = offers(fast.url, None)
    assert told["model"] == "m" and told["several choices in one request (n)"] == "yes"
