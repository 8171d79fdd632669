"""What these tests share: backends over tiny models, and the slow and simple way to a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.models.huggingface import HuggingFaceModel
from llm_eval.records import Prediction, Prompt

Weighed = list[tuple[float, int, bool]]


def loaded(folder: Path, **params: Any) -> HuggingFaceModel:
    """A backend with its model in memory."""
    model = HuggingFaceModel(str(folder), **{"device": "cpu", **params})
    run_sync(model.check())
    return model


def inner(model: HuggingFaceModel) -> Any:
    """The transformers model inside."""
    assert model._worker.loaded is not None
    return model._worker.loaded.engine.model


def tokenizer(model: HuggingFaceModel) -> Any:
    """Its tokenizer."""
    assert model._worker.loaded is not None
    return model._worker.loaded.texts.tokenizer


def asked(*pairs: tuple[str, Sequence[str]]) -> list[Prompt]:
    """Prompts of (text, options)."""
    return [Prompt(sample_id=f"s{i}", text=t, options=tuple(o)) for i, (t, o) in enumerate(pairs)]


def weighed(model: HuggingFaceModel, prompts: Sequence[Prompt]) -> list[Prediction]:
    """Their likelihoods."""
    return run_sync(model.likelihoods(prompts))


def written(model: HuggingFaceModel, prompts: Sequence[Prompt]) -> list[Prediction]:
    """Their replies."""
    return run_sync(model.generate(prompts))


def ids_of(model: HuggingFaceModel, text: str) -> list[int]:
    """The tokens of a text, with what the tokenizer puts before it."""
    found: list[int] = tokenizer(model)(text)["input_ids"]
    return found


def naive(model: HuggingFaceModel, shown: str, option: str) -> tuple[float, int, bool]:
    """(sum, tokens, greedy) by one plain forward pass over one option and all logits."""
    import torch

    spaces = len(shown) - len(shown.rstrip())
    context, option = shown[: len(shown) - spaces], shown[len(shown) - spaces :] + option
    begins = tokenizer(model).bos_token_id
    head = ids_of(model, context) or [begins]
    whole = ids_of(model, context + option)
    tail = whole[len(ids_of(model, context)) :]
    if not tail:
        tail = tokenizer(model)(option, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = inner(model)(torch.tensor([[*head, *tail]])).logits[0].double()
    told = logits.log_softmax(-1)
    places = range(len(head) - 1, len(head) + len(tail) - 1)
    total = sum(float(told[p, t]) for p, t in zip(places, tail, strict=True))
    greedy = all(int(logits[p].argmax()) == t for p, t in zip(places, tail, strict=True))
    return total, len(tail), greedy


@contextmanager
def forward_of(model: HuggingFaceModel, wrap: Callable[[Any, Any], Any]) -> Any:
    """The model's forward pass replaced by `wrap(forward, arguments)`, as a device may behave."""
    own = inner(model)
    forward = own.forward

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrap(lambda: forward(*args, **kwargs), kwargs)

    own.forward = wrapped
    try:
        yield
    finally:
        own.forward = forward


def counting(fed: list[Any]) -> Callable[[Any, Any], Any]:
    """A forward pass that notes what it is given."""

    def forward(go: Callable[[], Any], given: Any) -> Any:
        fed.append(given)
        return go()

    return forward
