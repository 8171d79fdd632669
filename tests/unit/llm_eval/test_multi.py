"""`multi`: a generator, a judge and a reward model under one name, each asked in its own way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models import (
    MODELS,
    REWARDS,
    BaseJudge,
    BaseModel,
    BaseRewardModel,
    load_model,
    register_judge,
    register_model,
    register_reward,
)
from llm_eval.models.multi import MultiModel
from llm_eval.records import Failure, Prompt
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.reward import RewardServer, scored

KEY = "sk-very-secret"
PROMPTS = [Prompt(sample_id=str(i), text=f"text {i}", reference=f"ref {i}") for i in range(6)]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for registry in (MODELS, REWARDS):
        monkeypatch.setattr(registry, "_live", dict(registry._live))


@pytest.fixture
def server() -> Iterator[RewardServer]:
    """A reward server."""
    with RewardServer("vllm") as running:
        yield running


@pytest.fixture
def chat(chat: ChatServer) -> ChatServer:
    """A chat server that answers each text with itself."""
    chat.answer = lambda messages: f"reply to {messages[-1]['content']}"
    return chat


def openai(chat: ChatServer, name: str, **params: Any) -> dict[str, Any]:
    """A role in haerae-evaluation-toolkit's form."""
    return {"name": "openai", "params": {"model_name": name, "api_base": chat.url, **params}}


def closed(model: BaseModel) -> None:
    """Let go of a model's connections."""
    run_sync(model.close())


def test_each_role_is_asked_in_its_own_way(chat: ChatServer, server: RewardServer) -> None:
    """The toolkit's configuration to the letter: three dicts, three models."""
    config = {
        "generate_model": openai(chat, "writer", api_key=KEY, temperature=0.7),
        "judge_model": openai(chat, "judge", api_key=KEY),
        "reward_model": {"name": "api", "params": {"api_base": server.url, "api": "classify"}},
    }
    model = load_model("multi", **config)
    assert isinstance(model, MultiModel)
    written = run_sync(model.generate(PROMPTS))
    judged = run_sync(model.judge(PROMPTS[:2]))
    rewards = run_sync(model.rewards([(p, r.text or "") for p, r in zip(PROMPTS, written)]))  # noqa: B905
    closed(model)
    assert [p.text for p in written] == [f"reply to {p.text}" for p in PROMPTS]
    assert [p.sample_id for p in judged] == ["0", "1"]
    assert rewards == [scored(p.text, f"reply to {p.text}") for p in PROMPTS]
    asked = {r.body["model"]: r.body["temperature"] for r in chat.requests if r.body}
    assert asked == {"writer": 0.7, "judge": 0}
    used = {name: usage.requests for name, usage in model.usage_by_role.items()}
    assert used == {"generate": 6, "judge": 2, "reward": 6}
    assert model.usage == model.usage_by_role["generate"]
    assert set(model.cost_by_role) == {"generate", "judge", "reward"}
    told = json.dumps([dict(model.about), model.about_by_role, model.label])
    assert KEY not in told + repr(model) + repr(vars(model))
    assert model.label == "openai:writer"


def test_a_judge_that_is_told_a_temperature_keeps_it(chat: ChatServer) -> None:
    """0 is the default of a judge that is named, and of no other."""
    model = MultiModel(judge_model=openai(chat, "judge", temperature=0.3))
    run_sync(model.judge(PROMPTS[:1]))
    own = load_model("openai", model_name="m", api_base=chat.url)
    run_sync(MultiModel(judge_model=own).judge(PROMPTS[:1]))
    closed(model)
    closed(own)
    bodies = [r.body for r in chat.requests if r.body]
    assert [b.get("temperature") for b in bodies] == [0.3, None]


