"""Images go where a model reads them, and nowhere else."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.records import Prompt
from tests.unit.llm_eval.hf.tools import inner, loaded, tokenizer, weighed, written


@pytest.fixture(scope="module")
def sighted_lm(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that reads images."""
    from tests.fakes.tiny_lm import make_sighted

    return make_sighted(tmp_path_factory.mktemp("sighted"))


def picture(color: str) -> Any:
    """A small picture of one colour."""
    from PIL import Image

    return Image.new("RGB", (40, 30), color)


def png(color: str) -> bytes:
    """It as a file."""
    out = io.BytesIO()
    picture(color).save(out, "PNG")
    return out.getvalue()


def shown(text: str, images: int) -> str:
    """How the template shows a text behind so many images."""
    return "<s><user>\n" + "<image>\n" * images + f"{text}</s>\n<assistant>\n"


def prepared(folder: Path, model: HuggingFaceModel, text: str, images: list[Any]) -> Any:
    """The processor's own reading of a prompt."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    return processor(
        text=[shown(text, len(images))],
        images=images,
        return_tensors="pt",
        add_special_tokens=False,
    )


def by_itself(folder: Path, model: HuggingFaceModel, text: str, images: list[Any]) -> str:
    """The reply by transformers alone."""
    given = prepared(folder, model, text, images)
    found = inner(model).generate(**given, do_sample=False, max_new_tokens=6)
    return str(
        tokenizer(model).decode(found[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    )


def test_every_way_to_give_an_image_is_the_same(sighted_lm: Path, tmp_path: Path) -> None:
    """A PIL image, a path, a data URL, in the prompt or in a message; and another is another."""
    model = loaded(sighted_lm, max_new_tokens=6)
    path = tmp_path / "red.png"
    path.write_bytes(png("red"))
    data = f"data:image/png;base64,{base64.b64encode(png('red')).decode()}"
    part = {"type": "image_url", "image_url": {"url": data}}
    text = {"type": "text", "text": "이것은?"}
    prompts = [
        *(
            Prompt(sample_id="a", text="이것은?", images=(image,))
            for image in (picture("red"), str(path), data)
        ),
        Prompt(sample_id="m", text="", messages=({"role": "user", "content": [part, text]},)),
        Prompt(sample_id="b", text="이것은?", images=(picture("blue"),)),
        Prompt(sample_id="n", text="이것은?"),
        Prompt(sample_id="2", text="이것은?", images=(picture("red"), picture("blue"))),
    ]
    assert model.can.images and model.can.chat
    found = [p.text for p in written(model, prompts)]
    red = by_itself(sighted_lm, model, "이것은?", [picture("red")])
    assert found[:4] == [red] * 4
    assert found[4] == by_itself(sighted_lm, model, "이것은?", [picture("blue")])
    assert found[6] == by_itself(sighted_lm, model, "이것은?", [picture("red"), picture("blue")])
    assert len({red, *found[4:]}) == 4


def test_parameters_hold_beside_images(sighted_lm: Path) -> None:
    """A choice, a seed, the tokens."""
    model = loaded(sighted_lm, max_new_tokens=6, temperature=1.0, seed=1)
    one = Prompt(sample_id="a", text="이것은?", images=(picture("red"),), params={"logprobs": 1})
    free, same = (written(model, [one])[0] for _ in range(2))
    assert free.text == same.text and len(free.detail) == 6
    (held,) = written(model, [replace(one, params={"choice": ["빨강", "파랑"]})])
    assert held.text in ("빨강", "파랑") and held.finish_reason == "stop"


def test_options_are_weighed_behind_an_image(sighted_lm: Path) -> None:
    """As one plain pass over image, prompt and option says."""
    import torch

    model = loaded(sighted_lm)
    options = ("서울", "A", "부산광역시")
    prompts = [
        Prompt(sample_id=c, text="이것은?", images=(picture(c),), options=options)
        for c in ("red", "blue")
    ]
    text = Prompt(sample_id="t", text="이것은?", options=options)
    red, plain, blue = weighed(model, [prompts[0], text, prompts[1]])
    assert red.options[0].logprob != blue.options[0].logprob != plain.options[0].logprob
    for told, color in ((red, "red"), (blue, "blue")):
        given = prepared(sighted_lm, model, "이것은?", [picture(color)])
        head = given.pop("input_ids")
        given.pop("attention_mask")
        for option, continued in zip(options, told.options, strict=True):
            tail = tokenizer(model)("\n" + option, add_special_tokens=False)["input_ids"]
            nothing = tokenizer(model)("\n", add_special_tokens=False)["input_ids"]
            ids = torch.cat([head[:, : -len(nothing)], torch.tensor([tail])], dim=1)
            with torch.inference_mode():
                logits = inner(model)(input_ids=ids, **given).logits[0].log_softmax(-1)
            start = ids.shape[1] - len(tail) - 1
            wanted = sum(float(logits[start + i, t]) for i, t in enumerate(tail))
            assert continued.logprob == pytest.approx(wanted, abs=1e-3)


def test_a_bad_image_is_one_samples_loss(sighted_lm: Path) -> None:
    """It is named; so is a prompt with tokens; the others are written."""
    model = loaded(sighted_lm, max_new_tokens=2)
    good = Prompt(sample_id="g", text="q", images=(picture("red"),))
    bad = replace(good, images=("nowhere.png",))
    tokens = replace(good, token_ids=(1, 2), text="")
    found = written(model, [bad, good, tokens])
    assert [p.failure is None for p in found] == [False, True, False]
    assert found[0].failure is not None and "nowhere.png" in found[0].failure.message
    long = replace(good, text="y" * 240, options=("A",))
    for (told,) in (written(model, [long]), weighed(model, [long])):
        assert told.failure is not None and told.failure.kind == "length"


def test_without_a_template_the_prompt_says_where(tmp_path: Path) -> None:
    """By the processor's own mark; else it is told."""
    from tests.fakes.tiny_lm import make_sighted

    model = loaded(make_sighted(tmp_path / "base", chat=False), max_new_tokens=2)
    lost = Prompt(sample_id="a", text="이것은?", images=(picture("red"),))
    one, two = written(model, [lost, replace(lost, text="<image>이것은?")])
    assert one.failure is not None and "'<image>'" in one.failure.message
    assert two.failure is None


