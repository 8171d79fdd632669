"""Replies by vLLM: those of `huggingface` where nothing is drawn, and as they are asked."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.models.vllm import VLLMModel
from llm_eval.records import Prediction, Prompt
from tests.vllm.conftest import CONTEXT, Made, failure, text

TEXTS = [
    "대한민국의 수도는 어디입니까?",
    "The capital of Korea is",
    "",
    "Question: what is two and two? Answer: four. " * 4,
    "물은 섭씨 몇 도에서",
]


def prompts(texts: list[str] = TEXTS, **params: Any) -> list[Prompt]:
    return [Prompt(sample_id=f"s{i}", text=t, params=params) for i, t in enumerate(texts)]


def written(model: Any, asked: list[Prompt]) -> list[Prediction]:
    found: list[Prediction] = run_sync(model.generate(asked))
    return found


@pytest.mark.parametrize("chat", [False, True], ids=["base", "chat"])
def test_greedy_replies_are_those_of_transformers(vllm: Made, hf: Made, chat: bool) -> None:
    """Token by token, until the two likeliest are as good as equal; in order."""
    params = {"max_new_tokens": 24, "apply_chat_template": chat, "system_message": "Be kind."}
    ours, theirs = (
        written(vllm(**params), prompts(logprobs=2)),
        written(hf(**params), prompts(logprobs=2)),
    )
    for own, other in zip(ours, theirs, strict=True):
        assert own.failure is None and other.failure is None
        for a, b in zip(own.detail, other.detail, strict=False):
            if a.id != b.id:
                assert b.top[0][1] - b.top[1][1] < 1e-3
                break
            assert a.logprob == pytest.approx(b.logprob, abs=1e-2)
        else:
            assert (own.tokens, own.finish_reason) == (other.tokens, other.finish_reason)
            assert own.logprob == pytest.approx(other.logprob, abs=1e-2)
            assert text(other).startswith(text(own))  # vLLM leaves off half a letter at the end
            assert own.usage == other.usage


def test_a_reply_has_its_prompts_own_parameters(vllm: Made) -> None:
    """Two in one call, with another length and stop each; the stop is cut off."""
    model = vllm(max_tokens=8)
    (whole,) = written(model, [Prompt(sample_id="a", text=TEXTS[1], params={"max_tokens": 20})])
    stop = text(whole)[6]
    at = text(whole).index(stop)
    short, cut, plain = written(
        model,
        [
            Prompt(sample_id="a", text=TEXTS[1], params={"max_tokens": 2}),
            Prompt(sample_id="a", text=TEXTS[1], params={"max_tokens": 20, "stop": [stop]}),
            Prompt(sample_id="a", text=TEXTS[1]),
        ],
    )
    assert (short.tokens, short.finish_reason) == (2, "length")
    assert (cut.text, cut.finish_reason) == (text(whole)[:at], "stop")
    assert (plain.tokens, whole.tokens) == (8, 20)
    assert short.detail == () and short.logprob is None


def test_a_seed_repeats_a_run_and_not_a_reply(vllm: Made) -> None:
    """The same in a second run; replies to the same prompt differ; a prompt's own seed wins."""
    asked = [Prompt(sample_id="same", text=TEXTS[0]) for _ in range(4)]
    params = {"temperature": 1.0, "max_tokens": 16, "seed": 7}
    first = [p.text for p in written(vllm(**params), asked)]
    assert first == [p.text for p in written(vllm(**params), asked)]
    assert len(set(first)) == 4
    assert first != [p.text for p in written(vllm(**{**params, "seed": 8}), asked)]
    own = [Prompt(sample_id=i, text=TEXTS[0], params={"seed": 3}) for i in "ab"]
    drawn = [written(vllm(temperature=1.0, max_tokens=16), [p])[0].text for p in own]
    assert drawn[0] == drawn[1]


