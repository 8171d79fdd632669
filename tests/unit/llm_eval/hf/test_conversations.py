"""Conversations and tokens in place of a text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.evaluation import extract
from llm_eval.models.hf.encoding import Texts
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.records import Failure, Prediction, Prompt
from tests.fakes.tiny_lm import CHAT_TEMPLATE, LINES, make_tokenizer
from tests.unit.llm_eval.hf.tools import ids_of, inner, loaded, naive, tokenizer, weighed, written

TALK = (
    {"role": "user", "content": "수도는?"},
    {"role": "assistant", "content": "서울"},
    {
        "role": "user",
        "content": [{"type": "text", "text": "둘에 "}, {"type": "text", "text": "둘?"}],
    },
)
SHOWN = "<user>\n수도는?</s>\n<assistant>\n서울</s>\n<user>\n둘에 둘?</s>\n<assistant>\n"


def talk(*messages: Any, **more: Any) -> Prompt:
    """A prompt of messages."""
    return Prompt(sample_id="t", text="", messages=messages or TALK, **more)


def told(model: HuggingFaceModel, prompt: Prompt) -> Prediction:
    """Its tokens' log-probabilities."""
    (found,) = run_sync(model.prompt_logprobs([prompt]))
    return found


def test_a_conversation_is_shown_in_the_template(chat_lm: Path) -> None:
    """Every turn, and parts of text joined; the system message before it where it has none."""
    model = loaded(chat_lm)
    read = told(model, talk())
    assert "".join(t.text for t in read.detail) == f"<s>{SHOWN}"
    brief = loaded(chat_lm, system_message="짧게")
    assert "".join(t.text for t in told(brief, talk()).detail) == f"<s><system>\n짧게</s>\n{SHOWN}"
    own = talk({"role": "system", "content": "길게"}, *TALK)
    assert "".join(t.text for t in told(brief, own).detail) == f"<s><system>\n길게</s>\n{SHOWN}"


def test_a_conversation_is_answered_and_weighed(chat_lm: Path) -> None:
    """As the text that it is shown as."""
    model = loaded(chat_lm, max_new_tokens=8)
    (found,) = written(model, [talk()])
    (same,) = written(model, [Prompt(sample_id="", text="", token_ids=tuple(ids_of(model, SHOWN)))])
    assert found.text == same.text and found.tokens == 8
    (weights,) = weighed(model, [talk(options=("넷", "다섯입니다"))])
    for option, text in zip(weights.options, ("넷", "다섯입니다"), strict=True):
        total, tokens, _ = naive(model, SHOWN, text)
        assert option.logprob == pytest.approx(total, abs=1e-4) and option.tokens == tokens


def test_without_a_template_a_conversation_is_refused(tiny_lm: Path, chat_lm: Path) -> None:
    """It is not glued together in some way of our own."""
    for model in (loaded(tiny_lm), loaded(chat_lm, apply_chat_template=False)):
        for (found,) in (written(model, [talk()]), weighed(model, [talk(options=("A",))])):
            assert found.failure is not None and "chat template" in found.failure.message


def test_a_conversation_that_the_template_refuses_is_one_samples_loss(chat_lm: Path) -> None:
    """The template's own words; and a part that is no text is named."""
    model = loaded(chat_lm, max_new_tokens=2)
    template = tokenizer(model).chat_template
    tokenizer(model).chat_template = (
        "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('user first') }}{% endif %}"
        + template
    )
    odd = talk({"role": "assistant", "content": "x"})
    sound = talk({"role": "user", "content": [{"type": "input_audio"}]})
    one, two, three = written(model, [odd, sound, talk()])
    assert one.failure is not None and "user first" in one.failure.message
    assert two.failure is not None and "input_audio" in two.failure.message
    assert three.failure is None


def test_tokens_are_taken_as_they_are(llama: HuggingFaceModel) -> None:
    """Nothing is put before them; options are encoded by themselves."""
    import torch

    ids = (40, 50, 60)
    prompt = Prompt(sample_id="i", text="", token_ids=ids, params={"max_tokens": 5})
    (found,) = written(llama, [prompt])
    start = torch.tensor([ids])
    alone = inner(llama).generate(
        start, attention_mask=torch.ones_like(start), do_sample=False, max_new_tokens=5
    )
    assert found.text == tokenizer(llama).decode(alone[0, 3:], skip_special_tokens=True)
    (weights,) = weighed(llama, [replace(prompt, options=("서울",))])
    tail = tokenizer(llama)("서울", add_special_tokens=False)["input_ids"]
    whole = [t.logprob for t in told(llama, replace(prompt, token_ids=(*ids, *tail))).detail]
    assert weights.options[0].logprob == pytest.approx(sum(x or 0 for x in whole[3:]), abs=1e-4)


