"""What one prompt asks for is done for it, whatever is asked for beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.models.hf.asking import GenerationParams, sampling_of
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.records import Prediction, Prompt
from tests.fakes.tiny_lm import LINES
from tests.unit.llm_eval.hf.tools import forward_of, ids_of, inner, loaded, tokenizer, written


def told(model: HuggingFaceModel, text: str, **params: Any) -> Prediction:
    """The reply to one prompt with these parameters."""
    (found,) = written(model, [Prompt(sample_id="s", text=text, params=params)])
    return found


def test_each_row_goes_by_its_own(tiny_lm: Path) -> None:
    """Lengths, stops, temperatures and seeds in one batch give what each gives alone."""
    model = loaded(tiny_lm, max_new_tokens=12)
    free = told(model, LINES[0]).text or ""
    ways: list[Mapping[str, Any]] = [
        {},
        {"max_tokens": 3},
        {"stop": [free[2:4]]},
        {"temperature": 1.0, "seed": 1},
        {"temperature": 1.0, "seed": 2},
        {"temperature": 1.5, "top_k": 3, "seed": 1},
        {"temperature": 1.0, "top_p": 0.5, "seed": 1},
        {"temperature": 0, "seed": 5},
    ]
    prompts = [Prompt(sample_id=f"s{i}", text=LINES[0], params=w) for i, w in enumerate(ways)]
    found = [p.text for p in written(model, prompts)]
    assert found == [told(model, LINES[0], **w).text for w in ways]
    assert found[0] == found[7] == free
    assert found[2] == free[: free.find(free[2:4])]
    assert len({found[0], *found[3:7]}) == 5
    assert told(model, LINES[0], max_tokens=3).tokens == 3


def test_a_prompts_own_stop_takes_the_place_of_the_backends(tiny_lm: Path) -> None:
    """An empty list lets a reply go on where the backend's stop would end it."""
    free = loaded(tiny_lm, max_new_tokens=12)
    text = told(free, LINES[0]).text or ""
    model = loaded(tiny_lm, max_new_tokens=12, stop=text[2:4])
    assert told(model, LINES[0]).text == text[: text.find(text[2:4])]
    assert told(model, LINES[0], stop=[]).text == text


def test_a_seed_of_the_prompt_draws_alike_wherever_it_stands(tiny_lm: Path) -> None:
    """As a server's `seed` does: beside its like, and for another sample; not at another turn."""
    model = loaded(tiny_lm, max_new_tokens=8, temperature=1.0)
    one = Prompt(sample_id="a", text=LINES[1], params={"seed": 3})
    asked = [one, one, replace(one, sample_id="b"), replace(one, turn=1)]
    first, like, other, turned = written(model, asked)
    assert first.text == like.text == other.text != turned.text


