"""What is written is what the model writes alone, whatever is written beside it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import loop
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.records import Prediction, Prompt
from tests.fakes.tiny_lm import LINES
from tests.unit.llm_eval.hf.tools import (
    asked,
    counting,
    forward_of,
    ids_of,
    inner,
    loaded,
    tokenizer,
    written,
)

TEXTS = [*LINES, "", "x", "정답: ", LINES[0] + LINES[3], "물"]
PROMPTS = asked(*((t, ()) for t in TEXTS))


def alone(model: HuggingFaceModel, text: str, most: int) -> list[int]:
    """The tokens that transformers' own `generate` writes, greedily, for one prompt."""
    import torch

    ids = torch.tensor([ids_of(model, text)])
    found = inner(model).generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=most
    )
    new: list[int] = found[0, ids.shape[1] :].tolist()
    return new


def decoded(model: HuggingFaceModel, ids: Sequence[int]) -> str:
    """Tokens as text."""
    text: str = tokenizer(model).decode(ids, skip_special_tokens=True)
    return text


def texts(found: Sequence[Prediction]) -> list[str | None]:
    """What was written."""
    return [p.text for p in found]


@pytest.mark.parametrize("size", [1, 3, "auto"])
def test_a_batch_writes_what_each_prompt_alone_does(tiny_lm: Path, size: Any) -> None:
    """No token of a prompt leaks into a reply, and none of a reply is lost."""
    model = loaded(tiny_lm, batch_size=size, max_new_tokens=24)
    found = written(model, PROMPTS)
    assert [p.sample_id for p in found] == [p.sample_id for p in PROMPTS]
    for prompt, told in zip(PROMPTS, found, strict=True):
        ids = alone(model, prompt.text, 24)
        assert told.text == decoded(model, ids)
        assert told.tokens == len(ids) and told.usage.completion_tokens == len(ids)


def test_other_kinds_write_alike(kind: HuggingFaceModel) -> None:
    """Windows, ALiBi, learned positions, and states that cannot be padded."""
    found = written(kind, PROMPTS[:4])
    for prompt, told in zip(PROMPTS, found, strict=False):
        assert told.text == decoded(kind, alone(kind, prompt.text, 12))


def test_the_log_probability_of_a_reply(tiny_lm: Path) -> None:
    """It is the sum over its tokens, by one plain pass over prompt and reply."""
    import torch

    llama = loaded(tiny_lm, batch_size=3, max_new_tokens=24)
    found = written(llama, PROMPTS)
    for prompt, told in zip(PROMPTS, found, strict=True):
        head = ids_of(llama, prompt.text)
        tail = alone(llama, prompt.text, 24)
        with torch.inference_mode():
            logits = inner(llama)(torch.tensor([head + tail])).logits[0].log_softmax(-1)
        total = sum(float(logits[len(head) - 1 + i, t]) for i, t in enumerate(tail))
        assert told.logprob == pytest.approx(total, abs=1e-3)
        assert told.tokens == len(tail)


def test_an_end_token_ends_its_row_alone(tiny_lm: Path) -> None:
    """It is not in the text, and the others go on."""
    model = loaded(tiny_lm, batch_size=4, max_new_tokens=24)
    before = [alone(model, p.text, 24) for p in PROMPTS]
    end = before[0][5]
    assert model._worker.loaded is not None
    model._worker.loaded.engine.end_tokens = frozenset({end})
    for ids, told in zip(before, written(model, PROMPTS), strict=True):
        cut = ids.index(end) if end in ids else None
        tokens = ids if cut is None else ids[: cut + 1]
        assert told.tokens == len(tokens)
        assert told.finish_reason == ("length" if cut is None else "stop")


def test_a_stop_ends_its_own_row_and_is_cut_off(tiny_lm: Path) -> None:
    """A stop in a prompt ends nothing; one that spans two tokens is found."""
    free = written(loaded(tiny_lm, max_new_tokens=24), PROMPTS)
    whole = [p.text or "" for p in free]
    letters = [c for c in whole[0] if c.isascii() and c.isalpha()]
    stops = [letters[0], whole[1][6:9]]
    prompts = [Prompt(sample_id=p.sample_id, text=p.text) for p in PROMPTS]
    assert any(s in p.text for s in stops for p in prompts)
    model = loaded(tiny_lm, batch_size=4, max_new_tokens=24, stop=stops)
    found = written(model, prompts)
    ended = 0
    for text, told in zip(whole, found, strict=True):
        places = [text.find(s) for s in stops if s in text]
        assert told.text == (text[: min(places)] if places else text)
        assert told.finish_reason == ("stop" if places else "length")
        assert told.tokens is not None and (told.tokens < 24 or not places or min(places) > 0)
        ended += bool(places)
    assert 2 <= ended < len(found)


def test_stopping_early_saves_the_work(tiny_lm: Path) -> None:
    """Where all rows have met their stop, no further token is written."""
    model = loaded(tiny_lm, max_new_tokens=200, stop=[chr(c) for c in range(0x20, 0x7F)])
    steps: list[Any] = []
    with forward_of(model, counting(steps)):
        found = written(model, PROMPTS)
    assert {p.finish_reason for p in found} == {"stop"}
    assert len(steps) == 1 + max((p.tokens or 0) for p in found) - 1


def test_a_long_prompt_is_a_failure_and_a_short_rest_is_told(tiny_lm: Path) -> None:
    """Over the context: both numbers. Less room than asked for: the finish reason says so."""
    model = loaded(tiny_lm, max_new_tokens=64)
    found = written(model, asked(("y" * 300, ()), ("y" * 240, ()), ("y", ()), ("y" * 256, ())))
    first, last = found[0].failure, found[3].failure
    assert first is not None and "301" in first.message and "256" in first.message
    assert last is not None and first.kind == last.kind == "length" and found[0].text is None
    assert (found[1].finish_reason, found[1].tokens) == ("context_length", 256 - 241)
    assert (found[2].finish_reason, found[2].tokens) == ("length", 64)


