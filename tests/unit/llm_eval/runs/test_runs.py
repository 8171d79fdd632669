"""A run: its folder, what it owes when it is resumed, and what it takes from the reply cache."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval import settings
from llm_eval.dataset import BaseDataset
from llm_eval.errors import BackendError, Unknown, UserError
from llm_eval.evaluation import EVALUATORS, BaseEvaluator, register_evaluator
from llm_eval.evaluator import Evaluator
from llm_eval.models import BaseModel
from llm_eval.models.base import Capabilities
from llm_eval.models.openai import OpenAIModel
from llm_eval.models.roles import BaseRewardModel, Reward
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Sample, Score, Token, Usage
from llm_eval.results import EvaluationResult
from llm_eval.runs.work import Progress
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import filters

SIZE = 30


class Numbers(BaseDataset):
    """`q0` … with the answers 0, 1, 2, …."""

    def load(self) -> list[dict[str, Any]]:
        return [
            {"input": f"q{i}", "reference": i, "_subset_name": "ab"[i % 2]} for i in range(SIZE)
        ]


class Letters(BaseDataset):
    """Questions with options."""

    def load(self) -> list[dict[str, Any]]:
        return [
            {"input": f"q{i}", "reference": "AB"[i % 2], "options": ["A", "B"]} for i in range(8)
        ]


class Telling(BaseModel):
    """A backend of a test's own: says what decides its replies, and remembers what it is asked."""

    can = Capabilities(logprobs=True, constrained=True, batch=4)

    def __init__(self, **about: Any) -> None:
        super().__init__()
        self._about, self.asked, self.bad = about, list[str](), set[str]()
        self.calls: list[int] = []
        self.prompts: list[Prompt] = []
        self._usage = Usage()

    @property
    def about(self) -> dict[str, Any]:
        return self._about

    @property
    def usage(self) -> Usage:
        return self._usage

    async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        self.calls.append(len(prompts))
        self.prompts += prompts
        if broken := [p.text for p in prompts if p.text in self.bad]:
            raise BackendError(f"cannot read {broken}", kind="bad_request")
        self.asked += [p.text for p in prompts]
        self._usage += Usage(len(prompts), 10 * len(prompts), len(prompts))
        return [Prediction(sample_id=p.sample_id, text=f"정답: {p.text[1:]}") for p in prompts]

    async def likelihoods(self, prompts: Sequence[Prompt]) -> list[Prediction]:
        self.asked += [p.text for p in prompts]
        found = [Continuation(logprob=-x, tokens=1, chars=1, greedy=x == 1.0) for x in (1.0, 2.5)]
        return [Prediction(sample_id=p.sample_id, options=tuple(found)) for p in prompts]

    def cost(self, usage: Usage) -> float:
        return usage.prompt_tokens / 1e3


@pytest.fixture(autouse=True)
def _own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(EVALUATORS, "_live", dict(EVALUATORS._live))


def run(model: Any, dataset: Any = Numbers, **options: Any) -> EvaluationResult:
    """An evaluation."""
    return Evaluator().run(model, dataset, **options)


def folder_of(found: EvaluationResult) -> Path:
    """Its folder."""
    return Path(found.info["folder"])


def texts(found: EvaluationResult) -> list[Any]:
    """The predictions."""
    return [s["prediction"] for s in found.samples]


# --- the folder --------------------------------------------------------------------------------


