"""What vLLM is asked, and what is made of what it tells; its own outputs are stood in for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_eval.models.hf.asking import GenerationParams, Refused, Sampling
from llm_eval.models.hf.encoding import Texts
from llm_eval.models.vllm_likelihood import MOST_NAMED, requests
from llm_eval.models.vllm_work import Reply, Work, seeds, weighed
from llm_eval.records import Failure, Prompt

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6"
    "kgAAAABJRU5ErkJggg=="
)


def row(**told: float) -> dict[int, Any]:
    """A place's log-probabilities, by token, the likeliest first."""
    ids = {int(name[1:]): p for name, p in told.items()}
    return {
        t: SimpleNamespace(logprob=p, rank=rank)
        for rank, (t, p) in enumerate(sorted(ids.items(), key=lambda i: -i[1]), start=1)
    }


def output(last: dict[int, Any], written: int, prompt: Any = None, cached: int = 0) -> Any:
    """What vLLM tells of a request for one token."""
    done = SimpleNamespace(token_ids=[written], logprobs=[last])
    return SimpleNamespace(outputs=[done], prompt_logprobs=prompt, num_cached_tokens=cached)


def test_options_that_share_all_but_the_last_token_are_one_request() -> None:
    """And the log-probability of what they share is told once."""
    one, shared = requests([1, 2], [[7], [5, 8], [9], [5, 9]])
    assert one.job().tokens == [1, 2] and one.job().params["logprob_token_ids"] == [7, 9]
    assert "prompt_logprobs" not in one.job().params
    assert shared.job().tokens == [1, 2, 5] and shared.job().params["prompt_logprobs"] == 0
    prompt = Prompt(sample_id="s", text="?", options=("a", "bc", "d", "ef"))
    found = weighed(
        prompt,
        [one, shared],
        [
            output(row(t7=-1.0, t9=-2.0), 7),
            output(row(t8=-0.5, t9=-3.0, t4=-0.1), 4, [None, None, row(t5=-0.25)]),
        ],
    )
    assert [o.logprob for o in found.options] == [-1.0, -0.75, -2.0, -3.25]
    assert [o.greedy for o in found.options] == [True, False, False, False]
    assert [o.tokens for o in found.options] == [1, 2, 1, 2]
    assert (found.text, found.usage.prompt_tokens) == ("bc", 8)


def test_a_request_names_as_many_tokens_as_it_may() -> None:
    """More options are more requests."""
    made = requests([1], [[t] for t in range(2 * MOST_NAMED + 1)])
    assert [len(r.last) for r in made] == [MOST_NAMED, MOST_NAMED, 1]


def test_what_the_cache_hid_is_asked_again() -> None:
    """Cached tokens have no log-probabilities: those of the context alone are not missed."""
    (request,) = requests([1, 2, 3], [[5, 8]])
    assert not request.overread(output({}, 0, cached=2))
    assert request.overread(output({}, 0, cached=3))
    assert request.job(fresh=True).params["skip_reading_prefix_cache"] is True


@pytest.mark.parametrize("told", [None, [None], [None, row(t6=-1.0)], [None, row(t5=float("nan"))]])
def test_what_is_not_of_the_options_tokens_is_a_failure(told: Any) -> None:
    """Never a number."""
    (request,) = requests([1], [[5, 8]])
    prompt = Prompt(sample_id="s", text="?", options=("a",))
    found = weighed(prompt, [request], [output(row(t8=-1.0), 8, told)])
    assert found.failure is not None and found.failure.kind == "malformed" and not found.options


def test_an_option_that_is_impossible_is_the_least_likely() -> None:
    """As in `huggingface`; where all are, there is nothing to choose by."""
    prompt, asked = Prompt(sample_id="s", text="?", options=("a", "b")), requests([1], [[5], [6]])
    none = float("-inf")
    found = weighed(prompt, asked, [output(row(t5=none, t6=-1.0), 6)])
    assert ([o.logprob for o in found.options], found.text) == ([none, -1.0], "b")
    lost = weighed(prompt, asked, [output(row(t5=none, t6=none), 6)])
    assert lost.failure is not None and lost.failure.kind == "malformed"


def test_a_refusal_fails_its_sample() -> None:
    """With the reason."""
    prompt = Prompt(sample_id="s", text="?", options=("a",))
    found = weighed(prompt, requests([1], [[5]]), [Refused("no", "length")])
    assert found.failure is not None and (found.failure.kind, found.failure.message) == (
        "length",
        "no",
    )


