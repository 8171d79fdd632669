"""What a run gives back: numbers that stand on what was scored, and every sample in order."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.records import Failure, Prediction, Sample, Score
from llm_eval.results import EvaluationResult, Lazily, Reply, Row, mean, stderr, summed_up

FAILURE = Failure(where="generate", kind="timeout", message="too late", retryable=True)


def row(
    index: int,
    value: float | None = None,
    *,
    answered: bool = True,
    failed: bool = False,
    subset: str | None = None,
    **sample: Any,
) -> Row:
    """A row that was scored (`value`), not scored, or failed."""
    one = Sample(index=index, input=f"q{index}", reference="A", subset=subset, **sample)
    if failed:
        prediction = Prediction(sample_id=one.id, failure=FAILURE)
        return Row(one, prediction, None, FAILURE.to_dict())
    score = Score(
        sample_id=one.id, value=value, is_correct=value == 1, extracted="A", answered=answered
    )
    return Row(one, Prediction(sample_id=one.id, text=f"reply {index}"), score)


def unscored(index: int) -> Row:
    """A row for which there is no judgement at all."""
    return Row(Sample(index=index, input="q"), Prediction(sample_id=str(index), text="a"), None)


def result(*rows: Row, **info: Any) -> EvaluationResult:
    """A finished run."""
    return EvaluationResult(summed_up(rows), {"model": "m", "dataset": "d", **info}, rows)


# --- metrics -----------------------------------------------------------------------------------


def test_accuracy_stands_on_what_was_scored() -> None:
    """What failed is left out and counted; what could not be read counts as wrong."""
    rows = [row(0, 1.0), row(1, 0.0), row(2, 0.0, answered=False), row(3, failed=True)]
    found = summed_up(rows)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert (found["n"], found["failed"], found["unscored"]) == (3, 1, 0)
    assert found["answer_rate"] == pytest.approx(2 / 3)
    assert found["accuracy_answered"] == 0.5


def test_failures_do_not_change_the_accuracy() -> None:
    """The same scores give the same mean and error, however many requests broke."""
    scored = [row(i, float(i % 2)) for i in range(8)]
    with_failures = [*scored, *(row(100 + i, failed=True) for i in range(8))]
    for key in ("accuracy", "accuracy_stderr", "n", "answer_rate"):
        assert summed_up(scored)[key] == summed_up(with_failures)[key]


def test_not_scored_is_neither_right_nor_wrong() -> None:
    """A score of None, and no score, are counted apart."""
    found = summed_up([row(0, 1.0), row(1, None), unscored(2)])
    assert (found["accuracy"], found["n"], found["unscored"], found["failed"]) == (1.0, 1, 2, 0)


@pytest.mark.parametrize("rows", [[], [row(0, failed=True)], [unscored(0)]], ids=len)
def test_nothing_scored_has_no_accuracy(rows: list[Row]) -> None:
    """None over nothing: never 0, never an error."""
    found = summed_up(rows)
    assert (found["n"], found["accuracy"], found["accuracy_stderr"]) == (0, None, None)
    assert (found["answer_rate"], found["accuracy_answered"]) == (None, None)


@pytest.mark.parametrize("bent", [0, 1, 7])
def test_every_sample_is_counted_once(bent: int) -> None:
    """Scored, unscored and failed make up the whole."""
    rows = [row(i, 1.0) for i in range(5)]
    rows += [row(9 + i, failed=True) for i in range(bent)] + [unscored(99)]
    found = summed_up(rows)
    assert found["n"] + found["failed"] + found["unscored"] == len(rows)


def test_partial_scores_are_averaged() -> None:
    """A method may give any number; the error is that of the mean."""
    found = summed_up([row(0, 0.5), row(1, 1.0), row(2, 0.0)])
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["accuracy_stderr"] == pytest.approx(0.5 / math.sqrt(3))


def test_the_mean_and_its_error() -> None:
    """As the textbook has them; of less than two values there is no error."""
    assert (mean([]), mean([0.25, 0.75])) == (None, 0.5)
    assert (stderr([]), stderr([1.0]), stderr([1.0, 1.0])) == (None, None, 0.0)
    assert stderr([0.0, 1.0]) == pytest.approx(0.5)


def test_subsets_are_summed_up_apart() -> None:
    """Where there are several, in the order of the rows, each with what was scored of it."""
    rows = [row(0, 1.0, subset="b"), row(1, 0.0, subset="a"), row(2, 0.0, subset="b")]
    found = summed_up([*rows, row(3, failed=True, subset="c")])["by_subset"]
    assert list(found) == ["b", "a", "c"]
    names = ("accuracy", "accuracy_stderr", "n", "failed")
    assert found["b"] == dict(zip(names, (0.5, 0.5, 2, 0), strict=True))
    assert found["a"] == dict(zip(names, (0.0, None, 1, 0), strict=True))
    assert found["c"] == dict(zip(names, (None, None, 0, 1), strict=True))
    assert "by_subset" not in summed_up(rows[:1])


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("length", 1), ("context_length", 1), ("repetition", 0), ("stop", 0), (None, 0)],
)
def test_a_reply_that_was_cut_is_told(reason: str | None, cut: int) -> None:
    """Its row says how it ended, unless it ended by itself; the metrics count those cut."""
    one = row(0, 1.0)
    odd = replace(one, prediction=replace(one.prediction, finish_reason=reason))
    reply = Reply(odd.prediction, odd.score)
    several = replace(one, replies=[reply, Reply(one.prediction, one.score), reply])
    found = summed_up([one, odd, several])
    assert found.get("truncated") == (3 if cut else None)
    plain = reason in ("stop", None)
    for told in (odd.to_dict(), several.to_dict()["replies"][0]):
        assert told.get("finish_reason") == (None if plain else reason)
    assert "finish_reason" not in one.to_dict()


# --- samples -----------------------------------------------------------------------------------


def test_a_sample_is_in_the_toolkits_shape() -> None:
    """Input, reference, prediction, subset, options and evaluation; the reply untouched."""
    one = row(0, 1.0, subset="s", options=("A", "B"), metadata={"year": 2020})
    assert one.to_dict() == {
        "input": "q0",
        "reference": "A",
        "prediction": "reply 0",
        "_subset_name": "s",
        "options": ["A", "B"],
        "metadata": {"year": 2020},
        "evaluation": {"is_correct": True, "score": 1.0, "extracted": "A"},
    }


def test_a_failed_sample_has_an_error_and_no_evaluation() -> None:
    """Its prediction is None, and why stands beside it."""
    found = row(0, failed=True).to_dict()
    assert found["prediction"] is None
    assert found["error"] == FAILURE.to_dict()
    assert "evaluation" not in found


def test_samples_are_in_the_order_given() -> None:
    """However the rows are numbered."""
    found = result(*(row(i, 1.0) for i in (3, 1, 2)))
    assert [s["input"] for s in found.samples] == ["q3", "q1", "q2"]


def test_a_result_reads_like_a_dict() -> None:
    """`result["metrics"]` and `result.metrics` are the same; another key is a KeyError."""
    found = result(row(0, 1.0))
    assert found["metrics"] == found.metrics
    assert found["samples"] == found.samples
    assert found["info"]["model"] == "m"
    with pytest.raises(KeyError):
        found["metric"]


def test_a_result_says_what_it_is() -> None:
    """Printed, it shows model, dataset and rounded numbers."""
    shown = repr(result(row(0, 1.0), row(1, 0.0), row(2, 0.0)))
    assert "m on d" in shown
    assert "0.3333" in shown and "0.33333" not in shown


# --- files and tables --------------------------------------------------------------------------


def test_a_saved_result_is_the_result(work: Path) -> None:
    """What is read back equals what was had, Korean as Korean, into a folder that is made."""
    one = row(0, 1.0, metadata={"분야": "역사"})
    found = result(one, row(1, failed=True), note="정답")
    path = found.save_json(work / "a" / "b" / "out.json")
    text = path.read_text("utf-8")
    assert json.loads(text) == found.to_dict()
    assert "역사" in text and text.endswith("\n")


def test_what_json_does_not_know_is_saved_as_text(work: Path) -> None:
    """A path or a date in a row's metadata costs no result."""
    found = result(row(0, 1.0, metadata={"file": Path("x/y")}))
    saved = json.loads(found.save_json(work / "out.json").read_text("utf-8"))
    assert saved["samples"][0]["metadata"] == {"file": "x/y"}


