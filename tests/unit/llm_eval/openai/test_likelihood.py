"""Likelihoods by echo: the same numbers as the model in this process, or a sentence why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models import load_model
from llm_eval.models.base import require
from llm_eval.models.openai_likelihood import PROBES
from llm_eval.records import Prediction, Prompt, Usage
from tests.fakes.chat import ChatServer, Fault, hashed_logprob
from tests.fakes.chat_rules import context, generates, refuses, untold_prompt, without
from tests.fakes.echo_lm import EchoLM
from tests.unit.llm_eval.openai.asking import asked, made, one, with_options

CASES = [
    with_options(
        "대한민국의 수도는 어디입니까? 정답:", [" 서울", " 부산광역시", " 대구 또는 인천"]
    ),
    with_options("Question: what is two and two? Answer: ", ["four", "4", "five, then more"]),
    with_options("정답:\n\n", ["A", "B", "가나다", "😀 웃음"]),
    with_options("물은 몇 도에서 끓습니까? 뷁", [" 100도", "섭씨 100", " 뷁"]),
    with_options("The capital", [" of Korea", " is"]),
]


def completions(chat: ChatServer, **params: Any) -> Any:
    """The backend over completions."""
    return made(chat.url, endpoint="completions", **params)


def in_process(folder: Path, prompts: list[Prompt]) -> list[Prediction]:
    """What the `huggingface` backend says."""
    model = load_model("huggingface", model_name_or_path=str(folder), dtype="float32")
    return asked(model, *prompts, how="likelihoods")  # type: ignore[arg-type]


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("style", ["vllm", "signs", "ids"])
def test_the_same_as_in_this_process(tiny_lm: Path, style: str, least: int) -> None:
    """Sum, tokens, characters and greedy flag of each option equal the `huggingface` backend's."""
    right = in_process(tiny_lm, CASES)
    with EchoLM(tiny_lm, style=style, least=least) as server:
        model = made(server.url, endpoint="completions")
        found = asked(model, *CASES, how="likelihoods")
    for told, wanted in zip(found, right, strict=True):
        assert told.failure is None and told.text == wanted.text
        for ours, theirs in zip(told.options, wanted.options, strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-3)
            assert (ours.tokens, ours.chars, ours.greedy) == (
                theirs.tokens,
                theirs.chars,
                theirs.greedy,
            )
    spent = sum((p.usage for p in found), Usage())
    assert model.usage.requests >= spent.requests + len(PROBES)


def test_where_an_option_starts_is_counted_only_where_it_cannot_be_seen(tiny_lm: Path) -> None:
    """One request an option; one more for the prompt alone, where tokens' texts do not tell."""
    prompt = CASES[4]
    numbers = {}
    for style in ("vllm", "ids"):
        with EchoLM(tiny_lm, style=style) as server:
            (found,) = asked(made(server.url, endpoint="completions"), prompt, how="likelihoods")
        numbers[style] = found.usage.requests
    assert numbers == {"vllm": 2, "ids": 3}


def test_a_token_that_straddles_the_boundary_is_the_prompts(chat: ChatServer) -> None:
    """It is not counted for the option, but where nothing else of the option is left."""
    (found,) = asked(completions(chat), with_options("abcde", ["f", "fghi"]), how="likelihoods")
    merged, longer = found.options
    assert merged.logprob == pytest.approx(hashed_logprob("abc", "def"))
    assert longer.logprob == pytest.approx(hashed_logprob("abcdef", "ghi"))
    assert (merged.tokens, longer.tokens) == (1, 1)


def test_the_prompts_white_space_goes_to_the_option(chat: ChatServer) -> None:
    """ "abc " with "de" is "abc" with " de"; characters are the option's own."""
    (found,) = asked(completions(chat), with_options("abc ", ["de"]), how="likelihoods")
    assert found.options[0].logprob == pytest.approx(hashed_logprob("abc", " de"))
    assert found.options[0].chars == 2
    assert [r.body["prompt"] for r in chat.requests[len(PROBES) :]] == ["abc de"]


def test_an_options_failure_is_its_samples(chat: ChatServer) -> None:
    """A sample whose option fails is a failure, with what the others cost; the next one is not."""
    chat.rules.append(context(20))
    long = with_options("abc", ["x", "x" * 90])
    failed, good = asked(completions(chat), long, with_options("abc", ["d"]), how="likelihoods")
    assert failed.failure and (failed.failure.where, failed.failure.kind) == (
        "likelihoods",
        "length",
    )
    assert failed.options == () and failed.usage.requests == 1
    assert good.failure is None


def test_what_cannot_be_weighed_says_so(chat: ChatServer) -> None:
    """Token ids and conversations have no text that an option could follow."""
    talk = ({"role": "user", "content": "hi"},)
    found = asked(
        completions(chat),
        one(options=("a",), token_ids=(1,)),
        one(options=("a",), messages=talk),
        how="likelihoods",
    )
    assert [p.failure and p.failure.kind for p in found] == ["bad_request"] * 2


# --- a prompt's tokens -------------------------------------------------------------------------