def test_seeds_repeat_in_another_run_and_not_in_one() -> None:
    """By the run's seed and the sample's name, or by the prompt's own seed alone."""
    asked = [Prompt(sample_id=i, text="?") for i in "aab"]
    first = seeds(asked, 3)
    assert first == seeds(asked, 3) and len(set(first)) == 3
    assert seeds(asked, 4) != first
    own = [Prompt(sample_id=i, text="?", params={"seed": 5}) for i in "ab"]
    assert seeds(own[:1], 3) == seeds(own[1:], None)
    assert seeds(asked, None) != seeds(asked, None)


def test_a_turn_is_drawn_alike_with_the_others_and_alone() -> None:
    """A reply that is asked for again by itself is the one that was missing."""
    turns = [Prompt(sample_id="a", text="?", turn=t) for t in range(4)]
    whole = seeds(turns, 3)
    assert len(set(whole)) == 4
    assert [seeds([t], 3)[0] for t in turns] == whole
    assert len({*whole, *seeds([turns[0]] * 4, 3)}) == 7


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Over a tiny tokenizer with a chat template."""
    pytest.importorskip("transformers")
    from tests.fakes.tiny_lm import CHAT_TEMPLATE, make_tokenizer

    tokenizer = make_tokenizer(512, begins=True)
    tokenizer.chat_template = CHAT_TEMPLATE
    return Work(
        texts=Texts(
            tokenizer, chat=True, system_message="Look.", template_arguments={"deep": True}
        ),
        asked=GenerationParams(sampling=Sampling(), max_tokens=16),
        sampling={"min_p": 0.1},
        max_length=64,
        vocabulary=512,
        vision=True,
    )


def test_images_go_as_pixels_in_a_conversation(work: Work) -> None:
    """Before the text, where they are the prompt's; in their place, where they are in messages."""
    pytest.importorskip("PIL")
    said = {
        "role": "user",
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
            {"type": "text", "text": "two"},
        ],
    }
    asked = [
        Prompt(sample_id="a", text="what?", images=(PIXEL,), params={"max_tokens": 3}),
        Prompt(sample_id="b", text="", messages=(said,)),
        Prompt(sample_id="c", text="what?", images=("no/such.png",)),
    ]
    first, second, lost = work.replies(asked, [None, 4, None])
    assert isinstance(first, Reply) and isinstance(second, Reply)
    system, user = first.job.conversation
    assert system == {"role": "system", "content": "Look."}
    image, text = user["content"]
    assert image["type"] == "image_pil" and image["image_pil"].size == (1, 1)
    assert text == {"type": "text", "text": "what?"}
    kinds = [part["type"] for part in second.job.conversation[1]["content"]]
    assert kinds == ["text", "image_pil", "text"]
    assert first.job.params["max_tokens"] == 3 and first.job.template_arguments == {"deep": True}
    assert second.job.params["seed"] == 4 and second.job.params["min_p"] == 0.1
    assert isinstance(lost, Failure) and "no/such.png" in lost.message


def test_a_model_without_eyes_says_so(work: Work) -> None:
    """It costs the sample with the image."""
    blind = Work(**{**vars(work), "vision": False})
    (lost,) = blind.replies([Prompt(sample_id="a", text="?", images=(PIXEL,))], [None])
    assert isinstance(lost, Failure) and "no images" in lost.message
    seen = Prompt(sample_id="a", text="?", images=(PIXEL,), options=("A",))
    (unweighed,) = work.weighings([seen])
    assert isinstance(unweighed, Failure)


def test_a_choice_may_be_written_to_its_end(work: Work) -> None:
    """In whatever tokens: a letter of Korean is three bytes, and a token may be one."""
    asked = Prompt(sample_id="a", text="?", params={"choice": ["가", "나다라마바"]})
    (reply,) = work.replies([asked], [None])
    assert isinstance(reply, Reply)
    assert reply.job.params["max_tokens"] == 16
    assert reply.job.params["structured_outputs"] == {"choice": ["가", "나다라마바"]}