@pytest.mark.parametrize("ids", [(5, 512), (-1, 5)])
def test_tokens_that_the_model_has_not_are_refused(
    llama: HuggingFaceModel, ids: tuple[int, ...]
) -> None:
    """An index out of range would end a GPU's process."""
    prompts = [Prompt(sample_id="i", text="", token_ids=ids, options=("A",)), talk()]
    for ask in (llama.generate, llama.likelihoods, llama.prompt_logprobs):
        found, _ = run_sync(ask(prompts))
        assert found.failure is not None and "512" in found.failure.message


def test_a_text_that_is_none_is_one_samples_loss(llama: HuggingFaceModel, chat_lm: Path) -> None:
    """Half of a surrogate pair: in a prompt, an option, a text of a choice, or a stop."""
    half, fine = "half \ud83d", Prompt(sample_id="f", text="?", options=("A", "B"))
    bad = [
        replace(fine, text=half),
        replace(fine, messages=({"role": "user", "content": half},), text=""),
        replace(fine, params={"choice": ["A", half]}),
        replace(fine, params={"stop": [half]}),
    ]
    for model in (llama, loaded(chat_lm, max_new_tokens=2)):
        found = written(model, [*bad, fine])
        assert [p.failure is None for p in found] == [False] * 4 + [True]
        weights = weighed(model, [bad[0], replace(fine, options=("A", half)), fine])
        assert [p.failure is None for p in weights] == [False, False, True]
        assert weights[1].failure is not None and "ud83d" in weights[1].failure.message


def test_an_option_of_a_token_that_the_model_has_not_is_one_samples_loss(tiny_lm: Path) -> None:
    """The tokenizer knows more than the model: in an option, a text of a choice, a prompt."""
    own = make_tokenizer(512, begins=True)
    own.add_tokens([f"<x{i}>" for i in range(513 - len(own))])
    model, fine = loaded(tiny_lm, tokenizer=own, max_new_tokens=3), Prompt(sample_id="f", text="?")
    odd = own.convert_ids_to_tokens(512)
    found = weighed(model, [replace(fine, options=o) for o in (("A", f"{odd} B"), ("A", "B"))])
    assert found[0].failure is not None and "option 2" in found[0].failure.message
    assert found[1].failure is None
    one, two, three = written(
        model, [replace(fine, params={"choice": ["A", odd]}), replace(fine, text=odd), fine]
    )
    assert one.failure is not None and "token of the choice" in one.failure.message
    assert two.failure is not None and "512" in two.failure.message and three.failure is None