def test_roles_by_name_and_by_instance() -> None:
    """A name alone, a dict that says "model", a backend that is made already."""
    model = MultiModel("oracle", {"model": "oracle"}, Longest())
    assert [p.text for p in run_sync(model.generate(PROMPTS))] == [p.reference for p in PROMPTS]
    assert [p.text for p in run_sync(model.judge(PROMPTS))] == [p.reference for p in PROMPTS]
    assert run_sync(model.rewards([(PROMPTS[0], "abc")])) == [3.0]
    assert model.can == load_model("oracle").can
    assert model.cost(model.usage) == 0.0


class Longest(BaseRewardModel):
    """The longer, the better; nothing is a bug."""

    name = "longest"

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[float | Failure]:
        """The lengths."""
        bad = Failure(where="reward", kind="malformed", message="nothing")
        return [float(len(reply)) if reply else bad for _, reply in items]


@pytest.mark.parametrize(
    ("ask", "role"),
    [
        (lambda m: run_sync(m.generate(PROMPTS)), "generate_model"),
        (lambda m: run_sync(m.likelihoods(PROMPTS)), "generate_model"),
        (lambda m: m.generate_batch([{"input": "q"}]), "generate_model"),
        (lambda m: run_sync(m.judge(PROMPTS)), "judge_model"),
        (lambda m: m.judge_batch([{"input": "q"}]), "judge_model"),
        (lambda m: run_sync(m.rewards([])), "reward_model"),
        (lambda m: m.score_batch([{"input": "q", "prediction": "a"}]), "reward_model"),
    ],
)
def test_a_role_that_is_not_there_is_missed_by_name(ask: Any, role: str) -> None:
    """One sentence, and never the inputs given back as if they had been judged."""
    model = MultiModel()
    with pytest.raises(UserError, match=f"this 'multi' has no {role}") as told:
        ask(model)
    assert role in told.value.hint
    run_sync(model.check())
    closed(model)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"judge_model": {"params": {}}}, "judge_model names no model"),
        ({"generate_model": {"name": "oracle", "parms": {}}}, "generate_model knows no 'parms'"),
        ({"generate_model": {"name": "oracel"}}, "no model called 'oracel'"),
        ({"generate_model": {"name": "random", "params": {"sed": 1}}}, "sed"),
        ({"reward_model": {"name": "oracle"}}, "no reward model called 'oracle'"),
        ({"generate_model": 4}, "a model is a name, a backend or a function, not int"),
        ({"reward_model": object()}, "is no reward model"),
    ],
)
def test_a_role_that_cannot_be_made_says_why(config: dict[str, Any], said: str) -> None:
    """Names, keys and parameters are looked at before anything is asked."""
    with pytest.raises(UserError, match=said):
        load_model("multi", **config)


def test_it_evaluates_as_its_generator_does() -> None:
    """`Evaluator().run(model="multi", ...)`."""
    found = Evaluator().run("multi", "sample_questions", model_params={"generate_model": "oracle"})
    assert (found.metrics["accuracy"], found.metrics["n"]) == (1.0, 4)
    assert found.info["model"] == "oracle"


@pytest.fixture(autouse=True)
def _dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_eval.dataset import DATASETS, BaseDataset, register_dataset

    monkeypatch.setattr(DATASETS, "_live", dict(DATASETS._live))

    @register_dataset("sample_questions")
    class Questions(BaseDataset):
        """Four questions."""

        def load(self) -> list[dict[str, Any]]:
            """The rows."""
            return [{"input": f"q{i}", "reference": f"r{i}"} for i in range(4)]


def test_closing_closes_all_though_one_cannot_be() -> None:
    """The error is raised once all were let go of."""
    done = []

    class Stuck(BaseModel):
        def __init__(self, name: str, fail: bool = False) -> None:
            super().__init__()
            self.name, self.fail = name, fail

        async def generate(self, prompts: Sequence[Prompt]) -> list[Any]:
            """Nothing."""
            return []

        async def close(self) -> None:
            """Note it, and fail if told to."""
            done.append(self.name)
            if self.fail:
                raise OSError("stuck")

    model = MultiModel(Stuck("a", fail=True), Stuck("b"))
    with pytest.raises(OSError, match="stuck"):
        closed(model)
    assert done == ["a", "b"]