def test_a_reply_that_is_none_of_the_choice_is_a_failure(work: Work) -> None:
    """As one that was cut."""
    asked = Prompt(sample_id="a", text="?", params={"choice": ["가", "나"]})
    (reply,) = work.replies([asked], [None])
    assert isinstance(reply, Reply)
    done = SimpleNamespace(
        token_ids=[1], finish_reason="length", text="", logprobs=None, cumulative_logprob=None
    )
    told = work.told(asked, reply, SimpleNamespace(prompt_token_ids=[1, 2], outputs=[done]))
    assert told.failure is not None and told.failure.kind == "malformed"


def test_lengths_are_named(work: Work) -> None:
    """Of the prompt and of the model; vLLM would refuse the whole call."""
    (over,) = work.replies([Prompt(sample_id="a", text="x" * 200)], [None])
    assert isinstance(over, Failure) and over.kind == "length" and "64" in over.message


def test_a_stop_that_is_a_special_token_is_asked_for_as_one(work: Work) -> None:
    """Beside those that are asked for by number; vLLM's text never shows it."""
    asked = Prompt(sample_id="a", text="?", params={"stop": ["</s>", "끝"]})
    more = replace(work, sampling={"stop_token_ids": [7]})
    for of, wanted in ((work, [1]), (more, [7, 1])):
        (reply,) = of.replies([asked], [None])
        assert isinstance(reply, Reply) and reply.job.params["stop_token_ids"] == wanted
    (plain,) = work.replies([Prompt(sample_id="a", text="?")], [None])
    assert isinstance(plain, Reply) and "stop_token_ids" not in plain.job.params


def test_what_bounds_a_thought_is_shown_though_it_is_special(work: Work) -> None:
    """Its own text leaves it out, and a thought would be read as an answer."""
    tokenizer = work.texts.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    (reply,) = work.replies([Prompt(sample_id="a", text="?", params={"stop": ["끝"]})], [None])
    assert isinstance(reply, Reply)
    ids = tokenizer("[THINK]정답: 3[/THINK]정답: 4끝", add_special_tokens=False)["input_ids"]
    done = SimpleNamespace(
        token_ids=[*ids, tokenizer.eos_token_id], finish_reason="stop", logprobs=None,
        text="정답: 3정답: 4", cumulative_logprob=None,
    )  # fmt: skip
    output = SimpleNamespace(prompt_token_ids=[1], outputs=[done])
    found = work.told(Prompt(sample_id="a", text="?"), reply, output)
    assert found.text == "[THINK]정답: 3[/THINK]정답: 4"


def test_what_no_tokenizer_or_model_reads_is_refused(work: Work) -> None:
    """Before the engine is given it, and alone."""
    prompts = [
        Prompt(sample_id="a", text="half \ud83d", options=("A",)),
        Prompt(sample_id="b", text="?", options=("A", "half \ud83d")),
        Prompt(sample_id="c", text="?", options=("A", "B")),
    ]
    for found, says in zip(work.weighings(prompts), ("ud83d", "ud83d", ""), strict=True):
        assert says in found.message if isinstance(found, Failure) else not says
    replies = work.replies(prompts, [None] * 3)
    assert [isinstance(r, Failure) for r in replies] == [True, False, False]
    work.texts.tokenizer.add_tokens(["<extra>"])
    known = replace(work, vocabulary=len(work.texts.tokenizer) - 1)
    (lost,) = known.weighings([Prompt(sample_id="d", text="?", options=("A", "<extra>"))])
    assert isinstance(lost, Failure) and "option 2 is none of the model's" in lost.message


def test_a_thought_that_the_template_opens_is_a_thought(work: Work) -> None:
    """Its tag stands before the reply, which begins within it; not before a text of a choice."""
    tokenizer = work.texts.tokenizer
    asked = Prompt(sample_id="a", text="?")
    held = replace(asked, params={"choice": ["가"]})
    for tail, before in (("<think>\n", "<think>\n"), ("<think>\n</think>\n", "")):
        ids = tokenizer("q" + tail)["input_ids"]
        for prompt, wanted in ((asked, before + "가"), (held, "가")):
            (reply,) = work.replies([prompt], [None])
            assert isinstance(reply, Reply)
            done = SimpleNamespace(
                token_ids=[1], finish_reason="length", text="가", logprobs=None,
                cumulative_logprob=None,
            )  # fmt: skip
            output = SimpleNamespace(prompt_token_ids=ids, outputs=[done])
            assert work.told(prompt, reply, output).text == wanted
