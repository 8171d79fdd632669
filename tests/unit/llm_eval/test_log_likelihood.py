"""`log_likelihood`: the likeliest option is the answer, by three measures; nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.dataset import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models.base import BaseModel, Capabilities
from llm_eval.records import Continuation, Failure, Prediction, Prompt
from llm_eval.results import EvaluationResult

Row = dict[str, Any]


class Rows(BaseDataset):
    """Rows as they are passed."""

    def __init__(self, rows: Sequence[Row] = (), **more: Any) -> None:
        super().__init__(**more)
        self.rows = list(rows)

    def load(self) -> list[Row]:
        """The rows."""
        return self.rows


class Weigher(BaseModel):
    """Finds an option as likely as its text says: "x -3.5 2" has the sum -3.5 in two tokens."""

    name = "weigher"

    def __init__(self, **can: Any) -> None:
        self.can = Capabilities(**{"logprobs": True, "batch": 3, **can})
        self.seen: list[Prompt] = []

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """What the options say of themselves."""
        self.seen += prompts
        return [self._one(p) for p in prompts]

    def _one(self, prompt: Prompt) -> Prediction:
        if "broken" in prompt.text:
            failure = Failure(where="generate", kind="length", message="too long")
            return Prediction(sample_id=prompt.sample_id, failure=failure)
        told = [o.split() for o in prompt.options]
        options = tuple(
            Continuation(logprob=float(t[-2]), tokens=int(t[-1]), chars=len(o))
            for t, o in zip(told, prompt.options, strict=True)
        )
        return Prediction(sample_id=prompt.sample_id, text="", options=options)


def row(options: Sequence[str], gold: int = 0, text: str = "q", **more: Any) -> Row:
    """A row whose option number `gold` is right."""
    return {"input": text, "options": list(options), "reference": options[gold], **more}


def run(rows: Sequence[Row], model: Any = None, **options: Any) -> EvaluationResult:
    """An evaluation."""
    return Evaluator().run(
        model or Weigher(),
        Rows(rows),
        evaluation_method="log_likelihood",
        **options,
    )


def test_three_measures_may_name_three_options() -> None:
    """By the sum, by the characters without the space before them, by the tokens."""
    sums, chars, tokens = "s -3 1", "c" * 30 + " -6 2", "t -5 9"
    for gold, wanted in enumerate([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]):
        found = run([row([sums, chars, tokens], gold)])
        names = ("accuracy", "accuracy_norm", "accuracy_per_token")
        assert tuple(found.metrics[n] for n in names) == wanted
        assert found.samples[0]["evaluation"]["extracted"] == sums


def test_each_measure_has_its_error() -> None:
    """Over several samples: mean and standard error of each, and the number they stand on."""
    rows = [row(["a -1 1", "b -2 1"], i % 2) for i in range(8)]
    found = run(rows)
    for name in ("accuracy", "accuracy_norm", "accuracy_per_token"):
        assert found.metrics[name] == 0.5
        assert found.metrics[f"{name}_stderr"] == pytest.approx(0.18898, abs=1e-4)
    assert found.metrics["n"] == 8 and found.info["scoring"] == "logprob"


def test_a_row_shows_what_was_weighed() -> None:
    """In the order of its options, under the toolkit's name, in input order over packs."""
    found = run([row([f"a -{i + 2} 1", "b -1 2"], 1) for i in range(10)])
    for i, sample in enumerate(found.samples):
        assert sample["logits"]["option_log_probs"] == [-(i + 2.0), -1.0]
        assert sample["logits"]["option_tokens"] == [1, 2]
        assert sample["prediction"] == "b -1 2"
    assert "logits.option_log_probs" in found.to_dataframe().columns


def test_a_space_stands_before_an_option_where_one_belongs() -> None:
    """Not behind white space, not at the start of a turn; and never counted as a character."""
    rows = [row(["a -1 1"]), row(["a -1 1"], text="q\n")]
    for can, wanted in (({}, [" a -1 1", "a -1 1"]), ({"chat": True}, ["a -1 1", "a -1 1"])):
        model = Weigher(**can)
        found = run(rows, model)
        assert [p.options[0] for p in model.seen] == wanted
        assert found.samples[0]["logits"]["option_chars"] == [len("a -1 1")]
    model = Weigher()
    run(rows, model, evaluator_params={"delimiter": "\t"})
    assert [p.options[0] for p in model.seen] == ["\ta -1 1"] * 2


def test_letters_are_weighed_as_shown_or_their_texts() -> None:
    """The options as they stand; with `choices`, what the metadata has for them."""
    rows = [
        {
            "input": "q",
            "options": ["A -1 1", "B -2 1"],
            "reference": "none of these",
            "metadata": {"choices": ["one -9 1", "two -8 1"]},
        }
    ]
    assert run(rows).metrics["failed"] == 1
    rows[0]["reference"] = "B -2 1"
    assert run(rows).metrics["accuracy"] == 0.0
    found = run(rows, evaluator_params={"choices": "choices"})
    assert found.metrics["accuracy"] == 1.0
    assert found.samples[0]["evaluation"]["extracted"] == "B -2 1"
    assert found.samples[0]["prediction"] == "two -8 1"


