"""Likelihoods by the shared prompt are those of the slow and simple way, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    naive,
    weighed,
)

NEAR = 1e-4
FOUR = (" A", " B", " C", " D")
PAIRS: list[tuple[str, tuple[str, ...]]] = [
    (LINES[0], (" 서울", " 부산광역시 해운대구", " A", " four and more")),
    (LINES[4] * 3, (" four", " two and two", " there is more to say", " yes")),
    ("수도는?", FOUR),
    ("", ("서울", "A", "Question: what")),
    ("정답: ", ("서울", "부산")),
    ("정답:\n\n", ("100도", "0", "서울입니다.")),
    ("정답은 서", ("울입니다", "울", "B")),
    ("Th", ("e", "at", "e yes")),
    ("The capital of", (" Korea", " Korea", " Korea is")),
    ("하나뿐인", (" 답",)),
    ("물은 섭씨 몇 도에서 끓습니까?", tuple(f" {n}도" for n in range(9))),
    ("x", FOUR),
]


def close(found: Prediction, wanted: list[tuple[float, int, bool]]) -> None:
    """Sum, tokens and greedy flag of every option."""
    assert found.failure is None
    for told, (total, tokens, greedy) in zip(found.options, wanted, strict=True):
        assert told.logprob == pytest.approx(total, abs=NEAR)
        assert (told.tokens, told.greedy) == (tokens, greedy)


def check(model: HuggingFaceModel, shown: Callable[[str], str] = str) -> None:
    """Every pair, by both ways."""
    prompts = asked(*PAIRS)
    found = weighed(model, prompts)
    assert [p.sample_id for p in found] == [p.sample_id for p in prompts]
    for told, prompt in zip(found, prompts, strict=True):
        close(told, [naive(model, shown(prompt.text), o) for o in prompt.options])
        assert [o.chars for o in told.options] == [len(o) for o in prompt.options]


@pytest.mark.parametrize("size", [1, 3, "auto"])
def test_equal_to_the_simple_way(tiny_lm: Path, size: Any) -> None:
    """Odd lengths, Hangul, an empty prompt, spaces, merges, doubles, one option; in order."""
    check(loaded(tiny_lm, batch_size=size))


def test_equal_where_nothing_begins_a_text(bare_lm: Path) -> None:
    """A tokenizer that puts no token before a text is taken at its word."""
    check(loaded(bare_lm, batch_size=4))


def test_equal_on_other_kinds_of_models(kind: HuggingFaceModel) -> None:
    """Windows, caps, scales, learned positions, ALiBi; and states that cannot be shared."""
    shares = inner(kind).config.model_type != "mamba"
    assert kind.about["shared_prefix"] is shares
    check(kind)


def test_in_a_chat_the_options_continue_the_assistants_turn(chat_lm: Path) -> None:
    """The prompt is the user's turn; the option stands behind what opens the answer."""
    model = loaded(chat_lm, system_message="짧게")

    def shown(text: str) -> str:
        return f"<system>\n짧게</s>\n<user>\n{text}</s>\n<assistant>\n"

    assert model.can.chat
    assert ids_of(model, shown("q"))[0] == 0 != ids_of(model, shown("q"))[1]
    check(model, shown)


def test_what_merges_does_merge_here(llama: HuggingFaceModel) -> None:
    """The pairs above that are to merge with their prompt's last token do, one to nothing."""
    for prompt, option in (("정답은 서", "울입니다"), ("Th", "e")):
        apart = ids_of(llama, prompt) + ids_of(llama, option)[1:]
        assert ids_of(llama, prompt + option) != apart
    assert len(ids_of(llama, "The")) <= len(ids_of(llama, "Th"))


def test_the_likeliest_is_the_text(llama: HuggingFaceModel) -> None:
    """By the sum; the first of equals."""
    (found,) = weighed(llama, asked(("정답:", (" 서울", " A", " A"))))
    sums = [o.logprob for o in found.options]
    assert found.text == " A" and sums[1] == sums[2] > sums[0]