def test_a_text_model_says_that_it_sees_nothing(llama: HuggingFaceModel) -> None:
    """Whether the image is the prompt's or a message's."""
    part = {"type": "image_url", "image_url": {"url": "x.png"}}
    for prompt in (
        Prompt(sample_id="1", text="q", images=("x.png",), options=("A",)),
        Prompt(sample_id="1", text="", messages=({"role": "user", "content": [part]},)),
    ):
        for (found,) in (written(llama, [prompt]), weighed(llama, [prompt])):
            assert found.failure is not None and "reads no images" in found.failure.message
    assert not llama.can.images


def test_a_model_that_looks_across_is_read_as_it_reads_itself(tmp_path: Path) -> None:
    """Mllama: its image's token is beyond its texts', and each token is told what it sees."""
    import torch
    from transformers import AutoProcessor

    from tests.fakes.tiny_lm import make_cross_attending

    folder = make_cross_attending(tmp_path / "lm")
    model, processor = loaded(folder, max_new_tokens=6), AutoProcessor.from_pretrained(folder)
    text = shown("이것은?", 1).replace("<image>", "<|image|>")
    texts = []
    for color in ("red", "blue"):

        def read(behind: str, color: str = color) -> Any:
            given = {"images": [picture(color)], "return_tensors": "pt"}
            return processor(text=[behind], add_special_tokens=False, **given)

        asked = Prompt(sample_id="a", text="이것은?", images=(picture(color),), options=("부산",))
        (found,) = written(model, [asked])
        given = read(text)
        ids = inner(model).generate(**given, do_sample=False, max_new_tokens=6, pad_token_id=0)
        new = ids[0, given["input_ids"].shape[1] :]
        assert found.text == tokenizer(model).decode(new, skip_special_tokens=True)
        texts.append(found.text)
        (told,) = weighed(model, [asked])
        whole, start = read(text + "부산"), read(text.rstrip())["input_ids"].shape[1]
        tokens = whole["input_ids"][0]
        with torch.inference_mode():
            logits = inner(model)(**whole).logits[0].log_softmax(-1)
        wanted = sum(float(logits[i - 1, tokens[i]]) for i in range(start, len(tokens)))
        assert told.options[0].logprob == pytest.approx(wanted, abs=1e-3)
        assert told.options[0].tokens == len(tokens) - start > 1
    assert texts[0] != texts[1]


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_images_that_a_model_cannot_read_cost_their_sample(
    sighted_lm: Path, kind: type[Exception]
) -> None:
    """Whatever its own code says; the sample beside it is answered."""
    model = loaded(sighted_lm, max_new_tokens=2)

    def blind(*given: Any) -> None:
        raise kind("The size of tensor a must match")

    inner(model).model.vision_tower.register_forward_pre_hook(blind)
    text = Prompt(sample_id="t", text="이것은?", options=("A", "B"))
    for ask in (written, weighed):
        lost, fine = ask(model, [replace(text, images=(picture("red"),)), text])
        assert lost.failure is not None and "size of tensor a" in lost.failure.message
        assert fine.failure is None and fine.text is not None