@pytest.mark.parametrize("kind_of", ["llama", "mamba"])
def test_log_probabilities_token_by_token(kind_of: str, tiny_lm: Path, mamba_lm: Path) -> None:
    """Each token's own and the likeliest beside it, by one plain pass; the pieces are the text."""
    import torch

    model = loaded(tiny_lm if kind_of == "llama" else mamba_lm, max_new_tokens=9)
    plain = told(model, LINES[0])
    found = told(model, LINES[0], logprobs=3, temperature=1.0, seed=4)
    head, tail = ids_of(model, LINES[0]), [t.id for t in found.detail]
    with torch.inference_mode():
        whole = inner(model)(torch.tensor([head + tail])).logits[0].log_softmax(-1)
    for place, token in enumerate(found.detail):
        row = whole[len(head) - 1 + place]
        best = row.topk(3)
        assert token.logprob == pytest.approx(float(row[token.id or 0]), abs=1e-4)
        assert [p for _, p in token.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [t for t, _ in token.top] == [tokenizer(model).decode([i]) for i in best.indices]
    assert "".join(t.text for t in found.detail) == found.text
    assert found.logprob == pytest.approx(math.fsum(t.logprob or 0 for t in found.detail))
    assert plain.detail == () and plain.logprob is not None
    assert [t.top for t in told(model, LINES[0], logprobs=0).detail] == [()] * 9


CHOICE = ["서울", "서울특별시", "부산", "Busan is it", "A"]


@pytest.mark.parametrize("kind_of", ["llama", "chat", "mamba"])
def test_a_choice_holds_the_reply(
    kind_of: str, tiny_lm: Path, chat_lm: Path, mamba_lm: Path
) -> None:
    """Drawn often, each text comes, one that begins another too; what is free stays free."""
    model = loaded({"llama": tiny_lm, "chat": chat_lm, "mamba": mamba_lm}[kind_of], seed=0)
    held = {"choice": CHOICE, "temperature": 50.0}
    asked = [Prompt(sample_id=str(i), text="수도는?", params=held) for i in range(60)]
    *found, free = written(
        model, [*asked, Prompt(sample_id="x", text="", params={"max_tokens": 9})]
    )
    assert {p.text for p in found} == set(CHOICE)
    assert {p.finish_reason for p in found} == {"stop"}
    assert free.text not in CHOICE and free.tokens == 9


def test_a_choice_is_made_greedily_by_the_model(tiny_lm: Path) -> None:
    """At each place the likeliest token that is allowed, and its log-probability untouched."""
    import torch

    model = loaded(tiny_lm)
    found = told(model, "정답: ", choice=["A", "B", "C", "D"], logprobs=0)
    with torch.inference_mode():
        row = inner(model)(torch.tensor([ids_of(model, "정답: ")])).logits[0, -1].log_softmax(-1)
    chances = {c: float(row[tokenizer(model)(c)["input_ids"][-1]]) for c in "ABCD"}
    assert found.text == max(chances, key=lambda c: chances[c]) and found.tokens == 1
    assert found.logprob == pytest.approx(chances[found.text or ""], abs=1e-4)


def test_a_choice_that_cannot_be_is_refused(tiny_lm: Path) -> None:
    """Too few tokens; or none that could end the shorter of two."""
    model = loaded(tiny_lm)
    short = told(model, "q", choice=["A", "다음 중 옳은 것"], max_tokens=2)
    assert short.failure is not None and "max_tokens=2" in short.failure.message
    assert model._worker.loaded is not None
    model._worker.loaded.engine.end_tokens = frozenset()
    both = told(model, "q", choice=["서울", "서울특별시"])
    assert both.failure is not None and "begins another" in both.failure.message
    assert told(model, "q", choice=["서울", "부산"]).text in ("서울", "부산")


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"top_k": "many"}, "top_k"),
        ({"logprobs": -1}, "logprobs"),
        ({"choice": [""]}, "choice"),
        ({"choice": "AB"}, "choice"),
        ({"seed": 1.5}, "seed"),
        ({"penalty": 1}, "penalty"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_that_prompts_failure(
    llama: HuggingFaceModel, params: dict[str, Any], word: str
) -> None:
    """By name; the one beside it is written."""
    prompts = [Prompt(sample_id="a", text="q", params=params), Prompt(sample_id="b", text="q")]
    one, other = written(llama, prompts)
    assert one.failure is not None and one.failure.kind == "bad_request" and one.text is None
    assert word in one.failure.message and other.failure is None


def test_none_and_plain_text_ask_for_nothing(llama: HuggingFaceModel) -> None:
    """As a server's callers write them."""
    found = told(llama, "q", response_format={"type": "text"}, stop=None, seed=None, top_k=-1)
    assert found.failure is None


@pytest.mark.parametrize("own", [True, False], ids=["the prompt's", "the backend's"])
def test_a_stop_that_is_a_special_token_stops(tiny_lm: Path, own: bool) -> None:
    """Though no decoded text shows it; a text beside it that is none is looked for as ever."""
    stop = ["<s>", "\u0000"]
    model = loaded(tiny_lm, max_new_tokens=9, stop=() if own else stop)
    steps = 0

    def third(go: Callable[[], Any], _: Any) -> Any:
        nonlocal steps
        steps += 1
        out = go()
        if steps == 3:
            out.logits[..., 0] = 1e4
        return out

    with forward_of(model, third):
        found = told(model, LINES[0], logprobs=0, **({"stop": stop} if own else {}))
    assert [t.id for t in found.detail][2:] == [0]
    assert (found.tokens, found.finish_reason) == (3, "stop")
    begun = [t.id for t in found.detail[:2]]
    assert found.text == tokenizer(model).decode(begun, skip_special_tokens=True)


def test_log_probabilities_that_a_backend_tells_are_told_beside_other_parameters() -> None:
    """A prompt that does not speak of them changes nothing about them."""
    asked = GenerationParams(sampling=sampling_of(0, None, 1.0, 0), logprobs=5)
    for params in ({}, {"max_tokens": 3}, {"logprobs": None, "seed": 1}):
        assert asked.over(params).logprobs == 5
    assert asked.over({"logprobs": 0}).logprobs == 0