def test_a_greedy_option_is_known(llama: HuggingFaceModel) -> None:
    """What the model would write is greedy, one token or two, and what it would not is not."""
    import torch

    from llm_eval.models.hf.likelihood import Question, score_options

    assert llama._worker.loaded is not None
    context = ids_of(llama, "정답:")
    ids = list(context)
    with torch.inference_mode():
        for _ in range(2):
            ids.append(int(inner(llama)(torch.tensor([ids])).logits[0, -1].argmax()))
    best = ids[len(context) :]
    told: list[Question] = []
    question = Question(context, [best[:1], best, [best[0], best[1] ^ 1], [best[0] ^ 1]])
    score_options(
        llama._worker.loaded.engine,
        [question],
        llama._worker.loaded.reading,
        lambda: False,
        told.append,
    )
    assert told == [question]
    assert [greedy for _, greedy in question.found] == [True, True, False, False]


def test_a_prompt_is_read_once_whatever_its_options(llama: HuggingFaceModel) -> None:
    """The tokens that go through the model are the prompt's and each option's own."""
    fed: list[Any] = []
    prompt = LINES[4] * 3
    options = (" four and more", " two and two is")
    with forward_of(llama, counting(fed)):
        (found,) = weighed(llama, asked((prompt, options)))
    own = [o.tokens - 1 for o in found.options]
    sizes = [given["input_ids"].numel() for given in fed]
    assert sizes == [len(ids_of(llama, prompt)), 2 * max(own)]


def test_letters_take_one_pass(llama: HuggingFaceModel) -> None:
    """Options of one token each are read off the prompt's last place."""
    passes: list[Any] = []
    with forward_of(llama, counting(passes)):
        weighed(llama, asked(("정답:", FOUR)))
    assert len(passes) == 1 and not passes[0]["use_cache"]


def test_logits_are_made_where_they_are_needed(llama: HuggingFaceModel) -> None:
    """The head sees a state for each token of an option, and none of the prompt's others."""
    seen: list[int] = []
    hook = inner(llama).lm_head.register_forward_hook(
        lambda module, args, out: seen.append(out.shape[0] * out.shape[1])
    )
    (found,) = weighed(llama, asked((LINES[4] * 3, (" four and more", " two and two is"))))
    hook.remove()
    assert seen == [1, sum(o.tokens - 1 for o in found.options)]


def starved(most: int) -> Callable[[Callable[[], Any], Any], Any]:
    """A device whose memory holds `most` rows."""
    import torch

    def forward(go: Callable[[], Any], given: Any) -> Any:
        if given["input_ids"].shape[0] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return go()

    return forward