def test_a_turn_is_drawn_alike_with_the_others_and_alone(vllm: Made) -> None:
    """In another call of the same backend, and in any order."""
    model = vllm(temperature=1.0, max_tokens=16, seed=7)
    turns = [Prompt(sample_id="s", text=TEXTS[0], turn=t) for t in range(4)]
    whole = [p.text for p in written(model, turns)]
    assert len(set(whole)) == 4
    assert [p.text for p in written(model, turns[::-1])] == whole[::-1]
    assert written(model, turns[2:3])[0].text == whole[2]


def test_a_prompt_over_the_context_costs_one_sample(vllm: Made) -> None:
    """Its failure names both lengths. A reply that fills the context says so."""
    over, full, plain = written(
        vllm(max_tokens=40, ignore_eos=True),
        prompts(["x" * 2 * CONTEXT, "x" * (CONTEXT - 11), "x"]),
    )
    assert failure(over).kind == "length"
    assert f"{2 * CONTEXT + 1}" in failure(over).message and f"{CONTEXT}" in failure(over).message
    assert (full.tokens, full.finish_reason) == (10, "context_length")
    assert (plain.tokens, plain.finish_reason) == (40, "length")


def test_a_reply_is_held_to_a_choice(vllm: Made) -> None:
    """It is one of the texts, whole, however long; and too small a limit is refused."""
    texts = ["1", "10", "부산광역시와 대구광역시", "서울특별시"]
    asked = [
        Prompt(
            sample_id=str(i), text=TEXTS[0], params={"choice": texts, "seed": i, "temperature": 2.0}
        )
        for i in range(12)
    ]
    found = written(vllm(max_tokens=64), asked)
    assert {p.text for p in found} <= set(texts)
    assert len({p.text for p in found}) > 1
    assert {p.finish_reason for p in found} == {"stop"}
    cut = written(vllm(max_tokens=2), asked[:1])[0]
    assert failure(cut).kind == "bad_request" and "max_tokens=2" in failure(cut).message


def test_a_reply_is_held_to_a_schema(vllm: Made) -> None:
    """OpenAI's response_format; one that makes no sense is that sample's failure."""
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    good, bad = written(
        vllm(max_tokens=200),
        [
            Prompt(sample_id="a", text="x", params={"response_format": asked}),
            Prompt(sample_id="b", text="x", params={"response_format": {"type": "json_schema"}}),
        ],
    )
    assert failure(bad).kind == "bad_request"
    if good.finish_reason == "stop":
        assert json.loads(text(good))["a"] in ("x", "y")
    else:  # a random model may write white space for ever
        assert text(good).startswith("{") and good.finish_reason in ("length", "context_length")


def test_what_cannot_be_done_is_that_samples_failure(vllm: Made) -> None:
    """Never a reply without it, and never the neighbour's loss."""
    senseless: list[dict[str, Any]] = [
        {"temperature": 99.0},
        {"tempreature": 1.0},
        {"top_p": 0},
        {"logprobs": 5000},
        {"max_tokens": 0},
    ]
    asked = [Prompt(sample_id=str(i), text="x", params=p) for i, p in enumerate([*senseless, {}])]
    asked.append(Prompt(sample_id="chat", text="", messages=({"role": "user", "content": "hi"},)))
    asked.append(Prompt(sample_id="image", text="x", images=("data:image/png;base64,AA==",)))
    asked.append(Prompt(sample_id="ids", text="", token_ids=(5, 512)))
    found = {p.sample_id: p for p in written(vllm(max_tokens=2), asked)}
    assert found.pop("5").text is not None
    assert {failure(p).kind for p in found.values()} == {"bad_request"}