def test_a_run_leaves_a_record() -> None:
    """What was asked, a line per sample, and what came of it."""
    found = run(Telling(temperature=0.5), evaluation_method="string_match")
    folder = folder_of(found)
    assert folder.parent == settings.home() / "runs" and folder.name == found.info["run"]
    record = json.loads((folder / "run.json").read_text("utf-8"))
    asked = record["asked"]
    assert (asked["model"], asked["dataset"], asked["samples"]) == ("model", "Numbers", SIZE)
    assert asked["about"] == {"temperature": 0.5} and len(asked["prompts"]) == 64
    assert "python" in record["versions"]
    lines = [json.loads(s) for s in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    assert sorted(t["place"] for t in lines if "place" in t) == list(range(SIZE))
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result == {"metrics": found.metrics, "info": found.info}


def test_half_of_a_surrogate_pair_is_recorded() -> None:
    """Whatever a parameter holds."""
    said = {"system": "\ud83d"}
    found = run(Telling(**said), evaluation_method="string_match")
    record = json.loads((folder_of(found) / "run.json").read_text("utf-8"))
    assert record["asked"]["about"] == said


def test_runs_are_named_by_time_and_each_by_itself() -> None:
    """Names sort as they began, and no two are the same."""
    names = [run("oracle", limit=1).info["run"] for _ in range(3)]
    assert sorted(set(names)) == names


def test_a_run_may_leave_nothing() -> None:
    """journal=False: no folder, the same result."""
    found, with_one = run(Telling(), journal=False), run(Telling())
    assert "run" not in found.info and len(list((settings.home() / "runs").iterdir())) == 1
    assert (found.metrics, list(found.samples)) == (with_one.metrics, list(with_one.samples))
    with pytest.raises(UserError, match="journal=False"):
        run(Telling(), journal=False, resume="last")


def test_a_home_that_cannot_be_written_costs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is kept in memory, and the record says so."""
    monkeypatch.setenv("HRET_HOME", "/proc/none")
    found = run("oracle")
    assert found.metrics["n"] == SIZE and "in memory alone" in found.info["note"]


def test_all_of_a_prediction_comes_back() -> None:
    """Likelihoods bit for bit, tokens, thoughts, half a surrogate pair: as the backend gave it."""

    class Rich(Telling):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            return [
                Prediction(
                    sample_id=p.sample_id,
                    text="정답: 1 \ud800",
                    finish_reason="length",
                    options=(Continuation(logprob=-1 / 3, tokens=2, chars=3, greedy=True),),
                    logprob=-0.1 - 0.2,
                    tokens=7,
                    detail=(Token("a", None, 3), Token("b", -0.5, 4, (("c", -1.5), ("d", -2.5)))),
                    reasoning="하나",
                    alternatives=("x", "y"),
                    usage=Usage(1, 2, 3),
                )
                for p in prompts
            ]

    on_disk, in_memory = (run(Rich(), limit=3, journal=kept) for kept in (True, False))
    assert [r.prediction for r in on_disk.rows] == [r.prediction for r in in_memory.rows]
    assert list(on_disk.rows) == list(in_memory.rows)


# --- going on ----------------------------------------------------------------------------------


def torn(found: EvaluationResult, keep: int, half: bytes = b"") -> None:
    """Cut a journal down to the first so many lines of samples, and half a line."""
    path = folder_of(found) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    samples = [line for line in lines if b'"place"' in line][:keep]
    path.write_bytes(lines[0] + b"".join(samples) + half)


@pytest.mark.parametrize("half", [b"", b'{"place":5,"id":"b/', b"\xec\xa0", b"{}\n\0\0\0\n"])
def test_a_resumed_run_owes_what_is_missing(half: bytes) -> None:
    """Torn lines are dropped; the result is that of a run that nobody stopped."""
    whole = run(Telling())
    samples = list(whole.samples)
    torn(whole, 11, half)
    model = Telling()
    found = run(model, resume=whole.info["run"])
    assert len(model.asked) == SIZE - 11
    assert found.metrics == whole.metrics and found.samples == samples
    again = Telling()
    assert run(again, resume="last").metrics == whole.metrics and again.asked == []


def test_a_run_that_cannot_be_written_is_told() -> None:
    """A folder that may be read alone, say."""
    folder = Path(run(Telling()).info["folder"])
    (folder / "lock").unlink()
    (folder / "lock").mkdir()
    with pytest.raises(UserError, match=rf"run {folder.name} cannot be written: .*\n.*copy of it"):
        run(Telling(), resume="last")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_where_files_cannot_be_locked_a_run_goes_on(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some network file systems have no locks: a warning, and the journal all the same."""

    def refused(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    first = run(Telling())
    assert run(Telling(), resume="last").info["run"] == first.info["run"]
    assert "cannot be locked" in caplog.text


def test_a_run_is_named_by_id_by_path_or_as_the_last() -> None:
    """And by nothing else: an unknown one is answered with a guess."""
    first, second = run(Telling()), run(Telling())
    for which, meant in (
        ("last", second), (first.info["run"], first), (first.info["folder"], first),
    ):  # fmt: skip
        assert run(Telling(), resume=which).info["run"] == meant.info["run"]
    with pytest.raises(Unknown, match="no run called"):
        run(Telling(), resume=first.info["run"][:-1])


def test_the_usage_of_both_sessions_counts() -> None:
    """Requests, tokens and money of what was asked, whichever session asked it."""
    whole = run(Telling())
    path = folder_of(whole) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]))  # one pack of four, and what that and the next one cost
    found = run(Telling(), resume="last")
    paid = json.loads(lines[5])["spent"][0] - 4
    assert paid in (0, 4)
    for result, more in ((whole, 0), (found, paid)):
        assert result.info["usage"] == {
            "requests": SIZE + more,
            "prompt_tokens": 10 * (SIZE + more),
            "completion_tokens": SIZE + more,
        }
        assert result.info["cost_usd"] == pytest.approx((SIZE + more) / 100)