# --- in dicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.content_filter, Fault.refusal])
def test_the_toolkits_three_calls_one_after_another(
    fault: Fault, chat: ChatServer, server: RewardServer
) -> None:
    """generate_batch, judge_batch, score_batch: each adds its keys, and none loses one.

    A judge that gives no answer has failed.
    """
    model = MultiModel(
        openai(chat, "writer"),
        openai(chat, "judge"),
        {"name": "api", "params": {"api_base": server.url}},
    )
    given = [{"input": f"text {i}", "reference": "r", "extra": i} for i in range(5)]
    generated = model.generate_batch(given)
    chat.script(fault)
    judged = model.judge_batch([{**g, "input": f"judge {g['prediction']}"} for g in generated])
    done = model.score_batch(
        [{**j, "input": g["input"]} for j, g in zip(judged, given, strict=True)]
    )
    closed(model)
    assert [d["extra"] for d in done] == list(range(5))
    assert [d["prediction"] for d in done] == [f"reply to text {i}" for i in range(5)]
    lost = [d for d in done if d["judge_prediction"] is None]
    assert len(lost) == 1 and lost[0]["judge_error"]["kind"] == fault
    kept = [d for d in done if d["judge_prediction"] is not None]
    assert all(d["judge_prediction"] == f"reply to judge {d['prediction']}" for d in kept)
    assert [d["reward"] for d in done] == [scored(d["input"], d["prediction"]) for d in done]


class Verdicts(BaseJudge):
    """A judge as that toolkit's users write one: it overwrites `prediction`, too."""

    def __init__(self, strict: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strict = strict

    def judge_batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Scores, in reverse order."""
        found = []
        for item in reversed(inputs):
            if item["input"] == "bad":
                raise RuntimeError("unreadable")
            score = 1 if self.strict else 5
            told = {"judge_score": score, "judge_explanation": f"of {item['input']}"}
            found.append({**item, **told, "prediction": "[RESULT]"})
        return found


def test_a_judge_with_judge_batch_is_a_judge() -> None:
    """Its own keys are added in order; the prediction that it judged stays what it was."""
    register_judge("verdicts")(Verdicts)
    model = MultiModel(judge_model={"name": "verdicts", "params": {"strict": True}})
    given = [{"input": t, "prediction": f"p of {t}"} for t in ("a", "bad", "c")]
    found = model.judge_batch(given)
    assert [f["prediction"] for f in found] == ["p of a", "p of bad", "p of c"]
    assert [f.get("judge_score") for f in found] == [1, None, 1]
    assert found[2]["judge_explanation"] == "of c"
    assert found[0]["judge_prediction"] == "[RESULT]"
    assert "unreadable" in found[1]["judge_error"]["message"]
    told = run_sync(model.judge([Prompt(sample_id="1", text="a")]))
    assert told[0].text == "[RESULT]"
    closed(model)


def test_it_works_inside_a_running_loop(chat: ChatServer) -> None:
    """As in a notebook."""

    async def cell() -> Mapping[str, Any]:
        model = MultiModel(openai(chat, "w"), openai(chat, "j"), Longest())
        generated = model.generate_batch([{"input": "q"}])
        found = model.score_batch(model.judge_batch(generated))[0]
        closed(model)
        return found

    found = asyncio.run(cell())
    assert found["reward"] == len("reply to q")
    assert found["judge_prediction"] == "reply to q"


def test_the_registries_take_each_kind_to_its_own() -> None:
    """`register_model` knows a reward model by its class; a generator's name is none of theirs."""
    register_model("mine")(Longest)
    register_reward("mine_too")(Longest)
    assert {"mine", "mine_too"} <= set(REWARDS.names())
    with pytest.raises(UserError, match="no model called 'mine'") as told:
        load_model("mine")
    assert "'mine' is a reward model" in told.value.hint