def sampled(folder: Path, **params: Any) -> list[str | None]:
    """What is drawn at temperature 1."""
    model = loaded(folder, **{"temperature": 1.0, "max_new_tokens": 12, **params})
    return texts(written(model, PROMPTS))


def test_a_seed_repeats_a_draw_whatever_the_batches(tiny_lm: Path) -> None:
    """The same seed writes the same, another seed something else; without one, so does a run."""
    first = sampled(tiny_lm, seed=7, batch_size=1)
    assert first == sampled(tiny_lm, seed=7, batch_size=5)
    assert first != sampled(tiny_lm, seed=8) != sampled(tiny_lm)
    model = loaded(tiny_lm, seed=7, temperature=1.0, max_new_tokens=12)
    assert texts(written(model, PROMPTS[3:5])) == first[3:5]


def test_replies_to_the_same_sample_differ(tiny_lm: Path) -> None:
    """GenerationParams several times at once, with a seed too: pass@k stands on that."""
    model = loaded(tiny_lm, seed=7, temperature=1.0, max_new_tokens=12)
    assert len(set(texts(written(model, [PROMPTS[0]] * 4)))) == 4


def test_a_turn_is_drawn_alike_with_the_others_and_alone(tiny_lm: Path) -> None:
    """A reply that failed and is asked for again by itself is the one that was missing."""
    model = loaded(tiny_lm, seed=7, temperature=1.0, max_new_tokens=12)
    turns = [replace(PROMPTS[0], turn=t) for t in range(4)]
    whole = texts(written(model, turns))
    assert len(set(whole)) == 4
    assert texts(written(model, turns[2:3])) == whole[2:3]
    assert texts(written(model, turns[1:])) == whole[1:]


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"top_p": 1e-6}], ids=str)
def test_cuts_leave_the_likeliest(tiny_lm: Path, cut: dict[str, Any]) -> None:
    """With all else cut away, a draw is greedy."""
    greedy = texts(written(loaded(tiny_lm, max_new_tokens=12), PROMPTS))
    assert sampled(tiny_lm, **cut) == greedy


@pytest.mark.parametrize("cut", [{}, {"top_k": 3}, {"top_p": 0.6}], ids=str)
def test_draws_follow_the_chances(cut: dict[str, Any]) -> None:
    """Over many draws each token comes as often as it should, and none that was cut."""
    import torch

    from llm_eval.models.hf.asking import GenerationParams, Sampling
    from llm_eval.models.hf.rows import Row
    from llm_eval.models.hf.sampling import draw

    chances = torch.tensor([0.4, 0.3, 0.2, 0.1])
    kept = {"": 4, "top_k": 3, "top_p": 2}[next(iter(cut), "")]
    asked_for = GenerationParams(sampling=Sampling(temperature=1.0, **cut))
    rows = [Row(prompt=[0], limit=1, asked=asked_for, key=str(i)) for i in range(4000)]
    drawn, told, _ = draw(chances.log().repeat(4000, 1), rows, frozenset())
    count = Counter(drawn)
    assert set(count) == set(range(kept))
    for token in range(kept):
        share = float(chances[token] / chances[:kept].sum())
        assert count[token] / 4000 == pytest.approx(share, abs=0.03)
    assert told[0] == pytest.approx(float(chances[drawn[0]].log()), abs=1e-5)


def test_want_of_memory_loses_no_token(tiny_lm: Path) -> None:
    """In the middle of writing, with rows half done: the texts are what they would have been."""
    import torch

    wanted = sampled(tiny_lm, seed=3, batch_size=8)
    model = loaded(tiny_lm, seed=3, batch_size=8, temperature=1.0, max_new_tokens=12)
    passes, refused = [0], [0]

    def forward(go: Callable[[], Any], given: Any) -> Any:
        passes[0] += 1
        if passes[0] > 5 and given["input_ids"].shape[0] > 2:
            refused[0] += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return go()

    with forward_of(model, forward):
        found = written(model, PROMPTS)
    assert texts(found) == wanted and refused[0] == 2
    assert [p.tokens for p in found] == [12] * len(found)


def test_a_row_that_fits_nowhere_is_one_samples_loss(tiny_lm: Path) -> None:
    """It fails by name; the others are written."""
    import torch

    model = loaded(tiny_lm, batch_size=4, max_new_tokens=4)

    def forward(go: Callable[[], Any], given: Any) -> Any:
        if given["input_ids"].shape[1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return go()

    with forward_of(model, forward):
        found = written(model, asked(("a", ()), ("y" * 90, ()), ("b", ())))
    assert [p.failure is None for p in found] == [True, False, True]
    assert found[1].failure is not None and found[1].failure.kind == "memory"


def test_a_run_that_is_given_up_stops_writing(tiny_lm: Path) -> None:
    """Cancelled, the worker ends its step and no more, and is there for the next."""
    model = loaded(tiny_lm, max_new_tokens=200)
    going, free, passes = threading.Event(), threading.Event(), [0]

    def forward(go: Callable[[], Any], given: Any) -> Any:
        passes[0] += 1
        going.set()
        assert free.wait(30)
        return go()

    async def give_up() -> None:
        task = asyncio.ensure_future(model.generate(PROMPTS))
        assert await asyncio.to_thread(going.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free.set()

    with forward_of(model, forward):
        asyncio.run_coroutine_threadsafe(give_up(), loop()).result(60)
        free.set()
        assert len(written(model, PROMPTS[:1])) == 1
    assert passes[0] <= 1 + 200