def test_several_replies_are_resumed_one_by_one() -> None:
    """Of a sample whose second reply failed only that one is asked again."""

    @register_evaluator("twice")
    class Twice(BaseEvaluator):
        name, replies, least = "twice", 2, 2

        def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
            return Score(sample_id=sample.id, value=1.0)

    class Once(Telling):
        broken = True

        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            found = await super().generate(prompts)
            if self.broken:
                lost = Failure(where="generate", kind="server", message="down", retryable=True)
                found[1::2] = [replace(p, text=None, failure=lost) for p in found[1::2]]
            return found

    model = Once()
    assert run(model, evaluation_method="twice").metrics["failed"] == SIZE
    model.broken, model.asked = False, []
    found = run(model, evaluation_method="twice", resume="last")
    assert (found.metrics["n"], len(model.asked)) == (SIZE, SIZE)


def test_a_judgement_that_failed_is_made_again_and_the_model_is_not_asked() -> None:
    """The reply is in the journal."""
    broken = True

    @register_evaluator("shaky")
    class Shaky(BaseEvaluator):
        name = "shaky"

        def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
            if broken:
                raise OSError("judge is away")
            return Score(sample_id=sample.id, value=1.0)

    model = Telling()
    assert run(model, evaluation_method="shaky").metrics["failed"] == SIZE
    broken, model.asked = False, []
    found = run(model, evaluation_method="shaky", resume="last")
    assert (found.metrics["n"], found.metrics["failed"], model.asked) == (SIZE, 0, [])


# --- what fails --------------------------------------------------------------------------------


def test_a_backend_that_loses_a_prediction_is_asked_one_by_one() -> None:
    """Too few of them for a pack say not whose they are: none of them is taken."""

    class Losing(Telling):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            told = await super().generate(prompts)
            return told[:-1] if len(told) > 1 else told

    found = run(Losing())
    assert (found.metrics["n"], found.metrics["failed"]) == (SIZE, 0)
    assert [s["prediction"] for s in found.samples] == [
        s["prediction"] for s in run(Telling()).samples
    ]


def test_one_bad_prompt_costs_one_sample() -> None:
    """A backend that refuses a whole batch over one of them is asked in halves."""
    model = Telling()
    model.bad = {"q5", "q17"}
    found = run(model)
    assert (found.metrics["failed"], found.metrics["n"]) == (2, SIZE - 2)
    assert [i for i, s in enumerate(found.samples) if "error" in s] == [5, 17]
    assert sorted(model.asked) == sorted(f"q{i}" for i in range(SIZE) if i not in (5, 17))


def test_a_bug_loses_nothing_and_says_how_to_go_on() -> None:
    """It ends the run with its own name; the next run asks only what is left."""

    class Buggy(Telling):
        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            if any(p.text == "q21" for p in prompts):
                raise AttributeError("a bug")
            return await super().generate(prompts)

    model = Buggy()
    with pytest.raises(AttributeError, match="a bug") as caught:
        run(model)
    assert "resume=" in "".join(caught.value.__notes__)
    fine = Telling()
    assert run(fine, resume="last").metrics["n"] == SIZE
    assert not set(fine.asked) & set(model.asked)
    assert len(fine.asked) + len(model.asked) == SIZE


@pytest.mark.parametrize(("most", "ends"), [(1, True), (2, False), (0.05, True), (0.07, False)])
def test_so_many_may_fail(most: float, ends: bool) -> None:
    """A number, or a share of all samples: two failed of thirty."""
    model = Telling()
    model.bad = {"q5", "q17"}
    if not ends:
        assert run(model, max_failures=most).metrics["failed"] == 2
        return
    with pytest.raises(UserError, match="2 of 30 samples failed, more than max_failures") as e:
        run(model, max_failures=most)
    assert "resume=" in str(e.value)


