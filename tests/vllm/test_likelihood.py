"""Likelihoods by vLLM are those of `huggingface`, whichever way they are asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llm_eval.aio import run_sync
from llm_eval.records import Prediction, Prompt
from tests.vllm.conftest import CONTEXT, Made, failure

LONG = "The capital of Korea is Seoul. Which of the following is right? " * 6
LETTERS = ("A", "B", "C", "D")
PHRASES = (" 부산", " 대구", " four. Then there is more", " x")


def asked(*pairs: tuple[str, Sequence[str]]) -> list[Prompt]:
    return [Prompt(sample_id=f"s{i}", text=t, options=tuple(o)) for i, (t, o) in enumerate(pairs)]


def same(found: Sequence[Prediction], wanted: Sequence[Prediction]) -> None:
    """Log-probabilities within 1e-2, and all else equal."""
    assert len(found) == len(wanted)
    for own, other in zip(found, wanted, strict=True):
        assert own.failure is None and other.failure is None
        assert len(own.options) == len(other.options) > 0
        for a, b in zip(own.options, other.options, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-2)
            assert (a.tokens, a.chars, a.greedy) == (b.tokens, b.chars, b.greedy)
        assert (own.text, own.usage) == (other.text, other.usage)


@pytest.mark.parametrize("chat", [False, True], ids=["base", "chat"])
def test_options_of_any_length_are_as_likely_as_by_transformers(
    vllm: Made, hf: Made, chat: bool
) -> None:
    """Letters, phrases and both together, behind short and long prompts, with white space."""
    prompts = asked(
        ("다음 중 옳은 것을 고르세요. 정답: ", LETTERS),
        ("Question: what is two and two? Answer:", PHRASES),
        (LONG, (*LETTERS, *PHRASES)),
        (LONG + "정답", PHRASES),
        ("", ("A", "서울입니다.")),
        ("물은 섭씨 몇 도에서 끓습니까?", ("100도",)),
    )
    ours, theirs = (make(apply_chat_template=chat) for make in (vllm, hf))
    same(run_sync(ours.score_options(prompts)), run_sync(theirs.score_options(prompts)))


def test_the_likeliest_text_is_told_greedy(vllm: Made, hf: Made) -> None:
    """What the model writes by itself is the likeliest at each place when it is read again."""
    texts = ["The capital of Korea is", "Question: what"]
    written = run_sync(
        hf(max_new_tokens=3).generate(
            [Prompt(sample_id=t, text=t, params={"logprobs": 0}) for t in texts]
        )
    )
    # the tokens themselves, since a text may be encoded otherwise
    ours = vllm()
    for text, reply in zip(texts, written, strict=True):
        ids = [t.id for t in reply.detail]
        again = run_sync(
            ours.prompt_logprobs(
                [
                    Prompt(
                        sample_id="x",
                        text="",
                        token_ids=(*ids_of(ours, text), *ids),
                        params={"logprobs": 1},
                    )
                ]
            )
        )[0]
        for token in again.detail[-len(ids) :]:
            assert token.logprob == token.top[0][1]


def ids_of(model: object, text: str) -> list[int]:
    """The tokens of a text, with the one that begins it."""
    told: list[int] = model._work.texts.tokenizer(text)["input_ids"]  # type: ignore[attr-defined]
    return told


def test_which_way_was_taken_is_told(vllm: Made) -> None:
    """Options of one token each take one request; others the log-probabilities of a prompt."""
    model = vllm()
    assert model.diagnostics == {}
    run_sync(model.likelihoods(asked(("Answer:", LETTERS), ("Answer: ", LETTERS[:2]))))
    run_sync(model.likelihoods(asked(("Answer:", PHRASES))))
    ways = model.diagnostics["likelihood_by"]
    assert (ways["one_request"], ways["prompt_logprobs"]) == (2, 1)


def test_what_the_cache_holds_changes_nothing(vllm: Made, hf: Made) -> None:
    """Asked again and again, in another order, beside others: the numbers stay."""
    prompts = asked(*((LONG[i:] + "정답:", PHRASES) for i in range(6)))
    wanted = run_sync(hf().score_options(prompts))
    model = vllm()
    for order in (prompts, prompts[::-1], prompts):
        found = run_sync(model.score_options(order))
        by_id = {p.sample_id: p for p in found}
        same([by_id[p.sample_id] for p in prompts], wanted)


def test_an_option_that_is_in_the_cache_is_read_again(vllm: Made, hf: Made) -> None:
    """An option longer than a block of the cache is found there the second time, and told anew."""
    option = " the following is right? Question: what is two and two? Answer: four." * 3
    prompts = asked(("Which of", (option, option + " more to say. 정답은 서울입니다.")))
    wanted = run_sync(hf().score_options(prompts))
    model = vllm()
    for _ in range(3):
        same(run_sync(model.score_options(prompts)), wanted)
    assert model.diagnostics["likelihood_by"]["read_again"] > 0


def test_more_options_than_a_request_may_name(vllm: Made, hf: Made) -> None:
    """A request to vLLM may name 128 tokens."""
    options = [chr(code) for code in (*range(33, 127), *range(0xA1, 0xF8))]
    prompts = asked(("Answer:", options))
    same(run_sync(vllm().likelihoods(prompts)), run_sync(hf().likelihoods(prompts)))


def test_a_prompt_over_the_context_costs_one_sample(vllm: Made) -> None:
    """Its failure names both lengths; its neighbours are weighed."""
    prompts = asked(("Answer:", LETTERS), ("x" * 3 * CONTEXT, LETTERS), ("Answer:", PHRASES))
    one, over, other = run_sync(vllm().score_options(prompts))
    assert one.options and other.options
    assert failure(over).kind == "length"
    assert f"{CONTEXT}" in failure(over).message and f"{3 * CONTEXT + 1}" in failure(over).message


def test_nothing_to_weigh_is_a_failure(vllm: Made) -> None:
    """No options, or an empty one."""
    for prediction in run_sync(vllm().likelihoods(asked(("Answer:", ()), ("Answer:", ("A", ""))))):
        assert failure(prediction).kind == "bad_request"


@pytest.mark.parametrize("most", [0, 3])
def test_a_prompt_is_told_token_by_token(vllm: Made, hf: Made, most: int) -> None:
    """As by transformers, for a text and for tokens."""
    params = {"logprobs": most}
    prompts = [
        Prompt(sample_id="text", text="대한민국의 수도는 Seoul.", params=params),
        Prompt(sample_id="ids", text="", token_ids=(0, 275, 448, 288), params=params),
        Prompt(sample_id="one", text="", token_ids=(275,), params=params),
    ]
    for own, other in zip(
        run_sync(vllm().prompt_logprobs(prompts)),
        run_sync(hf().prompt_logprobs(prompts)),
        strict=True,
    ):
        assert own.failure is None and [t.id for t in own.detail] == [t.id for t in other.detail]
        assert own.logprob == pytest.approx(other.logprob, abs=1e-2)
        for a, b in zip(own.detail, other.detail, strict=True):
            assert a.text == b.text and a.logprob == pytest.approx(b.logprob, abs=1e-2)
            assert [p for _, p in a.top] == pytest.approx([p for _, p in b.top], abs=1e-2)