@pytest.mark.parametrize("size", [1, 3, "auto"])
def test_the_log_probability_of_each_token_of_a_prompt(tiny_lm: Path, size: Any) -> None:
    """By one plain pass, with the likeliest; nothing is told of the first; the pieces are it."""
    import torch

    model = loaded(tiny_lm, batch_size=size)
    texts = [*LINES, "", "물", "y" * 300]
    prompts = [
        Prompt(sample_id=str(i), text=t, params={"logprobs": 2} if i % 2 else {})
        for i, t in enumerate(texts)
    ]
    found = run_sync(model.prompt_logprobs(prompts))
    assert [p.failure is None for p in found] == [True] * (len(texts) - 1) + [False]
    for read, text, prompt in zip(found[:-1], texts, prompts, strict=False):
        ids = ids_of(model, text)
        assert [t.id for t in read.detail] == ids
        assert "".join(t.text for t in read.detail) == f"<s>{text}"
        with torch.inference_mode():
            whole = inner(model)(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = [float(whole[i, t]) for i, t in enumerate(ids[1:])]
        assert [t.logprob for t in read.detail[1:]] == pytest.approx(wanted, abs=1e-4)
        assert read.detail[0].logprob is None and read.logprob == pytest.approx(sum(wanted))
        best = [tuple(row.topk(2).values.tolist()) for row in whole[:-1]]
        tops = [tuple(p for _, p in t.top) for t in read.detail[1:]]
        if prompt.params:
            assert all(
                one == pytest.approx(two, abs=1e-4) for one, two in zip(tops, best, strict=True)
            )
        else:
            assert not any(tops)


def test_a_long_prompt_is_read_in_pieces(
    tiny_lm: Path, mamba_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its logits would be too many at once, what is found is the same."""
    from llm_eval.models.hf import reading

    prompts = [Prompt(sample_id=t, text=t, params={"logprobs": 1}) for t in LINES]
    for folder in (tiny_lm, mamba_lm):
        model = loaded(folder)
        wanted = run_sync(model.prompt_logprobs(prompts))
        monkeypatch.setattr(reading, "LOGITS", 7 * 512)
        monkeypatch.setattr(reading, "SLICE", 3 * 512)
        for one, other in zip(run_sync(model.prompt_logprobs(prompts)), wanted, strict=True):
            told, whole = ([t.logprob for t in p.detail[1:]] for p in (one, other))
            assert told == pytest.approx(whole, abs=1e-4)
            assert [t.top[0][0] for t in one.detail[1:]] == [t.top[0][0] for t in other.detail[1:]]
        monkeypatch.undo()


@pytest.mark.parametrize(
    "opened",
    ["<think>\n", "<think>", "<thought>\n", "[THINK]", "<think>\n\n</think>\n\n"],
    ids=repr,
)
def test_a_thought_that_the_template_opens_is_a_thought(chat_lm: Path, opened: str) -> None:
    """Its reply begins within it: cut, it is no answer. One that is closed again is none."""
    model = loaded(chat_lm, max_new_tokens=4)
    own = tokenizer(model)
    own.chat_template += "{% if add_generation_prompt %}" + opened + "{% endif %}"
    one = Prompt(sample_id="a", text="수도는?")
    held = replace(one, params={"choice": ["서울", "부산"]})
    found, chosen = written(model, [one, held])
    before = "" if "</think>" in opened else f"{opened.strip()}\n"
    written_ids = [t.id for t in written(model, [replace(one, params={"logprobs": 0})])[0].detail]
    assert found.text == before + own.decode(written_ids, skip_special_tokens=True)
    assert found.finish_reason == "length" and found.tokens == 4
    assert bool(extract.visible(found.text or "")) is not bool(before)
    assert chosen.text in ("서울", "부산")


GPT_OSS = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>"]


@pytest.mark.parametrize(
    ("tags", "said", "told", "answer"),
    [
        (["[THINK]", "[/THINK]"], "[THINK]정답: 3일까", "[THINK]정답: 3일까", ""),
        (
            GPT_OSS,
            "<|channel|>analysis<|message|>정답: 3?<|end|><|start|>assistant"
            "<|channel|>final<|message|>정답: 4",
            "<|channel|>analysis<|message|>정답: 3?assistant<|channel|>final<|message|>정답: 4",
            "정답: 4",
        ),
        (
            GPT_OSS,
            "<|channel|>analysis<|message|>정답: 3?<|end|>",
            "<|channel|>analysis<|message|>정답: 3?",
            "",
        ),
        (["<other>"], "<other>정답: 4", "정답: 4", "정답: 4"),
    ],
)
def test_what_bounds_a_thought_is_shown_though_it_is_special(
    tags: list[str], said: str, told: str, answer: str
) -> None:
    """Or a thought would be read as an answer; other special tokens are not shown."""
    own = make_tokenizer(512, begins=True)
    own.add_special_tokens({"additional_special_tokens": tags})
    ids = own(said, add_special_tokens=False)["input_ids"]
    found = Texts(own, False).written([[*ids, own.eos_token_id], own("정답")["input_ids"]])
    assert found == [told, "정답"] and extract.visible(told) == answer


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, CHAT_TEMPLATE.replace("{{ bos_token }}", "")])
def test_nothing_is_put_before_what_a_template_shows(template: str) -> None:
    """A template holds the special tokens that it wants; a plain prompt has what begins a text."""
    own = make_tokenizer(512, begins=True)
    own.chat_template = template
    wanted = own.apply_chat_template(
        [{"role": "user", "content": "수도는?"}], add_generation_prompt=True, tokenize=True,
        return_dict=True,
    )["input_ids"]  # fmt: skip
    assert (wanted[0] == own.bos_token_id) is ("bos_token" in template)
    prompt = Prompt(sample_id="a", text="수도는?", options=("서울",))
    texts = Texts(own, True)
    assert texts.prompts([prompt]) == [wanted]
    (told,) = texts.options([prompt])
    assert not isinstance(told, Failure)
    bare = own("<assistant>", add_special_tokens=False)["input_ids"]
    assert told[0][: len(wanted) - 2] == wanted[: len(wanted) - 2] and told[0][-len(bare) :] == bare
    assert Texts(own, False).prompts([prompt]) == [own("수도는?")["input_ids"]]


def test_a_template_without_a_place_for_the_system_is_told(chat_lm: Path) -> None:
    """A system message that it would not show is refused; a sample's own turn fails its sample."""
    own = tokenizer(loaded(chat_lm))
    own.chat_template = CHAT_TEMPLATE.replace("messages %}", "messages if m.role != 'system' %}")
    with pytest.raises(UserError, match="leaves the system's turn out"):
        loaded(chat_lm, tokenizer=own, system_message="짧게")
    lost, fine = written(
        loaded(chat_lm, tokenizer=own), [talk({"role": "system", "content": "길게"}, *TALK), talk()]
    )
    assert lost.failure is not None and "leaves the system's turn out" in lost.failure.message
    assert fine.failure is None


def test_a_system_turn_may_be_trimmed(chat_lm: Path) -> None:
    """Outer white space is nobody's loss."""
    own = tokenizer(loaded(chat_lm))
    own.chat_template = CHAT_TEMPLATE.replace("m['content']", "m['content'] | trim")
    loaded(chat_lm, tokenizer=own, system_message=" 짧게\n")