@pytest.mark.parametrize(
    ("said", "wants"),
    [
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("HIP out of memory. Tried to allocate 2.00 GiB", True),
        ("HIP error: hipErrorOutOfMemory", True),
        ("XPU out of memory", True),
        ("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)", True),
        ("Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)", True),
        ("MPS backend out of memory", True),
        ("Invalid buffer size: 8.00 GiB", True),
        ("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: device-side assert triggered", False),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_want_of_memory_is_known_by_its_words(said: str, wants: bool) -> None:
    """Of every device; and nothing else is taken for it."""
    from llm_eval.models.hf.engine import ran_out

    assert ran_out(RuntimeError(said)) is wants


@pytest.mark.parametrize("size", [8, "auto"])
def test_want_of_memory_makes_batches_smaller(tiny_lm: Path, size: Any) -> None:
    """Nothing is lost, and what is found is the same."""
    pairs = [(f"{text} {i}", FOUR) for i in range(3) for text, _ in PAIRS]
    wanted = weighed(loaded(tiny_lm), asked(*pairs))
    model = loaded(tiny_lm, batch_size=size)
    with forward_of(model, starved(2)):
        found = weighed(model, asked(*pairs))
    assert [p.sample_id for p in found] == [p.sample_id for p in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert [o.logprob for o in one.options] == pytest.approx(
            [o.logprob for o in other.options], abs=NEAR
        )


def test_a_prompt_that_fits_nowhere_is_one_samples_loss(llama: HuggingFaceModel) -> None:
    """Alone and still too much: a failure that says so, and the others are weighed."""
    import torch

    def forward(go: Callable[[], Any], given: Any) -> Any:
        if given["input_ids"].shape[1] > 60:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return go()

    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    with forward_of(llama, forward):
        found = weighed(llama, asked(("a", FOUR), ("y " * 60, FOUR), ("b", FOUR)))
    assert [p.failure is None for p in found] == [True, False, True]
    assert found[1].failure is not None and found[1].failure.kind == "memory"


def test_another_error_is_no_want_of_memory(llama: HuggingFaceModel) -> None:
    """A bug ends the run, and is not taken for a batch that is too large."""

    def forward(go: Callable[[], Any], given: Any) -> Any:
        raise RuntimeError("shape mismatch")

    with forward_of(llama, forward), pytest.raises(RuntimeError, match="shape mismatch"):
        weighed(llama, asked(("a", FOUR)))


def test_too_long_is_a_failure_with_both_numbers(llama: HuggingFaceModel) -> None:
    """Nothing is cut off; what fits to the last token is weighed."""
    fits = "y" * 255  # with the token that begins a text, 256: the context
    assert len(ids_of(llama, fits)) == 256
    found = weighed(llama, asked(("y" * 300, FOUR), (fits, FOUR), (fits, (" yes no true",))))
    assert [p.failure is None for p in found] == [False, True, False]
    told = [p.failure.message for p in found if p.failure]
    assert "301" in told[0] and "256" in told[0] and "option" in told[1]
    close(found[1], [naive(llama, fits, o) for o in FOUR])


def test_nothing_to_weigh_is_told(llama: HuggingFaceModel) -> None:
    """No options, or an empty one: that sample's failure."""
    found = weighed(llama, asked(("q", ()), ("q", ("A", "")), ("q", ("A",))))
    assert [p.failure is None for p in found] == [False, False, True]
    assert found[1].failure is not None and "option 2 is empty" in found[1].failure.message


def test_a_model_that_tells_no_numbers_weighs_nothing(llama: HuggingFaceModel) -> None:
    """NaN, as overflow leaves it, is that sample's failure, and not the first option."""

    def broken(go: Callable[[], Any], given: Any) -> Any:
        out = go()
        out.logits[:] = float("nan")
        return out

    with forward_of(llama, broken):
        found = weighed(llama, asked(("q", FOUR), ("q", (" 서울 부산", " A"))))
    assert [p.failure and p.failure.kind for p in found] == ["malformed", "malformed"]
    assert all(p.failure and "nan" in p.failure.message and p.text is None for p in found)


def test_short_rows_wait_for_the_next_batch() -> None:
    """Beyond `even` tokens none is taken that would be padding; below it, and on GPUs, all are."""
    from llm_eval.models.hf.batching import ANY, Size

    lengths = [60] * 10 + [55, 50, 40, 30]
    taken = [
        Size(rows=ANY, tokens=4096, most=4096, auto=True, even=even).taken(lengths)
        for even in (300, 660, 700, 800, ANY)
    ]
    assert taken == [11, 11, 12, 14, 14]
    assert Size(rows=3, tokens=ANY, most=ANY, auto=False, even=60).taken(lengths) == 3


def test_images_are_refused(llama: HuggingFaceModel) -> None:
    """A text model that is shown an image says that it sees none."""
    (found,) = weighed(llama, [Prompt(sample_id="1", text="q", options=("A",), images=("x.png",))])
    assert found.failure is not None and "images" in found.failure.message