def test_a_prompts_tokens_are_told(chat: ChatServer) -> None:
    """Each token, the first without a value; the likeliest ones where they are asked for."""
    prompts = [one("abcdef"), one("abcdef", params={"logprobs": 2}), one("", token_ids=(97, 98))]
    plain, top, ids = asked(completions(chat), *prompts, how="prompt_logprobs")
    value = hashed_logprob("abc", "def")
    assert [(t.text, t.logprob, t.top) for t in plain.detail] == [
        ("abc", None, ()),
        ("def", value, ()),
    ]
    assert len(top.detail[1].top) >= 2 and top.detail[1].logprob == value
    assert [t.text for t in ids.detail] == ["ab"] and plain.text is None


# --- is it real? -------------------------------------------------------------------------------


def constant(asked: Any, reply: Any) -> Any:
    """Every log-probability is the same."""
    for choice in reply["choices"]:
        choice["logprobs"]["token_logprobs"] = [-1.5 for _ in choice["logprobs"]["tokens"]]
    return reply


def by_place(asked: Any, reply: Any) -> Any:
    """Log-probabilities that are the same whatever the text is."""
    for choice in reply["choices"]:
        told = choice["logprobs"]
        told["token_logprobs"] = [-1.0 - i % 7 for i in range(len(told["tokens"]))]
        told["tokens"] = [f"t{i}" for i in range(10)]
        told["token_logprobs"], told["top_logprobs"] = told["token_logprobs"][:10], None
    return reply | {"usage": {"prompt_tokens": 10, "completion_tokens": 0}}


UNREAL: dict[str, Any] = {
    "0 for every token": untold_prompt,
    "-1.5 for every token": constant,
    "the same for two prompts": by_place,
    "none of the prompt's tokens": without("logprobs"),
}


@pytest.mark.parametrize("why", UNREAL)
def test_log_probabilities_that_cannot_be_true_end_the_run(chat: ChatServer, why: str) -> None:
    """Before the first sample: what is wrong with them, and what to use instead."""
    chat.bends.append(UNREAL[why])
    model = completions(chat)
    for how in ("probe", "likelihoods"):
        with pytest.raises(UserError, match=why) as caught:
            asked(model, *([CASES[0]] if how == "likelihoods" else []), how=how)
        assert "string_match" in caught.value.hint and chat.url in caught.value.message
    assert chat.count("completions") <= 4


def test_a_server_that_ignores_echo_is_found_out() -> None:
    """It tells log-probabilities, but of what it wrote and not of the prompt."""
    with ChatServer(echo=False) as server:
        server.rules.append(generates)
        with pytest.raises(UserError, match="none of the prompt's tokens"):
            asked(made(server.url, endpoint="completions"), how="probe")


def test_a_server_that_refuses_echo_is_quoted(chat: ChatServer) -> None:
    """What it said stands in the sentence."""
    chat.rules.append(refuses("echo"))
    with pytest.raises(UserError, match="'echo' is not supported"):
        asked(completions(chat), how="probe")


def test_a_probe_is_asked_once_and_a_sick_server_again(chat: ChatServer) -> None:
    """Two requests for a backend, not for a sample; trouble on the way is no verdict."""
    model = completions(chat)
    chat.script(Fault.server_error)
    with pytest.raises(UserError, match="in order"):
        asked(model, how="probe")
    asked(model, how="probe")
    asked(model, with_options("abc", ["d"]), with_options("abcd", ["e"]), how="likelihoods")
    assert chat.count("completions") == 1 + len(PROBES) + 2


def test_no_token_more_than_the_server_demands(chat: ChatServer) -> None:
    """Nothing is generated where the server allows that; else one token, and it is cut off."""
    plain = asked(completions(chat), CASES[4], how="likelihoods")
    assert {r.body["max_tokens"] for r in chat.requests} == {0}
    chat.reset()
    chat.rules.append(generates)
    again = asked(completions(chat), CASES[4], how="likelihoods")
    assert [p.options for p in plain] == [p.options for p in again]
    assert [r.body["max_tokens"] for r in chat.requests] == [0, 1, 1, 1, 1]


def test_a_chat_endpoint_says_what_to_do(chat: ChatServer) -> None:
    """It tells no likelihoods, and names the ways there are."""
    model = made(chat.url)
    with pytest.raises(UserError, match="logprobs") as caught:
        asked(model, how="probe")
    assert "endpoint='completions'" in caught.value.hint
    with pytest.raises(UserError, match="logprobs"):
        require(model, "logprobs", "log_likelihood")
    assert chat.requests == []


def test_an_evaluation_by_likelihood(chat: ChatServer, tmp_path: Path) -> None:
    """The whole way: `log_likelihood` over a server, each sample's options weighed."""
    module = tmp_path / "capitals.py"
    module.write_text(
        "from llm_eval.dataset import BaseDataset\n"
        "class Capitals(BaseDataset):\n"
        "    def load(self):\n"
        "        return [{'input': f'q{i}', 'options': ['aa', 'bb'], 'reference': 'aa'}\n"
        "                for i in range(6)]\n"
    )
    result = Evaluator().run(
        "openai",
        str(module),
        evaluation_method="log_likelihood",
        model_params={"model_name": "m", "api_base": chat.url, "endpoint": "completions"},
    )
    values = [[hashed_logprob(f"q{i} ", option) for option in ("aa", "bb")] for i in range(6)]
    assert result.metrics["accuracy"] == pytest.approx(sum(a > b for a, b in values) / 6)
    assert [r["logits"]["option_log_probs"] for r in result.samples] == [
        pytest.approx(v) for v in values
    ]