def test_half_of_a_surrogate_pair_is_saved() -> None:
    """A server may send one; nothing else can be said in UTF-8."""
    found = result(
        row(0, 1.0, metadata={"said": "네 \ud83d"}), row(1, 0.0, metadata={"said": "네"})
    )
    text = found.save_json("out.json").read_text("utf-8")
    assert json.loads(text) == found.to_dict() and "네" in text


def test_what_was_saved_before_stays_until_the_new_one_is_whole(work: Path) -> None:
    """It is replaced, through a link as well; a file half written is not left beside it."""
    path = result(row(0, 1.0)).save_json(work / "out.json")
    before = path.read_bytes()

    def broken() -> Any:
        raise ValueError("no row")

    torn = EvaluationResult({}, {}, Lazily(1, lambda i: broken(), broken))
    with pytest.raises(ValueError, match="no row"):
        torn.save_json(path)
    assert path.read_bytes() == before and list(work.iterdir()) == [path]
    (work / "link.json").symlink_to(path)
    result(row(0, 0.0)).save_json(work / "link.json")
    assert (work / "link.json").is_symlink() and path.read_bytes() != before


def test_a_device_is_written_itself() -> None:
    """And never replaced by a file."""
    assert result(row(0, 1.0)).save_json("/dev/null") == Path("/dev/null")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        result(row(0, 1.0)).save_json("/dev/full")
    assert Path("/dev/full").is_char_device()


def test_a_table_has_a_row_a_sample() -> None:
    """In order, with the judgement's fields as columns of their own; failures keep their row."""
    rows = [row(0, 1.0, options=("A", "B")), row(1, 0.0), row(2, failed=True), unscored(3)]
    table = result(*rows).to_dataframe()
    assert list(table["input"]) == ["q0", "q1", "q2", "q"]
    assert list(table["evaluation.score"][:2]) == [1.0, 0.0]
    assert table["evaluation.score"].isna().tolist() == [False, False, True, True]
    assert table["error.kind"][2] == "timeout"
    assert table["options"][0] == ["A", "B"]


def test_a_table_of_nothing_is_empty() -> None:
    """No rows, no error."""
    assert len(result().to_dataframe()) == 0