def test_a_gold_letter_names_a_text() -> None:
    """Where the options are texts and the reference is the letter of one."""
    rows = [{"input": "q", "options": ["서울 -1 1", "부산 -2 1"], "reference": "A"}]
    assert run(rows).metrics["accuracy"] == 1.0


def golds(*rows: tuple[object, Sequence[str]]) -> list[str | None]:
    """Which option is right by a run over samples of (reference, options); None: it fails."""
    given = [{"input": "q", "options": list(o), "reference": r} for r, o in rows]
    found: list[str | None] = [None] * len(rows)
    for best in range(max(len(o) for _, o in rows)):
        told = run(given, Fixed(best))
        for i, sample in enumerate(told.samples):
            if sample.get("evaluation", {}).get("is_correct"):
                found[i] = rows[i][1][best]
    return found


class Fixed(BaseModel):
    """Finds the option at one place the likeliest."""

    name = "fixed"
    can = Capabilities(logprobs=True)

    def __init__(self, best: int = 0, low: float = -9.0, high: float = -1.0) -> None:
        self.best, self.low, self.high = best, low, high

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Tells no numbers of tokens."""
        return [
            Prediction(
                sample_id=p.sample_id,
                text=p.options[0],
                options=tuple(
                    Continuation(
                        logprob=self.high if i == self.best else self.low, tokens=0, chars=len(o)
                    )
                    for i, o in enumerate(p.options)
                ),
            )
            for p in prompts
        ]


XYZ = ("x", "y", "z")


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([(0, XYZ), (1, XYZ), (2, XYZ)], ["x", "y", "z"]),
        ([(1, XYZ), (2, XYZ), (3, XYZ)], ["x", "y", "z"]),
        ([(2, XYZ), (1, XYZ)], ["y", "x"]),
        ([(0, XYZ), (3, XYZ)], ["x", None]),
        ([("1", ("2", "3", "1")), ("3", ("2", "3", "1"))], ["1", "3"]),
        ([(2, ("10", "20", "30"))], [None]),
        ([(0, XYZ), (1, ("1", "2", "3")), (2, ("10", "20", "30"))], ["x", "2", "30"]),
        ([(0, XYZ), (1, ("1", "2", "3")), (40, ("40", "50", "60"))], ["x", None, "40"]),
        ([("B", XYZ), ("0", XYZ), ("1번", XYZ), ("z", XYZ)], ["y", "x", "x", "z"]),
    ],
)
def test_numbers_count_from_what_all_samples_show(
    rows: list[tuple[object, Sequence[str]]], wanted: list[str | None]
) -> None:
    """From 0 where any is 0; texts where options are those numbers; what may be either fails."""
    assert golds(*rows) == wanted


@pytest.mark.parametrize(
    "chosen", [{}, {"limit": 2}, {"sample_ids": ["1"]}, {"sample_ids": ["1", "3"], "limit": 1}]
)
def test_numbers_count_alike_whichever_samples_are_evaluated(chosen: dict[str, Any]) -> None:
    """The 0 that shows where they begin may be in one that is not."""
    rows = [{"input": "q", "options": list(XYZ), "reference": r} for r in (1, 1, 2, 0)]
    found = run(rows, Fixed(1), **chosen)
    assert found.samples[-1 if chosen else 0]["evaluation"]["is_correct"] is True


def test_numbers_that_do_not_show_where_they_begin_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are counted from 1, and this is said."""
    run([{"input": "q", "options": list(XYZ), "reference": 2}], Fixed())
    assert "counted from 1" in caplog.text
    caplog.clear()
    run([{"input": "q", "options": list(XYZ), "reference": i} for i in (1, 2, 3)], Fixed())
    assert "counted from 1" not in caplog.text


@pytest.mark.parametrize(("low", "high"), [(-1.0, math.nan), (math.nan, -1.0), (-math.inf,) * 2])
def test_what_cannot_be_compared_is_no_answer(low: float, high: float) -> None:
    """NaN anywhere, or nothing that is possible: a failure, not the first option."""
    found = run([row(XYZ)], Fixed(0, low, high))
    assert (found.metrics["n"], found.metrics["failed"]) == (0, 1)
    assert found.samples[0]["error"]["kind"] == "malformed"
    assert run([row(XYZ)], Fixed(0, -math.inf, -1.0)).metrics["accuracy"] == 1.0


def test_where_tokens_are_not_told_none_are_counted() -> None:
    """The measure is left out; it is not another one under its name."""
    found = run([row(XYZ)], Fixed())
    assert "accuracy_per_token" not in found.metrics and found.metrics["accuracy_norm"] == 1.0