@pytest.mark.parametrize("most", [-1, True, 1.5])
def test_a_bound_that_is_none_is_told(most: Any) -> None:
    """Neither a number of samples nor a share of them."""
    with pytest.raises(UserError, match="max_failures"):
        run(Telling(), max_failures=most)


def test_a_server_that_fails_again_and_again_ends_the_run(chat: ChatServer) -> None:
    """Ten in a row; a few, with replies between them, are data."""
    chat.script(*[Fault.server_error] * SIZE)
    model = OpenAIModel("m", api_base=chat.url, max_retries=0, concurrency=1)
    with pytest.raises(UserError, match="stopped answering"):
        run(model)
    assert 10 <= chat.count() < SIZE


# --- which samples -----------------------------------------------------------------------------


def test_only_these_samples() -> None:
    """In the dataset's order, whatever the order of the ids."""
    model = Telling()
    found = run(model, sample_ids=["b/7", "a/2"])
    assert [s["input"] for s in found.samples] == model.asked == ["q2", "q7"]
    assert found.samples[1]["_subset_name"] == "b"


def test_an_unknown_sample_is_told() -> None:
    """With a guess, before anything is asked."""
    model = Telling()
    with pytest.raises(UserError, match="no sample 'a/7'") as caught:
        run(model, sample_ids=["a/2", "a/7"])
    assert "did you mean" in str(caught.value) and model.asked == []
    with pytest.raises(UserError, match="names no sample"):
        run(model, sample_ids=[])


def test_a_dataset_is_read_row_by_row() -> None:
    """One with `get_sample` is never loaded as a whole; it is judged as any other."""

    class Endless(BaseDataset):
        def get_sample(self, index: int) -> dict[str, Any]:
            return {"input": f"q{index}", "reference": str(index)}

        def __len__(self) -> int:
            return 10**9

        def load(self) -> list[dict[str, Any]]:
            raise MemoryError

    found = run(Telling(), type("Some", (Endless,), {"__len__": lambda self: SIZE}))
    assert (found.metrics["accuracy"], found.metrics["n"]) == (1.0, SIZE)


def test_packs_are_as_large_as_the_backend_takes() -> None:
    """So many samples a call, and their replies beside one another."""

    @register_evaluator("thrice")
    class Thrice(BaseEvaluator):
        name, replies = "thrice", 2

        def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
            return Score(sample_id=sample.id, value=1.0)

    model = Telling()
    run(model)
    assert model.calls == [4] * 7 + [2]
    twice = Telling()
    run(twice, evaluation_method="thrice")
    assert set(twice.calls) == {4}
    assert twice.asked[:4] == ["q0", "q0", "q1", "q1"]


# --- the reply cache ---------------------------------------------------------------------------


def served(chat: ChatServer, name: str = "m", **params: Any) -> OpenAIModel:
    """A model behind the server."""
    return OpenAIModel(name, api_base=chat.url, **params)


def cached(model: BaseModel, **options: Any) -> tuple[int, int]:
    """(prompts asked, replies taken from the cache) of a run."""
    found = run(model, **options)
    return found.info["usage"]["requests"], found.info["cached"]


def test_replies_at_temperature_0_are_kept(chat: ChatServer) -> None:
    """For the next run of the same model; they cost nothing there."""
    chat.answer = lambda messages: f"정답: {messages[-1]['content'][1:]}"
    first, second = (run(served(chat, "gpt-4o-mini", temperature=0)) for _ in range(2))
    assert (first.info["cached"], second.info["cached"]) == (0, SIZE)
    assert second.info["usage"]["requests"] == 0 and second.info["cost_usd"] == 0.0
    assert second.metrics == first.metrics and texts(first) == texts(second)


@pytest.mark.parametrize(
    ("params", "options", "kept"),
    [
        ({"temperature": 0}, {}, True),
        ({"temperature": 0.7}, {}, False),
        ({"temperature": 0.7}, {"cache": True}, True),
        ({}, {}, False),
        ({"temperature": 0}, {"cache": False}, False),
        ({"endpoint": "completions"}, {"evaluation_method": "log_likelihood"}, True),
    ],
    ids=str,
)
def test_what_is_kept(
    params: dict[str, Any], options: dict[str, Any], kept: bool, chat: ChatServer
) -> None:
    """By default what is not drawn by lot, where the model says so; else as one asks."""
    run(served(chat, **params), Letters, **options)
    paid = chat.count() + chat.count("completions")
    found = run(served(chat, **params), Letters, **options).info["cached"]
    more = chat.count() + chat.count("completions") - paid
    assert (found, more < 8) == ((8, True) if kept else (0, False))


