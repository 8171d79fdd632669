"""Rewards are what the model says of each conversation alone, whatever is judged beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.models.hf_reward import HuggingFaceReward
from llm_eval.records import Failure, Prompt
from tests.fakes.tiny_lm import LINES, make_judge

ITEMS = [
    *((Prompt(sample_id=str(i), text=t), LINES[-i][: 5 + i]) for i, t in enumerate(LINES)),
    (Prompt(sample_id="e", text="q"), ""),
]


def judge(folder: Path, **params: Any) -> HuggingFaceReward:
    """A reward model, loaded."""
    found = HuggingFaceReward(str(folder), device="cpu", **params)
    run_sync(found.check())
    return found


def alone(folder: Path, prompt: Prompt, reply: str, *, chat: bool) -> list[float]:
    """The logits of transformers by themselves, for one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    if chat:
        said = [{"role": "user", "content": prompt.text}, {"role": "assistant", "content": reply}]
        given = tokenizer.apply_chat_template(said, return_tensors="pt", return_dict=True)
    else:
        given = tokenizer(prompt.text, reply, return_tensors="pt")
    with torch.inference_mode():
        logits: list[float] = model(**given).logits[0].tolist()
    return logits


@pytest.mark.parametrize("size", [1, 3, "auto"])
@pytest.mark.parametrize(
    "how",
    [{}, {"pad": True}, {"chat": False}, {"chat": False, "encoder": True}],
    ids=str,
)
def test_rewards_are_those_of_each_alone(tmp_path: Path, how: dict[str, Any], size: Any) -> None:
    """With a token to pad by or without one, decoder and encoder, in order."""
    folder = make_judge(tmp_path / "judge", **how)
    found = run_sync(judge(folder, batch_size=size).rewards(ITEMS))
    wanted = [alone(folder, *item, chat=how.get("chat", True))[0] for item in ITEMS]
    assert found == pytest.approx(wanted, abs=1e-4)
    assert len({round(w, 3) for w in wanted}) == len(ITEMS)


def test_a_label_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    """Its log-probability is the reward; without one, the labels are told."""
    import torch

    folder = make_judge(tmp_path / "judge", labels=3)
    logits = torch.tensor(alone(folder, *ITEMS[0], chat=True)).log_softmax(-1)
    for label in ("LABEL_2", 2):
        (found,) = run_sync(judge(folder, label=label).rewards(ITEMS[:1]))
        assert found == pytest.approx(float(logits[2]), abs=1e-4)
    for wrong in (None, "good"):
        with pytest.raises(UserError, match="label") as caught:
            judge(folder, label=wrong)
        assert "LABEL_1" in str(caught.value)


def test_what_cannot_be_judged_is_a_failure(tmp_path: Path) -> None:
    """Too long, an image, tokens; the one beside it is judged."""
    model = judge(make_judge(tmp_path / "judge"))
    found = run_sync(
        model.rewards(
            [
                (Prompt(sample_id="l", text="y" * 200), "x"),
                (Prompt(sample_id="i", text="q", images=("x.png",)), "x"),
                (Prompt(sample_id="t", text="", token_ids=(5,)), "x"),
                ITEMS[0],
            ]
        )
    )
    kinds = [f.kind if isinstance(f, Failure) else "" for f in found]
    assert kinds == ["length", "bad_request", "bad_request", ""]
    assert isinstance(found[0], Failure) and "128" in found[0].message
    assert run_sync(model.rewards([])) == []


def test_a_roberta_reads_as_much_as_it_can(tmp_path: Path) -> None:
    """It counts positions from behind its padding: 130 places are 128 tokens."""
    model = judge(make_judge(tmp_path / "judge", chat=False, encoder=True))
    assert model.about["max_length"] == 128
    assert model._worker.loaded is not None
    tokenizer, texts = model._worker.loaded.texts.tokenizer, ["y" * n for n in range(150)]
    sizes = {len(tokenizer(text, "x")["input_ids"]): text for text in texts}
    fits, over = run_sync(
        model.rewards([(Prompt(sample_id="a", text=sizes[n]), "x") for n in (128, 129)])
    )
    assert isinstance(fits, float) and isinstance(over, Failure) and over.kind == "length"


def test_a_conversation_is_judged_whole(tmp_path: Path) -> None:
    """Its turns come before the reply; a model without a template says so."""
    folder = make_judge(tmp_path / "judge")
    one = Prompt(sample_id="a", text="수도는?")
    same = Prompt(sample_id="b", text="", messages=({"role": "user", "content": "수도는?"},))
    more = Prompt(
        sample_id="c", text="", messages=({"role": "system", "content": "x"}, *same.messages)
    )
    first, second, third = run_sync(judge(folder).rewards([(p, "서울") for p in (one, same, more)]))
    assert first == second != third
    bare = judge(make_judge(tmp_path / "bare", chat=False))
    (found,) = run_sync(bare.rewards([(same, "서울")]))
    assert isinstance(found, Failure) and "chat template" in found.message
    with pytest.raises(UserError, match="no chat template"):
        judge(tmp_path / "bare", apply_chat_template=True)


def test_a_language_model_is_no_reward_model(tiny_lm: Path) -> None:
    """Its head would be random: that is said, and no reward."""
    with pytest.raises(UserError, match="no reward model"):
        judge(tiny_lm)


def test_want_of_memory_loses_nothing(tmp_path: Path) -> None:
    """The same rows go again, fewer at a time."""
    import torch

    folder = make_judge(tmp_path / "judge")
    wanted = run_sync(judge(folder).rewards(ITEMS))
    model = judge(folder, batch_size=4)
    assert model._worker.loaded is not None
    own = model._worker.loaded.model
    forward = own.forward

    def starved(*args: Any, **given: Any) -> Any:
        if given["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **given)

    own.forward = starved
    assert run_sync(model.rewards(ITEMS)) == pytest.approx(wanted, abs=1e-4)


def test_what_decides_a_reward_is_told(tmp_path: Path) -> None:
    """And a parameter that is none is refused at once."""
    folder = make_judge(tmp_path / "judge")
    model = judge(folder, max_length=64)
    assert model.about["max_length"] == 64 and model.about["chat_template"] is True
    assert model.label == f"huggingface:{folder}"
    with pytest.raises(UserError, match="temperature"):
        HuggingFaceReward(str(folder), temperature=1)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (None, lambda logits: logits.log_softmax(-1)),
        ("single_label_classification", lambda logits: logits.log_softmax(-1)),
        ("multi_label_classification", lambda logits: logits.sigmoid().log()),
        ("regression", lambda logits: logits),
    ],
)
def test_a_label_is_what_its_model_was_made_for(tmp_path: Path, kind: Any, wanted: Any) -> None:
    """A class among others, one that does not exclude the others, or a value of its own."""
    import torch

    folder = make_judge(tmp_path / "judge", labels=3, problem_type=kind)
    logits = torch.tensor([alone(folder, *item, chat=True) for item in ITEMS])
    found = run_sync(judge(folder, label=1).rewards(ITEMS))
    assert found == pytest.approx(wanted(logits)[:, 1].tolist(), abs=1e-4)