def test_an_empty_option_is_not_the_space_before_it() -> None:
    """It costs its own sample; the others are asked."""
    model, asked = Weigher(), (("a -1 1", ""), ("a -1 1",))
    given = [Prompt(sample_id=str(i), text="q", options=o) for i, o in enumerate(asked)]
    found = run_sync(model.score_options(given))
    assert [p.failure and p.failure.kind for p in found] == ["bad_request", None]
    assert found[0].failure is not None and "option 2 is empty" in found[0].failure.message
    assert [p.sample_id for p in found] == ["0", "1"] and len(model.seen) == 1


def test_return_logits_is_taken_and_implied() -> None:
    """True changes nothing; False is refused."""
    rows = [row(["a -1 1"])]
    assert run(rows, evaluator_params={"return_logits": True}).metrics == run(rows).metrics
    with pytest.raises(UserError, match="return_logits"):
        run(rows, evaluator_params={"return_logits": False})


def test_a_backend_without_log_probs_is_refused_before_it_is_asked() -> None:
    """By name."""
    model = Weigher(logprobs=False)
    with pytest.raises(UserError, match="'log_likelihood' needs logprobs"):
        run([row(["a -1 1"])], model)
    assert model.seen == []


def test_texts_to_weigh_may_end_where_a_tables_options_do() -> None:
    """Empty places behind the last are none of either."""
    rows = [
        {
            "input": "q",
            "options": ["A", "B", None],
            "reference": "B",
            "metadata": {"choices": ["one -9 1", "two -8 1", None]},
        }
    ]
    assert run(rows, evaluator_params={"choices": "choices"}).metrics["accuracy"] == 1.0


def test_samples_without_options_are_not_scored() -> None:
    """Some: counted. All: refused. They are never asked, and never 0."""
    model = Weigher()
    found = run([row(["a -1 1"]), {"input": "open", "reference": "x"}], model)
    assert (found.metrics["n"], found.metrics["unscored"], found.metrics["failed"]) == (1, 1, 0)
    assert len(model.seen) == 1 and found.metrics["accuracy"] == 1.0
    assert found.samples[1]["prediction"] is None
    with pytest.raises(UserError, match="options"):
        run([{"input": "open", "reference": "x"}])


def test_texts_that_are_missing_are_told_before_the_run() -> None:
    """`choices` names what is not there, or not as many."""
    with pytest.raises(UserError, match="2 options and 0 texts"):
        run([row(["a -1 1", "b -1 1"])], evaluator_params={"choices": "texts"})


def test_a_failure_is_no_wrong_answer() -> None:
    """It is counted apart."""
    found = run([row(["a -1 1"]), row(["a -1 1"], text="broken")])
    assert (found.metrics["accuracy"], found.metrics["n"], found.metrics["failed"]) == (1.0, 1, 1)


def test_equal_options_are_equally_right() -> None:
    """The first of two equals is chosen, and the gold may be the second."""
    assert run([row(["a -1 1", "a -1 1"], 1)]).metrics["accuracy"] == 1.0


def test_generate_batch_weighs_where_logits_are_asked_for(tiny_lm: Path) -> None:
    """In the toolkit's shape, mixed with open questions, in order; the dicts given stay."""
    from llm_eval.models import load_model

    model = load_model("huggingface", model_name_or_path=str(tiny_lm), max_new_tokens=3)
    given: list[Row] = [
        {"input": "정답:", "options": ["서울", "부산"]},
        {"input": "open"},
        {"input": "x", "options": ["A", "B"], "reference": "A"},
    ]
    found = model.generate_batch(given, return_logits=True)
    assert [set(item) - set(was) for item, was in zip(found, given, strict=True)] == [
        {"prediction", "logits"},
        {"prediction"},
        {"prediction", "logits"},
    ]
    for item, was in zip(found, given, strict=True):
        if "logits" in item:
            told = item["logits"]["option_log_probs"]
            assert item["prediction"] == was["options"][told.index(max(told))]


def test_a_real_model_from_end_to_end(tiny_lm: Path) -> None:
    """What the run tells is what the backend found; the record says how it was asked."""
    rows = [row(["서울", "부산", "대구 광역시"], i % 3, text=f"수도는 {i}?") for i in range(12)]
    params = {"model_name_or_path": str(tiny_lm)}
    found = Evaluator().run(
        "huggingface", Rows(rows), model_params=params, evaluation_method="log_likelihood"
    )
    right = 0
    for sample, given in zip(found.samples, rows, strict=True):
        told = sample["logits"]["option_log_probs"]
        best = given["options"][told.index(max(told))]
        assert sample["prediction"] == best
        right += best == given["reference"]
    assert found.metrics["accuracy"] == right / 12
    assert found.info["asked"]["chat_template"] is False
    assert found.info["usage"]["prompt_tokens"] > 0