def test_another_model_or_parameter_asks_anew(chat: ChatServer) -> None:
    """All that the model tells of itself is in the key."""
    cached(served(chat, temperature=0, max_tokens=5))
    assert cached(served(chat, temperature=0, max_tokens=6)) == (SIZE, 0)
    assert cached(served(chat, "other", temperature=0, max_tokens=5)) == (SIZE, 0)
    assert cached(served(chat, temperature=0, max_tokens=5)) == (0, SIZE)


def test_failures_are_never_kept(chat: ChatServer) -> None:
    """The next run asks for them."""
    chat.rules.append(filters("q3"))
    assert run(served(chat, temperature=0)).metrics["failed"] == 1
    chat.rules.clear()
    assert cached(served(chat, temperature=0)) == (1, SIZE - 1)


@pytest.mark.parametrize("model", [str.upper, "oracle", Telling(temperature=0)])
def test_functions_baselines_and_own_classes_are_never_kept(model: Any) -> None:
    """Their code may change. Asking for it is refused; else there is not even a file."""
    run(model)
    assert not (settings.home() / "replies.sqlite").exists()
    with pytest.raises(UserError, match="are not kept"):
        run(model, cache=True)


def test_a_cache_that_cannot_be_read_is_told(chat: ChatServer) -> None:
    """What to do with it stands in the sentence; without it the run goes."""
    settings.home().mkdir(parents=True)
    (settings.home() / "replies.sqlite").write_text("no database at all, " * 99)
    with pytest.raises(UserError, match="cannot be used") as caught:
        run(served(chat, temperature=0))
    assert "--no-cache" in str(caught.value) and chat.count() == 0
    assert run(served(chat, temperature=0), cache=False).metrics["n"] == SIZE


def test_other_weights_under_the_same_name_are_asked(chat: ChatServer) -> None:
    """A server that says what it serves is believed: the next checkpoint is another model."""
    chat.models, cached = ["m"], []
    for chat.root in ("/ckpt-100", "/ckpt-200", "/ckpt-100"):
        cached.append(run(OpenAIModel("m", api_base=chat.url, temperature=0)).info["cached"])
    assert cached == [0, 0, SIZE]


# --- a model object of several runs ------------------------------------------------------------


async def both(model: Any, waiting: Callable[[], bool], go: AbstractContextManager[None]) -> Any:
    """A run that is held up, and one beside it that ends meanwhile; both, the short one first."""
    evaluator = Evaluator(default_evaluation_method="string_match")
    short = await evaluator.arun(model, Numbers, limit=1)
    with go:
        held = asyncio.create_task(evaluator.arun(model, Numbers))
        while not waiting():
            await asyncio.sleep(0.01)
        again = await evaluator.arun(model, Numbers, limit=1, resume=short.info["run"])
    return again, await held


def test_the_last_run_of_a_model_closes_it(chat: ChatServer) -> None:
    """The connections of another run are not broken: nothing is asked twice. That the model counts
    for both is told."""
    model = served(chat, max_retries=0, concurrency=2 * SIZE)
    short, long = asyncio.run(both(model, lambda: chat.count() > 1, chat.held()))
    assert (short.metrics["failed"], long.metrics["failed"]) == (0, 0)
    assert chat.count() == SIZE + 1
    assert all("another run asked the model" in r.info["note"] for r in (short, long))
    assert "note" not in asyncio.run(Evaluator().arun(model, Numbers, limit=1)).info


def test_the_last_run_of_an_object_of_ones_own_closes_it() -> None:
    """Each run has a backend of its own around it."""
    asked, gate = threading.Event(), threading.Event()

    class Theirs(BaseModel):
        closed = 0

        def generate_batch(self, inputs: Any, *_: Any, **__: Any) -> Any:
            if len(inputs) > 1:
                asked.set()
                assert gate.wait(30)
            return [{**item, "prediction": "a"} for item in inputs]

        async def close(self) -> None:
            self.closed += 1

    @contextmanager
    def held() -> Iterator[None]:
        yield
        assert model.closed == 1
        gate.set()

    model = Theirs()
    asyncio.run(both(model, asked.is_set, held()))
    assert model.closed == 2


# --- constrained, images, judges and rewards ---------------------------------------------------