def test_conversations_and_tokens_are_taken(vllm: Made, hf: Made) -> None:
    """`messages` in the chat template, and `token_ids` as they stand."""
    said = ({"role": "user", "content": "Seoul?"}, {"role": "assistant", "content": "yes"},
            {"role": "user", "content": [{"type": "text", "text": "sure?"}]})  # fmt: skip
    asked = [
        Prompt(sample_id="m", text="", messages=said, params={"logprobs": 0}),
        Prompt(sample_id="i", text="", token_ids=(0, 275, 448), params={"logprobs": 0}),
    ]
    params = {"apply_chat_template": True, "max_new_tokens": 4}
    for own, other in zip(
        written(vllm(**params), asked), written(hf(**params), asked), strict=True
    ):
        assert [t.id for t in own.detail] == [t.id for t in other.detail]
        assert own.usage.prompt_tokens == other.usage.prompt_tokens


def test_a_call_that_nobody_waits_for_ends(vllm: Made) -> None:
    """What it asked is taken out of the engine; the next call is answered at once, in full."""
    model: VLLMModel = vllm(max_tokens=CONTEXT, ignore_eos=True)
    many = prompts(["x"] * 3000)

    async def cancelled() -> None:
        call = asyncio.create_task(model.generate(many))
        while not model._engine._running:  # it is at work
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run_sync(cancelled())
    began = time.monotonic()
    (reply,) = written(model, prompts(["x"], max_tokens=3))
    assert reply.tokens == 3 and time.monotonic() - began < 5
    assert not model._engine._running and not model._engine._waiting
    assert model.usage.completion_tokens == 3


def test_calls_that_overlap_share_the_engine(vllm: Made, hf: Made) -> None:
    """Replies, likelihoods and readings at once, a call each: every one is as it is alone."""
    model = vllm(max_tokens=6)
    open_ones = prompts(TEXTS * 4, logprobs=3)
    closed = [Prompt(sample_id=t, text=t, options=("A", "B", " 서울")) for t in TEXTS * 4]

    async def all_at_once() -> Any:
        return await asyncio.gather(
            *(model.generate([p]) for p in open_ones),
            *(model.likelihoods([p]) for p in closed),
            *(model.prompt_logprobs([p]) for p in open_ones if p.text),
        )

    found = [p for (p,) in run_sync(all_at_once())]
    alone = [*written(model, open_ones), *run_sync(model.likelihoods(closed))]
    for own, other in zip(found, alone, strict=False):
        assert own.failure is None
        assert own.text == other.text and [t.id for t in own.detail] == [t.id for t in other.detail]
        assert [len(t.top) for t in own.detail] == [len(t.top) for t in other.detail]
        assert [o.logprob for o in own.options] == pytest.approx(
            [o.logprob for o in other.options], abs=1e-3
        )


def test_what_decides_a_reply_is_told(vllm: Made) -> None:
    """The model, its precision, the template, and every parameter; never a token."""
    about = vllm(apply_chat_template=True, system_message="Be kind.", min_p=0.1, seed=3).about
    assert about["dtype"] == "float32" and about["max_length"] == CONTEXT
    assert about["chat_template"] is True and len(about["chat_template_hash"]) == 16
    assert about["sampling"] == {"min_p": 0.1} and about["seed"] == 3
    assert about["system_message"] == "Be kind." and about["engine"]["max_num_seqs"] == 32
    json.dumps(about)


@pytest.mark.parametrize("own", [True, False], ids=["the prompt's", "the backend's"])
def test_a_stop_that_is_a_special_token_stops(vllm: Made, own: bool) -> None:
    """Though vLLM's text never shows it."""
    params = {"max_tokens": 9, "logit_bias": {0: 100.0}, "ignore_eos": True}
    model = vllm(**params, **({} if own else {"stop": "<s>"}))
    asked = {"stop": ["<s>"]} if own else {}
    (found,) = written(model, [Prompt(sample_id="a", text=TEXTS[0], params=asked)])
    assert (found.tokens, found.finish_reason, found.text) == (1, "stop", "")
    (free,) = written(model, [Prompt(sample_id="a", text=TEXTS[0], params={"stop": []})])
    assert free.tokens == 9