def test_a_reply_is_held_to_the_options() -> None:
    """`scoring="constrained"` tells the backend, and the record."""
    model = Telling()
    params = {"scoring": "constrained"}
    found = run(model, Letters, evaluation_method="string_match", evaluator_params=params)
    assert found.info["scoring"] == "constrained"
    assert {tuple(p.params["choice"]) for p in model.prompts} == {("A", "B")}
    with pytest.raises(UserError, match="needs constrained"):
        run("oracle", Letters, evaluation_method="string_match", evaluator_params=params)
    with pytest.raises(UserError, match="samples have none"):
        run(model, Numbers, evaluation_method="string_match", evaluator_params=params)


def test_images_are_shown_or_refused() -> None:
    """They reach the model as they stand in the row, and a model without eyes is refused."""

    class Pictures(BaseDataset):
        def load(self) -> list[dict[str, Any]]:
            return [
                {"input": "q0", "reference": "0", "image": "data:image/png;base64,AAAA"},
                {"input": "q1", "reference": "1", "images": ["http://x/a.png", "http://x/b.png"]},
                {"input": "q2", "reference": "2", "image": None, "note": "n"},
            ]

    with pytest.raises(UserError, match="a dataset with images needs images"):
        run(Telling(), Pictures)

    class Seeing(Telling):
        can = replace(Telling.can, images=True)

    model = Seeing()
    found = run(model, Pictures)
    assert [len(p.images) for p in model.prompts] == [1, 2, 0]
    assert found.samples[2]["metadata"] == {"image": None, "note": "n"}
    assert "metadata" not in found.samples[0]


class Liking(BaseRewardModel):
    """Likes long replies; breaks on one."""

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        lost = Failure(where="reward", kind="server", message="down", retryable=True)
        return [lost if p.text == "q3" else float(len(reply)) for p, reply in items]


def test_each_reply_is_rewarded() -> None:
    """`reward` stands in the sample and its mean in the metrics; one that failed is counted."""
    found = run(Telling(), reward_model=Liking())
    metrics = found.metrics
    assert (metrics["reward_n"], metrics["reward_failed"], metrics["n"]) == (SIZE - 1, 1, SIZE)
    values = [s["reward"] for s in found.samples if "reward" in s]
    assert metrics["reward"] == pytest.approx(sum(values) / len(values))
    assert metrics["reward_stderr"] > 0
    assert found.samples[3]["reward_error"]["kind"] == "server"


def test_a_backend_may_have_names_of_its_own() -> None:
    """`roles`, `reward_model` and the like mean something of a `MultiModel` alone."""

    class Own(Telling):
        def __init__(self) -> None:
            super().__init__()
            self.roles, self.reward_model, self.generate_model = ["user"], "a name", "another"
            self.about_by_role = self.roles

    found = run(Own())
    assert found.metrics["n"] == SIZE and "reward" not in found.metrics
    assert found.info["usage"]["requests"] == SIZE


def test_a_method_asks_the_judge() -> None:
    """A registered method of a user's own reaches it by `self.model`."""

    @register_evaluator("asking")
    class Asking(BaseEvaluator):
        name = "asking"

        async def score_all(self, items: Any, dataset: BaseDataset) -> list[Score | Failure]:
            prompts = [Prompt(sample_id=s.id, text=f"q{len(reply)}") for s, reply in items]
            told = await self.model.judge(prompts)
            return [
                Score(sample_id=s.id, value=float((t.text or "")[4:]))
                for (s, _), t in zip(items, told, strict=True)
            ]

    judge = Telling()
    found = run(Telling(), judge_model=judge, evaluation_method="asking")
    assert len(judge.asked) == SIZE
    assert found.samples[0]["evaluation"]["score"] == len("정답: 0")
    assert found.info["usage"]["requests"] == 2 * SIZE


# --- how far it is -----------------------------------------------------------------------------


def test_a_watch_is_told_how_far_it_is() -> None:
    """From what was done before to the end, with usage and money."""
    whole = run(Telling())
    torn(whole, 11)
    heard: list[Progress] = []
    run(Telling(), resume="last", watch=heard.append)
    first, last = heard[0], heard[-1]
    assert (first.stage, first.done, first.earlier, first.total) == ("begun", 11, 11, SIZE)
    assert (last.stage, last.done, last.run) == ("ended", SIZE, whole.info["run"])
    assert last.usage.requests == SIZE - 11 and last.cost_usd == pytest.approx((SIZE - 11) / 100)
